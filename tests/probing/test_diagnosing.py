"""A diagnosis of what a probe saw: of the very call, said in words, and refused as a flow is."""

import json

import numpy as np
import pytest
import standin

import rnnsim

D, H, T, B = 2, 3, 30, 8
rng = np.random.default_rng(0)
X, ARRIVING = rng.normal(size=(T, B, D)), rng.normal(size=(T, B, H))
LIMITS = {"window": 5, "batch_size": 2, "clip_norm": 3.0, "clip_value": 0.5}


def made(kind, **options):
    return getattr(standin, kind)(D, H, **options)


def same(one, other):
    assert [each.to_dict() for each in one] == [each.to_dict() for each in other]
    assert one.to_try == other.to_try


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_it_is_the_diagnosis_of_the_call(kind):
    module = made(kind)
    with rnnsim.probe(standin.Module(rnn=module)) as seen:
        module(standin.Tensor(X))[0].arrive(ARRIVING)
    found = seen.diagnose(**LIMITS)
    known = rnnsim.diagnose(
        module.network(), rnnsim.Sequences.from_gradients(X, dL_dh=ARRIVING), **LIMITS
    )
    same(found, known)
    same(seen.record().diagnose(**LIMITS), known)
    assert found.label == "rnn"
    assert found.summary().startswith(found.verdict)
    assert found.verdict == (
        f"{known.verdict} All of this is of call 0 of 'rnn' by itself: gradients do not cross "
        "calls."
    )
    assert (found.about["module"], found.about["call"], found.about["window"]) == ("rnn", 0, 5)
    provenance = json.loads(found.to_xarray().attrs["provenance"])
    assert provenance["gradients"] == "of this call alone: they do not cross calls"


def test_first_states_are_those_of_the_call():
    module, h0 = made("GRU"), rng.normal(size=(1, B, H))
    with rnnsim.probe(module) as seen:
        module(standin.Tensor(X), standin.Tensor(h0))[0].arrive(ARRIVING)
    data = rnnsim.Sequences.from_gradients(X, dL_dh=ARRIVING)
    same(seen.diagnose(), rnnsim.diagnose(module.network(), data, h0=h0[0]))


def test_module_and_call_are_chosen_as_for_a_flow():
    module, other = made("GRU"), made("RNN")
    with rnnsim.probe(standin.Module(a=module, b=other)) as seen:
        for each, n in ((module, 7), (other, 9), (module, 11)):
            each(standin.Tensor(X[:n]))[0].arrive(ARRIVING[:n])
        module(standin.Tensor(X))
    with pytest.raises(ValueError, match="`module` must be one of those that were called, 'a'"):
        seen.diagnose()
    with pytest.raises(ValueError, match=r"the last call of 'a', 2, has no .* give call= 0 or 1"):
        seen.diagnose("a")
    found = seen.diagnose("a", 1)
    assert "call 1 of 'a'" in found.verdict
    assert found.about["n_steps"] == 11
    assert seen.diagnose("b").about["n_steps"] == 9


def test_backward_that_was_not_once_inside():
    module = made("LSTM")
    seen = rnnsim.probe(module)
    with pytest.raises(ValueError, match="nothing was seen yet"):
        seen.diagnose()
    with seen:
        output, _ = module(standin.Tensor(X))
    with pytest.raises(ValueError, match="no gradient arrived"):
        seen.diagnose()
    output.arrive(ARRIVING)
    with pytest.raises(ValueError, match="after the `with` was left"):
        seen.diagnose()
    with seen:
        output, _ = module(standin.Tensor(X))
        output.arrive(ARRIVING)
        output.arrive(ARRIVING)
    with pytest.raises(ValueError, match="backward ran more than once"):
        seen.diagnose()


def test_shared_weights_and_what_was_taken_over_are_said():
    one, part = made("GRU", dtype="float16"), made("GRU", dtype="float16")
    part.weights["bias_hh_l0"] = one.weights["bias_hh_l0"]
    one.run = lambda x, hx: standin.GRU.run(one, x.astype("f4"), hx)
    seen = rnnsim.probe(standin.Module(a=one, b=part))
    x = standin.Tensor(X.astype("float16"), device="cuda:0")
    with pytest.warns(UserWarning, match="taken over"), seen:
        one(x)[0].arrive(ARRIVING.astype("float16"))
    found = seen.diagnose()
    assert found.verdict.endswith(
        "Some of its weights are those of 'b' too: their gradients add up. Numbers of float16, "
        "float16 on device cuda:0 were taken over as float32 in main memory."
    )
    assert found.about["provenance"]["shares"] == "b"
    assert found.about["dtype"] == "float32"


def test_lengths_whose_gradients_have_no_place_are_diagnosed_one_by_one():
    module, lengths = made("LSTM"), [9, 30, 9, 30, 9, 30, 9, 30]
    with rnnsim.probe(module) as seen:
        _, (_, c_n) = module(standin.packed(X, lengths))
        c_n.arrive(ARRIVING[:1])
    with pytest.raises(ValueError, match=r"take record.by_length\(\), a record for each length"):
        seen.diagnose()
    found = [each.diagnose() for each in seen.record().by_length()]
    assert [each.about["n_steps"] for each in found] == [9, 30]
    columns = np.flatnonzero(np.array(lengths) == 9)
    data = rnnsim.Sequences.from_gradients(X[:9, columns], dL_dc_final=ARRIVING[0, columns])
    same(found[0], rnnsim.diagnose(module.network(), data))
