"""One of every public result, of vanilla networks, gated ones and stacks, of their smallest too."""

from functools import cache

import numpy as np

import rnnsim

KINDS = ("vanilla", "lstm", "gru", "stack", "lstm stack", "one layer")


def networks(kind, N=2, D=2, H=3, V=4, dtype="float64"):
    """Networks of another size along each axis."""
    sizes = {"n_inputs": D, "n_hidden": H, "n_outputs": V, "dtype": dtype, "rng": 0}
    layers = {"stack": 2, "lstm stack": 2, "one layer": 1}.get(kind)
    cell = {"lstm": "lstm", "gru": "gru", "lstm stack": "lstm"}.get(kind, "vanilla")
    if layers:
        return rnnsim.Stack.sample(N, n_layers=layers, cell=cell, **sizes)
    return rnnsim.RNN.sample(N, cell=cell, **sizes)


def batch(T=25, B=5, D=2, V=4, *, classes=True, dtype="float64"):
    rng = np.random.default_rng(1)
    targets = rng.integers(0, V, (T, B)) if classes else rng.normal(size=(T, B, V))
    data = rnnsim.Sequences(rng.normal(size=(T, B, D)), targets, provenance={"task": "made"})
    return data.astype(dtype)


def pairs(T=6, T_s=7, B=5, D=2, D_s=8, V=4):
    rng = np.random.default_rng(2)
    return rnnsim.Pairs(rng.normal(size=(T_s, B, D_s)), batch(T, B, D, V))


def of_networks(rnn, data):
    """What functions of networks and data return, by the class and what they are of."""
    flow = rnnsim.gradient_flow(rnn, data, per_sequence=True)
    found = {
        "Sequences": data,
        "Forward": rnnsim.forward(rnn, data.inputs),
        "Evaluation": rnnsim.evaluate(rnn, data),
        "Gradients": rnnsim.bptt(rnn, data),
        "Gradients kept": rnnsim.bptt(rnn, data, keep=("inputs", "states", "steps")),
        "Gradients truncated": rnnsim.truncated_bptt(rnn, data, window=1),
        "GradientFlow": flow,
        "GradientFlow scaled": rnnsim.gradient_flow(rnn, data, state_scale="std", max_lag=3),
        "Windows": flow.recurrent,
        "Windows of gates": flow.gates,
        "GradientMap": rnnsim.gradient_map(rnn, data),
        "Reach": rnnsim.reach(flow),
        "JacobianSpectrum": rnnsim.jacobian_spectrum(rnn, data.inputs),
        "JacobianProducts": rnnsim.jacobian_products(rnn, data, lags=[1]),
    }
    if data.n_sequences > 1:
        found["WindowBiasVariance"] = rnnsim.window_bias_variance(rnn, data, data.n_sequences)
    if isinstance(rnn, rnnsim.RNN):
        found["Spectrum" if rnn.cell == "vanilla" else "GateSpectrum"] = rnnsim.spectrum(rnn)
    if isinstance(rnn, rnnsim.RNN) and rnn.cell == "vanilla":
        found["NonNormality"] = rnnsim.nonnormality(rnn)
        found["Pseudospectrum"] = rnnsim.pseudospectrum(rnn, real=[0.0, 1, 2, 3, 4], imag=[0.0, 1])
    if data.n_steps >= 25:
        found["GrowthRate"] = rnnsim.growth_rate(flow)
        found["LyapunovSpectrum"] = rnnsim.lyapunov_spectrum(rnn, data.inputs)
        found["LyapunovSpectrum few"] = rnnsim.lyapunov_spectrum(rnn, data.inputs, n_exponents=2)
    if rnn.cell != "vanilla":
        found["GateStatistics"] = rnnsim.gate_statistics(
            rnn, data, exponents=data.n_steps >= 25, quantiles=[0.0, 0.1, 0.5, 0.7, 0.8, 0.9, 1.0]
        )
    return {f"{name}, {_called(rnn)}": each for name, each in found.items()}


