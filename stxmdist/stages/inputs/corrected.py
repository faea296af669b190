"""Counts of a wide-field scan as absorbance and align see them: read frame by frame, corrected as the options say."""

from dataclasses import replace

import numpy as np

from storage.output import Output
from storage.reading import PIECE_BYTES
from stxmdist.arrays import F32, F64, Index, Mask, MaskClass
from stxmdist.measures import Numbers
from stxmdist.spectra.density.corrected import CorrectedFrame, CountedFrame, corrected, left_out_one_by_one
from stxmdist.spectra.density.detector import DetectorOptions, ring_factor
from stxmdist.spectra.density.given import transmission_given
from stxmdist.spectra.density.incident_beam import Exposure
from stxmdist.stages.inputs.frames import FramesOnDemand


class CorrectedFrames(FramesOnDemand):
    """Corrected counts of frames, in the order of energies: a sequence of (Y, X) that reads on demand."""

    def __init__(
        self,
        ingest: Output,
        options: DetectorOptions,
        *,
        divide_by_ring_current: bool,
        free: Mask | None = None,
        energies: Index | None = None,
    ) -> None:
        """Frames of ``energies`` (all if None); lines are scaled where ``free`` pixels (Y, X) are known, if any is."""
        self.options = options
        self.free = free if free is not None and free.any() else None
        self.exposure = Exposure(*(ingest.read(name) for name in ("energy_ev", "dwell_ms", "ring_current_ma")))
        self.measured: Mask = ingest.read("frame_class") == MaskClass.valid
        divides = divide_by_ring_current and options.ring_current
        current = self.exposure.ring_current_ma
        self._ring_factor = ring_factor(current) if divides else np.ones(len(current))
        self._counts = ingest.opened("counts")
        self._energies = np.arange(len(self.measured)) if energies is None else energies
        self._raw: dict[int, F32] = {}

    def __len__(self) -> int:
        return len(self._energies)

    def frame_at(self, place: int) -> F32:
        """Counts (Y, X)."""
        return self.frame(int(self._energies[place])).counts

    def frame(self, energy: int) -> CorrectedFrame:
        """One frame by its place along all energies of the scan."""
        return corrected(self._counted(energy), self.options, self.free)

    def left_out_one_by_one(self, energy: int, frame: CorrectedFrame) -> dict[str, F32]:
        """Counts of a frame without each of the corrections that changed it, by their option."""
        return left_out_one_by_one(self._counted(energy), frame, self.options, self.free)

    def _counted(self, energy: int) -> CountedFrame:
        measured = bool(self.measured[energy])
        neighbours = [k for k in (energy - 1, energy + 1) if 0 <= k < len(self.measured) and self.measured[k]]
        return CountedFrame(
            counts=self._read(energy),
            neighbours=[self._read(k) for k in neighbours] if self.options.spikes and measured else [],
            dwell_ms=float(self.exposure.dwell_ms[energy]),
            ring_factor=float(self._ring_factor[energy]),
            measured=measured,
        )

    def _read(self, energy: int) -> F32:
        if energy not in self._raw:
            found = self._counts((energy, slice(None), slice(None)))
            # A stack that is small enough to be read in one piece is kept whole.
            if found.nbytes * len(self.measured) > PIECE_BYTES:
                for old in [k for k in self._raw if abs(k - energy) > 1]:
                    del self._raw[old]
            self._raw[energy] = found
        return self._raw[energy]


class GivenFrames(CorrectedFrames):
    """Transmission of a scan whose file holds transmission or optical density: corrections of counts are behind it."""

    def __init__(self, ingest: Output, *, logarithmic: bool, energies: Index | None = None) -> None:
        """Frames of ``energies`` (all if None), of optical density where ``logarithmic``."""
        nothing = DetectorOptions(ring_current=False, glitches=False, spikes=False)
        super().__init__(ingest, nothing, divide_by_ring_current=False, energies=energies)
        self.noise_factor: F64 = np.ones(len(self.measured))
        """(ENERGY,) variance over transmission, once it is measured"""
        self._logarithmic = logarithmic

    def frame(self, energy: int) -> CorrectedFrame:
        """One frame by its place along all energies of the scan."""
        frame = super().frame(energy)
        return replace(frame, variance=frame.counts * np.float32(self.noise_factor[energy]))

    def _read(self, energy: int) -> F32:
        return transmission_given(super()._read(energy), logarithmic=self._logarithmic)


def counts_or_given(
    ingest: Output,
    numbers: Numbers,
    options: DetectorOptions,
    *,
    divide_by_ring_current: bool,
    free: Mask | None = None,
) -> CorrectedFrames:
    """Frames of a wide-field scan by what its numbers are: corrected counts, or transmission that was given."""
    if numbers != "counts":
        return GivenFrames(ingest, logarithmic=numbers == "optical_density")
    return CorrectedFrames(ingest, options, divide_by_ring_current=divide_by_ring_current, free=free)
