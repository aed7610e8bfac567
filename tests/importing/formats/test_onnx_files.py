"""Files of ONNX by both exporters of PyTorch, beside what PyTorch made of them; what is refused."""

import numpy as np
import oracles
import pytest
from oracles import FIXTURES

import rnnsim
from rnnsim.importing.formats import onnx_files

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.nojit
KNOWN = oracles.load("onnx.npz")
CASES = [case for case in KNOWN if not case.startswith("ids")]
H, V = 3, 2


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_those_of_torch(case):
    rnn = rnnsim.read_network(FIXTURES / f"{case}.onnx")
    assert isinstance(rnn, rnnsim.Stack) == ("2" in case)
    oracles.assert_agrees(rnn, KNOWN[case])


def test_ids_go_through_the_embedding():
    rnn = rnnsim.read_network(FIXTURES / "ids_legacy.onnx", embedding="emb")
    oracles.assert_agrees(rnn, KNOWN["ids_legacy"])


@pytest.mark.parametrize("name", ["W_xh", "W_hh", "W_hy"])
def test_square_matrices_are_turned_as_their_operator_says(name):
    rnn = rnnsim.read_network(FIXTURES / "rnn_tanh_legacy.onnx")
    weights = {k: w[0] for k, w in rnn.weights._asdict().items() if w is not None}
    turned = rnnsim.RNN(**(weights | {name: weights[name].T}))
    with pytest.raises(AssertionError):
        oracles.assert_agrees(turned, KNOWN["rnn_tanh_legacy"])


@pytest.mark.parametrize(
    ("name", "words"),
    [("both", r"bidirectional \(direction=bidirectional\)"), ("unrolled", "export with dynamo=Fa")],
)
def test_what_cannot_be_read_is_said(name, words):
    with pytest.raises(ValueError, match=f"cannot be read: .*{words}"):
        rnnsim.read_network(FIXTURES / f"{name}.onnx")


def model(name="gru_legacy"):
    return onnx.load(FIXTURES / f"{name}.onnx")


def node(graph, kind):
    return next(each for each in graph.node if each.op_type == kind)


def saved(tmp_path, made):
    onnx.save(made, tmp_path / "x.onnx")
    return tmp_path / "x.onnx"


def attribute(made, kind, **values):
    node_ = node(made.graph, kind)
    for key, value in values.items():
        kept = [each for each in node_.attribute if each.name != key]
        del node_.attribute[:]
        node_.attribute.extend([*kept, onnx.helper.make_attribute(key, value)])
    return made


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"direction": "reverse"}, r"runs backwards in time \(direction=reverse\)"),
        ({"layout": 1}, r"batch first \(layout=1\)"),
        ({"clip": 1.5}, r"at 1.5 \(clip\)"),
        ({"activations": ["Sigmoid", "Relu"]}, "activations are sigmoid, relu, not sigmoid, tanh"),
        ({"activation_alpha": [0.5]}, "activation_alpha"),
        ({"hidden_size": 7}, r"W, R, B must be \(1, 3 H, D\)"),
    ],
)
def test_attributes_that_change_the_recurrence(values, words, tmp_path):
    path = saved(tmp_path, attribute(model(), "GRU", **values))
    with pytest.raises(ValueError, match=f"'/rnn/GRU' cannot be read: .*{words}"):
        rnnsim.read_network(path)


def test_a_coupled_input_gate_and_peepholes(tmp_path):
    path = saved(tmp_path, attribute(model("lstm_legacy"), "LSTM", input_forget=1))
    with pytest.raises(ValueError, match="input_forget=1"):
        rnnsim.read_network(path)
    made = model("lstm_legacy")
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((1, 3 * H), "f4"), "P"))
    node(made.graph, "LSTM").input.append("P")
    with pytest.raises(ValueError, match="peepholes, P"):
        rnnsim.read_network(saved(tmp_path, made))


