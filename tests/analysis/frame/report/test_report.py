"""The bytes of a report: order, ids, nothing from elsewhere, hostile texts, JSON."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reports
from matplotlib.figure import Figure
from pages import Parsed

from analysis.frame import figures
from analysis.frame.report import Curve, Picture, Table, html

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@pytest.fixture(scope="module")
def page():
    return html(reports.report())


@pytest.fixture(scope="module")
def parsed(page):
    return Parsed(page)


@pytest.mark.lane
def test_words_come_first_then_numbers_figures_and_how_to_reproduce(parsed):
    report = reports.report()
    seen = parsed.one("main").text
    expected = [
        report.title,
        report.verdict,
        report.subject,
        *report.to_try,
        report.numbers[0].caption,
        "nats per step",
        *(
            text
            for each in report.pictures
            for text in (each.title, each.words, each.table.caption)
        ),
        "How to reproduce",
        *report.reproduce.values(),
    ]
    place = 0
    for text in expected:
        place = seen.index(text, place) + len(text)
    assert parsed.one("h1").text == parsed.all("title")[0].text == report.title
    assert parsed.one("html").attributes["lang"] == "en"


def test_parts_that_are_empty_are_left_out():
    bare = reports.report([])._replace(to_try=(), numbers=())
    heads = [tag.text for tag in Parsed(html(bare)).all("h2")]
    assert heads == ["How to reproduce"]


def test_every_id_occurs_once_and_every_reference_has_one(parsed):
    ids = [tag.attributes["id"] for tag in parsed.tags if "id" in tag.attributes]
    assert len(ids) == len({*ids})
    assert len(ids) > 15
    referred = set()
    for tag in parsed.tags:
        for name, value in tag.attributes.items():
            referred |= {*re.findall(r"url\(#([^)]+)\)", value or "")}
            if name == "href" and value.startswith("#"):
                referred |= {value[1:]}
            if name in ("aria-labelledby", "aria-describedby"):
                referred |= {*value.split()}
    assert referred <= {*ids}
    assert referred == {*ids} - {tag.attributes["id"] for tag in parsed.all("h3")} - {"data"}


def test_one_figure_twice_is_two_figures_with_ids_of_their_own():
    one, two = reports.decaying(), reports.decaying()
    page = Parsed(html(reports.report([one, two._replace(name="norms-again")])))
    ids = [tag.attributes["id"] for tag in page.tags if "id" in tag.attributes]
    assert len(ids) == len({*ids})
    assert sum(each.startswith("norms.") for each in ids) > 3
    assert sum(each.startswith("norms-again.") for each in ids) > 3


def test_nothing_is_from_elsewhere(page, parsed):
    assert not re.search(r"https?:|ftp:|file:|//\w+\.|@import|DOCTYPE svg|xmlns", page)
    for tag in parsed.tags:
        for name in ("src", "href", "srcset", "action", "poster", "data", "xlink:href"):
            value = tag.attributes.get(name, "#")
            assert value.startswith(("#", "data:image/png;base64,")) or value == "data:,"
    assert {each[:1] for each in re.findall(r"url\(['\"]?([^)]*)\)", page)} == {"#"}
    policy = parsed.one("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"] == POLICY


def test_the_policy_comes_before_all_that_it_governs(parsed):
    names = [tag.name for tag in parsed.tags]
    assert names[:4] == ["html", "head", "meta", "meta"]
    assert parsed.tags[2].attributes == {"charset": "utf-8"}
    assert "http-equiv" in parsed.tags[3].attributes


def test_the_same_report_gives_the_same_bytes(page):
    report = reports.report()
    assert html(report) == page
    assert html(report) == page  # drawn before: its layout stays


def test_another_process_writes_the_same_bytes(page):
    """Nothing hangs on the order of sets, which differs from process to process."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import reports; "
        "from analysis.frame.report import html; sys.stdout.buffer.write("
        "html(reports.report()).encode())"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    result = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert result.stdout.endswith(page.encode())


