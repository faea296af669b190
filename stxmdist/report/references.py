"""The publications of the methods that a campaign may have used."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A publication."""

    authors: str
    journal: str
    volume: str
    page: str
    year: int
    doi: str
    """Without address"""

    @property
    def text(self) -> str:
        """In one line."""
        return f"{self.authors}, {self.journal} {self.volume}, {self.page} ({self.year}). doi:{self.doi}"

    def as_bibtex(self, key: str) -> str:
        """For a manuscript in LaTeX."""
        authors = self.authors.replace(" and ", ", ").replace(", ", " and ")
        return (
            f"@article{{{key},\n  author = {{{authors}}},\n  journal = {{{self.journal}}},\n"
            f"  volume = {{{self.volume}}},\n  pages = {{{self.page}}},\n  year = {{{self.year}}},\n"
            f"  doi = {{{self.doi}}}\n}}\n"
        )


REFERENCES = {
    "epie": Reference("A. M. Maiden and J. M. Rodenburg", "Ultramicroscopy", "109", "1256", 2009,
                      "10.1016/j.ultramic.2009.05.012"),
    "rpie": Reference("A. Maiden, D. Johnson and P. Li", "Optica", "4", "736", 2017, "10.1364/OPTICA.4.000736"),
    "dm": Reference("P. Thibault, M. Dierolf, O. Bunk, A. Menzel and F. Pfeiffer", "Ultramicroscopy", "109", "338",
                    2009, "10.1016/j.ultramic.2008.12.011"),
    "raar": Reference("D. R. Luke", "Inverse Problems", "21", "37", 2005, "10.1088/0266-5611/21/1/004"),
    "lsqml": Reference("M. Odstrčil, A. Menzel and M. Guizar-Sicairos", "Opt. Express", "26", "3108", 2018,
                       "10.1364/OE.26.003108"),
    "ml": Reference("P. Thibault and M. Guizar-Sicairos", "New J. Phys.", "14", "063004", 2012,
                    "10.1088/1367-2630/14/6/063004"),
    "modes": Reference("P. Thibault and A. Menzel", "Nature", "494", "68", 2013, "10.1038/nature11806"),
    "half_bit": Reference("M. van Heel and M. Schatz", "J. Struct. Biol.", "151", "250", 2005,
                          "10.1016/j.jsb.2005.05.009"),
    "registration": Reference("M. Guizar-Sicairos, S. T. Thurman and J. R. Fienup", "Opt. Lett.", "33", "156", 2008,
                              "10.1364/OL.33.000156"),
    "two_energy": Reference("Y.-S. Yu, M. Farmand, C. Kim and others", "Nat. Commun.", "9", "921", 2018,
                            "10.1038/s41467-018-03401-x"),
    "active": Reference("Y. Li, F. El Gabaly, T. R. Ferguson and others", "Nat. Mater.", "13", "1149", 2014,
                        "10.1038/nmat4084"),
    "reaction": Reference("J. Lim, Y. Li, D. H. Alsem and others", "Science", "353", "566", 2016,
                          "10.1126/science.aaf4914"),
    "agreement": Reference("J. M. Bland and D. G. Altman", "Lancet", "327", "307", 1986,
                           "10.1016/S0140-6736(86)90837-8"),
    "fdr": Reference("Y. Benjamini and Y. Hochberg", "J. R. Stat. Soc. B", "57", "289", 1995,
                     "10.1111/j.2517-6161.1995.tb02031.x"),
    "satterthwaite": Reference("F. E. Satterthwaite", "Biometrics Bull.", "2", "110", 1946, "10.2307/3002019"),
    "scaled_pca": Reference("M. R. Keenan and P. G. Kotula", "Surf. Interface Anal.", "36", "203", 2004,
                            "10.1002/sia.1657"),
}  # fmt: skip
"""Method to where it was published."""
