"""The gallery: every script runs by itself, draws, and says what is so."""

import ast
import runpy
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import analysis
import rnnsim
from rnnsim import kernels

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
LINKS = GALLERY.parent / "api" / "backreferences"
SCRIPTS = {path.stem: path for path in sorted(GALLERY.rglob("plot_*.py"))}
PUBLIC = {"rnnsim": rnnsim, "analysis": analysis, "kernels": kernels}
PROMISED = (
    "bptt truncated_bptt gradient_flow sufficient_window growth_rate reach window_bias_variance "
    "gradient_map lyapunov_spectrum jacobian_products spectrum pseudospectrum nonnormality "
    "transient_growth with_departure sweep cell_sweep phase_sweep load train diagnose "
    "from_state_dict"
).split()


def tree(name):
    return ast.parse(SCRIPTS[name].read_text(encoding="utf-8"))


def chains(name):
    """Names of modules and their attributes, as `rnnsim.tasks.adding`."""
    for node in ast.walk(tree(name)):
        attributes = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in PUBLIC and attributes:
            yield node.id, attributes[::-1]


def test_there_are_fifteen_to_twenty_in_sections():
    assert 15 <= len(SCRIPTS) <= 20
    assert len(SCRIPTS) == len([*GALLERY.rglob("plot_*.py")])  # no two of one name
    for folder in {GALLERY, *(path.parent for path in SCRIPTS.values())}:
        assert (folder / "GALLERY_HEADER.rst").exists()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_a_title_and_asks_something(name):
    lines = ast.get_docstring(tree(name)).splitlines()
    assert lines[1] == "=" * len(lines[0])
    assert "?" in "\n".join(lines)


@pytest.mark.parametrize("name", SCRIPTS)
def test_only_public_names_are_called(name):
    for module, attributes in chains(name):
        thing = PUBLIC[module]
        if attributes[0] in ("tasks", "theory"):
            if len(attributes) == 1:
                continue  # what is below it comes by itself
            thing, attributes = getattr(thing, attributes[0]), attributes[1:]
        assert attributes[0] in thing.__all__, f"{module}.{attributes[0]}"
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith(("rnnsim", "analysis")):
            assert (node.module, node.names[0].name) == ("rnnsim", "kernels")