def test_hostile_texts_are_texts():
    text = reports.HOSTILE
    page = html(reports.report([reports.scattered(text=text)], text))
    parsed, calm = Parsed(page), Parsed(html(reports.report([reports.scattered()])))
    shown = text.replace("\udcff", "\\udcff")
    assert [tag.name for tag in parsed.tags] == [tag.name for tag in calm.tags]
    attributes = [sorted(tag.attributes) for tag in parsed.tags]
    assert attributes == [sorted(tag.attributes) for tag in calm.tags]
    assert parsed.comments == []
    for tag in (parsed.one("h1"), parsed.all("title")[0], parsed.one("p", **{"class": "verdict"})):
        assert tag.text == shown
    assert [tag.text for tag in parsed.all("caption")] == [shown, shown]
    assert parsed.one("h3").text == parsed.one("figcaption").text == shown
    assert parsed.one("svg").text.count("onerror=alert(1)") >= 3  # title, words, label of the axis
    curves = json.loads(parsed.one("div", **{"class": "plot"}).attributes["data-curves"])
    assert curves[0]["name"] == text
    assert json.loads(parsed.one("script", id="data").text)[text] == text


@pytest.mark.parametrize(
    "text", ["\0", "\x1b[2J", "\ud800", "</title>", "]]>", "\u2028", "{{ 1 }}"]
)
def test_texts_that_no_file_could_hold_do_no_harm(text):
    page = html(reports.report([reports.scattered(text=text)], text))
    assert "\0" not in page
    page.encode("utf-8")
    data = json.loads(Parsed(page).one("script", id="data").text)
    assert data[text] == text


def test_data_are_json_without_nan(parsed):
    def refuse(name):
        raise AssertionError(name)

    data = json.loads(parsed.one("script", id="data").text, parse_constant=refuse)
    assert data == {"rate": -0.083, "missing": None, "dead": "-inf", "lags": [0, 1, 2]}


def test_all_that_holds_numbers_is_plain():
    given = {
        "float32": np.float32(0.5),
        "int": np.int64(2**53 + 1),
        "bool": np.True_,
        "arrays": [np.array([[1.0, math.nan]]), (1, None, "a")],
        "inf": math.inf,
        "deep": {1: {"x": True}},
    }
    data = json.loads(Parsed(html(reports.report([], data=given))).one("script", id="data").text)
    assert data == {
        "float32": 0.5,
        "int": 2**53 + 1,
        "bool": True,
        "arrays": [[[1.0, None]], [1, None, "a"]],
        "inf": "inf",
        "deep": {"1": {"x": True}},
    }


def test_what_json_does_not_know_is_refused_by_place():
    with pytest.raises(TypeError, match=r"`data\['a'\]\[1\]` must be .* got .*\(complex\)"):
        html(reports.report([], data={"a": [1, 1j]}))


def test_tables_say_what_their_cells_belong_to(parsed):
    tables = parsed.all("table")
    assert len(tables) == 4
    for table in tables:
        within = parsed.within(table)
        assert [tag.name for tag in within].count("caption") == 1
        for head in (tag for tag in within if tag.name == "th"):
            assert head.attributes["scope"] == ("row" if "tbody" in parents(head) else "col")
    assert "No numbers." in tables[2].text
    in_details = [table for table in tables if "details" in parents(table)]
    assert len(in_details) == len(parsed.all("figure")) == 3


def of_class(parsed, name, kind):
    return [t.text for t in parsed.all(name) if kind in t.attributes.get("class", "").split()]


def test_columns_of_numbers_stand_to_the_right(parsed):
    assert of_class(parsed, "th", "number")[:2] == ["number", "error"]
    assert of_class(parsed, "td", "number")[:4] == ["-0.083", "0.004", "27", "3"]


