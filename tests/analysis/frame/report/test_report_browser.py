"""Reports in a browser without a network: values, keys, light and dark, phone, print."""

import json

import numpy as np
import pytest
import reports
from browser import Browser, check_with_axe
from PIL import Image

from analysis.frame.report import write
from analysis.frame.report.colours import on_dark

TEXT = "document.querySelectorAll('output')[{}].textContent"
BOX = "JSON.stringify(document.querySelectorAll('{}')[{}].getBoundingClientRect())"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def report():
    return reports.report()


@pytest.fixture(scope="module")
def path(report, tmp_path_factory):
    return write(report, tmp_path_factory.mktemp("page") / "report #1 <b>.html")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    text = reports.HOSTILE
    folder = tmp_path_factory.mktemp("hostile")
    return write(reports.report([reports.scattered(text=text)], text), folder / "hostile.html")


@pytest.fixture
def page(browser, path):
    return browser.open(path)


def box(page, selector, index=0):
    return json.loads(page.value(BOX.format(selector, index)))


def show(page, index):
    """Scroll a figure into view; where it is then."""
    page.value(f"document.querySelectorAll('.plot')[{index}].scrollIntoView()")
    return box(page, ".plot", index)


def point_at(page, index, x, y):
    """Move the pointer to a place of a figure, in shares of its width and height."""
    at = show(page, index)
    page.hover(at["x"] + x * at["width"], at["y"] + y * at["height"])
    return page.value(TEXT.format(index))


def focus(page, index):
    page.value(f"document.querySelectorAll('.plot')[{index}].focus()")


def pressed(page, *keys, index=0):
    for key in keys:
        page.press(key)
    return page.value(TEXT.format(index))


@pytest.mark.parametrize("which", ["path", "hostile"])
@pytest.mark.parametrize("dark", [False, True])
def test_it_opens_without_a_complaint_or_a_request(which, dark, browser, request):
    path = request.getfixturevalue(which)
    page = browser.open(path, dark=dark)
    point_at(page, 0, 0.5, 0.5)
    page.press("Escape")
    assert page.complaints() == []
    requests = page.requests()
    assert requests[0] == path.as_uri()
    assert all(each.startswith("data:image/png") for each in requests[1:])


