"""The publications of the methods that a campaign may have used."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A publication."""

    authors: str
    title: str
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
            f"@article{{{key},\n  author = {{{authors}}},\n  title = {{{{{self.title}}}}},\n"
            f"  journal = {{{self.journal}}},\n  volume = {{{self.volume}}},\n  pages = {{{self.page}}},\n"
            f"  year = {{{self.year}}},\n  doi = {{{self.doi}}}\n}}\n"
        )


REFERENCES = {
    "epie": Reference(
        "A. M. Maiden and J. M. Rodenburg",
        "An improved ptychographical phase retrieval algorithm for diffractive imaging",
        "Ultramicroscopy", "109", "1256", 2009, "10.1016/j.ultramic.2009.05.012",
    ),
    "rpie": Reference(
        "A. Maiden, D. Johnson and P. Li",
        "Further improvements to the ptychographical iterative engine",
        "Optica", "4", "736", 2017, "10.1364/OPTICA.4.000736",
    ),
    "dm": Reference(
        "P. Thibault, M. Dierolf, O. Bunk, A. Menzel and F. Pfeiffer",
        "Probe retrieval in ptychographic coherent diffractive imaging",
        "Ultramicroscopy", "109", "338", 2009, "10.1016/j.ultramic.2008.12.011",
    ),
    "raar": Reference(
        "D. R. Luke",
        "Relaxed averaged alternating reflections for diffraction imaging",
        "Inverse Problems", "21", "37", 2005, "10.1088/0266-5611/21/1/004",
    ),
    "lsqml": Reference(
        "M. Odstrčil, A. Menzel and M. Guizar-Sicairos",
        "Iterative least-squares solver for generalized maximum-likelihood ptychography",
        "Opt. Express", "26", "3108", 2018, "10.1364/OE.26.003108",
    ),
    "ml": Reference(
        "P. Thibault and M. Guizar-Sicairos",
        "Maximum-likelihood refinement for coherent diffractive imaging",
        "New J. Phys.", "14", "063004", 2012, "10.1088/1367-2630/14/6/063004",
    ),
    "modes": Reference(
        "P. Thibault and A. Menzel",
        "Reconstructing state mixtures from diffraction measurements",
        "Nature", "494", "68", 2013, "10.1038/nature11806",
    ),
    "half_bit": Reference(
        "M. van Heel and M. Schatz",
        "Fourier shell correlation threshold criteria",
        "J. Struct. Biol.", "151", "250", 2005, "10.1016/j.jsb.2005.05.009",
    ),
    "registration": Reference(
        "G. H. Golub and V. Pereyra",
        "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate",
        "SIAM J. Numer. Anal.", "10", "413", 1973, "10.1137/0710036",
    ),
    "two_energy": Reference(
        "Y.-S. Yu, M. Farmand, C. Kim and others",
        "Three-dimensional localization of nanoscale battery reactions using soft X-ray tomography",
        "Nat. Commun.", "9", "921", 2018, "10.1038/s41467-018-03401-x",
    ),
    "active": Reference(
        "Y. Li, F. El Gabaly, T. R. Ferguson and others",
        "Current-induced transition from particle-by-particle to concurrent intercalation in "
        "phase-separating battery electrodes",
        "Nat. Mater.", "13", "1149", 2014, "10.1038/nmat4084",
    ),
    "reaction": Reference(
        "J. Lim, Y. Li, D. H. Alsem and others",
        "Origin and hysteresis of lithium compositional spatiodynamics within battery primary particles",
        "Science", "353", "566", 2016, "10.1126/science.aaf4914",
    ),
    "agreement": Reference(
        "J. M. Bland and D. G. Altman",
        "Statistical methods for assessing agreement between two methods of clinical measurement",
        "Lancet", "327", "307", 1986, "10.1016/S0140-6736(86)90837-8",
    ),
    "fdr": Reference(
        "Y. Benjamini and Y. Hochberg",
        "Controlling the false discovery rate: a practical and powerful approach to multiple testing",
        "J. R. Stat. Soc. B", "57", "289", 1995, "10.1111/j.2517-6161.1995.tb02031.x",
    ),
    "cluster_t": Reference(
        "J. E. Pustejovsky and E. Tipton",
        "Small-sample methods for cluster-robust variance estimation and hypothesis testing in fixed effects models",
        "J. Bus. Econ. Stat.", "36", "672", 2018, "10.1080/07350015.2016.1247004",
    ),
    "mixed_model": Reference(
        "N. M. Laird and J. H. Ware",
        "Random-effects models for longitudinal data",
        "Biometrics", "38", "963", 1982, "10.2307/2529876",
    ),
    "scaled_pca": Reference(
        "M. R. Keenan and P. G. Kotula",
        "Accounting for Poisson noise in the multivariate analysis of ToF-SIMS spectrum images",
        "Surf. Interface Anal.", "36", "203", 2004, "10.1002/sia.1657",
    ),
}  # fmt: skip
"""Method to where it was published."""