def test_what_was_promised_is_called_and_linked_from_the_api():
    called = {attributes[0] for name in SCRIPTS for _, attributes in chains(name)}
    assert not {*PROMISED} - called
    if LINKS.exists():
        empty = [
            each
            for each in PROMISED
            if not (LINKS / f"rnnsim.{each}.examples").exists()
            or "thumbnail" not in (LINKS / f"rnnsim.{each}.examples").read_text(encoding="utf-8")
        ]
        assert not empty


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What each script leaves, and how many figures; run once, each in a folder of its own."""
    import matplotlib.pyplot as plt

    found = {}

    def of(name):
        if name not in found:
            with pytest.MonkeyPatch.context() as patch, mpl.rc_context():
                patch.chdir(tmp_path_factory.mktemp(name))
                plt.switch_backend("agg")
                left = runpy.run_path(str(SCRIPTS[name]), run_name="__main__")
                for number in plt.get_fignums():
                    plt.figure(number).canvas.draw()
                found[name] = left, len(plt.get_fignums())
                plt.close("all")
                assert not [*Path().iterdir()], "a script leaves files"
        return found[name]

    return of


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_and_draws_one_picture_or_two(ran, name):
    assert ran(name)[1] in (1, 2)


def test_norms_far_below_the_range_are_numbers(ran):
    left = ran("plot_02_beyond_the_range")[0]
    assert left["decades"][0, -1] < -2000
    assert left["parts"][0] == left["parts"][1] == 0
    assert not np.isfinite(left["parts"][2])


def test_the_rate_into_a_layer_is_the_largest_up_to_the_top(ran):
    left = ran("plot_03_which_layer_forgets")[0]
    own = left["own"]
    assert own[1] > own[2] > own[0]
    rates = [rnnsim.growth_rate(each, (30, 58)).rate[0] for each in left["flow"].layers]
    assert np.abs(rates - np.array([own[1], own[1], own[2]])).max() < 0.05


def test_the_window_of_the_one_pass_is_that_of_the_function(ran):
    left = ran("plot_01_sufficient_window")[0]
    window = int(left["enough"][0])
    error = np.linalg.norm(left["cut"] - left["full"]) / np.linalg.norm(left["full"])
    assert error == pytest.approx(np.exp(left["flow"].window_log_error[0, window - 1]), rel=1e-9)
    assert error <= 0.1 < np.exp(left["flow"].window_log_error[0, window - 2])


def test_segments_lose_more_at_the_same_window_and_as_much_at_the_same_reach(ran):
    left = ran("plot_02_segments_and_sliding")[0]
    sliding, segments = np.array(left["sliding"][1:-1]), np.array(left["segments"][1:-1])
    assert (segments > sliding).all()
    reach = (np.array(left["windows"][1:-1]) + 1) / 2
    same = np.interp(np.log(reach), np.log(left["windows"][:-1]), left["sliding"][:-1])
    assert np.abs(segments / same - 1).max() < 0.1  # "nearly", as the script says


def test_short_windows_have_the_wrong_sign(ran):
    left = ran("plot_03_wrong_sign")[0]
    slopes = dict(zip(left["windows"], left["slopes"], strict=True))
    assert [slopes[K] for K in (1, 10)] == pytest.approx([1, 10])
    assert left["exact"] == pytest.approx(-6, abs=1e-3)  # what 100 steps of decay leave
    assert slopes[left["turn"] - 1] > 0 > slopes[left["turn"]]


def test_larger_batches_have_the_longer_best_window(ran):
    found = ran("plot_04_best_window")[0]["found"]
    assert found.best_window(1)[0] < found.best_window(16)[0]


def test_a_window_that_reaches_learns(ran):
    left = ran("plot_05_learning_through_a_window")[0]
    last = left["last"]
    assert last[12] < last[10] < last[8]


def test_the_path_through_c_carries_with_an_open_gate(ran):
    left = ran("plot_01_path_through_c")[0]
    assert left["bias"] == 3
    assert left["part"] > 0.8


def test_reach_grows_with_the_forget_bias(ran):
    medians = ran("plot_02_forget_bias")[0]["data"].reach.median("network_seed").values
    assert (np.diff(medians) > 0).all()


def test_norms_of_chrono_are_near_their_theory(ran):
    left = ran("plot_03_chrono")[0]
    assert left["found"] == pytest.approx(np.exp(left["theory"][100]), rel=1e-9)  # one bias: exact
    flow = left["flow"]
    assert np.isfinite(flow.log_norms_c[:, 0]).all()


def test_the_norm_of_skewed_powers_lies_above_the_kreiss_constant(ran):
    left = ran("plot_02_pseudospectrum")[0]
    assert np.exp(left["growth"].max()) >= left["kreiss"] > 1


def test_exponents_of_small_networks_lie_near_mean_field(ran):
    left = ran("plot_03_lyapunov_spectrum")[0]
    assert (left["found"].exponents[:, 0] > 0).all()
    assert (left["growing"] < 0.2 * left["n_hidden"]).all()


def test_chaos_and_exploding_gradients_go_together(ran):
    left = ran("plot_04_chaos_and_input")[0]
    assert left["agree"] > 0.9
    chaotic = (left["data"].lyapunov_exponent > 0).sum(["gain", "network_seed"])
    assert chaotic[-1] < chaotic[0]


def test_the_compiled_loop_starts_from_the_gradient_of_bptt(ran):
    left = ran("plot_02_own_kernel")[0]
    assert left["norms"][0] == pytest.approx(left["first"], rel=1e-12)  # sums in another order
    assert left["losses"][-1] < left["losses"][0]


def test_a_sweep_goes_on_and_measures_nothing_twice(ran):
    left = ran("plot_03_resumed_sweep")[0]
    assert left["again"].identical(left["whole"])
    assert 0 < left["known"] < 1
