"""Sphinx configuration of the documentation: ``make docs``."""

import re
from importlib.metadata import version as installed_version
from typing import Any

project = "napari-nuclei-unet"
author = copyright = "The napari-nuclei-unet developers"
version = release = installed_version(project).split("+")[0]

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
]
root_doc = "index"
# docs/README.md is the index on GitHub and in the window
exclude_patterns = ["README.md", "_build"]
templates_path = ["_templates"]

# links to headings, as GitHub has them
myst_heading_anchors = 3
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False

html_theme = "furo"
html_title = project
html_theme_options = {
    "source_repository": "https://github.com/napari-nuclei-unet/napari-nuclei-unet/",
    "source_branch": "main",
    "source_directory": "docs/",
}


def translate_github(_app: Any, _name: str, source: list[str]) -> None:
    """Translate what GitHub and the window understand, and MyST does not, in place."""
    anchored = re.sub(r'<a id="([\w-]+)"></a>\n', r"(\1)=\n", source[0])
    source[0] = re.sub(r"\((?:\.\./)+CONTRIBUTING\.md", "(/contributing.md", anchored)


def setup(app: Any) -> None:
    """Connect the hook."""
    app.connect("source-read", translate_github)
