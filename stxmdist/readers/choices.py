"""What a user may choose of how a file is read, where the file says several things, nothing, or what cannot be."""

from dataclasses import dataclass

from stxmdist.errors import InputError

POSITION_UNITS = ("um", "mm", "m", "nm")
ENERGY_UNITS = ("eV", "keV")


@dataclass(frozen=True)
class ReadChoices:
    """How files are read."""

    channel: str | None = None
    """Detector channel of a file that holds several, by letter or name; None takes the one that counts photons"""
    pixel_size_nm: float | None = None
    """Wide-field scans: size of a pixel, instead of what the file says"""
    position_unit: str | None = None
    """Unit of positions where the file does not say it: um, mm, m or nm; None takes the first that makes sense"""
    energy_unit: str | None = None
    """Unit of photon energies where the file does not say it: eV or keV; None takes numbers below 30 for keV"""

    def __post_init__(self) -> None:
        if self.pixel_size_nm is not None and not self.pixel_size_nm > 0:
            raise _senseless("pixel_size_nm", self.pixel_size_nm, "a size above 0")
        if self.position_unit not in (None, *POSITION_UNITS):
            raise _senseless("position_unit", self.position_unit, " or ".join(POSITION_UNITS))
        if self.energy_unit not in (None, *ENERGY_UNITS):
            raise _senseless("energy_unit", self.energy_unit, " or ".join(ENERGY_UNITS))


AS_THE_FILE_SAYS = ReadChoices()
"""Nothing chosen"""


def _senseless(name: str, got: object, wanted: str) -> InputError:
    return InputError(
        where=f"ReadChoices.{name}", problem="the value makes no sense", got=got, wanted=wanted, mend="Change it"
    )
