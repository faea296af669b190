"""The methods of a campaign in sentences ready for a manuscript, written from what was published.

Each sentence is of what was really done: of the options in the records of the stages, of the versions that computed
them, and of the scans and particles that were counted. Only publications of methods that were used are cited.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from storage.atomic import plain_json
from stxmdist.campaign.scan import Scan
from stxmdist.errors import Explained
from stxmdist.heterogeneity.metrics.table import METRICS
from stxmdist.measures import RegisterMeasures
from stxmdist.planning.columns import column, words
from stxmdist.planning.end_members import end_members_of
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
    absorbance = _options(evidence, "absorbance")
    if absorbance and evidence.having("absorbance", modality="stxm"):
        field_ = "from the particle-free pixels of each image" if absorbance.get("i0") == "field" else (
            f"as given (i0: {absorbance.get('i0')})"
        )  # fmt: skip
        text.say(f"Optical densities are relative to the incident beam, which was taken {field_}.")
    if _options(evidence, "align").get("register"):
        text.say(
            "Images of a stack were registered on a model of their common components by cross-correlation"
            f"{text.cite('registration')}."
        )
    reconstruct = _options(evidence, "reconstruct")
    scans = evidence.having("reconstruct", modality="ptychography")
    if not (reconstruct and scans):
        return
    steps, engines = [], []
    for step in reconstruct.get("schedule", []):
        steps.append(f"{step['iterations']} iterations of {str(step['engine']).upper()}")
        engines.append(str(step["engine"]))
    known = [engine for engine in engines if engine in REFERENCES]
    model = reconstruct.get("model", {})
    modes = int(model.get("n_modes", 1))
    words_ = f"Ptychography was reconstructed with {', then '.join(steps)}{text.cite(*known) if known else ''}"
    words_ += f" and {modes} incoherent modes of the probe{text.cite('modes')}" if modes > 1 else ""
    text.say(words_ + "; positions were refined." if reconstruct.get("positions", {}).get("refine") else words_ + ".")
    half = median_of(np.array([evidence.half_period_nm(scan.scan_id) for scan in scans]))
    if np.isfinite(half):
        text.say(
            f"The half-period at the half-bit criterion of the Fourier ring correlation{text.cite('half_bit')} is "
            f"{half:.0f} nm (median over {_n(len(scans), 'scan')})."
        )


def _chemistry(evidence: Evidence, text: _Text) -> None:
    fit = _options(evidence, "fit")
    scans = evidence.having("fit")
    if not (fit and scans):
        return
    fitter = str(fit.get("fitter", ""))
    cited = text.cite(CITED_FITTERS[fitter]) if fitter in CITED_FITTERS else ""
    text.say(
        f"The state of charge of each pixel is the fraction of the charged end-member in a mixture of two spectra that "
        f"was fitted {FITTERS.get(fitter, f'by {fitter}')}{cited}; it is not clipped to 0 to 1."
    )
    wanted = {evidence.campaign.references.get(scan.scan_id) for scan in scans} - {None}
    for source in wanted:
        assert source is not None
        try:
            members = end_members_of(source)
        except Explained:
            continue
        text.say(f"End-members: {', '.join(members.names)} ({members.source.rstrip('.')}).")
    if fit.get("fit_energy_shift"):
        text.say(
            "One shift of the energy scale was fitted for each scan, with a standard deviation of "
            f"{figure_of(fit.get('energy_shift_sd_ev'), 2)} eV beforehand; its error is part of those given."
        )
    if fit.get("background") not in (None, "none"):
        text.say(
            f"A background beside the end-members was fitted where the spectra asked for it ({fit['background']})."
        )


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
    text.say(
        f"Pixels below {chemistry['discharged_below']:g} count as discharged and above "
        f"{chemistry['charged_above']:g} as charged{text.cite('two_energy')}; a particle is active "
        f"between {chemistry['active_low']:g} and "
        f"{chemistry['active_high']:g}{text.cite('active')}."
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
    if evidence.having("explore"):
        text.say(
            f"Spectra were explored by principal components of counts scaled by their noise{text.cite('scaled_pca')}."
        )


def _statistics(evidence: Evidence, text: _Text) -> None:
    infer = _options(evidence, "infer")
    if not infer:
        return
    effects = evidence.table("effects")
    border = " that the field's edge does not cut" if infer.get("drop_at_border") else ""
    modality = "wide-field" if infer.get("modality") == "stxm" else str(infer.get("modality"))
    text.say(
        f"Statistics are of {modality} particles{border}. The experimental unit is the electrode: intervals are "
        "of 95 % and come from the means of electrodes, with the measurement's own variance taken off variances."
    )
    methods_ = list(dict.fromkeys(words(effects, "method").tolist())) if len(effects) else []
    tested = list(dict.fromkeys(words(effects, "endpoint").tolist())) if len(effects) else []
    if methods_:
        names = ", ".join(METRICS[name].meaning if name in METRICS else name for name in tested)
        mixed = text.cite("satterthwaite") if "mixed model" in methods_ else ""
        text.say(f"Effects on {names} were estimated by: {', '.join(methods_)}{mixed}.")
        if np.isfinite(column(effects, "q_fdr")).any():
            text.say(
                f"Probabilities were corrected for the number of tests by the false discovery rate{text.cite('fdr')}."
            )


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
        own = sum(1 for scan in publication.scans.values() if scan.options)
        said += [f"{name}: {_n(own, 'scan')} with options of {'its' if own == 1 else 'their'} own"] if own else []
    text.say(f"Options that differ from the defaults: {'; '.join(said)}." if said else "All options are the defaults.")


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
