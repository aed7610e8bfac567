"""Modules of PyTorch, losses of all that they return, and gradients beside autograd's."""

import numpy as np

import rnnsim

TOLERANCES = {"float32": 1e-6, "float64": 1e-12}
KINDS = ("tanh", "relu", "lstm", "gru")
D, H, T, B = 3, 5, 7, 4


def recurrent(kind, n_layers=1, dtype="float64", cell=False, **options):
    import torch

    torch.manual_seed(n_layers)
    name = {"tanh": "RNN", "relu": "RNN"}.get(kind, kind.upper()) + ("Cell" if cell else "")
    options |= {"nonlinearity": kind} if kind in ("tanh", "relu") else {}
    options |= {} if cell else {"num_layers": n_layers}
    return getattr(torch.nn, name)(D, H, dtype=getattr(torch, dtype), **options)


def normal(*shape, dtype="float64", seed=0):
    import torch

    drawn = np.random.default_rng(seed).standard_normal(shape)
    return torch.tensor(drawn, dtype=getattr(torch, dtype))


def assert_close(ours, theirs, tolerance):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert np.linalg.norm(ours - theirs) <= tolerance * np.linalg.norm(theirs)


def assert_as_autograd(records, module, dtype="float64", inputs=None):
    """Sums of dL/dW over calls, and dL/dx (T, B, D) of the last call."""
    gradients = []
    for record in records:
        found = rnnsim.bptt(
            record.network, record.sequences, h0=record.h0, c0=record.c0, keep=("inputs",)
        )
        gradients.append(found)
    layers = len(records[0].network.layers)
    names = dict(module.named_parameters())
    for index in range(layers):
        suffix = f"_l{index}" if "weight_hh_l0" in names else ""
        parts = [g.layers[index] if layers > 1 else g.weights for g in gradients]
        for ours, theirs in (("W_xh", "weight_ih"), ("W_hh", "weight_hh"), ("b_h", "bias")):
            total = sum(np.asarray(getattr(each, ours)[0], float) for each in parts)
            if theirs == "bias":
                first, second = (names[f"bias_{s}{suffix}"].grad.numpy() for s in ("ih", "hh"))
                grad = np.concatenate([first, second[2 * H :]]) if len(first) == 3 * H else first
            else:
                grad = names[theirs + suffix].grad.numpy()
            assert_close(total, grad, TOLERANCES[dtype])
    if inputs is not None:
        assert_close(gradients[-1].inputs[0], inputs, TOLERANCES[dtype])


def last(states):
    """h_n and c_n, or h_n and None."""
    return states if isinstance(states, tuple) else (states, None)


HEADS = {
    "output": lambda output, h, c, w: (output.sin() * w).sum(),
    "h_n": lambda output, h, c, w: (h.sin() ** 3).sum(),
    "top of h_n": lambda output, h, c, w: (h[-1].sin() ** 3).sum(),
    "c_n": lambda output, h, c, w: ((h if c is None else c).sin() ** 2).sum(),
    "all": lambda output, h, c, w: (
        (output.sin() * w).sum() + h.cos().sum() + (0 if c is None else c.sin().sum())
    ),
}


def in_a_loop(cell, x, states, between=lambda states: states):
    """h of every step (T, B, H), and the last state."""
    import torch

    outputs = []
    for x_t in x:
        states = cell(x_t, between(states))
        outputs.append(states[0] if isinstance(states, tuple) else states)
    return torch.stack(outputs), states
