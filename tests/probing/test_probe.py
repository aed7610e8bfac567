"""What a probe keeps, beside a stand-in for PyTorch: layouts, calls, and what is refused."""

import numpy as np
import pytest
import standin
from numpy.testing import assert_array_equal

import rnnsim

D, H, T, B = 2, 3, 6, 4
KINDS = ("RNN", "LSTM", "GRU")
rng = np.random.default_rng(0)
X = rng.normal(size=(T, B, D))


def normal(*shape):
    return rng.normal(size=shape)


def made(kind, **options):
    return getattr(standin, kind)(D, H, **options)


def states_of(output):
    """The tensors h_n and, of LSTMs, c_n."""
    return output[1] if isinstance(output[1], tuple) else (output[1],)


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_arrives_at_output_h_n_and_c_n(kind, batch_first, n_layers):
    module = made(kind, num_layers=n_layers, batch_first=batch_first)
    x = standin.Tensor(X.swapaxes(0, 1) if batch_first else X)
    starts = [normal(n_layers, B, H) for _ in "hc"[: 1 + (kind == "LSTM")]]
    hx = tuple(standin.Tensor(each) for each in starts)
    at_output, at_last = normal(T, B, H), [normal(n_layers, B, H) for _ in starts]
    model = standin.Module(rnn=module)
    with rnnsim.probe(model) as seen:
        output = model.modules["rnn"](x, hx if kind == "LSTM" else hx[0])
        output[0].arrive(at_output.swapaxes(0, 1) if batch_first else at_output)
        for tensor, gradient in zip(states_of(output), at_last, strict=True):
            tensor.arrive(gradient)
    (record,) = seen.records
    pick = (lambda a: a) if n_layers > 1 else (lambda a: a[0])
    assert_array_equal(record.h0, pick(starts[0]))
    assert record.c0 is None if kind != "LSTM" else (record.c0 == pick(starts[1])).all()
    sequences = record.sequences
    assert_array_equal(sequences.inputs, X)
    finals = dict(zip(("dL_dh_final", "dL_dc_final"), map(pick, at_last), strict=False))
    known = rnnsim.Sequences.from_gradients(X, dL_dh=at_output, **finals)
    for ours, theirs in zip(sequences.gradients, known.gradients, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or (ours == theirs).all()
    given = dict(zip(("h0", "c0"), map(pick, starts), strict=False))
    flow = rnnsim.gradient_flow(module.network(), known, **given)
    assert_array_equal(seen.flow().log_norms, flow.log_norms)
    assert seen.flow("rnn", 0, max_lag=2).log_norms.shape[2] == 3
    assert sequences.provenance["gradients"] == "of this call alone: they do not cross calls"
    assert repr(seen) == "Probe(rnn: 1 call)"


def test_unbatched_sequences_are_one():
    module = made("GRU")
    module.run = lambda x, hx, run=module.run: run(x[:, None], hx)
    module.forward = lambda x: (standin.Tensor(h := module.run(x.array, ())[0][:, 0]),
                                standin.Tensor(h[-1:]))  # fmt: skip
    with rnnsim.probe(module) as seen:
        _, h_n = module(standin.Tensor(X[:, 0]))
        h_n.arrive(np.ones((1, H)))
    (record,) = seen.records
    assert record.sequences.inputs.shape == (T, 1, D)
    assert (record.sequences.gradients.dL_dh[-1] == 1).all()
    assert record.module == "GRU"


def test_packed_sequences_stand_in_the_order_they_were_given_in():
    lengths, module = [2, 6, 4, 3], made("LSTM", num_layers=2)
    valid = np.arange(T)[:, None] < lengths
    at_output, at_h = normal(T, B, H) * valid[..., None], normal(2, B, H)
    at_h[0] = 0
    with rnnsim.probe(module) as seen:
        output, (h_n, c_n) = module(standin.packed(X, lengths))
        output.data.arrive(standin.packed(at_output, lengths).data.array)
        h_n.arrive(at_h)
        c_n.arrive(np.zeros((2, B, H)))  # exactly 0: as if none had come
    (record,) = seen.records
    assert record.lengths.tolist() == lengths
    assert_array_equal(record.sequences.inputs, X * valid[..., None])
    known = at_output.copy()
    known[np.array(lengths) - 1, range(B)] += at_h[1]
    assert_array_equal(record.sequences.gradients.dL_dh, known)


@pytest.mark.parametrize(("at", "words"), [(0, "h_n of a lower layer"), (1, "c_n")])
def test_what_has_no_place_in_sequences_of_several_lengths(at, words):
    module = made("LSTM", num_layers=2)
    for lengths in ([6, 6, 6, 6], [2, 6, 4, 3]):
        with rnnsim.probe(module) as seen:
            output = module(standin.packed(X, lengths))
            states_of(output)[at].arrive(np.ones((2, B, H)))
        if lengths[0] == 6:
            assert seen.flow().log_norms.shape[2] == T
    with pytest.raises(ValueError, match=f"have 2 to 6 steps, and a gradient arrives at {words}"):
        seen.flow()
    parts = seen.record().by_length()
    assert [each.lengths.tolist() for each in parts] == [[2], [3], [4], [6]]
    for each, b in zip(parts, (0, 3, 2, 1), strict=True):
        assert_array_equal(each.sequences.inputs, X[: each.n_steps, [b]])
        assert each.h0.shape == (2, 1, H)
        final = each.sequences.gradients[3 - at]  # dL_dh_final, then dL_dc_final
        assert (final == 1).all()
        assert final.shape == (2, 1, H)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by_name", [False, True])
def test_a_cell_in_a_loop_goes_on_with_its_own_states(kind, by_name):
    cell, given, states = made(f"{kind}Cell"), [], None
    with rnnsim.probe(cell) as seen:
        for x in X:
            x = standin.Tensor(x)
            states = cell(x, hx=states) if by_name else cell(x, states)
            given.append(states if isinstance(states, tuple) else (states,))
            if len(given) > 1:  # the cell reads what it made, not what the model holds
                assert cell.read[0] is not given[-2][0]
                assert_array_equal(cell.read[0].array, given[-2][0].array)
        given[-1][0].arrive(np.ones((B, H)))
        given[2][0].arrive(np.full((B, H), 2.0))
        given[3][0].arrive(None)
        if kind == "LSTM":
            given[-1][1].arrive(np.full((B, H), 3.0))
    assert not cell.before
    assert not cell.after
    (record,) = seen.records
    gradients = record.sequences.gradients
    assert gradients.dL_dh[:, 0, 0].tolist() == [0, 0, 2, 0, 0, 1]
    assert kind != "LSTM" or (gradients.dL_dc_final == 3).all()
    assert_array_equal(record.sequences.inputs, X)
    assert seen.flow().log_norms.shape[2] == T
    run = rnnsim.forward(cell.network(), X)
    np.testing.assert_allclose(given[-1][0].array, run.final_h[0], rtol=1e-12)


def test_gradients_at_c_within_a_loop_have_no_place():
    cell, given, states = made("LSTMCell"), [], None
    with rnnsim.probe(cell) as seen:
        for x in X:
            given.append(states := cell(standin.Tensor(x), states))
        given[-1][0].arrive(np.ones((B, H)))
        given[1][1].arrive(np.zeros((B, H)))
        assert seen.flow().log_norms.shape[1] == 1
        given[2][1].arrive(np.ones((B, H)))
    with pytest.raises(ValueError, match="at c of a step before the last"):
        seen.flow()


@pytest.mark.parametrize("how", ["replaced", "in place", "one of two"])
def test_a_changed_state_begins_a_record(how):
    cell, states = made("LSTMCell"), None
    with rnnsim.probe(cell) as seen:
        for t, x in enumerate(X):
            if t == 3:
                h, c = states
                if how == "in place":  # a view has the counter of what it shows
                    for run in seen._handles[1].hook.__self__._runs.values():
                        run.own[1]._version += 1
                else:
                    states = (h, standin.Tensor(c.array / 2))
                    states = states if how == "one of two" else (standin.Tensor(h.array), c)
            states = cell(standin.Tensor(x), states)
        states[0].arrive(np.ones((B, H)))
    assert [(each.call, each.n_steps) for each in seen.records] == [(0, 3), (1, 3)]
    assert seen.flow().log_norms.shape[2] == 3
    with pytest.raises(ValueError, match="call 0 of 'LSTMCell' cannot be followed: no gradient"):
        seen.flow(call=0)


def test_calls_and_modules_are_told_apart():
    model = standin.Module(a=made("GRU"), b=standin.Module(c=made("RNN", nonlinearity="relu")))
    a, c = model.modules["a"], model.modules["b"].modules["c"]
    seen = rnnsim.probe(model)
    with pytest.raises(ValueError, match="nothing was seen yet"):
        seen.flow()
    with seen:
        for module, x in ((a, X), (c, X), (a, X[:3])):
            module(standin.Tensor(x))[1].arrive(np.ones((1, B, H)))
        a.weights["weight_hh_l0"].array[:] = 9.0  # an optimiser's step
    assert [(each.module, each.call) for each in seen.records] == [("a", 0), ("b.c", 0), ("a", 1)]
    assert repr(seen) == "Probe(a: 2 calls, b.c: 1 call)"
    assert seen.networks["b.c"].activation == "relu"
    assert not (seen.networks["a"].W_hh == 9).any()
    assert seen.record("a").n_steps == 3
    assert seen.record("a", 0).n_steps == T
    for arguments, words in {
        (): "`module` must be one of those that were called, 'a', 'b.c', got None",
        ("d",): "`module` must be one of 'a', 'b.c', got 'd'",
        ("a", 2): "`call` must be at most 1, the last call of 'a' counted from 0, got 2",
    }.items():
        with pytest.raises(ValueError, match=words):
            seen.flow(*arguments)
    with seen:
        c(standin.Tensor(X))[1].arrive(np.ones((1, B, H)))
    assert [each.module for each in seen.records] == ["b.c"]  # anew
    with pytest.raises(ValueError, match="`module` 'a' was not called"):
        seen.flow("a")


def test_modules_that_share_weights_are_named_together():
    one, other, part = made("GRU"), made("GRU"), made("GRU")
    other.weights = dict(one.weights)
    part.weights["bias_hh_l0"] = one.weights["bias_hh_l0"]
    model = standin.Module(a=one, b=other, c=part, d=one)
    with rnnsim.probe(model) as seen:
        for module in (one, other, part):
            module(standin.Tensor(X))
    assert [(each.module, each.call) for each in seen.records] == [
        ("a = d = b", 0), ("a = d = b", 1), ("c", 0),
    ]  # fmt: skip
    assert seen.records[2].shares == ("a = d = b",)
    assert seen.record("b", 0) is seen.record("d", 0) is seen.records[0]


def test_backward_not_called_called_twice_and_called_outside():
    module = made("LSTM")
    seen, x = rnnsim.probe(module), standin.Tensor(X)
    with pytest.raises(RuntimeError, match="this probe is not in use"):
        seen.leave()
    with seen:
        output, _ = module(x)
    with pytest.raises(ValueError, match="no gradient arrived"):
        seen.flow()
    output.arrive(np.ones((T, B, H)))
    with pytest.raises(ValueError, match=r"after the `with` was left; call loss.backward\(\) insi"):
        seen.flow()
    with seen:
        output, _ = module(x)
        output.arrive(np.ones((T, B, H)))
        output.arrive(np.ones((T, B, H)))
    with pytest.raises(ValueError, match="backward ran more than once"):
        seen.flow()
    module.has_graph = False
    with seen:
        module(x)
    with pytest.raises(ValueError, match="it ran without a graph"):
        seen.flow()
    with seen:
        pass
    with pytest.raises(ValueError, match="no module was called"):
        seen.flow()


def test_two_passes_by_different_tensors_of_one_call_are_noticed():
    module = made("LSTM")
    passed = module.weights["weight_hh_l0"]  # where every backward pass ends
    seen, x = rnnsim.probe(module), standin.Tensor(X)
    for n_passes in (1, 2):
        with seen:
            output, (h_n, _) = module(x)
            output.arrive(np.ones((T, B, H)))
            if n_passes == 2:
                passed.arrive(np.ones((4 * H, H)))
            h_n.arrive(np.ones((1, B, H)))
            passed.arrive(np.ones((4 * H, H)))
        assert not passed.hooks
        assert seen.record().is_sound == (n_passes == 1)
    with pytest.raises(ValueError, match=r"arrived twice: .* on the sum of your losses"):
        seen.flow()
    with seen:  # one pass each for two calls
        for _ in range(2):
            output, _ = module(x)
            output.arrive(np.ones((T, B, H)))
            passed.arrive(np.ones((4 * H, H)))
    assert [each.is_sound for each in seen.records] == [True, True]
    passed.requires_grad = False  # weights that are not trained: not counted
    with seen:
        module(x)
        assert not passed.hooks


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"`module` must hold .* got Module without any"):
        rnnsim.probe(standin.Module())
    layers = {"num_layers": 2, "dropout": 0.1}
    refused = {
        "bidirectional": {"bidirectional": True},
        "projections": {"proj_size": 2},
        "dropout between its layers": layers,
    }
    for words, options in refused.items():
        module = made("LSTM", **options)
        with pytest.raises(ValueError, match=f"'LSTM': it has {words}|'LSTM': it is {words}"):
            rnnsim.probe(module)
        with pytest.warns(UserWarning, match=f"not followed are 'a': it (has|is) {words}"):
            seen = rnnsim.probe(standin.Module(a=module, b=made("GRU")))
        with seen:
            module(standin.Tensor(X))
        with pytest.raises(ValueError, match=f"'a' cannot be followed: it (has|is) {words}"):
            seen.flow()
        with pytest.raises(ValueError, match=f"`module` 'a' cannot be followed: it.*{words}"):
            seen.flow("a")
    rnnsim.probe(made("LSTM", **layers, training=False))
    pruned = made("GRU")
    pruned.weights["weight_hh_l0_orig"] = pruned.weights["weight_hh_l0"]
    with pytest.raises(ValueError, match="pruned or spectrally normalised weights"):
        rnnsim.probe(pruned)


