"""Which layers of Keras' graphs read which, by the configurations of Keras 3 and 2."""

import pytest

from rnnsim.importing.contents import Entry
from rnnsim.importing.formats.keras import layers
from rnnsim.importing.formats.keras.config import folder_of, modules

H = 3
SIZES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}


def tensor(name, index=0):
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, index]}}


def keras3(args, **kwargs):
    given = {"args": [tensor(*each) for each in args], "kwargs": kwargs}
    return [given]


def keras2(args, **kwargs):
    return [[[name, 0, (index or [0])[0], kwargs] for name, *index in args]]


def layer(kind, name, *reads, style=keras3, calls=1, given=(), **config):
    """A layer of H units that reads others, each a name or a name and the number of an output."""
    args = [(each,) if isinstance(each, str) else each for each in reads]
    nodes = style(args, **dict(given)) * calls if args else []
    settings = {"name": name, "return_sequences": True, **config}
    return {"class_name": kind, "name": name, "config": settings, "inbound_nodes": nodes}


def model(*parts, ends=("x",), starts=("x",)):
    config = {"layers": list(parts)}
    config["input_layers"] = [[name, 0, 0] for name in starts]
    config["output_layers"] = [[name, 0, 0] for name in ends]
    return {"class_name": "Functional", "config": config}


def arrays(module):
    """Made-up arrays of a layer."""
    gates = SIZES.get(module.kind, 0)
    shapes = {"cell/kernel": (H, gates * H), "cell/recurrent_kernel": (H, gates * H)}
    shapes = shapes if gates else {"kernel": (H, H)}
    return {
        f"{module.name}/{name}": Entry(shape, "float32", lambda: None)
        for name, shape in shapes.items()
    }


def found(*parts, **ends):
    def places(place, inside):
        return [f"{place}/{name}" for _, name in inside]

    return layers.found(modules(model(layer("InputLayer", "x"), *parts, **ends), places), arrays)


@pytest.mark.parametrize("style", [keras3, keras2])
def test_layers_that_read_each_other_are_one_network(style):
    def names(*parts):
        return list(found(*parts).networks)

    def gru(name, *reads, **options):
        return layer("GRU", name, *reads, style=style, **options)

    drop = layer("Dropout", "drop", "a", style=style)
    assert names(gru("a", "x"), drop, gru("b", "drop"), gru("c", "b")) == ["a+b+c"]
    assert names(gru("a", "x", return_sequences=False), gru("b", "a")) == ["a", "b"]
    assert names(gru("a", "x"), gru("b", ("a", 1))) == ["a", "b"]  # its last state
    assert names(gru("a", "x"), gru("b", "a"), gru("c", "a")) == ["a", "b", "c"]
    assert names(gru("a", "x"), gru("b", "a", calls=2)) == ["a", "b"]
    assert names(gru("a", "x"), layer("LSTM", "b", "a", style=style)) == ["a", "b"]
    summed = layer("Add", "sum", "x", "a", style=style)
    assert names(gru("a", "x"), summed, gru("b", "sum")) == ["a", "b"]


@pytest.mark.parametrize("style", [keras3, keras2])
def test_a_readout_reads_the_highest_layer(style):
    heads = found(
        layer("GRU", "a", "x", style=style),
        layer("GRU", "b", "a", style=style),
        layer("Dense", "mid", "a", style=style),
        layer("Dense", "top", "b", style=style),
        layer("Dense", "before", "x", style=style),
        layer("Dense", "behind", "top", style=style),
    ).linears
    assert {name for name, head in heads.items() if head.likely} == {"top"}


def test_states_from_elsewhere_are_told():
    parts = layer("GRU", "a", "x"), layer("GRU", "b", "x", ("a", 1))
    assert found(*parts).notes == ("b starts from states of other layers: give them as `h0`.",)
    by_name = [("initial_state", tensor("a", 1))]
    parts = layer("GRU", "a", "x"), layer("GRU", "b", "x", given=by_name)
    assert len(found(*parts).notes) == 1
    masked = layer("GRU", "b", "x", given=[("mask", tensor("a"))])
    assert not found(layer("GRU", "a", "x"), masked).notes


def test_a_model_inside_is_looked_through():
    inner = model(layer("InputLayer", "y"), layer("GRU", "b", "y"), starts=("y",), ends=("b",))
    inner |= {"name": "in", "inbound_nodes": keras3([("a",)])}
    inner["config"]["name"] = "in"
    parts = layer("GRU", "a", "x"), inner, layer("GRU", "c", "in")
    assert list(found(*parts).networks) == ["a+in/b+c"]


def test_a_circle_ends():
    assert list(found(layer("Dropout", "a", "a"), layer("GRU", "b", "a")).networks) == ["b"]


@pytest.mark.parametrize(
    ("kind", "folder"),
    [("SimpleRNN", "simple_rnn"), ("LSTM", "lstm"), ("GRU", "gru"), ("RNN", "rnn"),
     ("TimeDistributed", "time_distributed"), ("Dense", "dense"), ("Custom>MyLayer2", "my_layer2")],
)  # fmt: skip
def test_folders_are_named_as_keras_names_them(kind, folder):
    assert folder_of(kind) == folder
