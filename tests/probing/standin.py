"""PyTorch's interface as far as a probe uses it, in NumPy; gradients arrive when tests say so."""

from typing import Any, NamedTuple

import numpy as np

import rnnsim

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


class Tensor:
    def __init__(self, array, requires_grad=True, device="cpu"):
        self.array, self.requires_grad, self.device = np.asarray(array), requires_grad, device
        self.hooks, self._version, self.grad = [], 0, None

    dtype = property(lambda self: f"torch.{self.array.dtype}")
    shape = property(lambda self: self.array.shape)

    def detach(self):
        return Tensor(self.array, False, self.device)

    def cpu(self):
        return Tensor(self.array, self.requires_grad)

    def float(self):
        return Tensor(self.array.astype(np.float32), self.requires_grad, self.device)

    def numpy(self):
        assert not self.requires_grad
        assert self.device == "cpu"
        return self.array

    def view_as(self, other):
        assert other.shape == self.shape
        return Tensor(self.array, self.requires_grad, self.device)

    def norm(self):
        return Tensor(np.linalg.norm(self.array), False)

    def item(self):
        return self.array.item()

    def register_hook(self, hook):
        return Handle(self.hooks, hook)

    def arrive(self, gradient):
        """A backward pass comes by."""
        for hook in self.hooks:
            hook(None if gradient is None else Tensor(gradient, False))


class PackedSequence(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


def packed(x, lengths):
    """(T, B, D) as PyTorch packs sequences that are not sorted."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    sizes = np.array([(np.asarray(lengths) > t).sum() for t in range(max(lengths))])
    data = np.concatenate([x[t, order[:size]] for t, size in enumerate(sizes)])
    indices = [Tensor(i, False) for i in (sizes, order, np.argsort(order))]
    return PackedSequence(Tensor(data, False), *indices)


class Handle:
    def __init__(self, hooks, hook):
        self.hooks, self.hook = hooks, hook
        hooks.append(hook)

    def remove(self):
        self.hooks.remove(self.hook)


class Module:
    training = True

    def __init__(self, **modules):
        self.modules, self.before, self.after = modules, [], []
        self.weights: dict[str, Tensor] = {}

    def named_modules(self, prefix="", remove_duplicate=True):
        assert not remove_duplicate
        yield prefix, self
        for name, module in self.modules.items():
            yield from module.named_modules(f"{prefix}.{name}".lstrip("."), False)

    def named_parameters(self):
        yield from self.weights.items()

    def parameters(self):
        return self.weights.values()

    def state_dict(self):
        return {name: tensor.detach() for name, tensor in self.weights.items()}

    def register_forward_pre_hook(self, hook, *, with_kwargs=False):
        assert with_kwargs
        return Handle(self.before, hook)

    def register_forward_hook(self, hook, *, with_kwargs=False):
        assert with_kwargs
        return Handle(self.after, hook)

    def __getattr__(self, name):
        weights = vars(self).get("weights", {})
        if name in weights:
            return weights[name]
        raise AttributeError(name)

    def __call__(self, *args, **kwargs):
        for hook in [*self.before]:
            args, kwargs = hook(self, args, kwargs) or (args, kwargs)
        output: Any = self.forward(*args, **kwargs)
        for hook in [*self.after]:
            found = hook(self, args, kwargs, output)
            output = output if found is None else found
        return output


class _Recurrent(Module):
    """Layers of D inputs and H units with weights as PyTorch names them."""

    cell = False
    bidirectional, proj_size, dropout, batch_first, num_layers = False, 0, 0.0, False, 1

    def __init__(self, D, H, nonlinearity="tanh", dtype="float64", seed=0, **options):
        super().__init__()
        for name, value in options.items():
            setattr(self, name, value)
        self.kind, self.has_graph = type(self).__name__.removesuffix("Cell"), True
        if self.kind == "RNN":
            self.nonlinearity = nonlinearity
        rng, rows = np.random.default_rng(seed), GATES[self.kind] * H
        for layer in range(self.num_layers):
            end = "" if self.cell else f"_l{layer}"
            columns = {"weight_ih": H if layer else D, "weight_hh": H}
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                shape = (rows, columns[name]) if name in columns else (rows,)
                drawn = rng.uniform(-0.6, 0.6, shape).astype(dtype)
                self.weights[name + end] = Tensor(drawn)

    def network(self):
        phi = {"activation": self.nonlinearity} if self.kind == "RNN" else {}
        return rnnsim.from_state_dict(self.state_dict(), **phi)

    def run(self, x, hx):
        """h of the top layer (T, B, H), and [h], or [h, c], of each layer at every step."""
        L = self.num_layers
        starts = [(a.array if L > 1 else a.array[0]) for a in hx]
        ran = rnnsim.forward(self.network(), x, **dict(zip(("h0", "c0"), starts, strict=False)))
        states = [np.stack([each.states[0] for each in ran.layers])]
        if self.kind == "LSTM":
            states.append(np.stack([each.memories[0] for each in ran.layers]))
        return ran.states[0, 1:], states

    def forward(self, input, hx=None):
        hx = () if hx is None else hx if isinstance(hx, tuple) else (hx,)
        is_packed = isinstance(input, PackedSequence)
        if is_packed:
            sizes, back = input.batch_sizes.array, input.unsorted_indices.array
            x = np.zeros((len(sizes), sizes[0], input.data.shape[1]))
            x[np.arange(sizes[0]) < sizes[:, None]] = input.data.array
            x = np.ascontiguousarray(x[:, back])
            lengths = (sizes[:, None] > np.arange(sizes[0])).sum(axis=0)[back]
        else:
            x = input.array if not self.batch_first else input.array.swapaxes(0, 1).copy()
            lengths = np.full(x.shape[1], len(x))
        h, states = self.run(x, hx)
        last = tuple(self._tensor(each[:, lengths, np.arange(len(lengths))]) for each in states)
        last = last if len(last) > 1 else last[0]
        if is_packed:
            made = packed(h, lengths)
            return made._replace(data=self._tensor(made.data.array)), last
        return self._tensor(h.swapaxes(0, 1) if self.batch_first else h), last

    def _tensor(self, array):
        return Tensor(array, self.has_graph)


class RNN(_Recurrent):
    pass


class LSTM(_Recurrent):
    pass


class GRU(_Recurrent):
    pass


class _Cell(_Recurrent):
    cell = True

    def forward(self, input, hx=None):
        hx = () if hx is None else hx if isinstance(hx, tuple) else (hx,)
        self.read = hx
        starts = [Tensor(each.array[None]) for each in hx]
        _, states = self.run(input.array[None], starts)
        last = tuple(self._tensor(each[0, 1]) for each in states)
        return last if len(last) > 1 else last[0]


class RNNCell(_Cell):
    pass


class LSTMCell(_Cell):
    pass


class GRUCell(_Cell):
    pass
