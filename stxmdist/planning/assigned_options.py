"""Options as texts, ``fit.classes.most_od`` and ``2.0``: what a command line or a form gives, as a campaign file's."""

from collections.abc import Iterable, Mapping

from stxmdist.campaign.yamltext import plain_value
from stxmdist.errors import InputError
from stxmdist.planning.changed_options import ChangedOptions

PREFIX = "stages."


def split_assignment(text: str) -> tuple[str, str]:
    """Key and value of ``KEY=VALUE``.

    Raises
    ------
    InputError
        where a key or the sign is missing.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise InputError(
            where="--set",
            problem="an option and its value are wanted",
            got=repr(text),
            wanted="KEY=VALUE, such as fit.classes.most_od=2.0",
            mend="`stxmdist options` lists the keys",
        )
    return key.strip(), value


def assigned_options(assignments: Iterable[tuple[str, str]]) -> ChangedOptions:
    """Options by key and text, nested as in a campaign file; a text is read as the value that it would be there.

    Keys may begin with ``stages.``, as a campaign file's do. Whether there is such an option is for those to say who
    read a campaign file's.
    """
    found: dict[str, dict[str, object]] = {}
    for key, text in assignments:
        stage, *path = key.removeprefix(PREFIX).split(".")
        _place(found.setdefault(stage, {}), path, plain_value(text))
    return found


def _place(options: dict[str, object], path: list[str], value: object) -> None:
    *groups, name = path or [""]
    for group in groups:
        inside = options.get(group)
        options[group] = dict(inside) if isinstance(inside, Mapping) else {}
        options = options[group]  # type: ignore[assignment]
    options[name] = value
