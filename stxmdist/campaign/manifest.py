"""The campaign file: which scans, of what, processed how, where and by what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from storage.bucket import bucket_path, is_address
from storage.errors import StoreError
from storage.place import Place, place_of
from stxmdist.campaign.clusters import AnyCluster, ClusterSpec
from stxmdist.campaign.problems import CampaignError, Problem, did_you_mean, nearest, one_of
from stxmdist.campaign.received import with_received
from stxmdist.campaign.scan import CHEMISTRIES, Row, Scan
from stxmdist.campaign.schema import LiveSpec, Manifest, References, explain
from stxmdist.campaign.sheet import Sheet, read_sheet
from stxmdist.campaign.yamltext import Text, line_of, read_yaml

__all__ = [
    "Campaign",
    "CampaignError",
    "ClusterSpec",
    "LiveSpec",
    "Problem",
    "References",
    "Scan",
    "examine",
    "load",
]


@dataclass(frozen=True)
class Campaign:
    """A campaign that may run: every path absolute, every row a scan."""

    path: Path
    name: str
    store: Place
    sheet_path: Path
    chemistry: str
    scans: tuple[Scan, ...]
    """What is processed, in the order of the sheet."""
    excluded: tuple[Scan, ...] = ()
    """What the sheet leaves out, each with its reason."""
    references: References | None = None
    stages: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Options as written, by stage; what each stage knows is checked by the stage."""
    cluster: AnyCluster = field(default_factory=ClusterSpec)
    live: LiveSpec = field(default_factory=LiveSpec)
    seed: int = 0
    rejected: tuple[tuple[Row, Problem], ...] = ()
    """Rows with a mistake, once per mistake; empty unless loaded leniently."""
    warnings: tuple[Problem, ...] = ()
    option_columns: Mapping[str, int] = field(default_factory=dict)
    """Columns of the sheet that hold options of the stages (``fit.background``) to the line that names them."""
    lines: dict[str, int] = field(default_factory=dict)
    """Key path (``stages.fit.fitter``) to line of the campaign file."""

    def scan(self, scan_id: str) -> Scan:
        """One of the included scans."""
        for scan in self.scans:
            if scan.scan_id == scan_id:
                return scan
        known = [scan.scan_id for scan in self.scans]
        reason = next((s.reason for s in self.excluded if s.scan_id == scan_id), None)
        mend = f"It is excluded: {reason}" if reason else did_you_mean(scan_id, known, f"Look into {self.sheet_path}")
        some = one_of(known[:10]) + (f" and {len(known) - 10} more" if len(known) > 10 else "")
        problem = Problem(self.sheet_path, None, "scan_id", "there is no scan of this name", repr(scan_id), some, mend)
        raise CampaignError(self.path, [problem])

    def problem_at(self, key: str, problem: str, got: object, wanted: str, mend: str) -> Problem:
        """A mistake at a key path of the campaign file, for those who check what the campaign itself does not know."""
        return Problem(self.path, line_of(self.lines, key), key, problem, repr(got), wanted, mend)


def load(path: str | Path, *, lenient: bool = False) -> Campaign:
    """Read a campaign file and its sample sheet.

    Parameters
    ----------
    lenient
        let rows with a mistake stand aside in ``rejected`` so that the other scans can run. A campaign file with a
        mistake, a sheet with wrong columns, and a sheet without one good row are refused all the same.

    Raises
    ------
    CampaignError
        with every mistake of both files.
    """
    campaign, problems = examine(path)
    errors = [problem for problem in problems if not problem.warning]
    if campaign is None:
        raise CampaignError(Path(path), errors)
    aside = {problem for _, problem in campaign.rejected} if lenient and campaign.scans else set()
    standing = [problem for problem in errors if problem not in aside]
    if standing:
        raise CampaignError(Path(path), standing)
    return campaign


def examine(path: str | Path) -> tuple[Campaign | None, tuple[Problem, ...]]:
    """A campaign as far as it can be read, and every mistake and warning in it, in the order of the files.

    The campaign is None where the campaign file has a mistake or no row of the sheet can be read.
    """
    path = Path(path).absolute()
    text = read_yaml(path)
    manifest, problems = _manifest_of(path, text)
    sheet = _sheet_of(path, text)
    if sheet is not None and manifest is not None:
        sheet = with_received(sheet, place_of(manifest.store, path.parent), manifest.live.tiled)
    if sheet is not None:
        problems = [*problems, *sheet.fatal, *(problem for _, problem in sheet.rejected), *sheet.warnings]
        custom = [scan for scan in sheet.scans if scan.chemistry == "custom" and not scan.exclude]
        if manifest is not None and custom and manifest.chemistry != "custom":
            problems.extend(_missing_references(path, text.lines, manifest.references, f"scan {custom[0].scan_id}"))
    wrong_file = any(problem.file == path and not problem.warning for problem in problems)
    if manifest is None or sheet is None or sheet.fatal or wrong_file:
        return None, tuple(problems)
    if sheet.scans and all(scan.exclude for scan in sheet.scans) and not sheet.rejected:
        problems.append(_nothing_left(sheet))
    stages = {name: dict(options or {}) for name, options in (manifest.stages or {}).items()}
    campaign = Campaign(
        path=path,
        name=manifest.name,
        store=place_of(manifest.store, path.parent),
        sheet_path=sheet.path,
        chemistry=manifest.chemistry,
        scans=tuple(scan for scan in sheet.scans if not scan.exclude),
        excluded=tuple(scan for scan in sheet.scans if scan.exclude),
        references=manifest.references,
        stages=stages,
        cluster=manifest.cluster.beside(path.parent),
        live=manifest.live,
        seed=manifest.seed,
        rejected=sheet.rejected,
        warnings=sheet.warnings,
        option_columns=sheet.option_columns,
        lines=text.lines,
    )
    return campaign, tuple(problems)


