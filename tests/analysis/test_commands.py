"""The commands, run as a user runs them."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = "--gain 0.5 1 --length 6 9 --n-hidden 5 --network-seeds 2 --batch-size 2".split()


def rnnsim(*arguments, cwd, module=False):
    program = [sys.executable, "-m", "analysis"]
    if not module:
        program = [str(Path(sys.executable).with_name("rnnsim"))]
    return subprocess.run(
        [*program, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("commands")
    result = rnnsim("gradient-norms", *TINY, "--output", "run", cwd=place)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""  # no progress bar without a terminal, no warnings
    (place / "printed").write_text(result.stdout)
    return place


def test_figures_data_configuration_and_words_are_left(folder):
    run = folder / "run"
    names = "norm-against-lag norm-against-length contributions-against-time map-time-lag".split()
    for name in [*names, "phase-gain-length"]:
        assert (run / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (run / f"{name}.svg").read_text()
    assert sorted(p.name for p in (run / "data").iterdir()) == [
        "all-steps.zarr",
        "last-step.zarr",
        "map.zarr",
    ]
    configuration = tomllib.loads((run / "configuration.toml").read_text())
    assert configuration["gain"] == [0.5, 1.0]
    assert configuration["n-hidden"] == 5
    words = (run / "summary.txt").read_text()
    assert "gradients vanish" in words
    assert (folder / "printed").read_text().endswith(words)
    assert not list(run.rglob("*.partial*"))


def test_from_redraws_without_computing(folder):
    result = rnnsim("gradient-norms", "--from", "run", "--output", "again", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert not (folder / "again" / "data").exists()
    assert (folder / "again" / "summary.txt").read_text() == (
        folder / "run" / "summary.txt"
    ).read_text()
    for svg in (folder / "run").glob("*.svg"):
        assert (folder / "again" / svg.name).read_bytes() == svg.read_bytes()


def test_a_configuration_file_gives_the_same_run_and_flags_override_it(folder):
    settings = ("--config", "run/configuration.toml")
    result = rnnsim("gradient-norms", *settings, "--output", "same", cwd=folder, module=True)
    assert result.returncode == 0, result.stderr
    saved = (folder / "same" / "configuration.toml").read_text()
    assert saved == (folder / "run" / "configuration.toml").read_text()
    assert (folder / "same" / "summary.txt").read_text() == (
        folder / "run" / "summary.txt"
    ).read_text()
    more = ("--gain", "0.7", "--map-gain", "0.7", "--output", "other")
    result = rnnsim("gradient-norms", *settings, *more, cwd=folder)
    assert result.returncode == 0, result.stderr
    other = tomllib.loads((folder / "other" / "configuration.toml").read_text())
    assert other["gain"] == [0.7]
    assert other["n-hidden"] == 5


@pytest.mark.parametrize("command", ["truncation", "spectra"])
def test_other_commands(command, tmp_path):
    sizes = TINY if command == "truncation" else [*TINY[:3], "--length", "9", *TINY[6:]]
    result = rnnsim(command, *sizes, "--output", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert len(list((tmp_path / "out").glob("*.png"))) == {"truncation": 5, "spectra": 5}[command]
    assert (tmp_path / "out" / "summary.txt").read_text().strip()


CHAOS = "--gain 0.5 1.5 --n-hidden 4 --network-seeds 2 --n-steps 60 --burn-in 20".split()


@pytest.mark.parametrize(
    ("command", "more", "n_figures"),
    [
        ("lyapunov", "--transition-n-hidden 4 --block-steps 2 --driven --task adding", 5),
        ("phase-diagram", "--strength 0 1 --drive bias", 2),
        ("phase-diagram", "--strength 0 1 --cell vanilla lstm --n-layers 1 2", 8),
    ],
)
def test_commands_of_exponents_and_their_figures_drawn_again(command, more, n_figures, tmp_path):
    result = rnnsim(command, *CHAOS, *more.split(), "--output", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert len(list((tmp_path / "out").glob("*.png"))) == n_figures
    words = (tmp_path / "out" / "summary.txt").read_text()
    assert "argest" in words
    assert result.stdout.endswith(words)
    result = rnnsim(command, "--from", "out", "--output", "again", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for svg in (tmp_path / "out").glob("*.svg"):
        assert (tmp_path / "again" / svg.name).read_bytes() == svg.read_bytes()
    assert (tmp_path / "again" / "summary.txt").read_text() == words


@pytest.mark.parametrize(
    ("command", "tiny"),
    [
        (
            "isometry",
            "--gain 1 --lags 1 3 --length 5 --exponent-steps 30 --n-hidden 4 --network-seeds 1 "
            "--batch-size 1 --scheme orthogonal",
        ),
        (
            "nonnormal",
            "--scale 0 2 --plane-scale 2 --length 6 --n-points 5 --n-hidden 4 --network-seeds 1 "
            "--batch-size 1 --activation tanh",
        ),
        (
            "cells",
            "--task adding --forget-bias 1 --chrono 0 --length 22 --n-hidden 4 --network-seeds 1 "
            "--batch-size 1",
        ),
        (
            "depth",
            "--task adding --n-layers 1 2 --length 22 --n-hidden 3 --network-seeds 1 "
            "--batch-size 1",
        ),
    ],
    ids=["isometry", "nonnormal", "cells", "depth"],
)
def test_the_command_and_drawing_again(command, tiny, tmp_path):
    for arguments in ([*tiny.split(), "--output", "run"], ["--from", "run", "--output", "again"]):
        result = rnnsim(command, *arguments, cwd=tmp_path, module=True)
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
    pictures = sorted((tmp_path / "run").glob("*.svg"))
    assert len(pictures) == {"cells": 5, "depth": 5}.get(command, 3)
    for picture in pictures:
        assert (tmp_path / "again" / picture.name).read_bytes() == picture.read_bytes()


LEARNING = "--length 12 --n-hidden 4 --network-seeds 1 --batch-size 2".split()


@pytest.mark.parametrize(
    ("command", "more", "n_figures", "n_films"),
    [
        ("training", "--gain 1 --n-updates 4 --record-every 2 --snapshot-every 2", 6, 1),
        ("window", "--delay 3 --windows 2 12 --n-batches 2", 2, 0),
    ],
)
def test_commands_that_train(command, more, n_figures, n_films, tmp_path):
    result = rnnsim(command, *LEARNING, *more.split(), "--output", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert len(list((tmp_path / "out").glob("*.png"))) == n_figures
    assert len(list((tmp_path / "out").glob("*.gif"))) == n_films
    assert not list((tmp_path / "out").rglob("*.partial*"))
    assert result.stdout.endswith((tmp_path / "out" / "summary.txt").read_text())


GATED = "--cell lstm gru --forget-bias 1".split()


def test_commands_of_several_cells_and_their_figures_drawn_again(tmp_path):
    result = rnnsim("truncation", *TINY, *GATED, "--output", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    names = {picture.stem for picture in (tmp_path / "out").glob("*.svg")}
    assert "cells-beside-each-other" in names
    assert {"sufficient-window-lstm-forget-bias-1", "sufficient-window-gru-forget-bias-1"} < names
    settings = tomllib.loads((tmp_path / "out" / "configuration.toml").read_text())
    assert (settings["cell"], settings["forget-bias"]) == (["lstm", "gru"], [1.0])
    again = rnnsim("truncation", "--from", "out", "--output", "again", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    for svg in (tmp_path / "out").glob("*.svg"):
        assert (tmp_path / "again" / svg.name).read_bytes() == svg.read_bytes()
    words = (tmp_path / "again" / "summary.txt").read_text()
    assert words.startswith("LSTM, forget bias 1:\n")
    assert words == (tmp_path / "out" / "summary.txt").read_text()


def test_portrait_is_one_page(tmp_path):
    sizes = "--gain 1.1 --length 22 --n-hidden 5 --batch-size 2".split()
    result = rnnsim("portrait", *sizes, "--output", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert [p.name for p in (tmp_path / "out").glob("*.png")] == ["portrait.png"]
    assert (tmp_path / "out" / "summary.txt").read_text() in result.stdout
    settings = tomllib.loads((tmp_path / "out" / "configuration.toml").read_text())
    assert settings["gain"] == 1.1
    result = rnnsim("portrait", "--weights", "absent.npz", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("rnnsim: --weights: `weights` 'absent.npz' does not exist")


def test_architectures_one_at_a_time(tmp_path):
    sizes = "--n-updates 2 --network-seeds 1 --n-hidden 4 --batch-size 2 --dtype float64".split()
    sizes += ["--cell", "vanilla"]
    result = rnnsim("architectures", "--architecture", "captions", *sizes, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    place = tmp_path / "results" / "architectures"
    names = sorted(p.name for p in place.glob("*.png"))
    assert names == ["gradient-flow-captions.png", "held-out-scores.png", "pixels-captions.png"]
    assert [p.name for p in (place / "data").iterdir()] == ["captions.zarr"]
    assert (place / "summary.txt").read_text().startswith("Captions\n")
    result = rnnsim("architectures", "--architecture", "haiku", cwd=tmp_path)
    assert result.returncode == 2
    assert "`name` must be one of 'characters'" in result.stderr


def test_architectures_read_a_text_of_ones_own(tmp_path):
    words = "the quick brown fox jumps over a lazy dog while nobody looks at it".split()
    order = [(i * i + 3 * i) % 11 + i % 3 for i in range(400)]
    (tmp_path / "own.txt").write_text(" ".join(f"{words[k]}{i}" for i, k in enumerate(order)))
    sizes = "--n-updates 5 --network-seeds 1 --n-hidden 4 --batch-size 2 --n-steps 10".split()
    sizes += ["--cell", "vanilla"]
    command = ["architectures", "--architecture", "characters", *sizes, "--dtype", "float64"]
    options = "--text own.txt --learning-rate 0.01 0.02 --output out".split()
    result = rnnsim(*command, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "of 0.01, 0.02 none had a lower loss on validation data" in result.stdout
    assert 'text = "own.txt"' in (tmp_path / "out" / "configuration.toml").read_text()
    again = rnnsim("architectures", "--from", "out", "--output", "again", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    summaries = [(tmp_path / place / "summary.txt").read_text() for place in ("out", "again")]
    assert summaries[0] == summaries[1]
    missing = rnnsim(*command, "--text", "none.txt", cwd=tmp_path)
    assert missing.returncode == 2
    assert "`text` must be the path of a file in UTF-8, got 'none.txt'" in missing.stderr


def test_demo_runs_every_part_and_ends_with_words(tmp_path):
    sizes = "--n-hidden 4 --network-seeds 1 --batch-size 1".split()
    result = rnnsim("demo", *sizes, "--output", "results", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    parts = "gradient-norms truncation spectra".split()
    words = []
    for part in parts:
        assert list((tmp_path / "results" / part).glob("*.svg"))
        assert (tmp_path / "results" / part / "configuration.toml").exists()
        words.append((tmp_path / "results" / part / "summary.txt").read_text())
    assert result.stdout.endswith("\n\n" + "\n".join(words))
    configuration = tomllib.loads(
        (tmp_path / "results/gradient-norms/configuration.toml").read_text()
    )
    assert len(configuration["gain"]) >= 10
    assert len(configuration["length"]) >= 4
    assert configuration["task"] == "characters"


def test_a_quick_demo_is_a_portrait_and_a_picture_of_gain_and_length(tmp_path):
    sizes = "--n-hidden 4 --network-seeds 1 --batch-size 1 --cell gru vanilla".split()
    result = rnnsim("demo", "--quick", *sizes, "--output", "results", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    results = tmp_path / "results"
    assert sorted(each.name for each in results.iterdir()) == ["phase", "portrait"]
    names = ["phase-gain-length-gru.png", "phase-gain-length-vanilla.png", "portrait.png"]
    assert sorted(each.name for each in results.rglob("*.png")) == names
    words = [(results / part / "summary.txt").read_text() for part in ("portrait", "phase")]
    assert result.stdout.endswith("\n\n" + "\n".join(words))
    assert "GRU" in words[0]
    again = rnnsim("demo", "--from", "results", "--output", "again", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again/phase/summary.txt").read_text() == words[1]


def test_help_names_every_flag():
    text = rnnsim("gradient-norms", "--help", cwd=ROOT).stdout
    for (
        flag
    ) in "task gain length n-hidden network-seeds batch-size scheme activation map-gain".split():
        assert f"--{flag}" in text
    assert "--from" in text
    assert "--config" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gradient-norms", "--gians", "1"], "--gians"),
        (["gradient-norms", "--gain", "much"], "much"),
        (["gradient-norms", "--scheme", "glorot"], "`scheme` must be one of 'gaussian'"),
        (["gradient-norms", "--task", "subtracting"], "`task` must be one of"),
        (["gradient-norms", "--n-threads", "0"], "`n_threads` must be at least 1"),
        (["truncation", "--windows", "0"], "`windows` must be at least 1"),
        (["truncation", "--forget-bias", "1"], "--forget-bias: `forget_bias` sets the bias of a"),
        (["truncation", "--n-layers", "0"], "--n-layers: `n_layers` must be at least 1, got 0"),
        (["isometry", "--n-layers", "1.5"], "it must be a whole number, got '1.5'"),
        (["window", "--n-layers", "2", "2"], "--n-layers: `n_layers` must hold at least one value"),
        (["portrait", "--cell", "tree"], "--cell: `cell` must be one of 'vanilla', 'lstm', 'gru'"),
        (["lyapunov", "--n-steps", "300"], "`n_steps` must be at least 900"),
        (["phase-diagram", "--strength", "-1"], "`strength` must not be negative"),
        (
            ["cells", "--state-scale", "max"],
            "`state_scale` must be one of 'std', 'none', got 'max'",
        ),
        (["cells", "--chrono", "1.5"], "--chrono: `chrono` must be a finite number"),
        (["phase-diagram", "--task", "adding"], "--task"),  # its inputs are white noise
        (["gradient-norms", "--config", "absent.toml"], "absent.toml"),
        (["gradient-norms", "--from", "absent"], "must name the folder of an earlier run"),
        (["gradient-norms", "--output", "file/below"], "cannot be written"),
        (["portrait-of-a-lady"], "portrait-of-a-lady"),
    ],
)
def test_misuse_ends_with_one_message_and_nothing_written(arguments, message, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    result = rnnsim(*arguments, cwd=tmp_path)
    assert result.returncode != 0
    assert message in " ".join((result.stderr + result.stdout).split())
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("*.png"))
    assert not list(tmp_path.rglob("*.zarr"))


def test_unknown_keys_in_a_configuration_file_are_refused(tmp_path):
    (tmp_path / "mine.toml").write_text("gian = [1.0]\n")
    result = rnnsim("gradient-norms", "--config", "mine.toml", cwd=tmp_path)
    assert result.returncode != 0
    assert "gian" in result.stderr + result.stdout


def test_data_of_another_analysis_and_damaged_data_are_refused(folder):
    result = rnnsim("truncation", "--from", "run", "--output", "wrong", cwd=folder)
    assert result.returncode == 2
    assert "saved by another analysis" in result.stderr
    copy = folder / "damaged" / "data"
    copy.parent.mkdir()
    subprocess.run(["cp", "-r", str(folder / "run" / "data"), str(copy)], check=True)
    chunk = next(p for p in sorted(copy.rglob("*")) if p.is_file() and p.name != "zarr.json")
    chunk.unlink()
    result = rnnsim("gradient-norms", "--from", "damaged", "--output", "wrong", cwd=folder)
    assert result.returncode == 2
    assert "damaged" in result.stderr
