"""The methods of a campaign in sentences ready for a manuscript, written from what was published.

Each sentence is of what was really done: of the options in the records of the stages, of the versions that computed
them, and of the scans and particles that were counted. Only publications of methods that were used are cited.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from storage.atomic import plain_json
from storage.publication import Publication
from stxmdist.campaign.scan import Scan
from stxmdist.errors import Explained
from stxmdist.measures import AlignMeasures, FitMeasures, ReconstructFigures, RegisterMeasures
from stxmdist.planning.columns import column, words
from stxmdist.planning.end_members import end_members_of
from stxmdist.ptychography.chain import NEIGHBOUR
from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.report.endpoints import meaning_of
from stxmdist.report.evidence import Evidence, median_of
from stxmdist.report.references import REFERENCES
from stxmdist.report.tables import differing, figure_of

NAMED = ("python", "numpy", "scipy", "scikit-image", "numba", "zarr")
"""Programs that a sentence names; the table of software has all"""
FITTERS = {
    "poisson": "by maximum likelihood of the counts (Poisson)",
    "poisson_non_negative": "by maximum likelihood of the counts (Poisson) without negative thicknesses",
    "poisson_shift": "by maximum likelihood of the counts (Poisson) with an energy shift of each pixel",
    "least_squares": "by weighted least squares of the optical density",
    "nnls": "by non-negative least squares of the optical density",
    "sum_to_one": "by least squares with fractions that sum to one",
    "two_energy": "by solving for two energies",
    "polar_angle": "from the angle between the optical densities at two energies",
    "white_line": "from the position of the white line",
    "l3_l2": "from the ratio of the edges",
    "complex": "by least squares of absorption and phase together",
    "fill_factor": "by maximum likelihood with partly filled pixels",
}
YU_2018, LI_2014 = (0.3, 0.7), (0.1, 0.9)
"""Borders of phases and of activity as they were published; others are not cited for them"""
CITED_FITTERS = {"two_energy": "two_energy", "polar_angle": "two_energy"}


@dataclass
class _Text:
    """Sentences, and the publications that they cite in the order of their numbers."""

    version: str
    """Of this program"""
    sentences: list[str] = field(default_factory=list)
    cited: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def cite(self, *names: str) -> str:
        """The numbers of publications, in brackets."""
        for name in names:
            if name not in self.cited:
                self.cited.append(name)
        return f" [{', '.join(str(self.cited.index(name) + 1) for name in dict.fromkeys(names))}]"


@dataclass(frozen=True)
class Methods:
    """The methods, and what they cite."""

    paragraphs: tuple[str, ...]
    cited: tuple[str, ...]
    """Names in ``REFERENCES``, in the order of their numbers in the text"""

    @property
    def references(self) -> tuple[str, ...]:
        """One line each, in the order of their numbers."""
        return tuple(REFERENCES[name].text for name in self.cited)

    def as_markdown(self) -> str:
        """The paragraphs with the numbered list below."""
        listed = "\n".join(f"{i}. {text}" for i, text in enumerate(self.references, start=1))
        return "\n\n".join([*self.paragraphs, *([listed] if listed else [])]) + "\n"

    def as_bibtex(self) -> str:
        """The publications for LaTeX."""
        return "\n".join(REFERENCES[name].as_bibtex(name) for name in self.cited)


def methods(evidence: Evidence, version: str) -> Methods:
    """What was done, in the order in which it was done."""
    text = _Text(version)
    paragraphs = []
    for part in (_scans, _microscopy, _chemistry, _particles, _statistics, _settings):
        text.sentences = []
        part(evidence, text)
        if text.sentences:
            paragraphs.append(" ".join(text.sentences))
    return Methods(tuple(paragraphs), tuple(text.cited))


def _scans(evidence: Evidence, text: _Text) -> None:
    scans = evidence.scans
    electrodes = {scan.electrode_id for scan in scans if scan.electrode_id}
    simulated = len(evidence.campaign.simulated)
    if simulated:
        text.say(f"{'All' if simulated == len(scans) else simulated} scans are simulated.")
    text.say(
        f"{_by_modality(scans)} of {_n(len(electrodes), 'electrode')} were processed with stxmdist {text.version}."
    )
    said = _versions(evidence)
    if said:
        text.say(f"Results were computed with {said}.")
    excluded = evidence.campaign.excluded
    if excluded:
        reasons = Counter(scan.reason or "no reason given" for scan in excluded)
        why = "; ".join(f"{n} for: {reason}" for reason, n in reasons.most_common(5))
        text.say(
            f"{_n(len(excluded), 'scan').capitalize()} of the sample sheet {_was(len(excluded))} left out ({why})."
        )
    failed = {row.scan_id for row in evidence.exclusions if row.what == "scan"} - {scan.scan_id for scan in excluded}
    if failed:
        text.say(f"{_n(len(failed), 'scan').capitalize()} could not be used; the ledger of exclusions says why.")


def _versions(evidence: Evidence) -> str:
    found: dict[str, list[str]] = {}
    for publication in evidence.publications.values():
        for name, version in publication.software.items():
            if name in NAMED and version not in found.setdefault(name, []):
                found[name].append(version)
    return ", ".join(f"{name} {' and '.join(found[name])}" for name in NAMED if name in found)


def _microscopy(evidence: Evidence, text: _Text) -> None:
    beams = _values(evidence, "absorbance", evidence.having("absorbance", modality="stxm"), "i0")
    if beams:
        named = [_BEAM if value == "field" else f"as given (i0: {value})" for value in beams]
        text.say(f"Optical densities are relative to the incident beam, which was taken {' or '.join(named)}.")
    aligned = [(scan, evidence.figures(AlignMeasures, "align", scan.scan_id)) for scan in evidence.having("align")]
    moved = [scan for scan, found in aligned if found is not None and found.shift_quality is not None]
    if moved:
        text.say(
            f"The images of {_of_all(moved, aligned)} were registered on one another: neighbouring energies by "
            "cross-correlation of their gradients, then all together so that each is a mixture of the same few images, "
            f"by variable projection{text.cite('registration')}."
        )
    _ptychography(evidence, text)


_BEAM = "from the particle-free pixels of each image"


def _ptychography(evidence: Evidence, text: _Text) -> None:
    """Engines, iterations and modes as they were run, from what each tile says of itself."""
    scans = evidence.having("reconstruct", modality="ptychography")
    found = [evidence.figures(ReconstructFigures, "reconstruct", scan.scan_id) for scan in scans]
    figures = [each for each in found if each is not None]
    tiles = [pair for each in figures for pair in zip(each.start, each.schedule, strict=True)]
    ways: list[str] = []
    for begins, words_ in ((False, ""), (True, ", the other energies, from a neighbour's result, with {}")):
        steps = [_steps(schedule) for start, schedule in tiles if (start == NEIGHBOUR) is begins]
        if any(steps):
            said = _steps_in_words(steps, text)
            ways.append(words_.format(said) if ways else said)
    if not ways:
        return
    modes = max((len(power) for each in figures for power in each.mode_power if power is not None), default=1)
    refined = _values(evidence, "reconstruct", scans, "positions", "refine")
    sentence = f"Ptychography was reconstructed with {''.join(ways)}"
    sentence += f"; up to {modes} incoherent modes of the probe were found{text.cite('modes')}" if modes > 1 else ""
    text.say(f"{sentence}; positions were refined." if refined == [True] else f"{sentence}.")
    half = median_of(np.array([evidence.half_period_nm(scan.scan_id) for scan in scans]))
    if np.isfinite(half):
        text.say(
            f"The half-period at the half-bit criterion of the Fourier ring correlation{text.cite('half_bit')} is "
            f"{half:.0f} nm (median over {_n(len(scans), 'scan')})."
        )


def _steps(schedule: str) -> tuple[tuple[str, int], ...]:
    """Engines and iterations that a tile says it was reconstructed with, such as ``raar 8, lsqml 32``."""
    found = re.findall(r"(?:^|, )(\w+) (\d+)", schedule)
    return tuple((name, int(n)) for name, n in found if name in ENGINES and int(n) > 0)


def _steps_in_words(tiles: Sequence[tuple[tuple[str, int], ...]], text: _Text) -> str:
    """One step after another, with the range of iterations over those tiles that have the same engines as most."""
    engines, n = Counter(tuple(name for name, _ in steps) for steps in tiles if steps).most_common(1)[0]
    same = [steps for steps in tiles if tuple(name for name, _ in steps) == engines]
    said = []
    for place, name in enumerate(engines):
        low, high = (pick(steps[place][1] for steps in same) for pick in (min, max))
        said.append(f"{low if low == high else f'{low} to {high}'} iterations of {name.upper()}")
    known = [name for name in engines if name in REFERENCES]
    others = len(tiles) - n
    words_ = ", then ".join(said) + (text.cite(*known) if known else "")
    return words_ + (f" ({_n(others, 'tile')} otherwise)" if others else "")


def _chemistry(evidence: Evidence, text: _Text) -> None:
    scans = evidence.having("fit")
    fits = [found for scan in scans if (found := evidence.figures(FitMeasures, "fit", scan.scan_id)) is not None]
    if not fits:
        return
    by_fitter = Counter(_fitter(evidence, scan) for scan in scans)
    methods_ = []
    for name, n in by_fitter.items():
        how = FITTERS.get(name, f"by {name}") + (text.cite(CITED_FITTERS[name]) if name in CITED_FITTERS else "")
        methods_.append(how if len(by_fitter) == 1 else f"{how} ({_n(n, 'scan')})")
    text.say(
        "The state of charge of each pixel is the fraction of the charged end-member in a mixture of two spectra that "
        f"was fitted {' or '.join(methods_)}; it is not clipped to 0 to 1."
    )
    wanted = dict.fromkeys(source for scan in scans if (source := evidence.campaign.references.get(scan.scan_id)))
    for source in wanted:
        try:
            members = end_members_of(source)
        except Explained:
            continue
        text.say(f"End-members: {', '.join(members.names)} ({members.source.rstrip('.')}).")
    shifted = [fit for fit in fits if np.isfinite(fit.energy_shift_ev) and np.isfinite(fit.energy_shift_se_ev)]
    if shifted:
        before = " or ".join(figure_of(sd, 2) for sd in _values(evidence, "fit", scans, "energy_shift_sd_ev"))
        text.say(
            f"A shift of the energy scale was fitted for {_of_all(shifted, fits)}, with a standard deviation of "
            f"{before} eV beforehand; its error is part of those given."
        )
    beside = Counter(fit.background for fit in fits if fit.background != "none")
    for name, n in beside.items():
        text.say(f"A background ({name.replace('_', ' ')}) was fitted beside the end-members in {_n(n, 'scan')}.")


def _fitter(evidence: Evidence, scan: Scan) -> str:
    options = evidence.published.options("fit", scan.scan_id)
    own = options.get("fitter_ptychography") if scan.modality == "ptychography" else None
    return str(own or options.get("fitter", ""))


def _particles(evidence: Evidence, text: _Text) -> None:
    segment = _options(evidence, "segment")
    table = evidence.table("particles")
    if not (segment and len(table)):
        return
    chemistry = segment.get("chemistry", {})
    text.say(
        f"Particles were segmented on the fitted thickness (at least {segment['segment']['minimum_diameter_um']:g} µm "
        f"and {segment['segment']['minimum_thickness_nm']:g} nm); the state of charge of a particle is its mean by "
        "mass."
    )
    phases = (chemistry["discharged_below"], chemistry["charged_above"])
    active = (chemistry["active_low"], chemistry["active_high"])
    text.say(
        f"Pixels below {phases[0]:g} count as discharged and above {phases[1]:g} as charged"
        f"{text.cite('two_energy') if phases == YU_2018 else ''}; a particle is active between {active[0]:g} and "
        f"{active[1]:g}{text.cite('active') if active == LI_2014 else ''}."
    )
    if len(evidence.table("null_bands")):
        text.say(
            "What varies inside particles was compared with homogeneous twins of each, which have its outline and "
            "thickness and went through the same blur, noise and fit."
        )
    known = np.isfinite(column(table, "soc_mean"))
    wide = words(table, "modality") == "stxm"
    text.say(
        f"{len(table)} particles were found ({int(wide.sum())} by STXM, {int((~wide).sum())} by ptychography), "
        f"{int(known.sum())} with a state of charge."
    )
    registered = [
        found
        for scan in evidence.scans
        if (found := evidence.figures(RegisterMeasures, "register", scan.scan_id)) is not None and found.accepted
    ]
    pairs = len(evidence.table("pairs"))
    if registered and pairs:
        text.say(
            f"{_n(len(registered), 'scan').capitalize()} of ptychography {_was(len(registered))} registered on the "
            f"wide-field image of the same region; {pairs} particles were seen by both, and their agreement is that of "
            f"Bland and Altman{text.cite('agreement')}."
        )
    if evidence.having("react"):
        text.say(f"Rates come from maps of one region at successive times{text.cite('reaction')}.")
    scaling = _values(evidence, "explore", evidence.having("explore"), "principal", "scaling")
    if scaling:
        scaled = f" of counts scaled by their noise{text.cite('scaled_pca')}" if scaling == ["poisson"] else ""
        text.say(f"Spectra were explored by principal components{scaled}.")


def _statistics(evidence: Evidence, text: _Text) -> None:
    infer = _options(evidence, "infer")
    if not infer:
        return
    effects = evidence.table("effects")
    effects = effects[np.isfinite(column(effects, "estimate"))]
    border = " that the field's edge does not cut" if infer.get("drop_at_border") else ""
    modality = "wide-field" if infer.get("modality") == "stxm" else str(infer.get("modality"))
    text.say(
        f"Statistics are of {modality} particles{border}. The experimental unit of tests is the electrode, not the "
        "particle; intervals are of 95 %."
    )
    methods_ = list(dict.fromkeys(words(effects, "method").tolist())) if len(effects) else []
    tested = list(dict.fromkeys(words(effects, "endpoint").tolist())) if len(effects) else []
    if methods_:
        names = ", ".join(map(meaning_of, tested))
        cited = [name + text.cite(*_cited_test(name)) if _cited_test(name) else name for name in methods_]
        text.say(f"Effects on {names} were estimated by: {', '.join(cited)}.")
        if np.isfinite(column(effects, "q_fdr")).any():
            text.say(
                "Probabilities of all but the primary test were corrected for the number of tests by the false "
                f"discovery rate{text.cite('fdr')}."
            )
    if np.isfinite(column(evidence.table("variance"), "share")).any():
        text.say("The measurement's own variance was taken off the variances between and within particles.")


def _cited_test(method: str) -> tuple[str, ...]:
    """What is cited for a way to estimate an effect."""
    if method.startswith("t on"):
        return ("cluster_t",)
    return ("mixed_model",) if method == "mixed model" else ()


def _settings(evidence: Evidence, text: _Text) -> None:
    """The seed, and options that are not the defaults of this version."""
    if evidence.campaign.seed is not None:
        text.say(f"Random numbers were drawn with the seed {evidence.campaign.seed}.")
    # Imported here: the table of stages knows the stage of the report.
    from stxmdist.planning.stages import STAGES

    said = []
    for name, publication in evidence.publications.items():
        if name not in STAGES:
            continue
        defaults: Any = plain_json(asdict(STAGES[name].load().options()))
        found = json.loads(differing(defaults, publication.options))
        said += [f"{name}.{path} = {json.dumps(value)}" for path, value in found.items()]
        said += _of_scans(name, defaults, publication)
    text.say(f"Options that differ from the defaults: {'; '.join(said)}." if said else "All options are the defaults.")


def _of_scans(stage: str, defaults: Any, publication: Publication) -> list[str]:
    """Options that single scans have of their own, each with its scans."""
    by_choice: dict[str, list[str]] = {}
    for scan_id, scan in publication.scans.items():
        if scan.options:
            found = json.loads(differing(defaults, scan.options))
            asked = json.loads(differing(defaults, publication.options))
            own = {path: value for path, value in found.items() if path not in asked or asked[path] != value}
            for path, value in own.items():
                by_choice.setdefault(f"{stage}.{path} = {json.dumps(value)}", []).append(scan_id)
    return [f"{choice} ({', '.join(scans)})" for choice, scans in by_choice.items()]


def _values(evidence: Evidence, stage: str, scans: Sequence[Scan], *path: str) -> list[Any]:
    """The values that an option had in some scans, each once."""
    found: list[Any] = []
    for scan in scans:
        value: Any = evidence.published.options(stage, scan.scan_id)
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None and value not in found:
            found.append(value)
    return found


def _of_all(some: Sequence[object], everything: Sequence[object]) -> str:
    n = len(everything)
    return _n(n, "scan") if len(some) == n else f"{len(some)} of {_n(n, 'scan')}"


def _options(evidence: Evidence, stage: str) -> dict[str, Any]:
    found = evidence.publications.get(stage)
    return {} if found is None else dict(found.options)


def _by_modality(scans: Sequence[Scan]) -> str:
    wide = sum(scan.modality == "stxm" for scan in scans)
    return f"{_n(wide, 'STXM scan')} and {_n(len(scans) - wide, 'ptychography scan')}"


def _n(n: int, one: str) -> str:
    return f"{n} {one}" if n == 1 else f"{n} {one}s"


def _was(n: int) -> str:
    return "was" if n == 1 else "were"
