"""Several cells in one run: which kinds there are, their names and files, what compares them."""

import numpy as np
import pytest
import xarray as xr
from artists import configured, titled
from matplotlib.colors import to_hex

from analysis.frame import cells, figures


def dataset(**axes):
    """Exponents, 8 of them, of some cells and forget biases, by their place."""
    sizes = [len(labels) for labels in axes.values()]
    values = np.arange(8.0 * int(np.prod(sizes))).reshape(*sizes, 8)
    data = xr.Dataset({"lyapunov_exponent": ((*axes, "exponent"), values)}, axes)
    return configured(data.assign_attrs(configuration="{}"), n_hidden=4)


BOTH = {"cell": ["vanilla", "lstm", "gru"], "forget_bias": [0.0, 1.5]}
NAMES = [
    "vanilla networks", "LSTM, forget bias 0", "LSTM, forget bias 1.5", "GRU, forget bias 0",
    "GRU, forget bias 1.5",
]  # fmt: skip


def test_kinds_are_the_combinations_that_exist():
    kinds = cells.kinds_of({"all": dataset(**BOTH)})
    assert [kind.name for kind in kinds] == NAMES
    assert [kind.suffix for kind in kinds] == [
        "-vanilla", "-lstm-forget-bias-0", "-lstm-forget-bias-1.5", "-gru-forget-bias-0",
        "-gru-forget-bias-1.5",
    ]  # fmt: skip
    assert [kind.cell for kind in kinds] == ["vanilla", "lstm", "lstm", "gru", "gru"]


def test_a_kind_has_the_numbers_of_its_state_alone():
    for kind in cells.kinds_of({"all": dataset(**BOTH)}):
        data = kind.datasets["all"]
        assert data.sizes == {"exponent": 8 if kind.cell == "lstm" else 4}
        whole = dataset(**BOTH).lyapunov_exponent
        bias = cells.forget_bias_of(data)
        expected = whole.sel(cell=kind.cell, forget_bias=bias)[: data.sizes["exponent"]]
        np.testing.assert_array_equal(data.lyapunov_exponent, expected)
        assert cells.is_gated(data) == (kind.cell != "vanilla")
        assert cells.units(data, "relu").startswith(("relu", "LSTM", "GRU"))


def test_what_was_not_chosen_is_not_named():
    (usual,) = cells.kinds_of({"all": dataset(gain=[1.0])})
    assert (usual.cell, usual.name, usual.suffix) == ("vanilla", "", "")
    (alone,) = cells.kinds_of({"all": dataset(cell=["gru"])})
    assert (alone.cell, alone.name, alone.suffix) == ("gru", "GRU", "")


def plain(datasets):
    figure, _ = figures.new_figure()
    return {"plain": figure}


def with_legend(datasets):
    figure, ax = figures.new_figure()
    figure.legend(ax.plot([0, 1], label="line"), ["line"], loc="outside upper center")
    return {"legend": figure}


def test_every_figure_says_which_kind_it_is_of():
    with figures.style():
        drawn = cells.drawn({"all": dataset(**BOTH)}, plain, state=" (S)")
        legends = cells.drawn({"all": dataset(**BOTH)}, with_legend)
        usual = cells.drawn({"all": dataset(gain=[1.0])}, plain)
    assert [f"plain{k.suffix}" for k in cells.kinds_of({"": dataset(**BOTH)})] == list(drawn)
    titles = [figure.get_suptitle() for figure in drawn.values()]
    assert titles == [name + " (S)" * name.startswith("LSTM") for name in NAMES]
    for name, figure in zip(NAMES, legends.values(), strict=True):  # not one above the other
        assert figure.get_suptitle() == ""
        assert figure.legends[0].get_title().get_text().startswith(name)
    assert list(usual) == ["plain"]
    assert usual["plain"].get_suptitle() == ""


@pytest.mark.parametrize("label", [r"$\partial h_t$", "loss"])
def test_what_h_stands_for_is_said_where_it_stands(label):
    def of_h(_):
        figure, ax = figures.new_figure()
        ax.set_ylabel(label)
        return {"h": figure}

    (vanilla, lstm) = cells.drawn({"all": dataset(cell=["vanilla", "lstm"])}, of_h).values()
    assert vanilla.get_suptitle() == "vanilla networks"
    assert (r"\partial h" in lstm.get_suptitle()) == (r"\partial h" in label)


def test_sentences_stand_under_the_name_of_their_kind():
    words = cells.told(
        {"all": dataset(cell=["vanilla", "lstm"])},
        lambda found: [f"{int(found['all'].lyapunov_exponent[0])}."],
    )
    assert words == ["Vanilla networks:", "0.", "LSTM:", "8."]
    assert cells.told({"all": dataset(gain=[1.0])}, lambda _: ["One."]) == ["One."]


