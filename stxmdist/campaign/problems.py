"""Mistakes in what a person wrote: each with its file, its line, what was got, what was wanted and what to do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from stxmdist.errors import InputError


@dataclass(frozen=True)
class Problem:
    """One mistake in one place; every part is a sentence fragment without a full stop."""

    file: Path
    line: int | None
    """Counted from 1; None where the whole file is meant."""
    where: str
    """Key path in the campaign file (``stages.fit``), or scan and column in the sample sheet."""
    problem: str
    got: str
    wanted: str
    mend: str
    warning: bool = False
    """True for what looks wrong and yet does not stop a run."""

    @property
    def place(self) -> str:
        """``file:line``, as editors understand it."""
        return f"{self.file}:{self.line}" if self.line is not None else str(self.file)

    @property
    def sentence(self) -> str:
        """The whole message on one line."""
        about = f" {self.where}:" if self.where else ""
        return f"{self.place}:{about} {self.problem}; got {self.got}, wanted {self.wanted}. {self.mend}."

    def as_dict(self) -> dict[str, str | int | bool | None]:
        """The message in parts, for JSON."""
        return {
            "file": str(self.file),
            "line": self.line,
            "where": self.where,
            "problem": self.problem,
            "got": self.got,
            "wanted": self.wanted,
            "mend": self.mend,
            "warning": self.warning,
        }


class CampaignError(InputError):
    """A campaign that cannot run as it is written; ``problems`` holds every mistake, not only the first."""

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(
            where=path,
            problem=f"{count} mistake{'' if count == 1 else 's'} in the campaign",
            got="\n".join(["", *(f"  {problem.sentence}" for problem in self.problems)]),
            wanted="a campaign without mistakes",
            mend="Mend these and run `stxmdist validate` again",
        )

    @property
    def sentence(self) -> str:
        """One line that counts, then one line per mistake."""
        return f"{self.where}: {self.problem}{self.got}"

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.path, self.problems))


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that was most likely meant, or None; capitals, spaces and dashes do not count."""
    plain = {name.casefold(): name for name in reversed(known)}
    wish = word.strip().casefold().replace(" ", "_").replace("-", "_")
    if wish in plain:
        return plain[wish]
    close = get_close_matches(wish, plain, n=1, cutoff=0.55)
    if close:
        return plain[close[0]]
    # A word left short, `electrode` for `electrode_id`, is nearer than its length ratio says.
    begun = [name for name in known if len(wish) >= 3 and name.casefold().startswith(wish)]
    return begun[0] if begun else None


def did_you_mean(word: str, known: Sequence[str], otherwise: str) -> str:
    """A mend: the nearest known word, or what else to do."""
    near = nearest(word, known)
    return f"Did you mean {near!r}" if near else otherwise


def one_of(words: Iterable[str]) -> str:
    """``one of a, b, c``"""
    return "one of " + ", ".join(words)
