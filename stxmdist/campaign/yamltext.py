"""YAML as plain values with the line of every key; duplicate keys and tags that make objects are refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from stxmdist.campaign.problems import Problem

PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq"))
"""Dates are left out: a name that looks like one is text."""

MOST_VALUES = 20_000
"""Far more than a person writes; anchors that repeat anchors could otherwise fill the memory."""


@dataclass(frozen=True)
class Text:
    """The values of a YAML file, and where they stand."""

    value: object
    """dict, list, str, int, float, bool or None, nested."""
    lines: dict[str, int]
    """Key path (``stages.fit.fitter``, ``list.0``) to line, counted from 1."""
    problems: tuple[Problem, ...]

    @property
    def keys(self) -> Mapping[str, object]:
        """The values by their keys; empty where the file holds no mapping."""
        return self.value if isinstance(self.value, Mapping) else {}


def read_yaml(path: Path) -> Text:
    """Read a YAML 1.2 file as plain values; nothing in it is evaluated."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        got = "a folder" if path.is_dir() else (error.strerror or str(error)).lower()
        problem = Problem(
            path, None, "", "the campaign file cannot be read", got, "a campaign file", "Correct the path"
        )
        return Text(None, {}, (problem,))
    except UnicodeDecodeError as error:
        got = f"byte 0x{error.object[error.start]:02x} at offset {error.start}"
        problem = Problem(
            path, None, "", "the campaign file is not text in UTF-8", got, "YAML in UTF-8", "Save it as UTF-8"
        )
        return Text(None, {}, (problem,))
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except YAMLError as error:
        return Text(None, {}, (_syntax_problem(path, error),))
    if root is None:
        return Text(None, {}, ())
    problems: list[Problem] = []
    lines: dict[str, int] = {}
    value = _plain(root, "", path, yaml, lines, problems, ())
    return Text(value, lines, tuple(problems))


def plain_value(text: str) -> object:
    """What a text of one value means in YAML: a number, a truth value, a list, or the text itself where it is none."""
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except YAMLError:
        return text
    problems: list[Problem] = []
    value = None if root is None else _plain(root, "", Path(), yaml, {}, problems, ())
    return text if problems else value


def line_of(lines: dict[str, int], key: str) -> int | None:
    """The line of a key path, or of the nearest one above it."""
    while key:
        if key in lines:
            return lines[key]
        key = key.rpartition(".")[0]
    return lines.get("")


def _plain(
    node: Node,
    where: str,
    path: Path,
    yaml: YAML,
    lines: dict[str, int],
    problems: list[Problem],
    above: tuple[Node, ...],
) -> object:
    """A node as plain values; fills ``lines`` and ``problems``."""
    line = node.start_mark.line + 1
    lines.setdefault(where, line)

    def wrong(problem: str, got: str, wanted: str, mend: str, at: int = line, key: str = where) -> None:
        problems.append(Problem(path, at, key, problem, got, wanted, mend))

    if node in above:
        wrong("this anchor holds itself", "a circle", "plain values", "Write the values out")
        return None
    if len(lines) > MOST_VALUES:
        if not any(found.problem == "there are too many values" for found in problems):
            wrong("there are too many values", f"more than {MOST_VALUES}", "a campaign", "Write less", key="")
        return None
    if str(node.tag) not in PLAIN_TAGS:
        if str(node.tag) == "tag:yaml.org,2002:timestamp":
            return str(node.value)
        wrong("tags are not read", str(node.tag), "plain text, numbers, true or false", "Remove the tag")
        return None
    inside = (*above, node)
    if isinstance(node, MappingNode):
        values: dict[str, object] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            at = key_node.start_mark.line + 1
            key = str(key_node.value) if isinstance(key_node, ScalarNode) else ""
            full = f"{where}.{key}" if where else key
            if not key or key == "<<":
                wrong(
                    "this cannot be a key", repr(key or "a nested value"), "a word", "Write the values out", at, where
                )
                continue
            if key in values:
                wrong(
                    "this key is there twice",
                    f"{key!r} on lines {first[key]} and {at}",
                    "once",
                    "Remove one of them",
                    at,
                    full,
                )
                continue
            first[key] = at
            lines[full] = at
            values[key] = _plain(value_node, full, path, yaml, lines, problems, inside)
        return values
    if isinstance(node, SequenceNode):
        return [
            _plain(item, f"{where}.{i}" if where else str(i), path, yaml, lines, problems, inside)
            for i, item in enumerate(node.value)
        ]
    try:
        return yaml.constructor.construct_object(node)
    except (ValueError, YAMLError):
        wrong("this value cannot be read", repr(node.value), "plain text or a number", "Quote it if it is text")
        return None


def _syntax_problem(path: Path, error: YAMLError) -> Problem:
    mark = None
    got = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        got = error.problem or error.context or got
    line = mark.line + 1 if mark is not None else None
    return Problem(
        path,
        line,
        "",
        "this is not well-formed YAML",
        got,
        "`key: value` lines",
        "Look at this line and the one above: indentation, colons, quotation marks, tabs",
    )
