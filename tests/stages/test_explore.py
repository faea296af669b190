"""Explore, from store to store: the same bits whatever the chunks, as numpy has it in memory, and within a gigabyte."""

import hashlib
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from storage.output import Output
from storage.store import Store
from stxmdist.campaign.manifest import ClusterSpec
from stxmdist.campaign.problems import CampaignError
from stxmdist.cluster.start import cluster_of
from stxmdist.errors import InputError
from stxmdist.measures import ExploreMeasures
from stxmdist.planning.end_members import EndMemberSource, end_members_of
from stxmdist.planning.execute import CampaignRun, RunRequest, campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.records import from_json
from stxmdist.runner.run import RunRecord, run_stage
from stxmdist.spectra.end_members.spectrum_file import read_spectrum
from stxmdist.spectra.explore.clusters import ClusterOptions
from stxmdist.spectra.explore.contract import EXPLORERS
from stxmdist.spectra.explore.explorers.clusters import ClusterMeasures
from stxmdist.spectra.explore.explorers.nmf import NmfMeasures
from stxmdist.spectra.explore.explorers.pca import PcaMeasures
from stxmdist.spectra.explore.explorers.targets import TargetMeasures
from stxmdist.spectra.explore.factorise import SAMPLE_PIXELS, FactorOptions, purest_spectra
from stxmdist.spectra.explore.pixel_stack import LEAST_COUNT
from stxmdist.stages.explore import Options, specs_of
from tests.stages.aligned import COUNTS, aligned_survey, planted_rows
from tests.stages.tiny import STXM, with_options

IN_MEMORY = 1e-4
"""What an answer out of core may differ by from the one in memory, relative to its largest value."""
WORKER_BYTES = 1_000_000_000


def explored(survey: Survey, client: Any = None) -> tuple[Output, Any]:
    report = run_stage(
        STAGES["explore"].load(), survey, survey.options["explore"], survey.store, RunRecord(0, {}), client=client
    )
    assert report.refusals == (), report.refusals[0].sentence
    output = survey.store.published_output("explore", "made")
    assert output is not None
    return output, report


def digest(output: Output) -> dict[str, str]:
    """Array to a digest of its bits, read piece by piece."""
    found = {}
    for name in output.arrays():
        layout = output.layout(name)
        bits = hashlib.sha256()
        for shard in layout.indices():
            bits.update(output.read(name, layout.region(shard)).tobytes())
        found[name] = bits.hexdigest()
    return found


ALL = Options(
    methods=("clusters", "pca", "targets", "nmf"),
    nmf=FactorOptions(components=2, sample_passes=20, passes=3),
    clusters=ClusterOptions(number=3),
)
SMALL = (np.linspace(701.0, 729.0, 19), (131, 157))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Survey, Output]:
    folder = tmp_path_factory.mktemp("small")
    survey = aligned_survey(folder, *SMALL, planted_rows(*SMALL, 3), options={"explore": ALL})
    return survey, explored(survey)[0]


@pytest.mark.parametrize("chunks", [(1, 131, 157), (7, 5, 157), (4, 131, 40)])
def test_chunks_do_not_change_a_bit_with_energies_chunked_too(
    tmp_path: Path, small: tuple[Survey, Output], chunks: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is read at once is another cut through the stack.
    monkeypatch.setattr("stxmdist.stages.explore.SLAB_BYTES", 19 * 157 * 4 * 11)
    other = aligned_survey(tmp_path, *SMALL, planted_rows(*SMALL, 3), chunks, {"explore": ALL})
    assert other.output("align", "made").layout("transmission").chunks == chunks
    found = explored(other)[0]
    assert digest(found) == digest(small[1])
    files = [sorted((output.path / "spectra").iterdir()) for output in (found, small[1])]
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]
    assert [file.stem for file in files[0]] == [
        "made-cluster-1", "made-cluster-2", "made-cluster-3", "made-nmf-1", "made-nmf-2",
    ]  # fmt: skip


def test_quality_says_how_many_there_are(small: tuple[Survey, Output]) -> None:
    publication = small[0].store.publication("explore")
    assert publication is not None
    quality = publication.scans["made"].quality
    measures = from_json(ExploreMeasures, quality)
    assert measures.energies == quality["energies"] == 19
    pca = measures.of("pca", PcaMeasures)
    assert pca is not None
    # In the store each explorer's figures stand under its name.
    assert pca.components_suggested == quality["pca"]["components_suggested"] == 2
    assert pca.components_above_noise == 2
    assert pca.components_that_are_images == 2
    targets, clusters = measures.of("targets", TargetMeasures), measures.of("clusters", ClusterMeasures)
    assert targets is not None
    assert min(targets.match.values()) > 0.999
    assert clusters is not None
    assert clusters.pixels.sum() == 131 * 157
    nmf = measures.of("nmf", NmfMeasures)
    assert nmf is not None
    assert nmf.passes == quality["nmf"]["passes"]


