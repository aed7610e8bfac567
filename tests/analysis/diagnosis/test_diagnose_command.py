"""`rnnsim diagnose`, as a user runs it."""

import json
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from known_networks import dead, driven, linear

import rnnsim
from analysis.__main__ import main
from analysis.diagnosis import command, given
from analysis.diagnosis.command import Settings, diagnosed

T, B, V = 30, 12, 5


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with networks and data."""
    folder, rng = tmp_path_factory.mktemp("diagnosed"), np.random.default_rng(0)
    data = driven(n_steps=T, n_sequences=B)
    np.savez(folder / "data.npz", inputs=data.inputs, targets=data.targets)
    np.savez(folder / "turned.npz", x=data.inputs.swapaxes(0, 1), y=data.targets.swapaxes(0, 1))
    np.savez(folder / "ids.npz", inputs=rng.integers(0, V, 900))
    np.save(folder / "inputs.npy", data.inputs)
    rnnsim.write_network(folder / "linear.npz", linear(0.9))
    for place in ("before", "after"):
        (folder / place).mkdir()
        rnnsim.write_network(folder / place / "model.npz", linear(0.9 if place == "after" else 0.5))
    gru = rnnsim.RNN.sample(n_inputs=2, n_hidden=5, n_outputs=0, cell="gru", rng=0)
    rnnsim.write_network(folder / "gru.npz", gru)
    embedded = {
        "embedding.weight": rng.standard_normal((V, 3)),
        "rnn.weight_ih_l0": rng.standard_normal((4, 3)),
        "rnn.weight_hh_l0": 0.5 * rng.standard_normal((4, 4)),
        "rnn.bias_ih_l0": np.zeros(4), "rnn.bias_hh_l0": np.zeros(4),
        "out.weight": rng.standard_normal((V, 4)), "out.bias": np.zeros(V),
    }  # fmt: skip
    np.savez(folder / "words.npz", **embedded)
    return folder


@pytest.fixture
def rnnsim_(here, monkeypatch, capsys):
    """The command in the folder of files: exit status, what it printed, what it complained of."""

    def run(*arguments):
        monkeypatch.chdir(here)
        monkeypatch.setattr(sys, "argv", ["rnnsim", *map(str, arguments)])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("default")  # a program shows them
                main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_it_prints_the_summary_and_writes_the_report(here, rnnsim_, tmp_path):
    place = tmp_path / "a report.html"
    line = ("diagnose", "linear.npz", "--data", "data.npz", "--window", "7", "--clip-norm", "0.5")
    status, out, err = rnnsim_(*line, "--output", place)
    assert (status, err) == (0, "")
    data = rnnsim.read_sequences(here / "data.npz")
    mine = rnnsim.diagnose(here / "linear.npz", data, window=7, clip_norm=0.5)
    for each in mine:
        assert (
            each.words.replace("`batch_size`", "--batch-size")
            .removeprefix("Not known: ")
            .replace("`clip_value`", "--clip-value")
            in out
        )
    assert out.startswith(mine.verdict)
    assert "12 sequences of 30 steps of data.npz, window 7" in out
    assert out.endswith(f"Report: {place}\n")
    page = place.read_text(encoding="utf-8")
    command = shlex.join(["rnnsim", *line, "--output", str(place)])
    assert command.replace("'", "&#39;") in page
    assert str(here) not in page  # no more of the machine than was typed


def test_json_and_nothing_else(here, rnnsim_, tmp_path):
    place = tmp_path / "report.html"
    line = ("diagnose", "linear.npz", "--data", "data.npz", "--json", "--output", place)
    status, out, err = rnnsim_(*line)
    assert (status, err) == (0, "")
    said = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert said["verdict"].startswith("The gradient vanishes")
    assert said["about"]["provenance"]["data"] == "data.npz"
    assert place.exists()


def test_two_files_side_by_side(rnnsim_, tmp_path):
    place = tmp_path / "both.html"
    files = ("before/model.npz", "after/model.npz")
    status, out, _ = rnnsim_("diagnose", *files, "--data", "data.npz", "--output", place)
    assert status == 0
    assert "before/model.npz: The gradient vanishes on its way back, by -0.693 nats" in out
    assert "after/model.npz: The gradient vanishes on its way back, by -0.105 nats" in out
    row = next(line for line in out.splitlines() if line.startswith("gradient_rate: "))
    assert row.endswith("| apart")
    page = place.read_text(encoding="utf-8")
    assert "Diagnosis of before/model.npz and of after/model.npz" in page
    status, out, _ = rnnsim_("diagnose", files[0], files[0], "--data", "data.npz", "--json")
    both = json.loads(out)
    assert [both[which]["label"] for which in ("first", "second")] == [
        "before/model.npz (1)", "before/model.npz (2)",
    ]  # fmt: skip
    assert not any(row["apart"] for row in both["rows"])


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.pt"], ["a.pt"]),
        (["x/a.pt"], ["a.pt"]),
        (["a.pt", "b.pt"], ["a.pt", "b.pt"]),
        (["x/y/a.pt", "z/y/a.pt"], ["x/y/a.pt", "z/y/a.pt"]),
        (["x/a.pt", "a.pt"], ["x/a.pt", "a.pt"]),
        (["a.pt", "a.pt"], ["a.pt (1)", "a.pt (2)"]),
        (["a\x1b[2J\n\udcff.pt"], ["a?[2J??.pt"]),
    ],
)
def test_names(files, names):
    assert given.labels([Path(file) for file in files]) == names


def test_without_data_it_says_what_was_read_in_every_sentence(rnnsim_):
    status, out, err = rnnsim_("diagnose", "gru.npz", "--length", "40", "--n-sequences", "8",
                               "--json")  # fmt: skip
    assert (status, err) == (0, "")
    said = json.loads(out)
    assert said["about"]["provenance"] == {"data": "inputs from N(0, 1)", "seed": "0"}
    assert (said["about"]["n_steps"], said["about"]["n_sequences"]) == (40, 8)
    assert said["verdict"].startswith("On inputs from N(0, 1): ")
    for each in said["findings"]:
        if each["says"] == "not known" or each["over"] == "the weights alone":
            assert "N(0, 1)" not in each["words"]
        else:
            assert each["words"].startswith("On inputs from N(0, 1): ")
            assert each["over"].endswith(" of inputs from N(0, 1)")
    reach = next(each for each in said["findings"] if each["name"] == "reach_W_hh")
    assert reach["words"] == "Not known: --data with targets and a network with a readout."
    known = {each["name"] for each in said["findings"] if each["says"] != "not known"}
    assert {"gradient_rate", "lambda_1", "gates", "time_scale", "spectrum"} <= known


def test_the_draw_is_that_of_its_seed(here):
    files = [here / "gru.npz"]
    sizes = {"length": 30, "n_sequences": 4}
    one, same, other = (
        diagnosed(files, Settings(seed=seed, **sizes))["lambda_1"].number for seed in (0, 0, 1)
    )
    assert one == same != other


def test_ids_go_through_the_embedding(here, rnnsim_):
    line = ("diagnose", "words.npz", "--data", "ids.npz", "--embedding", "embedding", "--json")
    status, out, _ = rnnsim_(*line)
    assert status == 0
    said = json.loads(out)["about"]
    assert (said["n_inputs"], said["n_outputs"]) == (3, V)
    assert (said["n_steps"], said["n_sequences"]) == (200, 4)  # windows side by side
    status, out, err = rnnsim_(*line[:4])
    assert status == 2
    assert "give --embedding 'embedding' to use it" in err
    assert "`FILE` 'words.npz'" in err


def test_how_long_what_is_cut_is(here):
    files, ids = [here / "words.npz"], str(here / "ids.npz")
    more = {"embedding": "embedding", "data": ids}
    assert diagnosed(files, Settings(window=60, **more)).about["n_steps"] == 240
    assert diagnosed(files, Settings(window=600, **more)).about["n_steps"] == 899
    found = diagnosed(files, Settings(length=50, n_sequences=3, **more))
    assert (found.about["n_steps"], found.about["n_sequences"]) == (50, 3)


def test_layouts_and_readouts(here, rnnsim_):
    status, out, _ = rnnsim_("diagnose", "linear.npz", "--data", "turned.npz", "--layout", "btd")
    assert status == 0
    assert "12 sequences of 30 steps of turned.npz" in out
    status, out, _ = rnnsim_(
        "diagnose", "linear.npz", "--data", "data.npz", "--readout", "none", "--json"
    )
    found = json.loads(out)
    assert status == 0
    assert found["about"]["n_outputs"] == 0
    assert "(random cotangents at the last step)" in found["verdict"]


def test_the_mean_per_token_is_what_is_clipped(here):
    files, data = [here / "linear.npz"], str(here / "data.npz")
    norms = [
        np.array(diagnosed(files, Settings(data=data, clip_norm=1.0, mean_per_token=mean))
                 ["clipping_by_norm"].evidence["norm"])
        for mean in (False, True)
    ]  # fmt: skip
    np.testing.assert_allclose(norms[0] / norms[1], T)  # one loss a step


def test_the_exit_status_is_0_whatever_is_found(here, rnnsim_):
    for name, network in (("dead", dead()), ("lost", linear(1e12))):
        rnnsim.write_network(here / f"{name}.npz", network)
        status, out, err = rnnsim_("diagnose", f"{name}.npz", "--data", "data.npz")
        assert (status, err) == (0, "")
        assert "exactly 0" in out or "leave the range" in out


REFUSED = {
    "there": (("--output", "there.html"), "`--output` 'there.html' is there already"),
    "and how": (("--output", "there.html"), "replace it with --overwrite"),
    "ending": (("--output", "report.txt"), "`--output` 'report.txt' must end in .html"),
    "folder": (("--output", "after.html"), "`--output` 'after.html' is a folder"),
    "unwritable": (("--output", "there.html/a.html"), "`--output`"),
    "overwrite what": (("--overwrite",), "`--overwrite` replaces the report of --output"),
    "window": (("--window", "0"), "--window: `window` must be at least 1, got 0"),
    "batch": (("--batch-size", "0"), "--batch-size: "),
    "norm": (("--clip-norm", "-1"), "--clip-norm: "),
    "length": (("--length", "0"), "--length: "),
    "too long": (("--length", "31"), "--length: `length` must be at most 30"),
    "too many": (("--n-sequences", "13"), "--n-sequences: "),
    "seed": (("--seed", "-1"), "--seed: "),
    "prefix": (("--prefix", "other"), "`prefix`"),
    "readout": (("--readout", "other"), "`readout`"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_misuse_ends_with_one_line_before_anything_is_computed(name, here, rnnsim_, monkeypatch):
    (here / "there.html").write_text("mine")
    (here / "after.html").mkdir(exist_ok=True)
    if name not in ("window", "batch", "norm"):  # which `rnnsim.diagnose` checks
        monkeypatch.setattr(command.rnnsim, "diagnose", lambda *a, **k: pytest.fail("computed"))
    arguments, message = REFUSED[name]
    status, out, err = rnnsim_("diagnose", "linear.npz", "--data", "data.npz", *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert (here / "there.html").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.npz"], "`FILE` 'no.npz' does not exist"),
        (["data.npz"], "`FILE`"),
        (["linear.npz", "--data", "no.npz"], "--data: `data` 'no.npz' is not there"),
        (["words.npz", "--data", "data.npz"], "`--data` 'data.npz': inputs have n_inputs = 2 and"),
        (["linear.npz", "--layout", "btd"], "`layout` says how --data is read"),
    ],
)
def test_files_that_cannot_be_used(arguments, message, rnnsim_):
    status, out, err = rnnsim_("diagnose", *arguments)
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]


def test_an_ensemble_is_refused(here, rnnsim_):
    several = rnnsim.RNN.sample(2, n_inputs=2, n_hidden=4, n_outputs=1, rng=0)
    arrays = {name: getattr(several, name) for name in ("W_xh", "W_hh", "W_hy", "b_h", "b_y")}
    np.savez(here / "ensemble.npz", **arrays)
    status, _, err = rnnsim_("diagnose", "ensemble.npz", "--data", "data.npz")
    assert status == 2
    assert "ensemble.npz" in err


def test_flags_of_a_file(here, rnnsim_):
    (here / "flags.toml").write_text('data = "data.npz"\nwindow = 9\n')
    status, out, _ = rnnsim_("diagnose", "linear.npz", "--config", "flags.toml")
    assert status == 0
    assert "of data.npz, window 9" in out


def test_help_names_it(rnnsim_):
    status, out, _ = rnnsim_("help", "diagnose")
    assert status == 0
    assert "rnnsim diagnose FILE [OTHER]" in out
    for flag in ("data", "window", "batch-size", "clip-norm", "clip-value", "layout", "prefix",
                 "layer", "readout", "embedding", "output", "json", "overwrite"):  # fmt: skip
        assert f"--{flag}" in out


def test_as_a_program_without_a_terminal(here):
    program = str(Path(sys.executable).with_name("rnnsim"))
    line = [program, "diagnose", "linear.npz", "--data", "data.npz", "--json"]
    done = subprocess.run(line, cwd=here, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["label"] == "linear.npz"
