"""The table of reconstruction engines: adding one is one file and one line in each table.

Every engine is a class, ``Engine(sweep, state, options)``, whose ``iterate`` passes once over all frames and changes
object and probe of the state in place. All else that is unknown (positions, intensities, background, how the probe
varies) is found between iterations, the same for all of them.
"""

from typing import Any, Protocol

import numpy as np

from stxmdist.ptychography.kernels.sweep import Sweep
from stxmdist.ptychography.state import State
from stxmdist.registry import Entry, Table


class Engine(Protocol):
    """What engines do."""

    comparable: bool
    """Whether the misfits of its iterations are those of states: only then one tells a divergence, or the best state"""
    keeps_waves: bool
    """Whether every position's exit wave stays in memory"""

    def __init__(self, sweep: Sweep, state: State, options: Any) -> None: ...

    def iterate(self, progress: float, rng: np.random.Generator, *, object_moves: bool, probe_moves: bool) -> float:
        """Pass over all frames, ``progress`` being the share of the engine's iterations that this one completes.

        Returns the misfit, sum over frames of (sqrt M - sqrt I)^2.
        """
        ...


ENGINES: Table[Entry[Any]] = Table(
    "ptychography engine",
    {
        "epie": Entry("stxmdist.ptychography.engines.pie:Epie"),
        "rpie": Entry("stxmdist.ptychography.engines.pie:Rpie"),
        "dm": Entry("stxmdist.ptychography.engines.projections:DifferenceMap"),
        "raar": Entry("stxmdist.ptychography.engines.projections:Raar"),
        "lsqml": Entry("stxmdist.ptychography.engines.lsqml:LeastSquares"),
        "ml": Entry("stxmdist.ptychography.engines.mlcg:ConjugateGradient"),
    },
)

OPTIONS: Table[Entry[Any]] = Table(
    "ptychography engine",
    {
        "epie": Entry("stxmdist.ptychography.engines.pie:PieOptions"),
        "rpie": Entry("stxmdist.ptychography.engines.pie:PieOptions"),
        "dm": Entry("stxmdist.ptychography.engines.projections:ProjectionOptions"),
        "raar": Entry("stxmdist.ptychography.engines.projections:ProjectionOptions"),
        "lsqml": Entry("stxmdist.ptychography.engines.lsqml:LeastSquaresOptions"),
        "ml": Entry("stxmdist.ptychography.engines.mlcg:ConjugateGradientOptions"),
    },
)
