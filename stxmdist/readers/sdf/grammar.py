"""The grammar of SDF headers: ``Name = value;`` with structures in braces and counted lists in parentheses.

    value     := structure | list | "string" | number | true | false | word
    structure := { Name = value; ... }
    list      := ( COUNT, value, value ... )

It is nested and not bound to lines. Tolerated, because real files have it: a stray brace at the end of a list of
numbers (the HDF5-to-SDF converter of PolLux), a missing semicolon before a closing brace, misspelt names.
"""

import re
from typing import TypeAlias

from stxmdist.errors import InputError

_TOKEN = re.compile(r'\s+|"(?P<string>[^"]*)"|(?P<mark>[={}();,])|(?P<word>[^\s"={}();,]+)')
# Real headers nest five deep; more is damage, and would overrun the stack.
MOST_NESTED = 40
# A frame has a structure or two, an axis one; so many would be a scan of years.
MOST_STRUCTURES = 1 << 16


Value: TypeAlias = "str | int | float | list[Value] | Structure"
"""What stands behind a name: ``true`` and ``false`` are bool, which is an int."""
Structure: TypeAlias = "dict[str, Value]"


def parse(text: str, where: object) -> Structure:
    """The content of a header as nested dict, list, str, float, int and bool; counts are checked and left out.

    Raises
    ------
    InputError
        where the text breaks off or breaks the grammar, with the line.
    """
    return _Parser(text, where).document()


class _Parser:
    def __init__(self, text: str, where: object) -> None:
        self.text = text
        self.where = where
        self.tokens: list[tuple[str, str, int]] = []
        if (structures := text.count("{")) > MOST_STRUCTURES:
            raise self.error(
                "the header has no plausible size", f"{structures} braces", f"at most {MOST_STRUCTURES}", 0
            )
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self.error("a string is not closed", repr(text[at : at + 30]), 'a closing "', at)
            if match.lastgroup:
                self.tokens.append((match.lastgroup, match[match.lastgroup], at))
            at = match.end()
        self.tokens.append(("end", "", len(text)))
        self.next = 0

    def error(self, problem: str, got: str, wanted: str, at: int) -> InputError:
        line = self.text.count("\n", 0, at) + 1
        return InputError(
            where=f"{self.where}, line {line}",
            problem=problem,
            got=got,
            wanted=wanted,
            mend="Copy the header again from the beamline, or correct the line",
        )

    def peek(self) -> tuple[str, str, int]:
        return self.tokens[self.next]

    def take(self, mark: str) -> bool:
        if self.peek()[:2] == ("mark", mark):
            self.next += 1
            return True
        return False

    def expect(self, mark: str) -> None:
        if not self.take(mark):
            kind, got, at = self.peek()
            problem = "the header breaks off" if kind == "end" else "the header breaks the grammar of SDF"
            raise self.error(problem, repr(got) if got else "the end of the file", repr(mark), at)

    def document(self) -> Structure:
        members = self.members(0)
        kind, got, at = self.peek()
        if kind != "end":
            raise self.error("the header breaks the grammar of SDF", repr(got), "Name = value;", at)
        return members

    def members(self, depth: int) -> Structure:
        found: Structure = {}
        while True:
            if self.take(";"):
                continue
            kind, name, _ = self.peek()
            if kind not in ("word", "string"):
                return found
            self.next += 1
            # Names of more than one word occur.
            while self.peek()[0] == "word":
                name += " " + self.peek()[1]
                self.next += 1
            self.expect("=")
            found[name] = self.value(depth)
            if self.peek()[:2] not in (("mark", "}"), ("end", "")):
                self.expect(";")

    def value(self, depth: int) -> Value:
        if depth > MOST_NESTED:
            raise self.error("the header is nested too deep", f"{depth} levels", "about five", self.peek()[2])
        if self.take("{"):
            members = self.members(depth + 1)
            self.expect("}")
            return members
        if self.take("("):
            return self.counted(depth + 1)
        kind, word, at = self.peek()
        if kind == "string":
            self.next += 1
            return word
        words: list[str] = []
        while self.peek()[0] == "word":
            words.append(self.peek()[1])
            self.next += 1
        if not words and self.peek()[:2] not in (("mark", ";"), ("mark", "}")):
            problem = "the header breaks off" if kind == "end" else "the header breaks the grammar of SDF"
            raise self.error(problem, repr(word) if word else "the end of the file", "a value", at)
        return _scalar(" ".join(words))

    def counted(self, depth: int) -> list[Value]:
        at = self.peek()[2]
        items: list[Value] = []
        while not self.take(")"):
            items.append(self.value(depth))
            self.take("}")  # the stray brace
            if not self.take(","):
                self.expect(")")
                break
        if not items or not isinstance(items[0], int) or items[0] != len(items) - 1:
            raise self.error(
                "a list does not hold as many items as it says",
                f"{len(items) - 1 if items else 0} items after the count {items[0] if items else 'that is missing'!r}",
                "the count, then so many items",
                at,
            )
        return items[1:]


def _scalar(word: str) -> Value:
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    # float() would also take digits with underscores, which no beamline writes.
    if "_" in word:
        return word
    try:
        return int(word)
    except ValueError:
        pass
    try:
        return float(word)
    except ValueError:
        return word
