"""Explore, from store to store: the same bits whatever the chunks, as numpy has it in memory, and within a gigabyte."""

import hashlib
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.output import Output
from stxmdist.campaign.manifest import ClusterSpec
from stxmdist.cluster import cluster_of
from stxmdist.runner.run import Circumstances, run_stage
from stxmdist.spectra.clusters import ClusterOptions
from stxmdist.spectra.explore import EXPLORERS
from stxmdist.spectra.factorise import SAMPLE_PIXELS, FactorOptions, purest_spectra
from stxmdist.spectra.pixel_stack import LEAST_COUNT
from stxmdist.stages import STAGES
from stxmdist.stages.explore import Options
from stxmdist.stages.survey import Survey
from tests.stages.aligned import COUNTS, aligned_survey, planted_rows

IN_MEMORY = 1e-4
"""What an answer out of core may differ by from the one in memory, relative to its largest value."""
WORKER_BYTES = 1_000_000_000


def explored(survey: Survey, client: Any = None) -> tuple[Output, Any]:
    report = run_stage(
        STAGES["explore"], survey, survey.options["explore"], survey.store, Circumstances(0, {}), client=client
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


@pytest.mark.parametrize("chunks", [(19, 131, 157), (1, 131, 157), (7, 5, 157), (4, 131, 40)])
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
    assert quality["pca"]["components_suggested"] == 2
    assert quality["pca"]["components_above_noise"] == 2
    assert quality["pca"]["components_that_are_images"] == 2
    assert min(quality["targets"]["match"].values()) > 0.999
    assert sum(quality["clusters"]["pixels"]) == 131 * 157


def test_two_energies_are_no_failure_and_say_so(tmp_path: Path) -> None:
    energy_ev = np.array([708.2, 710.2])
    survey = aligned_survey(
        tmp_path, energy_ev, (23, 29), planted_rows(energy_ev, (23, 29), 1), options={"explore": ALL}
    )
    output, _ = explored(survey)
    publication = survey.store.publication("explore")
    assert publication is not None
    assert "too few energies" in publication.scans["made"].quality["note"]
    assert np.isnan(output.read("pca_maps")).all()
    assert (output.read("cluster_labels") == -1).all()
    assert not (output.path / "spectra").exists()


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
            foretold = STAGES["explore"].plan(survey, options["explore"]).units[0].estimate.peak_bytes
            digests.append(digest(output))
            quality = survey.store.publication("explore").scans["made"].quality  # type: ignore[union-attr]
            layout = survey.output("align", "made").layout("transmission")
            lines.append(
                f"chunks {layout.chunks}: {time.perf_counter() - began:.0f} s, peak resident memory of the worker "
                f"{report.peak_rss_bytes / 1e6:.0f} MB (arrays foretold {foretold / 1e6:.0f} MB); "
                f"{quality['pca']['components_suggested']} components suggested, nmf {quality['nmf']['sample_passes']} "
                f"rounds over the sample and {quality['nmf']['passes']} passes"
            )
            assert report.peak_rss_bytes < WORKER_BYTES
            shutil.rmtree(folder)
        assert digests[0] == digests[1]
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
