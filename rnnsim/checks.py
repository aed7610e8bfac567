"""Checks at the border: every public function validates through these, once, before a kernel runs.

Messages name the parameter, what was expected, what came and what to do.
"""

import inspect
import operator
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from itertools import pairwise
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[Any]
DTYPES = (np.dtype("float32"), np.dtype("float64"))
LARGEST = 2**63 - 1  # of int64
MOST = 10**9  # of a size: what is more cannot be allocated, and not always said to be too much

REFUSALS = (FileNotFoundError, OSError, MemoryError, TypeError, ValueError)
_SHOWN = 80  # characters of a value in a message


def shown(value: Any) -> str:
    """A value as messages show it, on one line and not too long."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # integers of thousands of digits; objects that cannot say what they are
        return f"something of type {type(value).__name__}"
    if len(text) <= _SHOWN:
        return text
    return f"{text[: _SHOWN // 2]} ... ({len(text)} characters, {type(value).__name__})"


_rehearsing: ContextVar[bool] = ContextVar("rehearsing", default=False)


@contextmanager
def rehearsal() -> Iterator[None]:
    """In here all is checked and nothing measured: studies give datasets of missing values."""
    token = _rehearsing.set(True)
    try:
        yield
    finally:
        _rehearsing.reset(token)


def rehearsing() -> bool:
    """Whether what runs here is part of a rehearsal."""
    return _rehearsing.get()


@contextmanager
def renamed(**names: str) -> Iterator[None]:
    """What is refused in here goes by the names that the caller knows: ``length="`n_steps`"``."""
    try:
        yield
    except REFUSALS as error:
        pattern = rf"`({'|'.join(names)})(\[[^`]*\])?`"
        message = re.sub(pattern, lambda found: names[found[1]], str(error))
        if message == str(error):
            raise
        kind = next(kind for kind in REFUSALS if isinstance(error, kind))
        raise kind(message) from error


def float_dtype(name: str, value: Any) -> np.dtype[Any]:
    """One of the two dtypes that rnnsim computes in."""
    try:
        dtype = np.dtype(value) if isinstance(value, str | type | np.dtype) else None
    except Exception as error:  # NumPy takes many names for a dtype, and fails in many ways
        raise TypeError(f"`{name}` must be 'float32' or 'float64', got {shown(value)}") from error
    if dtype is None or dtype not in DTYPES:
        came = shown(value) if dtype is None else repr(dtype.name)
        raise TypeError(f"`{name}` must be 'float32' or 'float64', got {came}")
    return dtype


def plain_array(name: str, value: Any) -> npt.NDArray[Any]:
    """`value` as an array; nothing masked, as masks would be ignored."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise TypeError(
            f"`{name}` must be a plain array, got a masked one, whose mask would be ignored; "
            f"fill it first, as in {name}.filled(0), and leave out what is masked in another way, "
            "such as loss weights of 0"
        )
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"`{name}` must be an array or nested lists of one length on each axis, got "
            f"{shown(value)}"
        ) from error


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view of an array for users' eyes: what was checked stays as it was."""
    view = array.view()
    view.setflags(write=False)
    return view


def float_array(name: str, value: Any, *, shape: str, own: bool = False) -> FloatArray:
    """`value` as a C-contiguous, writable float32 or float64 array; `shape` says what is expected.

    Copies only where layout or write protection ask for it, or always, for an `own` array, which no
    later change of `value` reaches.
    """
    array = plain_array(name, value)
    if array.dtype not in DTYPES:
        raise TypeError(
            f"`{name}` {shape} must hold float32 or float64, got {array.dtype}; "
            f"convert it first, for example with np.asarray({name}, dtype='float64')"
        )
    return np.array(array, order="C") if own else np.require(array, requirements=["C", "W"])


def same_dtype(**arrays: FloatArray) -> np.dtype[Any]:
    """The one dtype that all arrays share."""
    dtypes = {name: array.dtype for name, array in arrays.items()}
    if len(set(dtypes.values())) > 1:
        listing = ", ".join(f"{name}: {dtype}" for name, dtype in dtypes.items())
        raise TypeError(
            f"all arrays of a call must share one dtype, got {listing}; convert "
            f"{' or '.join(f'`{name}`' for name in dtypes)} with astype('float32') or "
            "astype('float64')"
        )
    return next(iter(dtypes.values()))


