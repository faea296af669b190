"""A fitter and an explorer of somebody else: one file and one line each, run through their stages by their names."""

import subprocess
import sys
from pathlib import Path

FILES = {
    "twice_thick": '''
"""A fitter with a map of its own."""
import numpy as np
from stxmdist.spectra.fitters.contract import Fit
from stxmdist.spectra.fitters.poisson import fit as fit_poisson

def fit(transmission, effective_counts, design, options=None, context=None):
    found = fit_poisson(transmission, effective_counts, design, options, context)
    total = found.coefficients[:2].sum(axis=0)
    return Fit(found.coefficients, found.covariance, found.chi2_reduced, {"twice_total_nm": 2 * total})
''',
    "brightest": '''
"""An explorer with options and measures of its own."""
from dataclasses import dataclass
import numpy as np
from stxmdist.spectra.explore.contract import Exploration, numbered

@dataclass(frozen=True)
class BrightestOptions:
    """How many spectra are taken."""
    number: int = 2

    @property
    def parts(self) -> int:
        return self.number

@dataclass(frozen=True)
class BrightestMeasures:
    total_od: float

def explore(given):
    number = given.options_of(BrightestOptions).number
    spectra = given.principal.spectra[:number]
    return Exploration(numbered("bright", number), spectra, lambda block: given.principal.scores(block, number),
                       BrightestMeasures(float(spectra.sum())))
''',
}

LINES = """
from stxmdist.spectra.explore.contract import EXPLORERS, ExploredArray, ExplorerEntry
from stxmdist.spectra.fitters.contract import FITTERS, FittedMap, FitterEntry
FITTERS._entries["twice_thick"] = FitterEntry(
    "twice_thick:fit", maps=(FittedMap("twice_total_nm", "nm", "twice the total thickness"),))
EXPLORERS._entries["brightest"] = ExplorerEntry(
    "brightest:explore", part="bright", options="brightest:BrightestOptions", substances=True,
    spectra=ExploredArray("bright_spectra", "spectra"), maps=ExploredArray("bright_maps", "maps"))
"""
"""What would stand in the two tables."""

PROGRAM = """
import pickle
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from brightest import BrightestMeasures, BrightestOptions
from stxmdist.measures import ExploreMeasures
from stxmdist.planning.explored import names_found
from stxmdist.planning.options import parse_options
from stxmdist.planning.stages import STAGES
from stxmdist.records import from_json
from stxmdist.runner.run import RunRecord, run_stage
from stxmdist.stages.explore import Options
from tests.stages.aligned import aligned_survey, planted_rows

energy_ev, shape = np.linspace(701.0, 729.0, 9), (23, 29)
survey = aligned_survey(Path(sys.argv[1]), energy_ev, shape, planted_rows(energy_ev, shape, 3))
written = {"explore": {"methods": ["brightest"], "brightest": {"number": 3}}, "fit": {"fitter": "twice_thick"}}
options, problems = parse_options(replace(survey.campaign, stages=written))
assert problems == [], problems
assert options["explore"].of("brightest") == BrightestOptions(3)
assert names_found(options["explore"]) == ["bright-1", "bright-2", "bright-3"]
assert pickle.loads(pickle.dumps(options["explore"])) == options["explore"] == Options(
    ("brightest",), brightest=BrightestOptions(3))
survey = replace(survey, options=options)
found = {}
for name in ("explore", "fit"):
    report = run_stage(STAGES[name].load(), survey, options[name], survey.store, RunRecord(0, {}), client=None)
    assert report.refusals == (), report.refusals[0].sentence
    found[name] = survey.store.published_output(name, "made")
fit, explore = found["fit"], found["explore"]
np.testing.assert_allclose(fit.read("twice_total_nm"), 2 * fit.read("thickness_nm").sum(axis=0), rtol=1e-6)
assert fit.attrs("twice_total_nm")["units"] == "nm"
assert explore.read("bright_maps").shape == (3, *shape)
assert sorted(path.stem for path in (explore.path / "spectra").iterdir()) == [f"made-bright-{n}" for n in (1, 2, 3)]
measures = from_json(ExploreMeasures, survey.store.publication("explore").scans["made"].quality)
np.testing.assert_allclose(measures.of("brightest", BrightestMeasures).total_od, explore.read("bright_spectra").sum())
"""


def test_a_fitter_and_an_explorer_are_one_file_and_one_line_each(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / f"{name}.py").write_text(content)
    root = Path(__file__).resolve().parents[2]
    program = f"import sys\nsys.path[:0] = [{str(root)!r}, {str(tmp_path)!r}]\n{LINES}{PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "campaign")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