def test_prose_has_room_and_quantities_stay_on_a_line():
    words = "The gradient falls by a factor of e in twelve steps, and goes on to do so."
    rows = [("rate", "-0.08\u00a0±\u00a07e-05", "", words), ("range", "in words", "3, ours", "")]
    table = Table("t", ("finding", "number", "threshold", "in words"), rows)
    page = Parsed(html(reports.report([])._replace(numbers=[table])))
    assert of_class(page, "th", "prose") == ["in words"]
    assert of_class(page, "td", "prose") == [words, ""]
    assert of_class(page, "td", "quantity") == ["-0.08\u00a0±\u00a07e-05", "3, ours"]
    assert "tall" in page.one("table").attributes["class"]
    assert [t.attributes["data-head"] for t in page.all("td")][:3] == list(table.heads[1:])


def test_the_first_sentence_of_a_verdict_stands_out_and_no_word_is_lost():
    verdict = "a: It falls to 1.5 % of it. It is gone at lag 2. Why?\nb: It stays. So"
    page = Parsed(html(reports.report([])._replace(verdict=verdict)))
    seen = page.all("p", **{"class": "verdict"})
    assert "\n".join(tag.text for tag in seen) == verdict
    assert [tag.text for tag in page.all("span")] == ["It is gone at lag 2. Why?", "So"]


def test_every_figure_says_what_it_shows(parsed):
    for picture in reports.report().pictures:
        title = parsed.one("title", id=f"{picture.name}.title")
        words = parsed.one("desc", id=f"{picture.name}.desc")
        assert (title.text, words.text) == (picture.title, picture.words)
        svg = title.parents[-1]
        assert svg.name == "svg"
        assert svg.attributes["role"] == "img"
        assert svg.attributes["aria-labelledby"] == f"{picture.name}.title"
        assert svg.attributes["aria-describedby"] == f"{picture.name}.desc"


def parents(tag):
    return [each.name for each in tag.parents]


def picture(**changes):
    return reports.scattered()._replace(**changes)


def curve(ax=None, **changes):
    figure = figures.new_figure()[0] if ax is None else ax.figure
    ones = np.ones(2)
    return figure, Curve(figure.axes[0], "c", ones, ones, ["a", "b"])._replace(**changes)


def with_curve(**changes):
    figure, given = curve(**changes)
    return picture(figure=figure, curves=[given])


REFUSED = [
    (lambda: [picture(name="A figure")], r"`pictures\[0\]\.name` must be lower-case .* 'A figure'"),
    (lambda: [picture(name="")], r"`pictures\[0\]\.name` must be lower-case"),
    (
        lambda: [picture(), picture()],
        r"`pictures\[1\]\.name` must be .* once in a report, got 'dots'",
    ),
    (lambda: [picture(table=Table("t", ("a", "b"), [("1",)]))], r"`rows` of table 't' .* 2 heads"),
    (lambda: [with_curve(texts=["a"])], r"`x`, `y` and `texts` .*'c', must be .* got \(2, 2, 1\)"),
    (lambda: [with_curve(y=np.ones(3))], r"of one length, got \(2, 3, 2\)"),
    (lambda: [with_curve(axes=Figure().subplots())], r"`axes` of picture 'dots', curve 'c', must"),
]


@pytest.mark.parametrize(("pictures", "message"), REFUSED)
def test_parts_that_do_not_fit_are_refused_by_name(pictures, message):
    with pytest.raises(ValueError, match=message):
        html(reports.report(pictures()))


def test_a_full_report_stays_below_two_megabytes():
    """Twelve figures of four lines of 100,000 points each, with texts, on one page."""
    n = 100_000
    x, texts = np.arange(n), [f"lag {i}: {i / 7:.4g} (in nats per step)" for i in range(n)]
    rng, pictures = np.random.default_rng(0), []
    for index in range(12):
        figure, ax = figures.new_figure()
        lines = rng.standard_normal((4, n)).cumsum(axis=1)
        for line in lines:
            ax.plot(x, line)
        curves = [Curve(ax, f"line {k}", x, line, texts) for k, line in enumerate(lines)]
        table = Table("Some", ("lag", "value"), [(str(k), "1.234") for k in range(40)])
        pictures.append(Picture(f"figure-{index}", "Lines", "Words.", figure, curves, table))
    page = html(reports.report([*pictures, reports.mapped()]))
    assert len(page.encode()) < 2_000_000
