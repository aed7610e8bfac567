"""The data of an experiment: input sequences, targets, and where the loss is."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.appearances import warn_of
from rnnsim.data.border import checked_inputs, checked_targets, checked_weights
from rnnsim.data.counting import last_step, leave_out, per_token
from rnnsim.data.gradients import LossGradients, checked_gradients, entering, mapped
from rnnsim.data.labels.gradients import of_data
from rnnsim.data.labels.results import About, Labels, Result
from rnnsim.data.ragged import padded


@dataclass(frozen=True, eq=False, repr=False)
class Sequences(Result):
    """A batch of B input sequences of T steps with targets and loss weights.

    Parameters
    ----------
    inputs : (T, B, D) array
        float32 or float64. With a leading network axis (N, T, B, D), on targets and weights too,
        each network reads its own data; without it all networks share one batch.
    targets : (T, B) int array or (T, B, V) float array
        Class ids 0..V-1 are scored with softmax cross-entropy in nats, float targets (of the
        inputs' dtype) with ``0.5*||y - target||^2``. Where the weight is 0 they are ignored.
    weights : (T, B) array, optional
        Loss weights w >= 0, of the inputs' dtype, integers or booleans; 1 everywhere unless given,
        0 where a step carries no loss.

        All three are copied; the attributes of these names are read-only views.
    mask : (T, B) array of booleans, or of 0 and 1, optional
        True where a step is valid: elsewhere the weight becomes 0, whatever `weights` say. Inputs
        are read at every step, so that padding must be finite (0 will do) and is to come last.
    ignore_index : int or None
        Integer targets of this value carry no loss, as in ``torch.nn.functional.cross_entropy``.
        Both go into `weights`; they are not kept beside them.
    provenance : mapping of str to str, optional
        Where the data come from (corpus checksum, task variant); recorded with results.

    Attributes
    ----------
    gradients : LossGradients or None
        What `from_gradients` was given; None for targets, as here.

    Raises
    ------
    TypeError
        Inputs, float targets or float weights that are not all float32 or all float64; targets or
        a mask of another kind.
    ValueError
        Shapes that disagree, empty axes, NaN or infinity, negative weights or class ids, a mask
        with other numbers than 0 and 1.

    Warns
    -----
    UserWarning
        Axes that look swapped: a power of two of steps, 4 at least, as batches have sequences, and
        at least four times as many sequences, which are no power of two; two steps or more and
        over 2500 times as many sequences. Float targets that are one-hot in every row of weight
        above 0 and of two classes at least.

    Examples
    --------
    >>> import numpy as np, rnnsim
    >>> batch = rnnsim.Sequences(np.zeros((5, 2, 3)), np.zeros((5, 2), int))
    >>> batch.n_steps, batch.n_sequences, batch.n_inputs
    (5, 2, 3)
    """

    inputs: FloatArray
    targets: npt.NDArray[Any]
    weights: FloatArray = None  # type: ignore[assignment]
    mask: InitVar[npt.ArrayLike | None] = field(default=None, kw_only=True)
    ignore_index: InitVar[int | None] = field(default=-100, kw_only=True)
    provenance: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    gradients: LossGradients | None = field(init=False, default=None)
    _owned: tuple[FloatArray, npt.NDArray[Any], FloatArray] = field(init=False, repr=False)
    _owned_gradients: LossGradients = field(init=False, repr=False)

    def __post_init__(self, mask: Any, ignore_index: Any) -> None:
        inputs = checked_inputs(self.inputs)
        weights = checked_weights(self.weights, inputs)
        leave_out(weights, mask, self.targets, ignore_index)
        targets = checked_targets(self.targets, inputs, weights)
        self._keep(inputs, targets, weights, self.provenance)
        warn_of(inputs, targets, weights, depth=3)

    @classmethod
    def from_gradients(
        cls,
        inputs: npt.ArrayLike,
        dL_dy: npt.ArrayLike | None = None,
        *,
        dL_dh: npt.ArrayLike | None = None,
        dL_dh_final: npt.ArrayLike | None = None,
        dL_dc_final: npt.ArrayLike | None = None,
        provenance: Mapping[str, str] | None = None,
    ) -> "Sequences":
        """Data with any loss L of one's own, given by its derivatives in place of targets.

        ::

            dL/dW = sum_b sum_t dL_dy[t,b] dy[t,b]/dW + dL_dh[t,b] dh[t,b]/dW
                    + sum_b dL_dh_final[b] dh[T,b]/dW + dL_dc_final[b] dc[T,b]/dW

        They are derivatives of the whole loss: `bptt` returns dL/dW of exactly that loss, with no
        1/B added, and `gradient_flow`, whose l has no 1/B, multiplies them by B. They belong to
        the states of the networks that they were taken at. The value of L is not known: `bptt`
        says NaN, `evaluate`, `train` and `Pairs` refuse such data.

        Parameters
        ----------
        inputs : (T, B, D) array
            float32 or float64. With a leading network axis (N, T, B, D), on all that is given, each
            network reads its own data.
        dL_dy : (T, B, V) array, optional
            With respect to the outputs y_t.
        dL_dh : (T, B, H) array, optional
            With respect to the states h_t: the direct part, without y_t and without what returns
            through time.
        dL_dh_final : (B, H) array, optional
            With respect to h_T; added to `dL_dh` at step T. Of stacks `dL_dh` and this are of the
            top layer, or (L, B, H): of each, at fixed states of the others.
        dL_dc_final : (B, H) array, optional
            With respect to c_T of LSTM cells, at fixed h_T; of stacks likewise.
        provenance : mapping of str to str, optional
            As of `Sequences`.

        Returns
        -------
        Sequences
            `gradients` holds read-only views of copies, with dL/dh_final inside `dL_dh` unless it
            is (L, B, H). `targets` is empty, (T, B, 0), `weights` 1 where a derivative is not
            exactly 0, else 0: at `loss_steps` derivatives enter, step T for `dL_dc_final`.

        Raises
        ------
        TypeError
            Arrays that are not all float32 or all float64.
        ValueError
            No derivative, shapes that disagree, empty axes, NaN or infinity.

        Warns
        -----
        UserWarning
            Axes that look swapped, as of `Sequences`.

        Examples
        --------
        The loss (1/B) sum_b sum_i log cosh h_i at step T, of three sequences; `LossGradients` shows
        a stack in two parts:

        >>> import numpy as np, rnnsim
        >>> rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=4, n_outputs=1, rng=0)
        >>> x = np.random.default_rng(0).normal(size=(5, 3, 2))
        >>> last = rnnsim.forward(rnn, x).states[0, -1]
        >>> batch = rnnsim.Sequences.from_gradients(x, dL_dh_final=np.tanh(last) / 3)
        >>> batch.loss_steps, batch.gradients.dL_dh.shape
        (array([5]), (5, 3, 4))
        """
        x = checked_inputs(inputs)
        finals = {"dL_dh_final": dL_dh_final, "dL_dc_final": dL_dc_final}
        gradients = checked_gradients(x, {"dL_dy": dL_dy, "dL_dh": dL_dh, **finals})
        targets, weights = np.empty((*x.shape[:-1], 0), x.dtype), entering(x, gradients)
        made = cls.__new__(cls)
        made._keep(x, targets, weights, {} if provenance is None else provenance, gradients)
        warn_of(x, targets, weights, depth=2)
        return made

    @classmethod
    def ragged(
        cls,
        inputs: Iterable[npt.ArrayLike],
        targets: Iterable[npt.ArrayLike] | None = None,
        weights: Iterable[npt.ArrayLike] | None = None,
        *,
        ignore_index: int | None = -100,
        provenance: Mapping[str, str] | None = None,
    ) -> "Sequences":
        """Sequences of several lengths T_b in one batch: behind the shorter ones zeros, no loss.

        ::

            L = (1/B) sum_b sum_{t <= T_b} w[t,b] * loss(y[t,b], target[t,b])

        L and its gradients are the means of those of each sequence by itself.

        Parameters
        ----------
        inputs : list of (T_b, D) arrays
            float32 or float64; arrays (T_b,) are taken as D = 1.
        targets : list of arrays, or an array, optional
            At each step: (T_b,) class ids or (T_b, V) floats for each sequence. At each one's own
            last step only: one class id, or one row (V,) of floats, for each sequence, as in a (B,)
            or (B, V) array. Unless given, the next input: ``0.5*||y_t - x_{t+1}||^2`` at steps
            1..T_b-1.
        weights : list of arrays, or an array, optional
            Loss weights, (T_b,) or one number for each sequence; 1 unless given.
        ignore_index : int or None
            As of `Sequences`.
        provenance : mapping of str to str, optional
            As of `Sequences`.

        Raises
        ------
        TypeError, ValueError
            What is no list of arrays, or empty; integers as inputs; several dtypes; shapes that
            disagree, NaN or infinity; next inputs of sequences of one step.

        Examples
        --------
        >>> import numpy as np, rnnsim
        >>> batch = rnnsim.Sequences.ragged([np.ones((3, 2)), np.ones((5, 2))], [1, 0])
        >>> batch.n_steps, batch.loss_steps.tolist(), batch.weights[:, 0].tolist()
        (5, [3, 5], [0.0, 0.0, 1.0, 0.0, 0.0])
        """
        origin = {} if provenance is None else provenance
        batch = padded(inputs, targets, weights)
        return cls(*batch, ignore_index=ignore_index, provenance=origin)

    def _keep(
        self,
        inputs: FloatArray,
        targets: npt.NDArray[Any],
        weights: FloatArray,
        provenance: Any,
        gradients: LossGradients | None = None,
    ) -> None:
        """What was checked, owned, and views of it for users' eyes."""
        arrays = {"inputs": inputs, "targets": targets, "weights": weights}
        fields = {
            **{name: checks.read_only(array) for name, array in arrays.items()},
            "provenance": checks.provenance(provenance),
            "gradients": gradients and mapped(gradients, checks.read_only),
            "_owned": (inputs, targets, weights),
            "_owned_gradients": gradients or LossGradients(),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _labelling(self) -> Labels:
        kind = {"classes": self.has_classes, "gradients": self.has_gradients}
        return of_data(own=self.n_networks is not None, **kind)

    def _known(self) -> About:
        kind = "derivatives" if self.has_gradients else "classes" if self.has_classes else "values"
        return About({"targets": kind}, self.provenance, in_nats=self.has_classes)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), *self._owned, self.gradients, self.provenance)

    @property
    def n_networks(self) -> int | None:
        """N where each network has its own data, None where all share one batch."""
        return int(self.inputs.shape[0]) if self.inputs.ndim == 4 else None

    @property
    def n_steps(self) -> int:
        """T."""
        return int(self.inputs.shape[-3])

    @property
    def n_sequences(self) -> int:
        """B."""
        return int(self.inputs.shape[-2])

    @property
    def n_inputs(self) -> int:
        """D."""
        return int(self.inputs.shape[-1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self.inputs.dtype

    @property
    def has_classes(self) -> bool:
        """True where the targets are class ids."""
        return self.targets.dtype.kind == "i"

    @property
    def has_gradients(self) -> bool:
        """True where the loss is given by its derivatives, see `from_gradients`."""
        return self.gradients is not None

    @property
    def loss_steps(self) -> npt.NDArray[np.int64]:
        """The steps 1..T that carry loss in at least one sequence of one network, ascending."""
        others = tuple(axis for axis in range(self.weights.ndim) if axis != self.weights.ndim - 2)
        return np.flatnonzero((self.weights > 0).any(axis=others)) + 1

    def last_loss_only(self) -> "Sequences":
        """The same data with loss at the last loss-carrying step only: many-to-one.

        Raises
        ------
        ValueError
            Data made by `from_gradients`: derivatives of one loss are not those of a part of it.
        """
        advice = "loss cannot be taken apart; give the derivatives of the loss at that step alone"
        return self._reweighted(last_step, "last_loss_only", advice)

    def mean_per_token(self) -> "Sequences":
        """The same data with the mean over all steps that carry loss, as frameworks take it.

        ::

            w <- w B / sum_tb w[t,b]        so that  L = sum_tb w loss / sum_tb w

        For each network by its own weights. With weights 0 or 1, n of them 1, L of class ids is
        that of PyTorch's ``CrossEntropyLoss(ignore_index=-100, reduction="mean")``: their 1/n
        counts steps, our 1/B sequences, and gradients differ by n/B. Of floats L is the mean of
        ``0.5*||y - target||^2`` over n steps; ``MSELoss``, the mean of (y - target)^2 over all n V
        numbers, is 2/V of it.

        Raises
        ------
        ValueError
            No step with loss; data made by `from_gradients`.

        Examples
        --------
        >>> import numpy as np, rnnsim
        >>> batch = rnnsim.Sequences(np.zeros((3, 2, 1)), [[0, 1], [1, 0], [1, -100]])
        >>> rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=2, n_outputs=2, rng=0)
        >>> bool(np.isclose(rnnsim.evaluate(rnn, batch.mean_per_token()).loss[0], np.log(2)))
        True
        """
        advice = "derivatives are of the loss as it is; give those of the mean"
        return self._reweighted(per_token, "mean_per_token", advice)

    def _reweighted(
        self, of: Callable[[FloatArray], FloatArray], method: str, advice: str
    ) -> "Sequences":
        """The same data with loss weights made of theirs."""
        if self.has_gradients:
            raise ValueError(
                f"`{method}` needs targets, got data made by Sequences.from_gradients, whose "
                f"{advice}"
            )
        weights = of(self.weights)
        return Sequences(self.inputs, self.targets, weights, provenance=self.provenance)

    def astype(self, dtype: npt.DTypeLike) -> "Sequences":
        """The same data rounded to float32 or widened to float64."""
        kind = checks.float_dtype("dtype", dtype)
        return _again(
            type(self),
            self.inputs.astype(kind),
            self.targets if self.has_classes else self.targets.astype(kind),
            self.weights.astype(kind),
            self.gradients and mapped(self.gradients, lambda array: array.astype(kind)),
            self.provenance,
        )


for _name in ("mask", "ignore_index"):  # parameters, and no attributes
    delattr(Sequences, _name)


def originals(sequences: Sequences) -> tuple[FloatArray, npt.NDArray[Any], FloatArray]:
    """Inputs, targets and weights themselves, for kernels: read-only arrays compile once more."""
    return sequences._owned


def original_gradients(sequences: Sequences) -> LossGradients:
    """Derivatives of the loss themselves, for kernels; None in place of all that were not given."""
    return sequences._owned_gradients


def check_scored(data: Any, name: str) -> None:
    """Refuse data without a value of the loss; messages call them `name`."""
    if isinstance(data, Sequences) and data.has_gradients:
        raise ValueError(
            f"`{name}` made by Sequences.from_gradients has no loss to evaluate: only derivatives "
            "are known, which rnnsim.bptt and rnnsim.gradient_flow take; give "
            "Sequences(inputs, targets) here"
        )


def _again(
    kind: type[Sequences],
    inputs: FloatArray,
    targets: npt.NDArray[Any],
    weights: FloatArray,
    gradients: LossGradients | None,
    provenance: Mapping[str, str],
) -> Sequences:
    """Data made of what others hold, checked anew."""
    if gradients is None:
        return kind(inputs, targets, weights, provenance=provenance)
    return kind.from_gradients(inputs, **gradients._asdict(), provenance=provenance)
