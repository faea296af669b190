"""The table of reconstruction engines: adding one is one file and one line here.

Every engine is a class, ``Engine(sweep, state, options)``. Its ``iterate`` passes once over all frames and changes the
object and the probe of the state in place. All other unknowns (positions, intensities, background, variation of the
probe) are found between iterations, in the same way for every engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from stxmdist.ptychography.kernels.sweep import Sweep
from stxmdist.ptychography.state import State
from stxmdist.registry import Entry, Table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Engine(Protocol):
    """What an engine does."""

    def __init__(self, sweep: Sweep, state: State, options: object) -> None: ...

    def iterate(self, progress: float, rng: np.random.Generator, *, object_moves: bool, probe_moves: bool) -> float:
        """Pass over all frames; ``progress`` is the share of the engine's iterations that are done after this one.

        Returns the misfit, the sum over frames of (sqrt M - sqrt I)^2.
        """
        ...


@dataclass(frozen=True)
class Noiseless:
    """What the contract test asks of an engine on frames without noise."""

    iterations: int = 200
    options: Mapping[str, object] = field(default_factory=dict)
    """Options of the engine with which it converges fully: its steps should not shrink"""
    object_error: float = 1e-3
    """Rms of the complex difference between the object found and the true one; vacuum is 1"""


@dataclass(frozen=True)
class EngineEntry(Entry[type[Engine]]):
    """One engine: where it is, and every fact that the program and the tests ask of it."""

    options: Entry[type[DataclassInstance]]
    """Its options, a frozen dataclass with a default for every field"""
    steps_after: Literal["pattern", "batch", "pass"] = "pass"
    """After how many frames object and probe are changed: each one, a batch of them, or all frames of the tile. The
    first two visit the frames in a drawn order, and their options have a field ``batch``
    """
    comparable: bool = True
    """Whether the misfit of an iteration is that of the state before it: only then the misfits tell a divergence, and
    which state is the best
    """
    keeps_waves: bool = False
    """Whether the exit waves of all positions stay in memory"""
    noiseless: Noiseless = field(default_factory=Noiseless)
    """How exact it must be in the contract test"""
    loop_limits: Mapping[tuple[int, bool], float] = field(default_factory=dict)
    """Longest time of a frame in an iteration, over that of its two Fourier transforms (one mode, one thread, FFTW), by
    the frame's pixels along a side and whether positions have fractions of a pixel
    """

    @property
    def batches(self) -> bool:
        """Whether its options say how many frames it looks at before it changes object and probe."""
        return "batch" in {option.name for option in fields(self.options.load())}


_PIE = Entry[type["DataclassInstance"]]("stxmdist.ptychography.engines.pie:PieOptions")
_PROJECTIONS = Entry[type["DataclassInstance"]]("stxmdist.ptychography.engines.projections:ProjectionOptions")

ENGINES: Table[EngineEntry] = Table(
    "ptychography engine",
    {
        "epie": EngineEntry(
            "stxmdist.ptychography.engines.pie:Epie", _PIE, steps_after="pattern",
            loop_limits={(128, False): 2.0, (256, False): 2.0}, noiseless=Noiseless(1500, {"final_step": 1.0}),
        ),
        "rpie": EngineEntry(
            "stxmdist.ptychography.engines.pie:Rpie", _PIE, steps_after="pattern",
            loop_limits={(128, False): 2.0, (256, False): 2.0, (128, True): 1.9},
            noiseless=Noiseless(300, {"final_step": 1.0}),
        ),
        "dm": EngineEntry(
            "stxmdist.ptychography.engines.projections:DifferenceMap", _PROJECTIONS, comparable=False,
            keeps_waves=True, loop_limits={(128, False): 2.5, (256, False): 2.5}, noiseless=Noiseless(500),
        ),
        "raar": EngineEntry(
            "stxmdist.ptychography.engines.projections:Raar", _PROJECTIONS, comparable=False,
            keeps_waves=True, loop_limits={(128, False): 2.5, (256, False): 2.5},
        ),
        "lsqml": EngineEntry(
            "stxmdist.ptychography.engines.lsqml:LeastSquares",
            Entry("stxmdist.ptychography.engines.lsqml:LeastSquaresOptions"), steps_after="batch",
            loop_limits={(128, False): 2.6, (256, False): 2.2},
            noiseless=Noiseless(options={"final_step": 1.0}),
        ),
        "ml": EngineEntry(
            "stxmdist.ptychography.engines.mlcg:ConjugateGradient",
            Entry("stxmdist.ptychography.engines.mlcg:ConjugateGradientOptions"), noiseless=Noiseless(100),
        ),
    },
)  # fmt: skip
"""The misfit of ``dm`` and ``raar`` is that of reflected waves: it may rise for long, and says nothing of the state."""
