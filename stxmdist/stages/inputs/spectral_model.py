"""The spectral model of a scan, from what alignment left of its stack."""

from storage.output import Output
from stxmdist.arrays import F32
from stxmdist.planning.end_members import EndMemberSource, end_members_to_fit, other_edges
from stxmdist.spectra.end_members.mean_errors import AROUND_PARTICLES, SHARP
from stxmdist.spectra.end_members.shift_of_particles import ParticleSpectra
from stxmdist.spectra.fitting.model import ModelOptions, SpectralModel, StackSummary, model_of_stack

FIELD_PIXELS = 65536
"""Of a larger field, a strip across its middle tells whether there is a film"""


def spectral_model(scan_id: str, align: Output, source: EndMemberSource, options: ModelOptions) -> SpectralModel:
    """The model of a scan's stack, the same for every block of it.

    Raises
    ------
    InputError
        when too few energies are left, none of them lies before the edge, or the edge does not follow the charge.
    """
    members = end_members_to_fit(source, scan_id)
    summary = StackSummary(
        energy_ev=align.read("energy_ev"),
        mean_od=align.read("mean_od"),
        mean_od_variance=align.read("mean_od_variance"),
        effective_counts=align.read("effective_counts"),
        energy_used=align.read("energy_used"),
        particles=ParticleSpectra(
            align.read("particle_od"), align.read("particle_od_variance"), align.read("i0_relative_variance")
        ),
        # Images of ptychography are sharp: nothing passes beside a particle.
        light=SHARP if "phase" in align.arrays() else AROUND_PARTICLES,
        field_transmission=lambda: _middle_of_field(align),
    )
    return model_of_stack(scan_id, summary, members, options, also_there=other_edges(source))


def _middle_of_field(align: Output) -> F32:
    """Transmission (ENERGY, Y, X) of the rows around the middle of a field, as many as ``FIELD_PIXELS`` hold."""
    ny, nx = align.read("aligned_class").shape
    rows = min(ny, max(1, FIELD_PIXELS // nx))
    first = (ny - rows) // 2
    return align.read("transmission", (slice(None), slice(first, first + rows), slice(None)))