def first_index(bad: FloatArray) -> tuple[int, ...]:
    """Where the first True is."""
    return tuple(int(i) for i in np.unravel_index(np.argmax(bad), bad.shape))


def finite(name: str, array: FloatArray, where: FloatArray | None = None) -> None:
    """Refuse NaN and infinity and say where the first one is; only entries `where` count."""
    bad = ~np.isfinite(array)
    if where is not None:
        bad &= where
    if bad.any():
        index = first_index(bad)
        place = ", ".join(map(str, index))
        raise ValueError(
            f"`{name}` must be finite, got {array[index]} at [{place}] "
            f"({int(bad.sum())} such entries); remove or replace them"
        )


def real_array(name: str, value: Any) -> FloatArray:
    """A real number, or an array of them of any shape, as float64."""
    array = plain_array(name, value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"`{name}` must be a real number or an array of them, got {shown(value)}")
    return array.astype(np.float64)


def nonnegative(name: str, value: Any) -> FloatArray:
    """Finite numbers of at least 0, as a float64 array of any shape."""
    array = real_array(name, value)
    finite(name, np.atleast_1d(array))
    if (array < 0).any():
        raise ValueError(f"`{name}` must be at least 0, got {array.min()}; leave out what is below")
    return array


def positive(name: str, value: Any) -> FloatArray:
    """Finite numbers above 0, as a float64 array of any shape."""
    array = nonnegative(name, value)
    if (array == 0).any():
        raise ValueError(f"`{name}` must be above 0, got 0.0; leave out what is 0")
    return array


def per_network(name: str, value: Any, n_networks: int) -> FloatArray:
    """One number for each network, float64 (N,), from one for all or an array of them."""
    array = plain_array(name, value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"`{name}` must be a number or an (n_networks,) array, got {shown(value)}")
    if array.shape not in ((), (n_networks,)):
        raise ValueError(
            f"`{name}` must be a number or of shape (n_networks,) = ({n_networks},), "
            f"got shape {array.shape}"
        )
    return np.array(np.broadcast_to(array, n_networks), np.float64)


def positive_sizes(name: str, array: FloatArray, axes: str) -> None:
    """Refuse empty axes; `axes` names them, as in "N T B D"."""
    for axis, size in zip(axes.split(), array.shape, strict=True):
        if size == 0:
            raise ValueError(
                f"`{name}` must have at least one entry on each axis ({', '.join(axes.split())}), "
                f"got shape {array.shape}: {axis} is 0"
            )


