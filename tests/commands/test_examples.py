"""Every public call has an example that runs, and so has every listing of the page on Python."""

import doctest
import importlib
import inspect
import re
import types
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import matplotlib
import pytest
from matplotlib import pyplot

import stxmdist
from stxmdist.commands.open_campaign import OpenCampaign
from stxmdist.results.particle import ParticleResults
from stxmdist.results.scan import ScanResults
from tests.stages.tiny import STXM

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "python.md"
FACES = (OpenCampaign, ScanResults, ParticleResults)
FUNCTIONS = ("open", "simulate", "inspect", "init", "validate", "energies", "Sample", "Wish")
MODULES = (
    "stxmdist.commands.energies",
    "stxmdist.commands.inputs",
    "stxmdist.commands.open_campaign",
    "stxmdist.planning.next_beamtime",
    "stxmdist.planning.validation",
    "stxmdist.results.campaign",
    "stxmdist.results.particle",
    "stxmdist.results.scan",
    "stxmdist",
)


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Figures that a notebook would show are drawn and closed."""
    before = matplotlib.get_backend()
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")
    pyplot.switch_backend(before)


def members(face: type) -> dict[str, object]:
    """Public methods and properties of a class and of what it inherits."""
    kinds = (property, cached_property, types.FunctionType)
    return {name: value for name, value in inspect.getmembers(face) if isinstance(value, kinds) and name[0] != "_"}


@pytest.mark.parametrize("face", FACES)
def test_every_public_call_has_an_example(face: type) -> None:
    silent = [name for name, value in members(face).items() if ">>>" not in (inspect.getdoc(value) or "")]
    assert silent == []


def test_every_function_of_the_package_has_an_example() -> None:
    assert set(FUNCTIONS) == set(stxmdist.__all__)
    assert [name for name in FUNCTIONS if ">>>" not in (inspect.getdoc(getattr(stxmdist, name)) or "")] == []
    with pytest.raises(AttributeError, match="inspect, open"):
        _ = stxmdist.opn
    assert set(FUNCTIONS) <= set(dir(stxmdist))


def test_the_examples_run(campaign: OpenCampaign, tmp_path: Path) -> None:
    """On a finished campaign: what the examples say comes out."""
    known = {"stxmdist": stxmdist, "campaign": campaign, "path": campaign.path, "folder": tmp_path}
    finder = doctest.DocTestFinder(recurse=True)
    failures = tried = 0
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for name in MODULES:
        module = importlib.import_module(name)
        for test in finder.find(module, name, globs={**vars(module), **known}):
            result = runner.run(test, out=said.append, clear_globs=True)
            failures, tried = failures + result.failed, tried + result.attempted
    assert failures == 0, "".join(said)
    assert tried > 60


@pytest.mark.slow
def test_the_listings_of_the_page_run(campaign: OpenCampaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first line to the last, as somebody would type them below one another."""
    listings = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    notebook = listings[0].splitlines()
    assert len([line for line in notebook if line and not line.startswith("import")]) <= 10
    exported = campaign.export("ome-zarr", out=tmp_path / "ome", scans=[STXM[0]]).written[0].path
    monkeypatch.chdir(campaign.path.parent)
    cells = types.SimpleNamespace(seen={"exported": exported})
    for listing in listings:
        # Here and now, as the tests of the other commands do: a server and workers have tests of their own.
        exec(
            compile(re.sub(r"\.run\(", ".run(prefect=False, cluster='inline', ", listing), str(PAGE), "exec"),
            cells.seen,
        )
    assert cells.seen["outcome"].complete
    assert cells.seen["particle"].spectrum["fit"].notna().all()
    assert cells.seen["trusted"]["flags"].eq("").all()
    assert list(cells.seen["quick"].options) == ["fit"]
