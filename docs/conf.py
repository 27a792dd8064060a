"""How Sphinx builds the site: the lessons as stored, the guide, the results, the reference.

uv run --extra docs sphinx-build -W -c docs . site/html
"""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "Activation Lab"
author = "the authors of the Activation Lab"
project_copyright = author
version = release = PROJECT["version"]

root_doc = "docs/index"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSES.md",
    "docs/*.md",
    "figures/*.md",
    "lab/README.md",
    "notebooks/*.ipynb",
    "notebooks/*.md",
    "tests/faults/README.md",
]
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
autoclass_content = "both"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = "Activation Lab"
html_extra_path = ["start"]
html_copy_source = False
html_show_sourcelink = False
default_role = "code"


def no_substitutions(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Lets |f'| in a docstring be the size of f', not a name to look up."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def setup(app: "Sphinx") -> None:
    """Connects what the settings cannot say."""
    app.connect("autodoc-process-docstring", no_substitutions)