def test_half_precision_and_other_devices_are_said():
    module = made("GRU", dtype="float16")
    module.run = lambda x, hx: standin.GRU.run(module, x.astype("f4"), hx)
    for tensor in module.weights.values():
        tensor.device = "cuda:0"
    x = standin.Tensor(X.astype("float16"), device="cuda:0")
    said = r"numbers of 'GRU' \(float16 on device cuda:0\) are taken over"
    seen = rnnsim.probe(module)
    with pytest.warns(UserWarning, match=said), seen:
        module(x)[1].arrive(np.ones((1, B, H), "float16"))
    assert seen.flow().log_norms.shape[2] == T
    assert seen.record().sequences.dtype == np.float32


def test_what_does_something_else_is_refused_and_breaks_nothing():
    module = made("GRU")
    module.run = lambda x, hx: standin.GRU.run(module, 2 * x, hx)
    with rnnsim.probe(module) as seen:
        module(standin.Tensor(X))[1].arrive(np.ones((1, B, H)))
    with pytest.raises(ValueError, match=r"at step 1 is 0\.\d+ away from what its weights make"):
        seen.flow()
    module, cell, states = made("GRU"), made("GRUCell"), None
    with rnnsim.probe(standin.Module(a=module, b=cell)) as seen:
        for t in range(T):
            x = standin.Tensor(X)
            step = standin.Tensor(X[t])
            if t == 3:
                x.detach = step.detach = lambda: 1 / 0
            module(x)
            states = cell(step, states)
    assert not seen.records  # no part of what is not known as a whole
    for name in "ab":
        with pytest.raises(
            ValueError, match=rf"`module` '{name}' cannot .* cannot be kept \(divis"
        ):
            seen.flow(name)