def test_arrays_of_explorers_say_what_they_are(small: tuple[Survey, Output]) -> None:
    output = small[1]
    for entry in EXPLORERS.values():
        for spec in specs_of(entry):
            array, about = output.array(spec.name), output.attrs(spec.name)
            assert array.metadata.dimension_names == spec.dims
            assert (about["units"], about["long_name"]) == (spec.unit, spec.meaning)
            np.testing.assert_array_equal(output.layout(spec.name).fill, spec.fill_for(array.dtype))


def test_two_energies_are_no_failure_and_say_so(tmp_path: Path) -> None:
    energy_ev = np.array([708.2, 710.2])
    survey = aligned_survey(
        tmp_path, energy_ev, (23, 29), planted_rows(energy_ev, (23, 29), 1), options={"explore": ALL}
    )
    output, _ = explored(survey)
    publication = survey.store.publication("explore")
    assert publication is not None
    measures = from_json(ExploreMeasures, publication.scans["made"].quality)
    assert measures.note is not None
    assert "too few energies" in measures.note
    assert measures.energies is None
    assert np.isnan(output.read("pca_maps")).all()
    assert (output.read("cluster_labels") == -1).all()
    assert not (output.path / "spectra").exists()


REFERENCES = """references:
  discharged: explore:{scan}:nmf-2
  charged: explore:{scan}:nmf-1
"""
EXPLORE = {
    "explore": {"methods": ["nmf", "clusters"], "nmf": {"components": 2}, "clusters": {"number": 3}},
    "fit": {"rows_per_unit": 60, "fit_energy_shift": False},
}


@pytest.fixture
def campaign(simulated: Path, tmp_path: Path) -> Path:
    path = shutil.copytree(simulated.parent, tmp_path / "campaign") / simulated.name
    with_options(path, EXPLORE)
    path.write_text(path.read_text() + REFERENCES.format(scan=STXM[0]))
    return path


def test_spectra_of_factors_are_end_members_of_a_fit_by_their_names(campaign: Path) -> None:
    stages = ("ingest", "absorbance", "align", "explore", "fit", "segment", "infer")
    with CampaignRun(RunRequest(str(campaign), stages, scans=STXM, cluster="inline")) as run:
        for stage in run.stages:
            run.stage(stage)
        assert not run.refusals, run.refusals[0].sentence
        survey = run.survey
    assert ("explore", STXM[0]) in STAGES["fit"].load().upstream(survey, STXM[1])
    assert ("explore", STXM[0]) in STAGES["segment"].load().upstream(survey, STXM[1])
    store = Store(campaign.parent / "store")
    output = store.published_output("explore", STXM[0])
    assert output is not None
    files = [output.path / "spectra" / f"{STXM[0]}-nmf-{n}.csv" for n in (1, 2)]
    for file, spectrum in zip(files, output.read("nmf_spectra"), strict=True):
        energy, value = read_spectrum(file)
        np.testing.assert_allclose(energy, output.read("energy_ev"), atol=1e-6)
        np.testing.assert_allclose(value, spectrum, rtol=1e-8)
    for scan_id in STXM:
        published = store.publication("fit").scans[scan_id]  # type: ignore[union-attr]
        assert published.inputs[f"explore/{STXM[0]}"] == output.digest
        assert published.quality["thickness_unit"] == "reference"
        assert all(file.name in published.quality["end_members"] for file in files)
    shown = store.tables_path / "spectra"
    assert sorted(file.name for file in shown.iterdir()) == sorted(
        f"{scan_id}-{name}.csv" for scan_id in STXM for name in ("nmf-1", "nmf-2", *(f"cluster-{n}" for n in (1, 2, 3)))
    )
    assert (shown / files[0].name).read_bytes() == files[0].read_bytes()
    assert len(pd.read_parquet(store.tables_path / "particles.parquet")) > 0
    # Other clusters are another fit; other options of the fit are no other exploration.
    before = {stage: survey.digest(stage, STXM[1]) for stage in ("explore", "fit")}
    with_options(campaign, {"explore": {"clusters": {"number": 4}}})
    after = survey_of(*campaign_and_options(campaign))
    assert all(after.digest(stage, STXM[1]) != digest for stage, digest in before.items())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (("nmf-2", "nmf-9"), "Did you mean 'nmf-"),
        (("- nmf\n", "- pca\n"), "Add nmf or clusters"),
        ((f"{STXM[0]}:nmf-2", "stxm-E01-c001-r7:nmf-2"), f"Did you mean '{STXM[0]}'"),
        (("explore:" + STXM[0] + ":nmf-2", "explore:nmf-2"), "such as explore:SCAN:cluster-1"),
        (("nmf-2", "nmf-1"), "the same spectrum"),
        (("references:", "references:\n  thickness_unit: nm"), "not per nm"),
    ],
)
def test_names_that_no_exploration_finds_are_refused_with_the_nearest(
    campaign: Path, written: tuple[str, str], said: str
) -> None:
    campaign.write_text(campaign.read_text().replace(*written))
    with pytest.raises(CampaignError) as error:
        campaign_and_options(campaign)
    assert said in str(error.value)
    assert any(f"{campaign}:{line}" in str(error.value) for line in range(1, 60))