def test_complaints_would_be_seen(browser, tmp_path):
    """What the test above rests on: requests, violations, exceptions and messages come through."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<meta http-equiv='Content-Security-Policy' content=\"script-src 'unsafe-inline'; "
        "img-src 'none'\"><img src='https://rnnsim.invalid/a.png'><link rel='stylesheet' "
        "href='https://rnnsim.invalid/a.css'><script>console.warn('a'); missing()</script>"
    )
    page = browser.open(bad)
    seen = json.dumps(page.complaints())
    assert "violates the following Content Security Policy" in seen
    assert "ERR_NAME_NOT_RESOLVED" in seen
    assert "missing is not defined" in seen
    assert "https://rnnsim.invalid/a.css" in page.requests()


def test_hostile_texts_run_nothing_and_add_nothing(browser, hostile):
    page = browser.open(hostile)
    assert page.value("document.images.length") == 0
    assert page.value("document.scripts.length") == 2
    assert page.value("document.querySelector('h1').textContent").startswith("</script><img src=x")
    told = point_at(page, 0, 0.5, 0.5)
    assert told.startswith("</script><img src=x")
    assert page.value("document.querySelector('output').querySelectorAll('img').length") == 0
    data = "JSON.parse(document.getElementById('data').textContent)"
    assert page.value(f"{data}.rate") == -0.083


def test_the_pointer_reads_the_nearest_value(page, report):
    curve = report.pictures[0].curves[0]
    assert page.value(TEXT.format(0)) == ""
    left = point_at(page, 0, 0.2, 0.3)
    assert left.startswith("measured")
    shown = int(left.split("lag ")[1].split(":")[0])
    assert left.endswith(curve.texts[shown - 1])
    assert point_at(page, 0, 0.45, 0.3).startswith("through c")
    assert point_at(page, 0, 0.75, 0.3) == "share 0.7"
    assert point_at(page, 0, 0.95, 0.3) == "share 0.3"
    assert point_at(page, 0, 0.001, 0.99) == ""  # in no panel
    assert point_at(page, 2, 0.5, 0.5).startswith("one ")
    assert page.value(TEXT.format(0)) == ""  # the pointer has left that one


def test_the_mark_is_where_the_value_is_drawn(page, report):
    """On the right panel a bar ends at .7; its mark stands on the middle of its upper edge."""
    point_at(page, 0, 0.75, 0.3)
    mark, plot = box(page, ".dot"), box(page, ".plot")
    drawn = json.loads(page.value("document.querySelector('.plot').dataset.curves"))[2]
    size = json.loads(page.value("document.querySelector('.plot').dataset.size"))
    centre = (mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2)
    expected = [
        plot[side] + plot[length] * drawn[side][0] / total
        for side, length, total in zip("xy", ("width", "height"), size, strict=True)
    ]
    assert centre == pytest.approx(expected, abs=0.5)
    bars = "[...document.querySelectorAll('.plot')][0].querySelectorAll('path[clip-path]')"
    edges = json.loads(
        page.value(f"JSON.stringify([...{bars}].map((bar) => bar.getBoundingClientRect()))")
    )
    tops = [(bar["x"] + bar["width"] / 2, bar["y"]) for bar in edges if bar["width"] > 60]
    assert min(np.hypot(x - centre[0], y - centre[1]) for x, y in tops) < 1.5


def test_keys_move_along_curves_and_between_them(page, report):
    first, second, shares = report.pictures[0].curves
    focus(page, 0)
    assert page.value(TEXT.format(0)) == ""
    assert pressed(page, "ArrowRight").endswith(first.texts[0])
    assert pressed(page, "ArrowRight", "ArrowRight").endswith(first.texts[2])
    assert pressed(page, "ArrowLeft").endswith(first.texts[1])
    assert pressed(page, "ArrowDown") == f"{second.name} {second.texts[1]}"
    assert pressed(page, "End").endswith(second.texts[-1])
    assert pressed(page, "ArrowRight").endswith(second.texts[-1])
    assert pressed(page, "Home", "ArrowLeft").endswith(second.texts[0])
    assert pressed(page, "ArrowDown").startswith(shares.name)
    assert pressed(page, "ArrowDown").startswith(first.name)
    assert pressed(page, "ArrowUp").startswith(shares.name)
    assert pressed(page, "Escape") == ""
    assert page.value("document.querySelector('.dot').hidden")


def test_a_value_stays_when_the_finger_is_lifted(browser, path):
    page = browser.open(path, width=390, height=800)
    page.send("Emulation.setTouchEmulationEnabled", enabled=True)
    at = show(page, 0)
    point = {"x": at["x"] + 0.2 * at["width"], "y": at["y"] + 0.3 * at["height"]}
    page.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
    page.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    assert page.value(TEXT.format(0)).startswith("measured")
    page.press("Escape")
    assert page.value(TEXT.format(0)) == ""


def test_values_are_announced(page):
    output = "document.querySelectorAll('output')[0]"
    assert page.value(f"{output}.getAttribute('aria-live')") == "polite"
    focus(page, 0)
    pressed(page, "End")
    tree = page.send("Accessibility.getFullAXTree")["nodes"]
    (node,) = [n for n in tree if n["role"]["value"] == "status" and n.get("childIds")]
    names = {n["nodeId"]: n.get("name", {}).get("value", "") for n in tree}
    told = "".join(gather(tree, names, node["nodeId"]))
    assert "lag 100" in told


def gather(tree, names, start):
    """Names of the texts below a node of the tree that readers aloud are given."""
    below = {node["nodeId"]: node.get("childIds", []) for node in tree}
    for child in below.get(start, []):
        yield names.get(child, "")
        yield from gather(tree, names, child)


def test_tab_goes_from_figure_to_figure(page):
    focus(page, 0)
    page.press("Tab")
    assert page.value("document.activeElement.tagName") == "SUMMARY"
    page.press("Tab")
    assert page.value("document.activeElement === document.querySelectorAll('.plot')[1]")
    assert "arrow keys" in page.value("document.activeElement.getAttribute('aria-label')")


def test_keys_of_the_browser_stay_its_own(page):
    focus(page, 0)
    prevented = page.value(
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', "
        "{key: 'ArrowLeft', altKey: true, bubbles: true, cancelable: true})) === false"
    )
    assert prevented is False
    assert page.value(TEXT.format(0)) == ""


def test_without_a_script_all_numbers_are_there(browser, path):
    page = browser.open(path, script=False)
    assert page.value("document.querySelectorAll('details table').length") == 3
    assert page.value("document.querySelector('.hint').hidden")
    assert page.value("document.querySelectorAll('.plot[tabindex]').length") == 0


def pixels(page, tmp_path):
    page.screenshot(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as image:
        return np.asarray(image.convert("RGB"), dtype=float)


@pytest.mark.parametrize("dark", [False, True])
def test_the_picture_of_a_page_is_not_blank(dark, browser, path, tmp_path):
    page = browser.open(path, dark=dark, height=3400)
    image = pixels(page, tmp_path)
    paper = np.median(image.reshape(-1, 3), axis=0)
    assert (paper == 0x1B).all() if dark else (paper == 255).all()
    away = np.abs(image - paper).max(axis=2) > 60
    assert 0.01 < away.mean() < 0.5
    for index in range(3):
        at = {name: int(value) for name, value in box(page, ".plot", index).items()}
        figure = away[at["top"] : at["bottom"], at["left"] : at["right"]]
        assert figure.shape[1] > 300
        for half in np.array_split(figure, 2):
            for quarter in np.array_split(half, 2, axis=1):
                assert quarter.mean() > 0.003  # axes, labels and curves in each


def test_curves_and_words_of_figures_stand_out_in_the_dark(browser, path, tmp_path):
    page = browser.open(path, dark=True)
    fill = "getComputedStyle(document.querySelector('.plot text')).fill"
    ink = int(on_dark("#000000")[1:3], 16)
    assert page.value(fill) == f"rgb({ink}, {ink}, {ink})"
    theory = "getComputedStyle(document.querySelector('.plot path[style*=dasharray]')).stroke"
    assert page.value(theory) == page.value(fill)
    assert browser.open(path).value(theory) == "rgb(0, 0, 0)"


@pytest.mark.parametrize("which", ["path", "hostile"])
@pytest.mark.parametrize("width", [320, 360, 768])
def test_a_narrow_page_does_not_scroll_sideways(which, width, browser, request):
    page = browser.open(request.getfixturevalue(which), width=width, height=700)
    page.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value("innerWidth") == width
    focus(page, 0)
    for _ in range(3):
        pressed(page, "ArrowDown", "End")
        mark = box(page, ".dot")
        assert mark["left"] >= 0
        assert mark["right"] <= width
        assert page.value("document.documentElement.scrollWidth") <= width


def test_on_a_phone_rows_with_prose_are_paragraphs(browser, hostile):
    page = browser.open(hostile, width=360)
    cells = "[...document.querySelector('table.tall').rows[1].cells]"
    sides = page.value(f"{cells}.map((cell) => cell.getBoundingClientRect().left)")
    assert len({*sides}) == 1  # one below the other
    label = "getComputedStyle(document.querySelector('table.tall td'), '::before').content"
    assert page.value(label) == '"says: "'
    wide = browser.open(hostile)
    sides = wide.value(f"{cells}.map((cell) => cell.getBoundingClientRect().left)")
    assert sides == sorted({*sides})  # one beside the other


def test_on_a_phone_a_single_panel_fits_and_two_scroll_by_themselves(browser, path):
    page = browser.open(path, width=390, height=800)
    held = "document.querySelectorAll('.plot')[{}].parentElement"
    scrolls = [
        page.value(f"{held.format(i)}.scrollWidth > {held.format(i)}.clientWidth") for i in range(3)
    ]
    assert scrolls == [True, True, False]
    size = "getComputedStyle(document.querySelector('.plot text')).fontSize"
    scale = (
        box(page, ".plot")["width"]
        / json.loads(page.value("document.querySelector('.plot').dataset.size"))[0]
    )
    assert float(page.value(size).removesuffix("px")) * scale > 7.5  # letters of two panels


def test_it_prints_with_all_numbers(browser, path):
    page = browser.open(path, dark=True)
    assert page.printed().startswith(b"%PDF-")
    numbers = "document.querySelector('details table').checkVisibility()"
    assert not page.value(numbers)
    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    page.send("Emulation.setEmulatedMedia", media="print", features=[scheme])
    assert page.value(numbers)
    assert page.value("getComputedStyle(document.querySelector('.hint')).display") == "none"
    paper = page.value("getComputedStyle(document.documentElement).backgroundColor")
    ink = page.value("getComputedStyle(document.querySelector('.plot text')).fill")
    assert (paper, ink) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")


@pytest.mark.parametrize("which", ["path", "hostile"])
@pytest.mark.parametrize("dark", [False, True])
def test_it_serves_those_who_see_hear_or_point_otherwise(which, dark, browser, request):
    page = browser.open(request.getfixturevalue(which), dark=dark)
    page.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    focus(page, 0)
    pressed(page, "End")
    check_with_axe(page)
