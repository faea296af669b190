"""The table of chemistries that the library knows: their names can be listed without loading any spectrum."""

from typing import TYPE_CHECKING

from stxmdist.registry import Entry, Table

if TYPE_CHECKING:
    from stxmdist.spectra.end_members.library import Chemistry

CHEMISTRIES: "Table[Entry[Chemistry]]" = Table(
    "chemistry",
    {
        "LFP": Entry("stxmdist.spectra.end_members.library:lithium_iron_phosphate"),
        "NMC": Entry("stxmdist.spectra.end_members.library:nickel_manganese_cobalt"),
        "NCA": Entry("stxmdist.spectra.end_members.library:nickel_cobalt_aluminium"),
        "LCO": Entry("stxmdist.spectra.end_members.library:lithium_cobalt_oxide"),
        "LMO": Entry("stxmdist.spectra.end_members.library:lithium_manganese_oxide"),
    },
)
"""From the name that campaign files use to the cathode with its edges"""
