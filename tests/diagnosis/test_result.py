"""A diagnosis as text, JSON, a dataset and HTML; two side by side; what it costs; its errors."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from known_networks import B, driven, linear, two_rates

import rnnsim
from rnnsim import diagnose
from rnnsim.diagnosis import cases
from rnnsim.diagnosis.cases import error_of
from rnnsim.diagnosis.findings import Finding, plain, told


@pytest.fixture(scope="module")
def found():
    return diagnose(linear(0.9), driven(), window=10, clip_norm=1.0)


def test_the_verdict_comes_first(found):
    lines = found.summary().split("\n")
    assert lines[0] == found.verdict
    assert found.verdict.startswith("The gradient vanishes on its way back, by -0.105")
    assert all(f"{each.name}: {each.says}. {each.words}" in lines for each in found if each.known)
    assert "What to try:" in lines
    missing = lines[lines.index("What is not known, and what it would need:") + 1 :]
    said = {name: needs for names, needs in (line[2:].split(": ", 1) for line in missing)
            for name in names.split(", ")}  # fmt: skip
    assert said == {each.name: each.words.removeprefix("Not known: ") for each in found
                    if not each.known}  # fmt: skip
    assert len(missing) == len({*said.values()})


def test_findings_by_name_and_in_a_row(found):
    assert len(found) == len(found.findings) == len({each.name for each in found})
    assert found["window_error"] is next(each for each in found if each.name == "window_error")
    with pytest.raises(AttributeError):
        found.verdict = ""


def test_reprs_are_one_line(found):
    both = found.beside(found)
    for each in (found, both, *found):
        assert "\n" not in repr(each)
    assert repr(found).startswith("Diagnosis(label='RNN', gradient='vanishes', n_findings=")
    assert repr(found["window_error"]).startswith("Finding(window_error: ")


def test_json_holds_all_of_it(found):
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert said["verdict"] == found.verdict
    assert said["about"]["window"] == 10
    assert [each["name"] for each in said["findings"]] == [each.name for each in found]
    for mine, each in zip(said["findings"], found, strict=True):
        assert mine["number"] == plain(each.number)
        assert mine["words"] == each.words
        assert mine["evidence"].keys() == each.evidence.keys()
        assert len({len(row) for row in mine["evidence"].values()}) <= 1


def test_json_of_what_is_no_number():
    values = Finding("a", "b", "c", -np.inf, np.nan, evidence={"x": (np.inf, 1.0)}).to_dict()
    assert (values["number"], values["error"]) == ("-inf", None)
    assert values["evidence"] == {"x": ["inf", 1.0]}


def test_the_dataset_has_numbers_words_and_evidence(found, tmp_path):
    dataset = found.to_xarray()
    assert dataset["number"].sel(finding="window_error") == found["window_error"].number
    assert str(dataset["words"].sel(finding="reach_W_hh").item()) == found["reach_W_hh"].words
    curve = found["gradient_rate"].evidence
    np.testing.assert_array_equal(dataset["gradient_rate_log_change"], curve["log_change"])
    np.testing.assert_array_equal(dataset["gradient_rate_lag"], curve["lag"])
    np.testing.assert_array_equal(dataset["window_error_parts"], found["window_error"].parts)
    again = rnnsim.load(rnnsim.save(dataset, tmp_path / "saved"))
    assert again.equals(dataset)


class Text(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words.append(data)


def test_hostile_names_are_text_in_html(tmp_path):
    path = tmp_path / "<script>alert(1)<img src=x>.npz"
    rnnsim.write_network(path, linear(0.9))
    one = diagnose(path, driven())
    for each in (one, one.beside(one)):
        page = Text(each._repr_html_())
        assert not {"script", "img"} & set(page.tags)
    assert path.name in " ".join(page.words)
    assert one.verdict in Text(one._repr_html_()).words


def test_side_by_side(found):
    other = diagnose(two_rates(), driven(), window=10, clip_norm=1.0)
    both = found.beside(other)
    rows = {row.name: row for row in both.rows}
    assert list(rows) == [each.name for each in found]
    row = rows["change_over_window"]
    assert row.difference == other[row.name].number - found[row.name].number
    far = np.hypot(found[row.name].error, other[row.name].error)
    assert row.apart == (abs(row.difference) > far)
    assert rows["gradient_rate"].apart is None
    assert not any(row.apart for row in found.beside(found).rows)
    for text in (found.verdict, other.verdict):
        assert text in both.summary()
    assert json.loads(json.dumps(both.to_dict(), allow_nan=False))["rows"][0]["name"] == "range"


def test_numbers_of_two_kinds_are_not_compared(found):
    """An eigenvalue and a norm, shares of two blocks, changes over two lags."""
    lstm = rnnsim.RNN.sample(n_inputs=2, n_hidden=5, n_outputs=1, cell="lstm", rng=0)
    other = diagnose(lstm, driven(), window=9, clip_norm=1.0)
    rows = {row.name: row for row in found.beside(other).rows}
    for name in ("spectrum", "gradient_by_layer_and_gate", "change_over_window"):
        row = rows[name]
        assert not np.isnan([row.first.number, row.second.number]).any()
        assert row.apart is None
        assert np.isnan(row.difference)
    assert rows["lambda_1"].apart
    quiet = diagnose(lstm, rnnsim.tasks.adding(25, 64, rng=0))  # noise leaves errors known
    same = {row.name: row for row in quiet.beside(quiet).rows}
    assert [same[name].apart for name in ("spectrum", "gradient_by_layer_and_gate")] == [False] * 2


def test_one_flow_of_the_whole_and_one_of_the_parts(monkeypatch):
    seen = []

    def counted(rnn, data, **options):
        seen.append(data.n_sequences)
        return rnnsim.gradient_flow(rnn, data, **options)

    monkeypatch.setattr(cases, "gradient_flow", counted)
    diagnose(linear(0.9), driven(), window=10, clip_norm=1.0)
    assert seen[0] == B
    assert sum(seen) == 2 * B


def test_an_error_by_hand():
    parts = [1.0, 2.0, 3.0, 6.0]
    scatter = 3.182446 * np.std(parts, ddof=1) / 2  # t_975 of 3 degrees of freedom
    assert error_of(3.5, parts) == pytest.approx(scatter + 0.5 / 3, rel=1e-6)
    assert error_of(3.5, parts, 0.5) == pytest.approx(scatter + 0.5 / 3 + 0.5, rel=1e-6)
    slow = error_of(3.5, parts, of_norms=True)
    assert slow == pytest.approx(scatter + 0.5, rel=1e-6)  # sqrt(4) - 1
    assert error_of(2.0, [2.0] * 7, 1.0) == 1.0
    assert error_of(2.0, [2.0] * 8, 1.0) == 0.0
    assert error_of(2.0, [2.0, 2.0]) == error_of(np.inf, [np.inf] * 3) == 0
    for whole, some in ((1.0, [1.0]), (np.nan, parts), (1.0, [1.0, np.nan]), (1.0, [np.inf, 1])):
        assert np.isnan(error_of(whole, some))


@pytest.mark.parametrize(
    ("number", "error", "text"),
    [
        (-0.10536, 0.0123, "-0.105 +- 0.012"),
        (9.0, 2.13, "9.0 +- 2.1"),
        (123.4, 45.6, "123 +- 46"),
        (0.5, 0.0, "0.5"),
        (0.5, np.nan, "0.5 (error not known)"),
        (-np.inf, 0.0, "-inf"),
        (1.0, np.inf, "1 (error without bound)"),
        (1.0, 3e-9, "1 +- 3.0e-09"),
        (2e9, 1e7, "2e+09 +- 1.0e+07"),
    ],
)
def test_how_numbers_are_told(number, error, text):
    assert told(number, error) == text


NETWORKS = {
    "tanh": rnnsim.RNN.sample(n_inputs=2, n_hidden=8, n_outputs=1, rng=3),
    "lstm": rnnsim.RNN.sample(
        n_inputs=2, n_hidden=6, n_outputs=1, cell="lstm", forget_bias=1.0, rng=3
    ),
    "gru stack": rnnsim.Stack.sample(
        n_layers=2, n_inputs=2, n_hidden=5, n_outputs=1, cell="gru", rng=3
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_errors_cover(name):
    """Of redraws of 16 sequences, each finding by itself and all together; truth from 2048."""
    given = {"window": 6, "batch_size": 4, "clip_norm": 0.2}

    def draw(n_sequences, seed):
        return rnnsim.tasks.adding(25, n_sequences, rng=seed)

    truth = diagnose(NETWORKS[name], draw(2048, 10**6), **given)
    inside = {}
    for seed in range(24):
        for each in diagnose(NETWORKS[name], draw(16, seed), **given):
            true = truth[each.name].number
            varies = each.over != "the weights alone" and each.name != "gradient_by_layer_and_gate"
            if varies and not np.isnan([each.number, each.error, true]).any():
                hit = abs(each.number - true) <= each.error + 1e-9 * abs(true)
                inside.setdefault(each.name, []).append(hit)
    pooled = np.concatenate(list(inside.values()))
    assert pooled.size > 300
    assert 0.9 <= pooled.mean() <= 0.99
    for finding, hits in inside.items():
        assert len(hits) < 10 or np.mean(hits) >= 0.8, finding