def test_a_spectrum_that_was_not_left_is_refused_by_the_fit(tmp_path: Path) -> None:
    (tmp_path / "one-cluster-1.csv").write_text("700,0.1\n701,0.2\n")
    paths = [str(tmp_path / f"one-cluster-{n}.csv") for n in (1, 2)]
    source = EndMemberSource("LFP", None, *paths, "reference", ("a", "b"))
    with pytest.raises(InputError, match="Did you mean 'one-cluster-1'"):
        end_members_of(source)


def test_thin_and_thick_of_the_same_are_no_end_members(tmp_path: Path) -> None:
    energy_ev = np.linspace(700.0, 720.0, 21)
    thin = 0.1 + 0.5 * np.exp(-(((energy_ev - 709.0) / 2.0) ** 2))
    for name, spectrum in (("discharged", thin), ("charged", 3.0 * thin + 0.01 * (energy_ev > 710.0))):
        np.savetxt(tmp_path / name, np.column_stack([energy_ev, spectrum]))
    source = EndMemberSource("LFP", None, str(tmp_path / "discharged"), str(tmp_path / "charged"), "reference")
    assert end_members_of(source).thickness_unit == "reference"
    with pytest.raises(InputError, match="differ by little but thickness"):
        end_members_of(replace(source, explored=("explore:a:cluster-1", "explore:a:cluster-2")))


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_stack_of_two_gigapixels_in_a_worker_of_one_gigabyte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """100 energies of 2048 x 2048; and a part of 512 x 512 against numpy, the whole part in memory."""
    energy_ev = np.linspace(700.0, 730.0, 100)
    options = {"explore": Options(methods=("pca", "nmf"), nmf=FactorOptions(components=2))}
    whole, part = (2048, 2048), (512, 512)
    lines = []
    with cluster_of(ClusterSpec(workers=1, threads=1, memory_limit=WORKER_BYTES)) as cluster:
        digests = []
        for name, chunks in (("rows", None), ("energies", (10, 512, 2048))):
            folder = tmp_path / name
            survey = aligned_survey(folder, energy_ev, whole, planted_rows(energy_ev, whole, 5), chunks, options)
            began = time.perf_counter()
            output, report = explored(survey, cluster.client)
            planned_bytes = STAGES["explore"].load().plan(survey, options["explore"]).units[0].estimate.peak_bytes
            digests.append(digest(output))
            quality = survey.store.publication("explore").scans["made"].quality  # type: ignore[union-attr]
            layout = survey.output("align", "made").layout("transmission")
            lines.append(
                f"chunks {layout.chunks}: {time.perf_counter() - began:.0f} s, peak resident memory of the worker "
                f"{report.peak_rss_bytes / 1e6:.0f} MB (arrays planned {planned_bytes / 1e6:.0f} MB); "
                f"{quality['pca']['components_suggested']} components suggested, nmf {quality['nmf']['sample_passes']} "
                f"rounds over the sample and {quality['nmf']['passes']} passes"
            )
            assert report.peak_rss_bytes < WORKER_BYTES
            shutil.rmtree(folder)
        assert digests[0] == digests[1]
        # Many rounds, so that a difference in one would have grown.
        factors = FactorOptions(components=2, sample_passes=60, passes=12, tolerance=-1.0)
        options = {"explore": Options(methods=("pca", "nmf"), nmf=factors)}
        survey = aligned_survey(tmp_path / "part", energy_ev, part, planted_rows(energy_ev, part, 5), None, options)
        output, _ = explored(survey, cluster.client)
    errors = against_numpy(survey, output)
    with capsys.disabled():
        print("\n100 x 2048 x 2048 of float32, one worker of 1 GB:\n  " + "\n  ".join(lines))
        print("  arrays identical to the last bit between both stores")
        print("  512 x 512 against numpy in memory: " + ", ".join(f"{k} {v:.1e}" for k, v in errors.items()))
    assert max(errors.values()) < IN_MEMORY


