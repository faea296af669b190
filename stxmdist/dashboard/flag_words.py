"""What the flags of a particle mean to a person."""

FLAG_WORDS: dict[str, str] = {
    "touches border": "it is cut by the border of the field: its size is not known",
    "overlap suspected": "it is much thicker than others of its size: two particles may lie on one another",
    "on edge": "it is thicker than wide: a plate that does not lie on its face",
    "size from pixels": "its outline was not found through the point spread function: its size counts pixels",
    "size doubtful": "its diameter is hardly known",
    "third phase not excluded": "the energies of its scan would not show most third phases",
    "edge only": "all of its pixels lie within the point spread function of its outline",
    "few interior pixels": "few of its pixels lie away from its outline",
    "no core": "it is too small for a core: rim and core are not compared",
    "sd clipped": "noise explains more than all of its spread, which is given as zero",
    "sd unknown": "its spread is not known",
    "missing component": "its pixels hold more than the two end-members",
    "misfit": "the end-members leave much of its optical density over",
    "gross misfit": "the end-members do not describe it",
}


def flags_in_words(flags: str) -> tuple[str, ...]:
    """One sentence for each flag; a flag that has no words stands for itself."""
    names = [name.strip() for name in flags.split(";") if name.strip()]
    return tuple(
        f"{name.capitalize()}: {FLAG_WORDS[name]}." if name in FLAG_WORDS else f"{name.capitalize()}." for name in names
    )