def whole_number(name: str, value: Any, *, least: int, most: float = LARGEST) -> int:
    """An integer from `least` to `most`."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be an integer of at least {least}, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError as error:
        raise TypeError(
            f"`{name}` must be an integer of at least {least}, got {shown(value)} "
            f"({type(value).__name__})"
        ) from error
    if number < least:
        raise ValueError(f"`{name}` must be at least {least}, got {shown(number)}")
    if number > most:
        raise ValueError(
            f"`{name}` must be at most {most}, got {shown(number)}; give a smaller one"
        )
    return number


def size(name: str, value: Any, *, least: int = 1) -> int:
    """A number of things that stand on an axis of an array, or are done one after the other."""
    return whole_number(name, value, least=least, most=MOST)


def entries(name: str, value: Any) -> list[Any] | None:
    """What a series holds, in order; None for texts, mappings and whatever is no series."""
    if isinstance(value, str | bytes | Mapping):
        return None
    series = plain_array(name, value) if isinstance(value, np.ndarray) else value
    return list(series) if np.iterable(series) else None


def whole_numbers(
    name: str,
    value: Any,
    *,
    least: int,
    kind: str = "a series of integers such as [1, 10, 100]",
    none: str = "at least one value, got none",
) -> npt.NDArray[np.int64]:
    """Integers of at least `least`, one or more, in the order given.

    `kind` is what messages expect, `none` what they say of an empty series.
    """
    given = entries(name, value)
    if given is None:
        raise TypeError(
            f"`{name}` must be {kind}, got {shown(value)} ({type(value).__name__}); "
            f"for all up to k write range({least}, k + 1)"
        )
    if not given:
        raise ValueError(f"`{name}` must hold {none}")
    numbers = [whole_number(f"{name}[{i}]", each, least=least) for i, each in enumerate(given)]
    return np.array(numbers, np.int64)


def descent(values: Iterable[Any]) -> tuple[Any, Any] | None:
    """The first neighbours that do not ascend, None where all do."""
    return next((pair for pair in pairwise(values) if pair[1] <= pair[0]), None)


def window_and_stride(window: Any, stride: Any) -> tuple[int, int]:
    """K and S of truncated BPTT, S = K unless given; S is at most K."""
    K = whole_number("window", window, least=1)
    S = K if stride is None else whole_number("stride", stride, least=1)
    if S > K:
        raise ValueError(
            f"`stride` must be at most `window` = {K}, got {S}: a larger stride would skip losses"
        )
    return K, S


def real_number(name: str, value: Any, *, above: float = -np.inf, below: float = np.inf) -> float:
    """A finite number strictly between `above` and `below`."""
    number = _as_float(name, value)
    if number is None:
        raise TypeError(f"`{name}` must be a number, got {shown(value)}")
    if not (np.isfinite(number) and above < number < below):
        bounds = f" between {above:g} and {below:g}" if np.isfinite([above, below]).any() else ""
        raise ValueError(f"`{name}` must be a finite number{bounds}, got {number}")
    return number


def fraction(name: str, value: Any) -> float:
    """A number of at least 0 and below 1."""
    number = real_number(name, value)
    if not 0.0 <= number < 1.0:
        raise ValueError(f"`{name}` must be at least 0 and below 1, got {number}")
    return number


def limit(name: str, value: Any) -> float:
    """A number above 0, or infinity: no limit."""
    number = np.inf if _as_float(name, value) == np.inf else real_number(name, value)
    if number <= 0:
        raise ValueError(f"`{name}` must be above 0, or infinity for no limit, got {number}")
    return number


def _as_float(name: str, value: Any) -> float | None:
    """A real number, also an array of no axes, as a float; None for anything else."""
    if isinstance(value, Real | Decimal) and not isinstance(value, (bool, np.bool_)):
        try:
            return float(value)
        except OverflowError:
            return np.inf if value > 0 else -np.inf  # type: ignore[operator]
        except ValueError:  # a signalling NaN
            return np.nan
    if hasattr(value, "dtype"):
        array = plain_array(name, value)
        if array.ndim == 0 and array.dtype.kind in "iuf":
            return float(array)
    return None


def one_of(name: str, value: Any, choices: Iterable[str]) -> str:
    """One of a few names."""
    listing = list(choices)
    quoted = ", ".join(repr(choice) for choice in listing)
    if not isinstance(value, str) or value not in listing:
        raise ValueError(f"`{name}` must be one of {quoted}, got {shown(value)}")
    return str(value)


def boolean(name: str, value: Any) -> bool:
    """True or False, and nothing that merely counts as one of them."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"`{name}` must be True or False, got {shown(value)} ({type(value).__name__})"
        )
    return bool(value)


def can_be_called(value: Callable[..., Any], n_arguments: int) -> bool:
    """Whether something takes so many arguments, before it is called; classes do not count."""
    try:
        inspect.signature(value).bind(*[None] * n_arguments)
    except TypeError:
        return False
    except ValueError:  # some of those that are written in C do not say what they take
        pass
    return not inspect.isclass(value)


def text(name: str, value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a text, got {shown(value)} ({type(value).__name__})")
    return str(value)


def mapping(name: str, value: Any, example: str) -> dict[str, Any]:
    """A mapping from names, as a dict; messages show the example."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise TypeError(
            f"`{name}` must be a mapping from names, such as {example}, got {shown(value)} "
            f"({type(value).__name__})"
        )
    return dict(value)


def provenance(value: Any) -> dict[str, str]:
    """Where data come from: names and texts."""
    found = mapping("provenance", value, '{"task": "adding"}')
    for key, each in found.items():
        text(f"provenance[{key!r}]", each)
    return found


def path(name: str, value: Any) -> Path:
    """Where a file or folder is, or is to be."""
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        raise TypeError(
            f"`{name}` must be a path, a text or a pathlib.Path, got {shown(value)} "
            f"({type(value).__name__})"
        )
    if "\0" in os.fspath(value):
        raise ValueError(f"`{name}` must be a path, got {shown(value)}, which has a zero character")
    return Path(value)


def generator(rng: Any) -> np.random.Generator:
    """A Generator from an int seed or a Generator."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None:
        raise TypeError(
            "`rng` must be an int seed or a numpy.random.Generator, got None; "
            "pass a seed such as rng=0, so that the draw can be repeated"
        )
    return np.random.default_rng(whole_number("rng", rng, least=0))