@pytest.mark.parametrize("biases", [[0.0], [0.0, 1.0], [0.0, 1.0, 2.0, 3.0, 4.0]])
def test_no_panel_compares_more_than_four_kinds(biases):
    kinds = cells.kinds_of({"all": dataset(cell=BOTH["cell"], forget_bias=biases)})
    seen, looks = {}, {}

    def plot(kind, gain, ax, style):
        seen.setdefault((id(ax), gain), []).append(style["label"])
        looks[style["label"]] = (style["color"], style["index"])
        ax.plot([0, 1], label=style["label"], color=style["color"])
        ax.set(xlabel="x", ylabel="y")

    figure, axes = cells.beside(kinds, [0.5, 1.0], plot)
    assert axes.shape[1] == 2
    assert max(map(len, seen.values())) <= 4
    named = [name for (_, gain), names in seen.items() for name in names if gain == 0.5]
    assert sorted(named) == sorted(kind.name for kind in kinds)
    if len(kinds) > 4:  # then a row has one cell
        assert all(len({name[:3] for name in names}) == 1 for names in seen.values())
    else:
        assert axes.shape[0] == 1
    for names in seen.values():  # told apart in colour and by marker
        assert len({looks[name][0] for name in names}) == len(names)
        assert len({looks[name][1] for name in names}) == len(names)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [kind.name for kind in kinds]
    assert [titled(ax) for ax in axes[0]] == ["gain 0.5", "gain 1"]
    assert [ax.get_ylabel() for ax in axes[-1]] == ["y", ""]
    figure.draw_without_rendering()


@pytest.mark.parametrize("biases", [[0.0], [0.0, 1.0]])
@pytest.mark.parametrize("chosen", [["vanilla", "lstm", "gru"], ["gru", "lstm"], ["lstm"]])
def test_a_cell_looks_the_same_in_every_comparison(chosen, biases):
    """Of several kinds of one cell the first has its look."""
    looks = {}

    def plot(kind, gain, ax, style):
        looks.setdefault(kind.cell, (to_hex(style["color"]), figures.MARKERS[style["index"]]))

    cells.beside(cells.kinds_of({"all": dataset(cell=chosen, forget_bias=biases)}), [1.0], plot)
    markers = {"vanilla": "o", "gru": "s", "lstm": "^"}
    assert looks == {cell: (figures.CELLS[cell].lower(), markers[cell]) for cell in chosen}


@pytest.mark.parametrize(("cell", "bias", "gain"), [("lstm", 1.0, 1.07577), ("gru", 3.0, 2.0)])
def test_where_rest_loses_stability(cell, bias, gain):
    (kind,) = cells.kinds_of({"all": dataset(cell=[cell], forget_bias=[bias])})
    found = cells.gain_at_rest(kind.datasets["all"], "gaussian")
    assert found == pytest.approx(gain, abs=1e-5)
    uniform = cells.gain_at_rest(kind.datasets["all"], "uniform")
    assert uniform == pytest.approx(np.sqrt(3) * found)


def test_depths_are_kinds_too():
    """Each with the numbers of its states, which those of more layers have more of."""
    made = dataset(cell=["vanilla", "lstm"], n_layers=[1, 2])
    data = {"all": configured(made, n_hidden=2)}
    kinds = cells.kinds_of(data)
    assert [(kind.name, kind.suffix, kind.n_layers) for kind in kinds] == [
        ("vanilla networks, 1 layer", "-vanilla-1-layer", 1),
        ("vanilla networks, 2 layers", "-vanilla-2-layers", 2),
        ("LSTM, 1 layer", "-lstm-1-layer", 1),
        ("LSTM, 2 layers", "-lstm-2-layers", 2),
    ]
    parts = [kind.datasets["all"] for kind in kinds]
    assert [part.sizes["exponent"] for part in parts] == [2, 4, 4, 8]
    assert [cells.is_plain(part) for part in parts] == [True, False, False, False]
    assert [cells.last_index(part) for part in parts] == ["H", "2H", "2H", "4H"]
    assert cells.units(parts[3], "tanh") == "LSTM units in each of 2 layers"
    assert cells.units(parts[0], "tanh") == "tanh units"
    (alone,) = cells.kinds_of({"all": dataset(n_layers=[3])})
    assert (alone.cell, alone.name, alone.suffix) == ("vanilla", "vanilla networks, 3 layers", "")


@pytest.mark.parametrize(
    ("axes", "text"),
    [
        ({"n_layers": [1]}, "vanilla networks, 1 layer"),
        ({"n_layers": [2]}, "vanilla networks, 2 layers: of the states of all layers"),
        ({"cell": ["lstm"]}, "LSTM: of the state $(h, c)$"),
        (
            {"cell": ["lstm"], "n_layers": [2]},
            "LSTM, 2 layers: of the states $(h, c)$ of all layers",
        ),
    ],
)
def test_a_title_says_what_a_state_is(axes, text):
    (figure,) = cells.drawn({"all": dataset(**axes)}, plain, state=": of %s").values()
    assert figure.get_suptitle() == text
    (figure,) = cells.drawn({"all": dataset(**axes)}, plain, state="").values()
    assert figure.get_suptitle() == text.split(":")[0]


def test_stacks_rest_where_their_layers_do():
    (kind,) = cells.kinds_of({"all": dataset(n_layers=[2])})
    data = kind.datasets["all"]
    assert cells.gain_at_rest(data, "gaussian", "tanh") == 1.0
    assert cells.gain_at_rest(data, "uniform", "linear") == pytest.approx(np.sqrt(3))
    assert cells.gain_at_rest(data, "gaussian", "sigmoid") is None
    assert cells.gain_at_rest(data, "pytorch", "tanh") is None


def test_a_long_title_stays_inside_a_narrow_figure():
    def narrow(_):
        figure, ax = figures.new_figure(figsize=(4, 4))
        ax.set_ylabel(r"$\partial h_t$")
        return {"narrow": figure}

    with figures.style():
        data = dataset(cell=["lstm"], n_layers=[2], forget_bias=[1.0])
        (figure,) = cells.drawn({"all": data}, narrow).values()
        figure.canvas.draw()
        box = figure._suptitle.get_window_extent()
    assert len(figure.get_suptitle()) > 50
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