def test_a_reset_before_the_product_is_refused_unless_torch_wrote_it(tmp_path):
    made = attribute(model("gru_dynamo"), "GRU", linear_before_reset=0)
    path = saved(tmp_path, made)
    with pytest.warns(UserWarning, match="wrote that by mistake for a while"):
        rnn = rnnsim.read_network(path)
    oracles.assert_agrees(rnn, KNOWN["gru_dynamo"])
    made.producer_name = "keras2onnx"
    with pytest.raises(ValueError, match=r"\(linear_before_reset=0\).* set the attribute to 1"):
        rnnsim.read_network(saved(tmp_path, made))


def test_sequences_of_several_lengths(tmp_path):
    made = model()
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(2, "i4"), "lengths"))
    node(made.graph, "GRU").input[4] = "lengths"
    with pytest.raises(ValueError, match="several lengths"):
        rnnsim.read_network(saved(tmp_path, made))


def test_a_start_that_is_not_0_is_told(tmp_path):
    made = model("gru_dynamo")
    start = node(made.graph, "GRU").input[5]
    tensor = next(each for each in made.graph.initializer if each.name == start)
    shape = tuple(tensor.dims)
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.ones(shape, "f4"), start))
    (note,) = onnx_files.contents(saved(tmp_path, made)).notes
    assert "does not start from 0: give its state as `h0`" in note


def test_weights_that_an_exporter_took_apart_are_put_together(tmp_path):
    """As PyTorch did before it folded constants: slices, concatenated, with an axis more."""
    made = model()
    gru = node(made.graph, "GRU")
    tensors = {each.name: each for each in made.graph.initializer}
    W = onnx.numpy_helper.to_array(tensors[gru.input[1]])[0]  # z r h
    given = np.concatenate([W[H : 2 * H], W[:H], W[2 * H :]])  # r z n
    make, array = onnx.helper.make_node, onnx.numpy_helper.from_array
    made.graph.initializer.remove(tensors[gru.input[1]])
    made.graph.initializer.append(array(given, "weight_ih"))
    first = []
    for name, start in (("r", 0), ("z", H), ("n", 2 * H)):
        for part, value in (("from", start), ("to", start + H), ("axis", 0)):
            made.graph.initializer.append(array(np.array([value]), f"{name}_{part}"))
        inputs = ["weight_ih", f"{name}_from", f"{name}_to", f"{name}_axis"]
        first.append(make("Slice", inputs, [name]))
    first.append(make("Concat", ["z", "r", "n"], ["zrn"], axis=0))
    made.graph.initializer.append(array(np.array([0]), "front"))
    first += [make("Unsqueeze", ["zrn", "front"], ["lifted"]), make("Identity", ["lifted"], ["W"])]
    gru.input[1] = "W"
    nodes = [*first, *made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    path = saved(tmp_path, made)
    assert "weight_ih" in onnx_files.contents(path).networks["/rnn/GRU"].layers[0].arrays
    oracles.assert_agrees(rnnsim.read_network(path), KNOWN["gru_legacy"])


def test_layers_are_one_network_only_where_one_reads_the_other(tmp_path):
    made = model("lstm2_legacy")
    assert len(onnx_files.contents(saved(tmp_path, made)).networks) == 1
    squeeze = node(made.graph, "Squeeze")
    squeeze.op_type = "Relu"
    del squeeze.input[1:]
    assert list(onnx_files.contents(saved(tmp_path, made)).networks) == ["/rnn/LSTM", "/rnn/LSTM_1"]


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 1.0), (2.0, 0.5)])
@pytest.mark.parametrize("turned", [0, 1])
def test_a_gemm_says_how_its_matrix_stands(turned, factor, shift, tmp_path):
    rng = np.random.default_rng(0)
    W_hy, b_y = rng.standard_normal((H, H), "f4"), rng.standard_normal(H, "f4")  # square
    made = model("last_dynamo")
    gemm = node(made.graph, "Gemm")
    for name, array in zip(gemm.input[1:], (W_hy if turned else W_hy.T, b_y), strict=True):
        tensor = next(each for each in made.graph.initializer if each.name == name)
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
    attribute(made, "Gemm", transB=turned, alpha=factor, beta=shift)
    (found,) = onnx_files.contents(saved(tmp_path, made)).linears.values()
    weights, bias = found.weights()
    np.testing.assert_array_equal(weights, np.float32(factor) * W_hy)
    np.testing.assert_array_equal(bias, np.float32(shift) * b_y)