def of_pairs(cell, L, N=2, **sizes):
    data = pairs(**sizes)
    model = rnnsim.EncoderDecoder.sample(
        N, n_source_inputs=data.n_source_inputs, n_inputs=2, n_hidden=3, n_outputs=4, n_layers=L,
        cell=cell, rng=0,
    )  # fmt: skip
    flow = rnnsim.pairs_flow(model, data)
    found = {
        "Pairs": data,
        "PairGradients": rnnsim.pairs_bptt(model, data),
        "PairEvaluation": rnnsim.pairs_evaluate(model, data),
        "PairFlow": flow,
        "FlowNorms": flow.encoder,
        "GradientMap": rnnsim.gradient_map(model, data),
    }
    return {f"{name}, {L} layers of {cell} in pairs": each for name, each in found.items()}


def others():
    """What is not of networks and data alone."""
    data, rnn = batch(), networks("vanilla", H=12)
    values, own = batch(classes=False), np.stack([batch().inputs, batch(V=3).inputs])
    by_hand = rnnsim.Sequences.from_gradients(
        data.inputs, np.ones((25, 5, 4)), dL_dh=np.ones((25, 5, 3)), dL_dc_final=np.ones((5, 3)),
        dL_dh_final=np.ones((2, 5, 3)),
    )  # fmt: skip
    theory = rnnsim.theory
    bounds = theory.aicher_log_bound(np.log(0.5 ** np.arange(10.0)), [1, 3], tau=1, log_M=0.0)
    return {
        "LeadingSpectrum": rnnsim.leading_spectrum(rnn, k=5),
        "Spectrum of a matrix": rnnsim.nonnormality(np.eye(3)),
        "Sequences of values": values,
        "Sequences of derivatives": by_hand,
        "Sequences, own": rnnsim.Sequences(own, np.stack([data.targets] * 2)),
        "MeanField": theory.mean_field(gain=[0.5, 1.5], input_variance=0.1),
        "MeanField at a point": theory.mean_field(gain=0.5, input_variance=0.1),
        "AicherBound": bounds,
        "Training": _trained("vanilla"),
        "Training of LSTMs": _trained("lstm"),
        "Training of stacks": _trained("stack"),
    }


def _trained(kind):
    test = batch(T=9)
    return rnnsim.train(networks(kind), test, n_updates=3, snapshot_every=2, max_lag=4, test=test)


def _lost():
    """Networks of which one leaves the range."""
    rnn = networks("vanilla")
    W_hh = rnn.W_hh * np.array([1e250, 0.1])[:, None, None]
    weights = rnn.weights._replace(W_hh=W_hh)
    return rnnsim.RNN(*weights, activation="relu"), batch()


def _called(rnn):
    depth = len(rnn.layers) if isinstance(rnn, rnnsim.Stack) else 0
    size = f"{len(rnn)} networks, V={rnn.n_outputs}"
    return f"{rnn.cell}, {depth} layers, {rnn.activation}, {rnn.dtype}, {size}"


@cache
def results():
    """All of them, by name; the class comes first."""
    found = {}
    for kind in KINDS:
        found |= of_networks(networks(kind), batch())
    for kind in ("vanilla", "lstm", "stack"):  # sizes of 1
        least = of_networks(networks(kind, N=1, D=1, H=1, V=1), batch(T=1, B=1, D=1, V=1))
        found |= {f"{name}, least": each for name, each in least.items()}
    found |= of_networks(networks("lstm", dtype="float32"), batch(dtype="float32"))
    found |= of_networks(*_lost())
    silent = rnnsim.RNN.sample(2, n_inputs=2, n_hidden=3, n_outputs=0, rng=0)
    found["Forward without a readout"] = rnnsim.forward(silent, batch().inputs)
    inner = rnnsim.Sequences.from_gradients(batch().inputs, dL_dh=np.ones((25, 5, 3)))
    found["Gradients without a readout"] = rnnsim.bptt(silent, inner, keep=["steps"])
    for cell, L in (("vanilla", 1), ("lstm", 1), ("lstm", 2), ("gru", 2)):
        found |= of_pairs(cell, L)
    least = of_pairs("vanilla", 1, N=1, T=1, T_s=1, B=1, D_s=1)
    found |= {f"{name}, least": each for name, each in least.items()}
    return found | others()


def each_of(made):
    """A test for the name of each of those that `made()` returns, which are not made before."""

    def repeated(test):
        def over_all():
            for name in sorted(made()):
                try:
                    test(name)
                except Exception as error:
                    error.add_note(f"of {name}")
                    raise

        over_all.__name__, over_all.__doc__ = test.__name__, test.__doc__
        return over_all

    return repeated
