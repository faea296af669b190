"""What the flags of particles mean, in sentences: the column ``flags`` has them in two words each."""

from collections.abc import Mapping

FLAG_WORDS: Mapping[str, str] = {
    "no usable pixels": "none of its pixels carries a number, so it has no state of charge",
    "no mass": "its pixels hold too little material for a state of charge",
    "few pixels": "its state of charge rests on few pixels",
    "masked pixels": "more than a fifth of its pixels are masked and do not count",
    "psf bias unknown": "what blur at its edges does to its state of charge could not be corrected",
    "edge only": "blur reaches every pixel, so that the spread inside it is that of its edge as well",
    "few interior pixels": "few pixels lie away from its edges, so that the spread inside it is partly its edge's",
    "sd unknown": "the spread of state of charge inside it is not known",
    "sd clipped": "its pixels scatter less than noise alone would, so that the spread inside it is given as 0",
    "phases unknown": "it has too few sure pixels to say which share of it is charged or discharged",
    "noisy pixels": "single pixels are too noisy to tell charged from discharged parts",
    "no core": "it is too small, or blur too wide, to tell its core from its rim",
    "overlap suspected": "it may be two particles above one another or side by side",
    "overlap parted": "it lies across another plate and was parted from it: what both cover does not count for it",
    "touches border": "the edge of the field of view cuts it",
    "on edge": "it is thicker than wide: a plate that does not lie on its face",
    "size from pixels": "its outline was not found through the blur, so that its size is that of its pixels",
    "size doubtful": "its diameter is hardly known",
    "missing component": "its spectrum needs a third component beside the two end-members",
    "misfit": "the end-members leave over more of its spectrum than noise does",
    "gross misfit": "the end-members do not describe its spectrum: its state of charge is not to be trusted",
    "third phase not excluded": "the energies of its scan would not show most third phases",
}
"""Flag to what it says of a particle, the end of a sentence that begins with the particle"""


def flags_of(words: object) -> dict[str, str]:
    """The flags of a cell of the column ``flags``, each with its meaning; none of an empty cell.

    A flag that this version does not know stands for itself.
    """
    named = [] if words is None or words != words else [part.strip() for part in str(words).split(";")]
    return {flag: FLAG_WORDS.get(flag, flag) for flag in named if flag}
