"""What a monitor measures, beside the functions that measure it alone, and when it looks."""

import math
import warnings

import numpy as np
import pytest
import standin
from numpy.testing import assert_allclose

import rnnsim
from rnnsim.flow.growth import log_changes, mean_over_steps

D, H, T, B = 2, 3, 40, 6
rng = np.random.default_rng(0)
X = rng.normal(size=(T, B, D))
ARRIVING = rng.normal(size=(T, B, H))


def model(kind="LSTM", **options):
    return standin.Module(rnn=getattr(standin, kind)(D, H, **options))


def step(module, x=X, arriving=ARRIVING):
    """Forward and backward, as the loss of every step has it."""
    output, _ = module.modules["rnn"](standin.Tensor(x))
    output.arrive(arriving)


def monitored(module, *, take=step, **options):
    monitor = rnnsim.Monitor(module, every=1, **options)
    with monitor:
        take(module)
    return monitor


def seen_of(module):
    with rnnsim.probe(module) as seen:
        step(module)
    return seen


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_numbers_are_those_of_the_functions_that_measure_one_thing(kind, n_layers):
    module, K = model(kind, num_layers=n_layers), 5
    found = monitored(module, window=K, n_sequences=3).to_xarray().isel(step=0, module=0)
    record = seen_of(module).record()
    columns = [0, 2, 4]
    data = rnnsim.Sequences.from_gradients(X[:, columns], dL_dh=ARRIVING[:, columns])
    whole = rnnsim.window_bias_variance(record.network, data, 3, windows=[K])
    assert_allclose(found.bias2, whole.bias2_estimate[0, 0], rtol=1e-9)
    assert_allclose(found.variance, whole.variance_estimate[0, 0] / B, rtol=1e-9)
    flow = rnnsim.gradient_flow(record.network, data)
    kept = flow.recurrent.cosine[0, K - 1] * np.exp(
        flow.recurrent.log_norms[0, K - 1] - flow.recurrent.full_log_norm[0]
    )
    assert_allclose(found.share_beyond, 1 - kept, rtol=1e-9)
    spectrum = rnnsim.lyapunov_spectrum(record.network, X[:, [0, 2]], n_exponents=1)
    assert_allclose(found.lambda_1, spectrum.exponents[0, 0], rtol=1e-9)
    weights = np.zeros((T, 3, 1))
    weights[[T // 2 - 1, T - 1]] = 1
    two = rnnsim.Sequences.from_gradients(data.inputs, dL_dh=ARRIVING[:, columns] * weights)
    flow = rnnsim.gradient_flow(record.network, two)
    lags = [1, 2, 4, 8, 16, 32]
    assert found.lag.values.tolist() == lags
    if n_layers == 1:
        known = mean_over_steps(log_changes(flow, lags))[0]
    else:  # by all paths, as bptt has states
        known = [_by_all_paths(record.network, two, k) for k in lags]
    assert_allclose(found.log_change, known, rtol=1e-9)
    assert (int(found.n_steps), int(found.n_sequences)) == (T, 3)


def _by_all_paths(network, data, k):
    changes = []
    for at in (T // 2, T):
        for b in range(data.n_sequences):
            only = np.zeros((T, 1, H))
            only[at - 1] = data.gradients.dL_dh[at - 1, [b]]
            one = rnnsim.Sequences.from_gradients(data.inputs[:, [b]], dL_dh=only)
            norms = rnnsim.bptt(network, one).state_norms[0]
            squares = (norms**2).sum(axis=0) if norms.ndim > 1 else norms**2
            if at > k:
                changes.append(0.5 * math.log(squares[at - k] / squares[at]))
    return np.mean(changes)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_first_states_and_gradients_at_the_last_states_count(n_layers):
    module, K, columns = model("LSTM", num_layers=n_layers), 4, [0, 3]
    starts, finals = (rng.normal(size=(2, n_layers, B, H)) for _ in range(2))

    def take(of):
        hx = tuple(map(standin.Tensor, starts))
        output, last = of.modules["rnn"](standin.Tensor(X), hx)
        output.arrive(ARRIVING)
        for tensor, gradient in zip(last, finals, strict=True):
            tensor.arrive(gradient)

    found = monitored(module, take=take, window=K, n_sequences=2).to_xarray()
    found, pick = found.isel(step=0, module=0), (lambda a: a if n_layers > 1 else a[0])
    network = seen_of(module).record().network
    first = dict(zip(("h0", "c0"), (pick(a)[..., columns, :] for a in starts), strict=True))
    last = [pick(a)[..., columns, :] for a in finals]
    data = rnnsim.Sequences.from_gradients(
        X[:, columns], dL_dh=ARRIVING[:, columns], dL_dh_final=last[0], dL_dc_final=last[1]
    )
    flow = rnnsim.gradient_flow(network, data, **first)
    kept = flow.recurrent.cosine[0, K - 1] * np.exp(
        flow.recurrent.log_norms[0, K - 1] - flow.recurrent.full_log_norm[0]
    )
    assert_allclose(found.share_beyond, 1 - kept, rtol=1e-9)
    spectrum = rnnsim.lyapunov_spectrum(network, data.inputs, n_exponents=1, **first)
    assert_allclose(found.lambda_1, spectrum.exponents[0, 0], rtol=1e-9)
    if n_layers == 1:
        rows = np.isin(flow.steps, [T // 2, T])
        changes = mean_over_steps(log_changes(flow, found.lag.values)[:, rows])[0]
        assert_allclose(found.log_change, changes, rtol=1e-9)


def test_only_every_so_many_steps_are_probed_and_the_others_have_no_hooks():
    module = model()
    monitor, rnn, hooked = rnnsim.Monitor(module, every=3, step=2), module.modules["rnn"], []
    for _ in range(8):
        with monitor:
            hooked.append((monitor.step, len(rnn.after) + len(rnn.weights["weight_hh_l0"].hooks)))
            step(module)
    assert hooked == [(s, 2 * (s % 3 == 0)) for s in range(2, 10)]
    assert not rnn.after
    assert not rnn.weights["weight_hh_l0"].hooks
    assert monitor.to_xarray().step.values.tolist() == [3, 6, 9]
    assert repr(monitor) == "Monitor(rnn, every=3, step=10, n_probed=3)"
    monitor.step = 6  # back to a checkpoint
    with monitor:
        step(module, X[:5], ARRIVING[:5])
    found = monitor.to_xarray()
    assert found.step.values.tolist() == [3, 6, 9]
    assert found.n_steps.values[:, 0].tolist() == [T, 5, T]
    assert np.isnan(found.log_change.sel(step=6, lag=8)).all()
    assert np.isnan(found.lambda_1.sel(step=6)).all()  # 5 steps are too few for it
    assert np.isfinite(found.log_change.sel(step=6, lag=4)).all()


def test_gradient_norm_and_clipping_are_of_all_parameters():
    module = model()
    tensors = module.modules["rnn"].weights
    tensors["weight_ih_l0"].grad = standin.Tensor(np.full((12, 2), 3.0))
    tensors["bias_ih_l0"].grad = standin.Tensor(np.full(12, 4.0, "float16"))
    module.parameters = lambda: [*tensors.values(), standin.Tensor(np.ones(2))]
    norm = math.sqrt(24 * 9 + 12 * 16)
    for limit, factor in ((5.0, 5 / norm), (100.0, 1.0)):
        found = monitored(module, clip_norm=limit).to_xarray()
        assert_allclose(found.gradient_norm, norm, rtol=1e-6)
        assert_allclose(found.clip_factor, factor, rtol=1e-6)
    assert np.isnan(monitored(module).to_xarray().clip_factor).all()
    for tensor in tensors.values():
        tensor.grad = None
    assert np.isnan(monitored(module, clip_norm=1.0).to_xarray().gradient_norm).all()
    tensors["bias_ih_l0"].grad = standin.Tensor(np.zeros(12))
    assert (monitored(module, clip_norm=1.0).to_xarray().clip_factor == 1).all()


def test_numbers_go_to_a_writer_and_to_a_callable():
    module, written, told = model(), [], []

    class Writer:
        def add_scalar(self, tag, value, step):
            written.append((tag, value, step))

    for to in (Writer(), lambda step, numbers: told.append((step, numbers))):
        monitor = monitored(module, window=5, to=to, step=7)
    assert {step for *_, step in written} == {7}
    ((at, numbers),) = told
    assert at == 7
    assert numbers == {tag: value for tag, value, _ in written} == monitor.last
    assert {type(value) for value in numbers.values()} == {float}
    data = monitor.to_xarray().isel(step=0, module=0)
    assert numbers["rnnsim/rnn/log_change/lag_16"] == float(data.log_change.sel(lag=16))
    assert numbers["rnnsim/rnn/bias2"] == float(data.bias2)
    assert "rnnsim/clip_factor" not in numbers  # not known
    broken = rnnsim.Monitor(module, 1, lambda step, numbers: 1 / 0)
    with pytest.raises(ZeroDivisionError), broken:
        step(module)
    assert broken.last  # the row is there


def test_failure_in_the_model_passes_through_and_leaves_no_row():
    module = model()
    monitor = rnnsim.Monitor(module, every=1)
    with pytest.raises(KeyError, match="of the model"), monitor:
        raise KeyError("of the model")
    assert not module.modules["rnn"].after
    assert monitor.step == 1
    assert monitor.last == {}
    assert monitor.to_xarray().sizes["step"] == 0
    for every in (1, 7):
        monitor = rnnsim.Monitor(module, every=every, step=1)
        with monitor:
            with pytest.raises(RuntimeError, match="this monitor is in use"):
                monitor.__enter__()  # the outer `with` stays as it is
            step(module)
        assert monitor.step == 2
        assert len(monitor.to_xarray().step) == (every == 1)


def without_backward(module):
    module.modules["rnn"](standin.Tensor(X))


def of_nan(module):
    step(module, arriving=np.where(X[:, :, :1] == X[3, 0, 0], np.nan, ARRIVING))


def with_dropout(module):
    rnn = module.modules["rnn"]
    rnn.num_layers, rnn.dropout = 2, 0.5
    rnn.forward = lambda x: (standin.Tensor(ARRIVING), standin.Tensor(ARRIVING[-1:]))
    step(module)


@pytest.mark.parametrize(
    ("take", "words"),
    [
        (
            lambda module: step(module, arriving=ARRIVING * (np.arange(B) % 2)[:, None]),
            "all gradients at the 3 sequences that are looked at are exactly 0",
        ),
        (without_backward, "no gradient arrived"),
        (of_nan, r"step 0: 'rnn' is not measured: `dL_dh` must be finite, got nan"),
        (with_dropout, "dropout between its layers"),
        (lambda module: None, "no module was called"),
    ],
)
def test_trouble_is_nan_and_said_once(take, words):
    module = model()
    monitor = rnnsim.Monitor(module, every=1, window=3, n_sequences=3)
    with pytest.warns(UserWarning, match=words), monitor:
        take(module)
    with warnings.catch_warnings(action="error"), monitor:
        take(module)
    found = monitor.to_xarray()
    assert found.sizes == {"step": 2, "module": 1, "lag": 0}
    assert all(np.isnan(found[name]).all() for name in ("share_beyond", "bias2", "lambda_1"))
    assert (found.n_steps == -1).all()
    assert not module.modules["rnn"].after


def test_half_precision_is_said_once():
    module = model("GRU", dtype="float16")
    rnn = module.modules["rnn"]
    rnn.run = lambda x, hx: standin.GRU.run(rnn, x.astype("f4"), hx)
    monitor = rnnsim.Monitor(module, every=1)
    with pytest.warns(UserWarning, match=r"'rnn' \(float16\) are taken over"), monitor:
        step(module, X.astype("float16"), ARRIVING.astype("float16"))
    with warnings.catch_warnings(action="error"), monitor:
        step(module, X.astype("float16"), ARRIVING.astype("float16"))
    assert np.isfinite(monitor.to_xarray().lambda_1).all()


def test_of_several_modules_and_calls_the_last_with_a_gradient_counts():
    module = standin.Module(a=standin.GRU(D, H), b=standin.RNN(D, H), c=standin.RNN(D, H))
    with rnnsim.Monitor(module, every=1) as monitor:
        for name, n in (("a", 9), ("b", 7), ("a", 5), ("a", 3)):
            output, _ = module.modules[name](standin.Tensor(X[:n]))
            if n != 3:
                output.arrive(ARRIVING[:n])
    found = monitor.to_xarray().isel(step=0)
    assert found.module.values.tolist() == ["a", "b", "c"]
    assert found.n_steps.values.tolist() == [5, 7, -1]
    assert np.isfinite(found.log_change.sel(lag=4).values).tolist() == [True, True, False]


def test_edges_of_what_is_measured():
    short = monitored(model(), take=lambda m: step(m, X[:1], ARRIVING[:1]), window=3)
    found = short.to_xarray().isel(step=0, module=0)
    assert found.sizes == {"lag": 0}
    assert_allclose([found.share_beyond, found.bias2], 0, atol=1e-15)
    alone = monitored(model(), take=lambda m: step(m, X[:, :1], ARRIVING[:, :1]), window=3)
    found = alone.to_xarray().isel(step=0, module=0)
    assert np.isnan([found.bias2, found.variance]).all()
    assert np.isfinite(found.share_beyond)
    dead = model("RNN", nonlinearity="relu")
    dead.modules["rnn"].weights["bias_ih_l0"].array[:] = -100
    found = monitored(dead, window=3).to_xarray().isel(step=0, module=0)
    assert np.isneginf(found.log_change).all()
    assert np.isnan(found.share_beyond)  # there is no gradient to share
    assert np.isneginf(found.lambda_1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_decays_beyond_the_range_is_minus_infinity(dtype):
    module = model("RNN", nonlinearity="relu", dtype=dtype)
    tensors = module.modules["rnn"].weights
    for name, tensor in tensors.items():
        tensor.array[:] = 1e-7 * np.eye(H) if name == "weight_hh_l0" else 1.0
    x = np.abs(X).astype(dtype)
    arriving = 1e-20 * np.abs(ARRIVING).astype(dtype)
    found = monitored(module, take=lambda m: step(m, x, arriving)).to_xarray()
    changes = found.log_change.isel(step=0, module=0)
    last = {"float32": 4, "float64": 32}[dtype]
    known = changes.lag <= last
    assert_allclose(changes[known], changes.lag[known] * math.log(1e-7), rtol=1e-6)
    assert np.isneginf(changes[~known]).all()
    assert (~known).sum() == {"float32": 3, "float64": 0}[dtype]


def test_what_grows_beyond_the_range_is_not_known():
    module = model("RNN", dtype="float32")
    for name, tensor in module.modules["rnn"].weights.items():
        tensor.array[:] = 100 * np.eye(H) if name == "weight_hh_l0" else 0  # at rest: J is W_hh
    x = np.zeros(X.shape, "f4")
    found = monitored(module, take=lambda m: step(m, x, ARRIVING.astype("f4")), window=3)
    data = found.to_xarray().isel(step=0, module=0)
    assert_allclose(data.log_change[:5], data.lag[:5] * math.log(100), rtol=1e-6)
    assert np.isnan(data.log_change[5])
    assert np.isnan([data.share_beyond, data.bias2, data.variance]).all()
    assert_allclose(data.lambda_1, math.log(100), rtol=1e-6)


def test_packed_sequences_are_measured_over_their_own_steps():
    module, lengths = model("GRU"), [30, 9, 25, 40, 12, 26]

    def take(of):
        valid = np.arange(T)[:, None] < lengths
        output, _ = of.modules["rnn"](standin.packed(X, lengths))
        output.data.arrive(standin.packed(ARRIVING * valid[..., None], lengths).data.array)

    found = monitored(module, take=take, n_sequences=6, window=4).to_xarray().isel(step=0, module=0)
    network = seen_of(module).record().network
    each = [
        rnnsim.lyapunov_spectrum(network, X[: lengths[b], [b]], n_exponents=1).exponents[0, 0]
        for b in (0, 3)
    ]
    assert_allclose(found.lambda_1, np.mean(each), rtol=1e-9)
    valid = (np.arange(T)[:, None] < lengths)[..., None]
    data = rnnsim.Sequences.from_gradients(X * valid, dL_dh=ARRIVING * valid)
    known = rnnsim.window_bias_variance(network, data, 6, windows=[4])
    assert_allclose(found.bias2, known.bias2_estimate[0, 0], rtol=1e-9)


def test_what_a_monitor_cannot_be_made_of():
    with pytest.raises(ValueError, match="got Module without any"):
        rnnsim.Monitor(standin.Module())
    with pytest.raises(ValueError, match="nothing that can be followed"):
        rnnsim.Monitor(model(bidirectional=True))
    for to in (3, "file", lambda numbers: None):
        with pytest.raises(TypeError, match="`to` must be a writer with add_scalar"):
            rnnsim.Monitor(model(), to=to)
    monitor = rnnsim.Monitor(model())
    with pytest.raises(ValueError, match="`step` must be"):
        monitor.step = -1
