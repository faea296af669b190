"""How Sphinx builds the documentation: `./run docs`. It needs no network, and a warning is an error."""

import re
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from generated import write_pages  # noqa: E402 (it stands beside this file)
from pictures import write_pictures  # noqa: E402 (so does this)

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
write_pictures(SETTINGS, HERE)
write_pages(HERE / "reference")

project = PROJECT["name"]
release = version = PROJECT["version"]
author = PROJECT["authors"][0]["name"]
copyright = f"the {author}"

extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
# Packages have functions and records of the same short name; a link that could mean several leads to the first.
suppress_warnings = ["ref.python"]

# Docstrings write code in single or double backquotes alike.
default_role = "code"

myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3

apidoc_modules = [
    {"path": str(ROOT / package), "destination": f"api/{package}", "separate_modules": False, "max_depth": 2}
    for package in ("stxmdist", "storage", "flows")
]
# A page for each package. Its objects are not repeated in the table of contents, which would stand on every page.
toc_object_entries = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": False}
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"stxmdist {release}"
html_static_path: list[str] = []


def without_substitutions(app, what, name, obj, options, lines):  # type: ignore[no-untyped-def]
    """Bars in docstrings are absolute values, not the substitutions of reStructuredText."""
    for place, line in enumerate(lines):
        pieces = re.split(r"(`+[^`]*`+)", line)
        lines[place] = "".join(piece if piece.startswith("`") else piece.replace("|", r"\|") for piece in pieces)


def without_keys_in_words(app, what, name, obj, skip, options):  # type: ignore[no-untyped-def]
    """Keys of printed tables are words with spaces, which are no attributes of a class."""
    return True if " " in name else None


def setup(app):  # type: ignore[no-untyped-def]
    """Sphinx calls this once."""
    app.connect("autodoc-process-docstring", without_substitutions)
    app.connect("autodoc-skip-member", without_keys_in_words)
