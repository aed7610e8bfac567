"""How the site is built: `make docs`. Nothing is fetched; figures are drawn while it is built."""

import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import inventories  # noqa: E402

from analysis.__main__ import app  # noqa: E402
from analysis.commands.published import ENTRIES, KINDS  # noqa: E402
from rnnsim import parallel  # noqa: E402

project = "rnnsim"
author = "rnnsim's developers"
copyright = "rnnsim's developers, BSD-3-Clause"
release = version = metadata.version("rnnsim-toolkit")
language = "en-GB"

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "drawn",
    "members",
]
exclude_patterns = [
    "_build",
    "_ext",
    "gallery",
    "published/list.md",  # included by the page on them
    "**/_drawn",
    *(f"auto_gallery/**.{kind}" for kind in ("ipynb", "json", "md5", "py", "zip")),
    "sg_execution_times.rst",
    "**/sg_execution_times.rst",
]
templates_path = ["_templates"]
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are executed by the tests, and are there with what they print

default_role = "name"  # a name between backticks is a link where it is public
highlight_language = "none"  # formulas are no programs; what is one says so

autosummary_generate = True
autodoc_typehints = "none"  # docstrings say what is what, with shapes
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
intersphinx_mapping = inventories.mapping(HERE / "_inventories", HERE / "_build" / "inventories")

mathjax_path = "mathjax.js"  # from the npm package, put there by `make docs`
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["rnnsim.css"]
html_title = "rnnsim"
html_show_sourcelink = False
html_copy_source = False
html_js_files = ["rnnsim.js"]
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "rnnsim"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "collapse_navigation": True,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "backreferences_dir": "api/backreferences",
    "doc_module": ("rnnsim", "analysis"),
    "reference_url": {"rnnsim": None, "analysis": None},
    "within_subsection_order": "gallery.in_order",
    "reset_modules": ("gallery.in_house_style",),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,  # times differ from machine to machine
    "remove_config_comments": True,
    "parallel": parallel.thread_count(None),
}


def _tutorials() -> None:
    """Notebooks stand at the top of the repository; the site has copies, with its own anchors."""
    place = HERE / "tutorials"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for notebook in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
        text = notebook.read_text(encoding="utf-8")
        found = _ANCHOR.sub(lambda link: f"](#{_slug(link[1])})", text)
        (place / notebook.name).write_text(found, encoding="utf-8")
    shutil.copyfile(HERE / "_ext" / "tutorials.md", place / "index.md")


_ANCHOR = re.compile(r"\]\(#([^)]+)\)")


def _slug(anchor: str) -> str:
    """An anchor of Jupyter, `2.-Where-is-it?`, as one of this site."""
    return re.sub(r"[^\w-]", "", anchor.lower())


def _commands() -> None:
    """The flags of all commands, as --help has them."""
    text = app.generate_docs(output_format="markdown")
    contents = re.compile(r"## Table of Contents\n.*?(?=\*\*Commands\*\*)", re.DOTALL)
    text = contents.sub("", text).replace("# rnnsim\n", "# Commands\n", 1)
    text = re.sub(r"^rnnsim (\S+) \1 ", r"rnnsim \1 ", text, flags=re.MULTILINE)
    (HERE / "api" / "commands.md").write_text(text, encoding="utf-8")


def _published() -> None:
    """What results there are, by kind, with the verdict of each page."""
    parts = []
    for kind, meaning in KINDS.items():
        parts += [f"## {kind.capitalize()}", f"{meaning[0].upper()}{meaning[1:]}."]
        rows = ["| result | published by | found here |", "| --- | --- | --- |"]
        for entry in (each for each in ENTRIES if each.kind == kind):
            page = (HERE / "published" / entry.name / "page.md").read_text(encoding="utf-8")
            verdict = re.search(r"^\*\*(.+)\*\*$", page, re.MULTILINE)
            assert verdict, f"{entry.name} has no verdict"
            rows.append(
                f"| [{entry.title}]({entry.name}/page.md) | {entry.source} | {verdict[1]} |"
            )
        parts.append("\n".join(rows))
    (HERE / "published" / "list.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


_tutorials()
_commands()
_published()
