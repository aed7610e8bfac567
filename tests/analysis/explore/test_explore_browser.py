"""The page in a browser without a network: sliders, words, pictures, keys, light, dark, phone."""

import json
import math

import explored
import numpy as np
import pytest
from browser import Browser, check_with_axe

from analysis import explore
from analysis.explore import plots, words

SENTENCE = "document.getElementById('sentence').textContent"

OUTSIDE = """[...document.querySelectorAll(".plot text")].filter((each) => {
  const [a, b] = [each, each.closest("svg")].map((e) => e.getBoundingClientRect());
  return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1
    || a.bottom > b.bottom + 1;
}).map((each) => each.textContent)"""
OVER_EACH_OTHER = """[...document.querySelectorAll(".plot svg")].flatMap((svg) => {
  const all = [...svg.querySelectorAll("text")].map((e) => [e, e.getBoundingClientRect()]);
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top + 3 < b.bottom
    && b.top + 3 < a.bottom;
  return all.flatMap(([one, a], i) => all.slice(i + 1).filter(([_, b]) => meet(a, b))
    .map(([two]) => [one.textContent, two.textContent]));
})"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    made = {"measured": explored.numbers(), "edges": explored.at_edges()}
    return {
        name: (numbers, explore.write(numbers, folder / f"{name}.html"))
        for name, numbers in made.items()
    }


@pytest.fixture(params=["measured", "edges"])
def both(request, browser, places):
    numbers, path = places[request.param]
    return numbers, browser.open(path)


@pytest.fixture
def page(browser, places):
    return browser.open(places["measured"][1])


def told(numbers, kind, gain, length, window):
    setting = numbers.at(numbers.kinds[kind], numbers.gains[gain], numbers.lengths[length])
    return " ".join(words.sentences(setting, window, numbers.tolerance))


def choose(page, kind, gain, length, window):
    page.value(f"window_.value = {window}; choose({kind}, {gain}, {length})")


def count(page, selector):
    return page.value(f"document.querySelectorAll('{selector}').length")


def box(page, selector, index=0):
    found = f"document.querySelectorAll('{selector}')[{index}].getBoundingClientRect()"
    return json.loads(page.value(f"JSON.stringify({found})"))


def test_the_script_says_what_python_says_of_every_setting_and_window(both):
    numbers, page = both
    last = numbers.lengths[-1]
    said = page.value(
        f"""JSON.stringify(kinds.map((_, k) => gains.map((_, i) => lengths.map((_, j) =>
        Array.from({{length: {last} + 2}}, (_, w) =>
        sentences(settingAt(k, i, j), w + 1, data.tolerance))))))"""
    )
    expected = [
        [
            [
                [
                    words.sentences(numbers.at(kind, gain, length), w, numbers.tolerance)
                    for w in range(1, last + 3)
                ]
                for length in numbers.lengths
            ]
            for gain in numbers.gains
        ]
        for kind in numbers.kinds
    ]
    assert json.loads(said) == expected


def test_the_script_writes_numbers_as_python_does(page):
    values = [k / 64 for k in range(-400, 400)] + [k / 2 for k in range(-9, 10)]
    said = page.value(
        f"JSON.stringify({json.dumps(values)}.map((x) => "
        "[exponent(x), missed(x), times(x), part(x), powerOf(x), eachStep(x)]))"
    )
    expected = [
        [plots.exponent(x), words.missed(x), words.times(x), words.part(x), words.power(x),
         words.each_step(x)]
        for x in values
    ]  # fmt: skip
    assert json.loads(said) == expected


def test_it_opens_at_its_start_and_draws_every_setting_without_a_complaint(both):
    numbers, page = both
    kind, gain, length, window = numbers.start
    setting = numbers.at(kind, gain, length)
    assert page.value(SENTENCE) == " ".join(words.sentences(setting, window, numbers.tolerance))
    page.value(
        "kinds.forEach((_, k) => gains.forEach((_, i) => lengths.forEach((_, j) => "
        "{ [1, 5, Number(window_.max)].forEach((w) => "
        "{ window_.value = w; choose(k, i, j); }); })))"
    )
    assert page.complaints() == []
    assert len(page.requests()) == 1
    markup = page.value("document.querySelector('.pictures').innerHTML")
    assert "NaN" not in markup
    assert "Infinity" not in markup


@pytest.mark.parametrize(
    ("id_", "keys", "changed"),
    [
        ("gain", ["ArrowRight"], (0, 2, 1, 1)),
        ("gain", ["Home"], (0, 0, 1, 1)),
        ("length", ["End"], (0, 1, 2, 1)),
        ("length", ["ArrowLeft"], (0, 1, 0, 1)),
        ("window", ["ArrowRight", "ArrowRight", "ArrowLeft"], (0, 1, 1, 2)),
        ("window", ["End"], (0, 1, 1, 30)),
    ],
)
def test_keys_move_sliders_words_and_pictures(id_, keys, changed, page):
    before = page.value("document.querySelector('.pictures').innerHTML")
    page.value(f"document.getElementById('{id_}').focus()")
    for key in keys:
        page.press(key)
    assert page.value(SENTENCE) == told(explored.numbers(), *changed)
    assert page.value("document.querySelector('.pictures').innerHTML") != before


def test_values_of_sliders_are_written_and_read_aloud(page):
    choose(page, 2, 2, 1, 7)
    for id_, said in (("bias", "3"), ("gain", "3"), ("length", "8 steps"), ("window", "7 steps")):
        assert page.value(f"document.querySelector('output[for={id_}]').textContent") == said
        spoken = page.value(f"document.getElementById('{id_}').getAttribute('aria-valuetext')")
        assert spoken == said
    assert page.value("document.getElementById('sentence').getAttribute('aria-live')") == "polite"


def test_a_cell_has_its_forget_bias_and_vanilla_networks_have_none(page):
    numbers = explored.numbers()
    assert page.value("bias.disabled")
    assert page.value("document.querySelector('output[for=bias]').textContent") == "none"
    page.value("document.querySelector('[value=gru]').click()")
    assert not page.value("bias.disabled")
    assert page.value(SENTENCE) == told(numbers, 3, 1, 1, 1)
    page.value("bias.focus()")
    page.press("ArrowRight")
    assert page.value(SENTENCE) == told(numbers, 4, 1, 1, 1)
    page.value("document.querySelector('[value=lstm]').click()")  # the bias stays
    assert page.value(SENTENCE) == told(numbers, 2, 1, 1, 1)


def test_the_median_is_where_its_numbers_are(both):
    """Read back from the drawing, by the ticks of its axes."""
    numbers, page = both
    for index in (1, 2):
        choose(page, 0, index, 1, 3)
        setting = numbers.at(numbers.kinds[0], numbers.gains[index], numbers.lengths[1])
        for name, low, high, row in (
            ("norm", -numbers.decades, numbers.decades, setting.norm[0]),
            ("error", 0.0, numbers.largest_error, 10 ** setting.error[0]),
        ):
            _, top, _, bottom = page.value(f"drawn.{name}.curves[0].box")
            points = page.value(
                f"document.querySelector('#{name} .median').getAttribute('points')"
            ).split()
            assert len(points) == setting.length
            for point, value in zip(points, row, strict=True):
                y = float(point.split(",")[1])
                at = low + (bottom - y) / (bottom - top) * (high - low)
                if low <= value <= high:
                    assert at == pytest.approx(value, abs=(high - low) / 1000)
                else:
                    assert (at < low) == (value < low)


def test_the_window_stands_at_its_error_and_cuts_the_norm(page):
    numbers = explored.numbers()
    choose(page, 0, 2, 2, 4)
    setting = numbers.at(numbers.kinds[0], numbers.gains[2], 30)
    left, top, right, bottom = page.value("drawn.error.curves[0].box")
    mark = "document.querySelector('#error .mark').getAttribute('{}')"
    x, y = (float(page.value(mark.format(name))) for name in ("cx", "cy"))
    assert x == pytest.approx(left + (right - left) * 3 / 29)
    share = 10 ** setting.error_at(4) / numbers.largest_error
    assert y == pytest.approx(max(top, bottom - (bottom - top) * share), abs=0.01)
    cut = float(page.value("document.querySelector('#norm .cut').getAttribute('x')"))
    left, _, right, _ = page.value("drawn.norm.curves[0].box")
    assert cut == pytest.approx(left + (right - left) * 3.5 / 29)
    labels = page.value(
        "[...document.querySelectorAll('.of-window')].map((each) => each.textContent)"
    )
    missed = words.missed(setting.error_at(4))
    assert labels == ["window 4: the rest is cut off", f"window 4: {missed}"]
    choose(page, 0, 2, 2, 30)
    assert count(page, "#norm .cut") == 0
    labels = page.value(
        "[...document.querySelectorAll('.of-window')].map((each) => each.textContent)"
    )
    assert labels == ["window 30: nothing is cut off", "window 30: nothing"]
    choose(page, 0, 1, 0, 1)  # one step, of which no recurrent weight has a gradient
    assert np.isnan(numbers.at(numbers.kinds[0], 1.0, 1).error).all()
    labels = page.value(
        "[...document.querySelectorAll('.of-window')].map((each) => each.textContent)"
    )
    assert labels == ["window 1: nothing is cut off", "window 1: nothing"]


def test_the_phase_picture_holds_every_change_and_frames_the_setting(both):
    numbers, page = both
    choose(page, 1, 2, 1, 3)
    shown = page.value("[...document.querySelectorAll('.change')].map((each) => each.textContent)")
    changes = [
        numbers.at(numbers.kinds[1], gain, length).change
        for length in numbers.lengths
        for gain in numbers.gains
    ]
    assert shown == [plots.exponent(change) for change in changes]
    signs = [math.copysign(1, c) for c, s in zip(changes, shown, strict=True) if s not in "?0"]
    assert count(page, "#phase .vanish") == signs.count(-1)
    assert count(page, "#phase .explode") == signs.count(1)
    assert count(page, '#phase [fill="url(#phase-stripes)"]') == signs.count(-1)
    frame = box(page, ".here")
    label = box(page, ".change", len(numbers.gains) + 2)
    assert frame["x"] < label["x"] < label["x"] + label["width"] < frame["x"] + frame["width"]
    assert frame["y"] < label["y"] < frame["y"] + frame["height"]


def test_a_click_on_a_cell_goes_there(page):
    page.value("document.getElementById('phase').scrollIntoView()")
    label = box(page, ".change", 3 * 2 + 2)  # the longest, the largest gain
    at = {"x": label["x"] + label["width"] / 2, "y": label["y"] + label["height"] / 2}
    for kind in ("mousePressed", "mouseReleased"):
        page.send(
            "Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at
        )  # fmt: skip
    assert page.value(SENTENCE) == told(explored.numbers(), 0, 2, 2, 1)


def test_buttons_of_things_to_try_go_to_their_settings(page):
    numbers = explored.numbers()
    places = page.value(
        "[...document.querySelectorAll('[data-place]')]"
        ".map((each) => JSON.parse(each.dataset.place))"
    )
    assert places
    for index, place in enumerate(places):
        page.value(f"document.querySelectorAll('[data-place]')[{index}].click()")
        assert page.value(SENTENCE) == told(numbers, *place, 1)


def test_pictures_say_their_values_by_keys_and_forget_them_when_sliders_move(page):
    numbers = explored.numbers()
    choose(page, 0, 2, 2, 4)
    setting = numbers.at(numbers.kinds[0], numbers.gains[2], 30)
    output = "document.querySelector('#error output').textContent"
    page.value("document.getElementById('error').focus()")
    page.press("ArrowRight")
    page.press("ArrowRight")
    assert page.value(output) == f"Window 2 steps: {words.missed(setting.error[0, 1])}"
    page.press("End")
    assert page.value(output) == "Window 30 steps: nothing"
    choose(page, 0, 1, 1, 4)
    assert page.value(output) == ""
    page.press("End")
    assert page.value(output) == "Window 8 steps: nothing"
    page.value("document.getElementById('phase').focus()")
    page.press("ArrowRight")
    phase = "document.querySelector('#phase output').textContent"
    assert page.value(phase) == "Length 1 gain 0: 1.0 times"
    page.press("ArrowDown")
    assert page.value(phase) == "Length 8 gain 0: exactly 0"


def test_the_pointer_reads_the_cell_below_it(page):
    page.value("document.getElementById('phase').scrollIntoView()")
    label = box(page, ".change", 3)  # length 8, gain 0
    page.hover(label["x"] + label["width"] / 2, label["y"] + label["height"] / 2)
    said = page.value("document.querySelector('#phase output').textContent")
    assert said == "Length 8 gain 0: exactly 0"


def test_without_a_script_the_table_is_open(browser, places):
    page = browser.open(places["measured"][1], script=False)
    assert page.value("document.querySelector('table').checkVisibility()")
    assert page.value("document.querySelector('noscript p').checkVisibility()")
    assert not page.value("document.getElementById('controls').checkVisibility()")


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_leaves_the_page_and_no_words_leave_their_picture(width, browser, places):
    for numbers, path in places.values():
        page = browser.open(path, width=width, height=800)
        for gain, length, window in ((1, 1, 5), (len(numbers.gains) - 1, 1, numbers.lengths[-1])):
            choose(page, len(numbers.kinds) - 1, gain, length, window)
            assert page.value("document.documentElement.scrollWidth") <= width
            assert page.value(OUTSIDE) == []
            assert page.value(OVER_EACH_OTHER) == []


def test_letters_are_as_large_on_a_phone(browser, places):
    page = browser.open(places["measured"][1], width=360, height=800)
    scale = page.value(
        "document.querySelector('#norm svg').getBoundingClientRect().width / drawn.norm.size[0]"
    )
    assert scale == pytest.approx(1, abs=0.01)
    size = page.value("getComputedStyle(document.querySelector('#norm text')).fontSize")
    assert float(size.removesuffix("px")) >= 12


def test_it_prints_light_with_its_sentence(browser, places):
    page = browser.open(places["measured"][1], dark=True)
    assert page.printed().startswith(b"%PDF-")
    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    page.send("Emulation.setEmulatedMedia", media="print", features=[scheme])
    assert page.value("getComputedStyle(document.documentElement).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert page.value("document.getElementById('sentence').checkVisibility()")
    assert not page.value("document.getElementById('controls').checkVisibility()")


def test_the_window_that_was_set_is_dotted_and_nothing_is_dashed(page):
    broken = page.value(
        "[...document.querySelectorAll('.plot svg *')].filter((each) => "
        "getComputedStyle(each).strokeDasharray !== 'none').map((each) => "
        "each.getAttribute('class'))"
    )
    assert set(broken) == {"window"}  # dashes are theory, and there is none


@pytest.mark.parametrize("which", ["measured", "edges"])
@pytest.mark.parametrize(("dark", "width"), [(False, 1100), (True, 1100), (False, 360)])
def test_it_serves_those_who_see_hear_or_point_otherwise(which, dark, width, browser, places):
    page = browser.open(places[which][1], dark=dark, width=width)
    page.value("document.querySelector('details').open = true")
    choose(page, 1, 2, 1, 3)
    page.value("document.getElementById('norm').focus()")
    page.press("End")
    check_with_axe(page)
