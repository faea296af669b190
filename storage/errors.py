"""Errors that say where, what was got, what was wanted and what to do."""


class Explained(Exception):
    """An error a person can act on: every part is a sentence fragment without a full stop."""

    def __init__(self, *, where: object, problem: str, got: object, wanted: object, mend: str) -> None:
        self.where = str(where)
        self.problem = problem
        self.got = str(got)
        self.wanted = str(wanted)
        self.mend = mend
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """The whole message on one line."""
        return f"{self.where}: {self.problem}; got {self.got}, wanted {self.wanted}. {self.mend}."

    def as_dict(self) -> dict[str, str]:
        """The message in parts, for JSON."""
        return {
            "where": self.where,
            "problem": self.problem,
            "got": self.got,
            "wanted": self.wanted,
            "mend": self.mend,
        }

    # Exceptions with keyword-only arguments do not survive pickling between processes without this.
    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.as_dict()))


def _rebuild(kind: type[Explained], parts: dict[str, str]) -> Explained:
    return kind(
        where=parts["where"],
        problem=parts["problem"],
        got=parts["got"],
        wanted=parts["wanted"],
        mend=parts["mend"],
    )


class StoreError(Explained):
    """The store refuses: a shard that is not the writer's, a layout of another version, a lock held by another run."""


class Overtaken(StoreError):
    """Another has published between reading what is published and putting something in its place."""
