"""A real stack, ALS 11.0.2 at the Fe L edge, with its authors' end-members: known figures come out."""

import re
from pathlib import Path

import numpy as np
import pytest

from stxmdist.spectra.align.shifts import estimate_shifts
from stxmdist.spectra.checks.component_count import CountOptions
from stxmdist.spectra.checks.components import missing_spectrum, residual_sums
from stxmdist.spectra.checks.residual_shapes import in_words, residual_shape
from stxmdist.spectra.density.absorbance import (
    contrast_map,
    incident_counts,
    noise_factor,
    optical_density,
    particle_free,
)
from stxmdist.spectra.density.mean_spectrum import mean_spectrum
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.energy_shift import energy_shift
from stxmdist.spectra.end_members.mass_scale import scale_to_mass
from stxmdist.spectra.end_members.references import Compounds, EndMembers, from_files
from stxmdist.spectra.end_members.spectrum_file import read_spectrum
from stxmdist.spectra.fitters.contract import FITTERS, FitOptions, mean_residual, r_factor, state_of_charge

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "als-11.0.2-fe-stack"


@pytest.fixture(scope="module")
def stack(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Energies and counts, read without the package's own reader."""
    text = (folder / "71214078.hdr").read_text()
    points = re.search(r"StackAxis.*?Points = \(([^)]*)\)", text, re.DOTALL)
    assert points is not None
    energy = np.array([float(word) for word in points.group(1).split(",")][1:])
    frames = [np.loadtxt(path, dtype=np.float32) for path in sorted(folder.glob("*.xim"))]
    return energy, np.stack(frames)


@pytest.fixture(scope="module")
def authors(folder: Path) -> EndMembers:
    return from_files(folder / "reduced.t", folder / "oxidized.t")


def test_fit_with_the_authors_end_members(folder, stack, authors, capsys) -> None:
    energy, counts = stack
    i0_energy, i0 = read_spectrum(folder / "i0.xsp")
    np.testing.assert_allclose(i0_energy, energy, atol=1e-3)
    od = np.log(i0[:, None] / counts.reshape(energy.size, -1))
    od -= od[energy < 702.7].mean(axis=0)  # as the published analysis of this stack does
    transmission = np.exp(-od).astype(np.float32)
    design = design_matrix(authors, energy)
    fit = FITTERS["nnls"].load()(transmission, i0, design, FitOptions(weighted=False))
    total = fit.coefficients.sum(axis=0)
    used = total > 0.15
    soc, _ = state_of_charge(fit.coefficients, fit.covariance)
    share = np.median(r_factor(transmission, fit.coefficients, design)[used])
    spectrum, error = mean_residual(transmission, fit.coefficients, design, used)
    with capsys.disabled():
        print(
            f"\n  {used.sum()} pixels, oxidised {soc[used].mean():.3f} +- {soc[used].std():.3f}, R-factor {share:.3f}"
        )
    # An independent per-pixel scipy fit of this stack found 3154 pixels, .80 +- .32 and .11.
    assert used.sum() == pytest.approx(3154, rel=0.02)
    assert soc[used].mean() == pytest.approx(0.80, abs=0.01)
    assert soc[used].std() == pytest.approx(0.32, abs=0.01)
    assert share == pytest.approx(0.11, abs=0.005)
    # What two end-members cannot explain is far above its error: a finding, not noise.
    assert np.max(np.abs(spectrum) / error) > 10.0


def test_components_and_what_the_residual_looks_like(folder, stack, authors, lfp, capsys) -> None:
    """Two minerals of other beamtimes do not explain a hydrothermal plume: that is found, sized and located."""
    energy, counts = stack
    i0, variance = incident_counts(counts, particle_free(contrast_map(counts)))
    transmission = (counts / i0[:, None, None].astype(np.float32)).reshape(energy.size, -1)
    light = i0 / noise_factor(counts, particle_free(contrast_map(counts)))
    mean = np.log(i0[:, None] / counts.reshape(energy.size, -1))
    thick = mean.mean(axis=0) > np.percentile(mean.mean(axis=0), 90.0)
    spectrum, spectrum_variance = mean_spectrum(
        transmission.reshape(counts.shape), thick.reshape(counts.shape[1:]), light, variance / i0**2
    )
    shares = {}
    for name, members, limit in (("authors", authors, 0.0), ("library", lfp, 0.6)):
        shift = (
            energy_shift(spectrum, spectrum_variance, energy, members, largest_energy_shift_ev=0.6) if limit else None
        )
        used = members.spans(energy, limit)
        shift_ev = shift.shift_ev if shift is not None else 0.0
        design = design_matrix(members, energy[used], shift_ev, "constant")
        fit = FITTERS["poisson"].load()(transmission[used][:, thick], light[used], design)
        group = np.zeros(int(thick.sum()), int)
        sums = residual_sums(transmission[used][:, thick], fit.coefficients, light[used], design, group, 1)
        found = missing_spectrum(sums, 3, shared_variance=(variance / i0**2)[used])
        residual, _ = mean_residual(transmission[used][:, thick], fit.coefficients, design)
        shape = residual_shape(residual, spectrum[used] - residual, energy[used], design)
        shares[name] = float(found.share[0])
        with capsys.disabled():
            moved = f", shift {1e3 * shift.shift_ev:+.0f} +- {1e3 * shift.se_ev:.0f} meV" if shift is not None else ""
            print(f"\n  {name}{moved}: p of no missing component {found.p[0]:.1e}, missing {found.share[0]:.1%} of OD")
            print(f"  {in_words(shape)}", end="")
        assert found.p[0] < 1e-6
        assert found.share[0] > CountOptions().least_share
        assert sum(shape.shares.values()) + shape.unnamed == pytest.approx(1.0)
    # The minerals were measured where the stack was; the library's phosphates are modelled.
    assert shares["authors"] < shares["library"]


def test_incident_beam_from_the_field_is_the_file_up_to_the_film(folder, stack) -> None:
    _, counts = stack
    free = particle_free(contrast_map(counts))
    assert 0.05 < free.mean() < 0.6
    i0, variance = incident_counts(counts, free)
    ratio = i0 / read_spectrum(folder / "i0.xsp")[1]
    # The field lies on a film that transmits 43 % and has no structure at this edge.
    assert ratio.std() / ratio.mean() < 0.01
    od, od_variance = optical_density(counts, i0, variance)
    assert np.isfinite(od).all()
    assert (od_variance > 0).all()
    assert abs(np.median(od[:, free])) < 0.01


def test_the_authors_had_aligned_it(stack) -> None:
    _, counts = stack
    i0, variance = incident_counts(counts, particle_free(contrast_map(counts)))
    shifts = estimate_shifts(optical_density(counts, i0, variance)[0])
    assert not shifts.flagged.any()
    assert np.abs(shifts.shift_px).max() < 0.3


def test_energy_scales_of_library_and_files_differ_by_a_few_tenths(stack, authors, lfp, capsys) -> None:
    energy, _ = stack
    found = [energy_shift(mu, np.full(energy.size, 0.02**2), energy, lfp) for mu in authors.mu_per_nm]
    with capsys.disabled():
        for name, one in zip(("reduced.t", "oxidized.t"), found, strict=True):
            print(f"\n  {name} lies {1e3 * one.shift_ev:+.0f} +- {1e3 * one.se_ev:.0f} meV from the library", end="")
    # Minerals are no phosphates: the fits are poor, the error bars say so, and both files agree within them.
    assert all(one.chi2_reduced > 3.0 for one in found)
    assert all(0.2 < one.shift_ev < 0.6 for one in found)
    difference = found[0].shift_ev - found[1].shift_ev
    assert abs(difference) < 3.0 * np.hypot(found[0].se_ev, found[1].se_ev)


def test_raw_counts_as_references_are_refused(folder) -> None:
    from stxmdist.errors import InputError

    with pytest.raises(InputError, match="other units"):
        from_files(folder / "reduced.t", folder / "i0.xsp")


def test_end_members_weighed_by_their_own_spectra(folder, authors, capsys) -> None:
    found = {name: scale_to_mass(*read_spectrum(folder / f"{name}.t"), "Fe") for name in ("reduced", "oxidized")}
    members = from_files(folder / "reduced.t", folder / "oxidized.t", compounds=Compounds(("FeS", "FeOOH"), 4.8))
    with capsys.disabled():
        for name, one in found.items():
            print(
                f"\n  {name}: {one.areal_density_g_cm2 * 1e6:.1f} ug/cm2 of iron +- {100 * one.relative_sd:.0f} %, "
                f"white line {one.mass_absorption_cm2_g.max():.3g} cm2/g of iron",
                end="",
            )
        print(f"\n  {members.flags[0]}")
    for one in found.values():
        # Fe L3 white lines are usually said to be 6 to 8e4 cm2/g of iron.
        assert 5.5e4 < one.mass_absorption_cm2_g.max() < 9.0e4
        assert one.near
    assert members.thickness_unit == "nm"
    assert "not yet reliable" in members.flags[0]
    # The files end at 730 eV: the scale is the same whatever else the compound holds.
    weighed = scale_to_mass(*read_spectrum(folder / "reduced.t"), "FeS")
    iron = 55.845 / (55.845 + 32.06)
    assert weighed.areal_density_g_cm2 * iron == pytest.approx(found["reduced"].areal_density_g_cm2, rel=0.02)
    # The scatter before the edge is what their authors' own noise is: a hundredth.
    assert authors.errors is not None
    assert (authors.errors.noise_sd[:, 0] < 0.02).all()
    assert (authors.errors.noise_sd[:, 0] > 0.004).all()