def against_numpy(survey: Survey, output: Output) -> dict[str, float]:
    """Largest difference from what numpy's SVD and plain alternating least squares say, all pixels in memory."""
    transmission = survey.output("align", "made").read("transmission").astype(np.float64).reshape(100, -1)
    transmission = np.maximum(transmission, LEAST_COUNT / COUNTS)
    od = -np.log(transmission)
    pixel = transmission.mean(axis=0)
    energy = COUNTS * transmission.sum(axis=1) / pixel.sum()
    scaled = od * np.sqrt(energy)[:, None] * np.sqrt(pixel)
    vectors, values, rows = np.linalg.svd(scaled, full_matrices=False)
    errors = {"eigenvalues": _apart(output.read("pca_eigenvalues"), values**2 / od.shape[1])}
    n = 2
    product = (vectors[:, :n] * values[:n]) @ rows[:n] / np.sqrt(energy)[:, None] / np.sqrt(pixel)
    spectra, maps = output.read("pca_spectra")[:n], output.read("pca_maps")[:n].reshape(n, -1)
    back = vectors[:, :n] / np.sqrt(energy)[:, None]
    back /= np.linalg.norm(back, axis=0)
    back *= np.sign((back * spectra.T).sum(axis=0))
    errors["pca spectra"] = _apart(spectra, back.T)
    errors["pca maps"] = _apart(spectra.T @ maps, product)

    publication = survey.store.publication("explore")
    assert publication is not None
    said = publication.scans["made"].quality["nmf"]
    chosen = np.sort(np.random.default_rng([0, list(EXPLORERS).index("nmf")]).choice(len(pixel), SAMPLE_PIXELS, False))
    start = purest_spectra(od[:, chosen], energy, pixel[chosen], n)
    start = factors_in_memory(start, od[:, chosen], energy, pixel[chosen], said["sample_passes"])[0]
    found, amounts = factors_in_memory(start, od, energy, pixel, said["passes"])
    cost = (((od - found.T @ amounts) ** 2 * pixel).sum(axis=1) @ energy) / (
        (pixel / (COUNTS * transmission)).sum(axis=1) @ energy
    )
    errors["nmf cost"] = abs(said["cost_over_noise"] / cost - 1.0)
    # Which of the two comes first, and in what unit it is counted, is a matter of words.
    spectra, maps = output.read("nmf_spectra"), output.read("nmf_maps").reshape(n, -1)
    alike = (spectra @ found.T) / np.linalg.norm(found, axis=1)
    order = np.argmax(alike, axis=1)
    assert sorted(order) == [0, 1]
    unit = (spectra * found[order]).sum(axis=1) / (found[order] ** 2).sum(axis=1)
    errors["nmf spectra"] = _apart(spectra, found[order] * unit[:, None])
    exact = nonnegative_pair((found * energy) @ found.T, (found * energy) @ od)
    errors["nmf maps"] = _apart(maps, exact[order] / unit[:, None])
    return errors


def factors_in_memory(spectra: Any, od: Any, energy: Any, pixel: Any, rounds: int) -> tuple[Any, Any]:
    """Alternating non-negative least squares as it stands in a textbook, everything at once."""
    amounts = np.empty(0)
    for _ in range(rounds):
        amounts = nonnegative_pair((spectra * energy) @ spectra.T, (spectra * energy) @ od)
        spectra = nonnegative_pair((amounts * pixel) @ amounts.T, (amounts * pixel) @ od.T)
    return spectra, amounts


def nonnegative_pair(products: Any, projections: Any) -> Any:
    """Two unknowns: the free solution where it is not negative, else the better of the two alone."""
    free = np.linalg.solve(products, projections)
    alone = np.maximum(projections / np.diag(products)[:, None], 0.0)
    gain = alone**2 * np.diag(products)[:, None]
    better = np.where(np.arange(2)[:, None] == np.argmax(gain, axis=0), alone, 0.0)
    return np.where((free >= 0.0).all(axis=0), free, better)


def _apart(one: Any, other: Any) -> float:
    return float(np.abs(np.asarray(one, dtype=float) - other).max() / np.abs(other).max())
