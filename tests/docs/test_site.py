"""The site as `make docs` builds it: whole, by itself, read by anybody, on a phone and on paper."""

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import browser as browsers
import pytest

import analysis
import rnnsim
from rnnsim import kernels

ROOT = Path(__file__).parents[2]
SITE = ROOT / "docs/_build/html"
# What others wrote: the index, the search, and the source of what is shown.
FOREIGN = ("genindex.html", "search.html", "py-modindex.html")
LOADED = {
    ("script", "src"),
    ("img", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("object", "data"),
}


class Reader(HTMLParser):
    """The addresses and the anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.links, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if found.get("rel") not in ("canonical", "next", "prev"):
            self.loaded += [found[name] for kind, name in LOADED if kind == tag and found.get(name)]
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])


@cache
def pages():
    """All pages, by their place in the site."""
    if not (SITE / "index.html").exists():
        browsers.missing("the site is not built: make docs")
    found = {path.relative_to(SITE).as_posix(): path for path in sorted(SITE.rglob("*.html"))}
    return {name: path for name, path in found.items() if not name.startswith("_static/")}


@cache
def read(path):
    return Reader(path.read_text(encoding="utf-8"))


def written():
    """Pages that are written by hand, and one of each kind that is generated."""
    kinds = {}
    for name in pages():
        folder = name.rpartition("/")[0]
        if name in FOREIGN:
            continue
        if folder in ("api/generated", "auto_gallery", "tutorials"):
            kinds.setdefault((folder, _first_letter(name).isupper()), name)
        else:
            kinds[name] = name
    return list(kinds.values())


def _first_letter(name):
    return name.rpartition("/")[2].rpartition(".html")[0].rpartition(".")[2][:1]


def test_no_page_loads_anything_from_elsewhere():
    for name, path in pages().items():
        strange = [url for url in read(path).loaded if urlsplit(url).scheme or url.startswith("//")]
        assert not [url for url in strange if not url.startswith("data:")], name
    for path in SITE.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", text), path


def test_links_inside_the_site_lead_somewhere():
    broken = []
    for name, path in pages().items():
        for link in {*read(path).links, *read(path).loaded}:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                broken.append((name, link))
            elif parts.fragment and target.suffix == ".html":
                anchors = read(SITE / target.relative_to(SITE.resolve())).anchors
                if unquote(parts.fragment) not in anchors and name not in FOREIGN:
                    broken.append((name, link))
    assert not broken


def test_every_public_name_has_its_place():
    there = set(pages())
    for package, names in (
        ("rnnsim", set(rnnsim.__all__) - {"tasks", "theory"}),
        ("rnnsim.tasks", rnnsim.tasks.__all__),
        ("rnnsim.theory", rnnsim.theory.__all__),
        ("analysis", analysis.__all__),
    ):
        missing = [n for n in names if f"api/generated/{package}.{n}.html" not in there]
        assert not missing, package
    table = (ROOT / "docs/api/kernels.md").read_text(encoding="utf-8")
    assert not [name for name in kernels.__all__ if not re.search(rf"`[^`]*\b{name}\b", table)]


def test_examples_and_functions_know_each_other():
    """The gallery links to the API, and the API back to the gallery."""
    links = read(pages()["auto_gallery/index.html"]).links
    assert 15 <= len({link for link in links if re.fullmatch(r"(\w+/)?plot_\w+\.html", link)}) <= 20
    page = (SITE / "api/generated/rnnsim.sweep.html").read_text(encoding="utf-8")
    assert "In the gallery" in page
    assert re.search(r"auto_gallery/\w+/plot_", page)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    pages()
    browsers.program()
    with browsers.Browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


def test_no_reader_is_kept_out(browser):
    """By axe-core, on a phone and on paper: code and tables are not cut there."""
    for name in written():
        page = browser.open(pages()[name])
        assert not [said for said in page.complaints() if _is_error(said)], name
        assert all(url.startswith(("file:", "data:", "blob:")) for url in page.requests()), name
        try:
            browsers.check_with_axe(page)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None
        page.size(360, 740)
        assert page.value(WIDTH) <= 360, name
        page.size(794, 1123)  # A4 at 96 dots per inch
        page.send("Emulation.setEmulatedMedia", media="print")
        assert not page.value(CUT), name
        assert page.value(WIDTH) <= 794, name
        assert page.value(HIDDEN), name
        page.close()


WIDTH = "document.scrollingElement.scrollWidth"
CUT = """[...document.querySelectorAll("article pre, article table")]
    .filter((each) => each.scrollWidth > each.clientWidth + 1)
    .map((each) => each.textContent.slice(0, 60))"""
HIDDEN = """[...document.querySelectorAll(".bd-sidebar-primary, .bd-header")]
    .every((each) => !each.checkVisibility())"""


def _is_error(said):
    """Whether the console has an error, not what the theme tells of itself."""
    return "exceptionDetails" in said or "error" in (
        said.get("type"),
        said.get("entry", {}).get("level"),
    )


@pytest.mark.parametrize("name", ["index.html", "api/kernels.html", "figures/index.html"])
def test_no_reader_is_kept_out_in_the_dark(browser, name):
    page = browser.open(pages()[name], dark=True)
    assert page.value("document.documentElement.dataset.theme") == "dark"
    browsers.check_with_axe(page)
    page.close()
