"""The table of reconstruction engines: adding one is one file and one line here.

Every engine is ``reconstruct(problem: Problem, options, rng: np.random.Generator) -> Reconstruction``; the module that
holds it says which options class it takes as ``OPTIONS``.
"""

from stxmdist.registry import Table

ENGINES = Table(
    "ptychography engine",
    {
        "epie": "stxmdist.ptychography.pie:epie",
        "rpie": "stxmdist.ptychography.pie:rpie",
    },
)

OPTIONS = Table(
    "ptychography engine",
    {
        "epie": "stxmdist.ptychography.pie:PieOptions",
        "rpie": "stxmdist.ptychography.pie:PieOptions",
    },
)
