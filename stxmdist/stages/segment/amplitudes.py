"""By what the images of a scan are blurred, and which of them average complex amplitudes."""

import numpy as np

from stxmdist.arrays import F64
from stxmdist.spectra.end_members.dispersion import phase_per_nm
from stxmdist.spectra.fitting.model import SpectralModel
from stxmdist.stages.segment.options import Options


def blur_of(modality: str, pixel_nm: float, model: SpectralModel, options: Options) -> tuple[F64, F64 | None]:
    """The point spread function (K, K), of one pixel where it is not undone, and :func:`phase_of_amplitudes`."""
    if options.edge_policy == "shrink" or not options.correct_psf_bias:
        return np.ones((1, 1)), None
    phase = phase_of_amplitudes(modality, model)
    return options.kernel(modality, pixel_nm) if phase is None else options.amplitude_kernel(pixel_nm), phase


def phase_of_amplitudes(modality: str, model: SpectralModel) -> F64 | None:
    """Phases (ENERGY, 2) per nm of the end-members, in radians, where images average amplitudes as ptychography does.

    None for scanned beams, and where the composition of the end-members is not known.
    """
    members = model.end_members
    if modality == "stxm" or members.density_g_cm3 is None or members.thickness_unit != "nm":
        return None
    return np.asarray(phase_per_nm(members, model.energy_ev, model.shift_ev).T)