def test_readouts_with_activations_and_other_matrices(tmp_path):
    def behind(kind):
        made = model()
        out = made.graph.output[0].name
        made.graph.node.append(onnx.helper.make_node(kind, [out], ["behind"]))
        return onnx_files.contents(saved(tmp_path, made))

    assert behind("Tanh").linears["fc"].problem.startswith("Tanh follows it")
    assert not behind("Softmax").linears["fc"].problem
    assert "outputs are logits" in behind("Sigmoid").notes[0]
    assert not onnx_files.contents(FIXTURES / "unrolled.onnx").linears["fc"].likely


@pytest.mark.parametrize(("place", "likely"), [(-1, True), (1, True), (0, False), (-3, False)])
def test_the_last_states_of_which_layer_a_readout_reads(place, likely, tmp_path):
    made = model("top2_dynamo")
    index = node(made.graph, "Gather").input[1]
    tensor = next(each for each in made.graph.initializer if each.name == index)
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(place), index))
    assert onnx_files.contents(saved(tmp_path, made)).linears["fc"].likely == likely


def test_operators_inside_loops_are_named(tmp_path):
    made = model()
    body = onnx.helper.make_graph([node(made.graph, "GRU")], "body", [], [])
    branch = onnx.helper.make_node("If", ["x"], ["z"], then_branch=body, else_branch=body)
    branch.name = "maybe"
    graph = onnx.helper.make_graph([branch], "g", [], [], [*made.graph.initializer])
    path = saved(tmp_path, onnx.helper.make_model(graph))
    with pytest.raises(ValueError, match="'maybe' cannot be read: an operator GRU stands inside"):
        rnnsim.read_network(path)


def test_weights_in_other_files_and_sparse_ones(tmp_path):
    made = model()
    onnx.save(made, tmp_path / "x.onnx", save_as_external_data=True, size_threshold=0)
    with pytest.raises(ValueError, match="is kept in another file"):
        rnnsim.read_network(tmp_path / "x.onnx")
    made = model()
    values = onnx.numpy_helper.from_array(np.ones(1, "f4"), "s")
    places = onnx.numpy_helper.from_array(np.zeros(1, "i8"), "i")
    made.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, places, [3]))
    with pytest.raises(ValueError, match="holds sparse arrays"):
        rnnsim.read_network(saved(tmp_path, made))


def test_weights_that_are_inputs(tmp_path):
    made = model()
    W = node(made.graph, "GRU").input[1]
    tensor = next(each for each in made.graph.initializer if each.name == W)
    made.graph.initializer.remove(tensor)
    with pytest.raises(ValueError, match="its weights are computed, not constants of the file"):
        rnnsim.read_network(saved(tmp_path, made))


@pytest.mark.parametrize("kind", ["FLOAT16", "BFLOAT16"])
def test_small_floats(kind, tmp_path):
    made = model()
    W = node(made.graph, "GRU").input[1]
    tensor = next(each for each in made.graph.initializer if each.name == W)
    values = onnx.numpy_helper.to_array(tensor)
    bits = values.astype("f2") if kind == "FLOAT16" else values.view("u4") >> 16
    tensor.ClearField("raw_data")
    tensor.data_type = getattr(onnx.TensorProto, kind)
    tensor.raw_data = bits.astype("f2" if kind == "FLOAT16" else "u2").tobytes()
    entry = onnx_files.contents(saved(tmp_path, made)).entries[W]
    assert entry.dtype == kind.lower()
    rounded = bits if kind == "FLOAT16" else (bits << 16).view("f4")
    np.testing.assert_array_equal(entry.read(), rounded)