def _nothing_left(sheet: Sheet) -> Problem:
    got = f"{len(sheet.scans)} rows, all excluded"
    mend = "Empty the cell `exclude` of the scans to process"
    return Problem(sheet.path, None, "exclude", "no scan is left to process", got, "one included scan or more", mend)


def _sheet_of(path: Path, text: Text) -> Sheet | None:
    """The sample sheet, read even where the campaign file has mistakes, so that all are reported at once."""
    samples, chemistry = text.keys.get("samples"), text.keys.get("chemistry")
    if not isinstance(samples, str) or not samples:
        return None
    return read_sheet(path.parent / samples, chemistry=str(chemistry) if chemistry in CHEMISTRIES else "LFP")


def _manifest_of(path: Path, text: Text) -> tuple[Manifest | None, list[Problem]]:
    """The campaign file against its schema."""
    problems = list(text.problems)
    if not isinstance(text.value, dict):
        if not problems:
            got = "an empty file" if text.value is None else f"a {type(text.value).__name__}"
            wanted = "the keys " + ", ".join(Manifest.model_fields)
            problems.append(
                Problem(path, 1, "", "this is not a campaign", got, wanted, "Write one with `stxmdist init FOLDER`")
            )
        return None, problems
    manifest = None
    try:
        manifest = Manifest.model_validate(text.value)
    except ValidationError as error:
        problems.extend(explain(path, text, mistake) for mistake in error.errors())
    wrong_store = list(_store_problems(path, text))
    problems.extend(wrong_store)
    # The spectra are looked at even where other keys have mistakes, so that all are reported at once.
    references = _references_of(path, text)
    if references is not None:
        problems.extend(_reference_problems(path, text.lines, references))
    if text.value.get("chemistry") == "custom" and (references is not None or not text.value.get("references")):
        problems.extend(_missing_references(path, text.lines, references, "chemistry custom"))
    if manifest is not None:
        # Of a store that is none, nothing could be looked up.
        manifest = None if wrong_store else manifest.model_copy(update={"references": references})
    problems.sort(key=lambda problem: problem.line or 0)
    return manifest, problems


def _references_of(path: Path, text: Text) -> References | None:
    """The spectra with absolute paths; None where none are named or their keys have mistakes."""
    try:
        references = References.model_validate(text.keys.get("references"))
    except ValidationError:
        return None
    files = {name: getattr(references, name) for name in ("discharged", "charged", "i0")}
    return references.model_copy(
        update={name: path.parent / file for name, file in files.items() if isinstance(file, Path)}
    )


def _reference_problems(path: Path, lines: dict[str, int], references: References) -> Iterable[Problem]:
    """Spectra that are not there, one end-member without the other, and half of what scales them."""
    for name in ("discharged", "charged", "i0"):
        file = getattr(references, name)
        if not isinstance(file, Path) or file.is_file():
            continue
        near = nearest(file.name, [f.name for f in sorted(file.parent.iterdir())]) if file.parent.is_dir() else None
        mend = f"Did you mean {near!r}" if near else "Correct the path, which is relative to the campaign file"
        got = f"{'a folder' if file.is_dir() else 'no such file'}, {file}"
        yield Problem(
            path,
            lines.get(f"references.{name}"),
            f"references.{name}",
            "the spectrum cannot be found",
            got,
            "a file",
            mend,
        )
    if (references.discharged is None) != (references.charged is None):
        lone, other = ("charged", "discharged") if references.discharged is None else ("discharged", "charged")
        yield Problem(
            path,
            lines.get("references"),
            "references",
            "one end-member without the other says nothing",
            lone,
            "discharged and charged",
            f"Add {other!r}, or remove {lone!r} to use the built-in pair",
        )
    scaled = {"formulas": references.formulas, "density_g_cm3": references.density_g_cm3}
    given = [name for name, value in scaled.items() if value is not None]
    if len(given) == 1 or (given and references.discharged is None):
        yield Problem(
            path,
            lines.get(f"references.{given[0]}"),
            f"references.{given[0]}",
            "spectra are scaled to tables by formulas and a density",
            ", ".join(given) + ("" if references.discharged is None else " alone"),
            "discharged, charged, formulas and density_g_cm3",
            "Add what is missing, for example formulas: [LiFePO4, FePO4] and density_g_cm3: 3.6",
        )


def _missing_references(
    path: Path, lines: dict[str, int], references: References | None, who: str
) -> Iterable[Problem]:
    """Custom chemistry knows only what its references say."""
    if references is not None and (references.discharged is not None or references.charged is not None):
        return
    yield Problem(
        path,
        lines.get("references", lines.get("chemistry")),
        "references",
        f"{who} needs reference spectra",
        "none",
        "references: {discharged: FILE, charged: FILE}, each two columns, energy in eV and absorption",
        "Add both spectra, or choose " + one_of(name for name in CHEMISTRIES if name != "custom"),
    )


def _store_problems(path: Path, text: Text) -> Iterable[Problem]:
    """A store is a folder, there already or not, or an address without credentials."""
    store, line = text.keys.get("store"), text.lines.get("store")
    if not isinstance(store, str) or not store:
        return
    wanted = "a folder, relative to the campaign file, or an address such as s3://bucket/prefix"
    if is_address(store):
        try:
            bucket_path(store)
        except StoreError as error:
            yield Problem(path, line, "store", error.problem, error.got, error.wanted, error.mend)
    elif (path.parent / store).exists() and not (path.parent / store).is_dir():
        yield Problem(path, line, "store", "the store is not a folder", f"a file, {store!r}", wanted, "Name another")
