"""What README and the documentation tell people to write is what the program takes."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import typer
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stxmdist.campaign.problems import Problem
from stxmdist.campaign.schema import Manifest
from stxmdist.cli import process  # noqa: F401 (with it every command registers itself)
from stxmdist.cli.app import app
from stxmdist.planning.stages import STAGES
from stxmdist.planning.written_options import read_options

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
MADE_BY_BUILDING = ("_build", "api", "reference")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"] + [
    page for page in sorted(DOCS.rglob("*.md")) if page.relative_to(DOCS).parts[0] not in MADE_BY_BUILDING
]
TOP = typer.main.get_command(app).commands  # type: ignore[attr-defined]
COMMANDS = {name: command for name, command in TOP.items() if not hasattr(command, "commands")} | {
    f"{name} {word}": command for name, group in TOP.items() for word, command in getattr(group, "commands", {}).items()
}
ADDED = ("CONTRIBUTING.md",)
"""Its campaign uses a part that the page itself adds, with a test of its own"""
OWN = ("demo", "test", "docs", "setup", "COMMAND", "--help")
"""What `./run` does itself"""


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def lines_of_commands(text: str) -> Iterator[list[str]]:
    """The words of every command that a page shows, in a block or within a line."""
    shown = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", text, re.S):
        shown += [line.strip().removeprefix("$ ").split("  #")[0] for line in block.splitlines()]
    for line in shown:
        found = re.match(r"(?:\./run|(?:\.venv/bin/)?stxmdist)\s+(.+)", line)
        if found:
            yield shlex.split(found[1].rstrip("&").strip())


def mistakes_in_command(words: list[str]) -> list[str]:
    """What the command line would not understand."""
    name, *rest = words
    if name in OWN:
        return []
    # Of a group, such as `cluster check`.
    name = found if rest and (found := f"{name} {rest[0]}") in COMMANDS else name
    if name not in COMMANDS:
        return [f"there is no command {name}"]
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    given = [word.split("=")[0] for word in rest if word.startswith("--")]
    return [f"{name} has no option {word}" for word in given if word not in known]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_that_is_shown_exists_with_its_options(page: Path) -> None:
    wrong = [
        mistake
        for words in lines_of_commands(page.read_text())
        if re.fullmatch(r"[a-zA-Z-]+", words[0])
        for mistake in mistakes_in_command(words)
    ]
    assert wrong == []


def test_a_command_that_does_not_exist_would_be_seen() -> None:
    shown = "Try `./run plann x.yaml` and\n```sh\n./run run campaign.yaml --clustr 2   # so\n```\n"
    wrong = [mistake for words in lines_of_commands(shown) for mistake in mistakes_in_command(words)]
    assert wrong == ["there is no command plann", "run has no option --clustr"]


def yaml_of(text: str) -> Iterator[Mapping[str, object]]:
    """The mappings of every YAML block of a page, and of pieces of lines such as ``fit: {fitter: nnls}``."""
    pieces = re.findall(r"```yaml\n(.*?)```", text, re.S)
    keys = "|".join([*STAGES, "stages", "references", "cluster"])
    pieces += re.findall(rf"`((?:{keys}): {{[^`]+}})`", text)
    for piece in pieces:
        if "..." in piece:
            continue
        try:
            yield YAML(typ="safe").load(piece)
        except YAMLError as error:
            raise AssertionError(f"no YAML: {piece}") from error


def mistakes_in_yaml(written: Mapping[str, object]) -> list[str]:
    """What a campaign file would refuse of these keys."""
    wrong: list[str] = []

    def at(key: str, problem: str, got: object, wanted: str, mend: str) -> Problem:
        return Problem(Path("page"), None, key, problem, str(got), wanted, mend)

    stages = written.get("stages") or {}
    inner = {name: value for name, value in written.items() if name in STAGES}
    assert isinstance(stages, Mapping)
    for stage, options in {**stages, **inner}.items():
        if stage not in STAGES:
            wrong.append(f"there is no stage {stage}")
        elif isinstance(options, Mapping):
            _, problems = read_options(STAGES[stage].load().options, options, f"stages.{stage}", at)
            wrong += [problem.sentence for problem in problems]
    wrong += [f"there is no key {key}" for key in written if key not in Manifest.model_fields and key not in STAGES]
    return wrong


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in ADDED], ids=ids)
def test_every_key_and_option_that_is_shown_is_taken(page: Path) -> None:
    assert [mistake for written in yaml_of(page.read_text()) for mistake in mistakes_in_yaml(written)] == []


def test_an_option_that_does_not_exist_would_be_seen() -> None:
    wrong = [
        mistake
        for written in yaml_of("`fit: {fiter: nnls}` or\n```yaml\nstagse: {}\n```\n")
        for mistake in mistakes_in_yaml(written)
    ]
    assert "there is no key stagse" in wrong
    assert any("fiter" in mistake for mistake in wrong)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_to_a_file_of_the_repository_leads_there(page: Path) -> None:
    """Sphinx checks those within the documentation; these are read on the pages of a repository, too."""
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    made = [target for target in local if MADE_BY_BUILDING[2] in Path(target).parts]
    assert [target for target in local if target not in made and not (page.parent / target).exists()] == []
