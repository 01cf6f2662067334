"""Samples as users have them → arrays for each input."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt

from tinyspike import _native
from tinyspike.errors import DataError

__all__ = ["Samples", "arrays_of", "data_of"]

#: Samples: an array, arrays by the names of inputs, or an iterable of batches ``x`` or ``(x, y)``.
Samples = Any


def arrays_of(
    names: Sequence[str], x: Samples, labels: Optional[Any], others: Sequence[str] = ()
) -> Tuple[List[npt.NDArray[Any]], Optional[npt.NDArray[Any]]]:
    """The samples of each input, in order, and their labels. `others` are nodes that take no data."""
    arrays, found = _gathered(x)
    if found is not None:
        if labels is not None:
            raise DataError("labels are given, and the batches have their own: give one of the two")
        labels = found
    by_name = _by_name(names, arrays, others)
    plain = [_plain(by_name[name]) for name in names]
    for name, array in zip(names, plain):
        if array.ndim == 0 or array.shape[0] == 0:
            raise DataError(f"{name} has the shape {array.shape}: there is no sample", input=name)
    sets = [_numbers(array, name, False) for name, array in zip(names, plain)]
    return sets, None if labels is None else _numbers(labels, "labels", True)


def data_of(
    names: Sequence[str],
    arrays: Sequence[npt.NDArray[Any]],
    labels: Optional[npt.NDArray[Any]],
    byte_scale: Optional[float],
    values: bool,
) -> List[_native.Data]:
    """Native data of each input."""
    scale = None if byte_scale is None else float(byte_scale)
    labelled = [labels] + [None] * len(arrays)
    return [
        _native.Data(name, array, y, byte_scale=scale, values=bool(values))
        for name, array, y in zip(names, arrays, labelled)
    ]


def _gathered(x: Samples) -> Tuple[Any, Optional[Any]]:
    """Samples as one array, or arrays by name; and their labels, if batches have some."""
    if isinstance(x, (str, bytes)) or x is None:
        raise DataError(
            f"samples must be an array, a dictionary of arrays or batches, and this is {type(x).__name__}"
        )
    if isinstance(x, Mapping) or _is_array(x):
        return x, None
    if isinstance(x, (list, tuple)):
        if x and all(_is_array(part) for part in x):
            shapes = {np.shape(part) for part in x}
            # Arrays of several inputs differ in shape or have a batch axis; numbers in lists are one array.
            return (list(x) if len(shapes) > 1 or np.ndim(x[0]) > 1 else np.asarray(x)), None
        return _listed(x), None
    return _batches(_all(x))


def _listed(x: Any) -> npt.NDArray[Any]:
    try:
        return np.asarray(x)
    except ValueError as error:
        raise DataError(f"the samples are lists of different lengths: {error}") from error


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) or hasattr(x, "__array__")


def _all(x: Any) -> Iterable[Any]:
    """All batches of a generator, a data set, or a sequence with a length."""
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):
        return [x[at] for at in range(len(x))]
    try:
        batches: Iterable[Any] = iter(x)
        return batches
    except TypeError:
        raise DataError(
            f"samples must be an array, a dictionary of arrays or batches, and this is {type(x).__name__}"
        ) from None


def _batches(batches: Iterable[Any]) -> Tuple[Any, Optional[Any]]:
    xs: List[Any] = []
    ys: List[Any] = []
    for batch in batches:
        if isinstance(batch, tuple) and len(batch) >= 2:
            xs.append(batch[0])
            ys.append(_plain(batch[1]))
        else:
            xs.append(batch[0] if isinstance(batch, tuple) else batch)
    if not xs:
        raise DataError("there is no batch: the generator is empty, or was used before")
    if ys and len(ys) != len(xs):
        raise DataError("some batches have labels, and others have none")
    if isinstance(xs[0], Mapping):
        joined: Any = {name: _joined([_plain(part[name]) for part in xs]) for name in xs[0]}
    elif isinstance(xs[0], (list, tuple)):
        joined = [_joined([_plain(part[at]) for part in xs]) for at in range(len(xs[0]))]
    else:
        joined = _joined([_plain(part) for part in xs])
    return joined, (_joined(ys) if ys else None)


def _joined(parts: List[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    try:
        return np.concatenate(parts)
    except ValueError as error:
        shapes = sorted({str(part.shape) for part in parts})
        raise DataError(f"batches of the shapes {', '.join(shapes)} do not join: {error}") from error


def _by_name(names: Sequence[str], arrays: Any, others: Sequence[str]) -> Dict[str, Any]:
    listed = ", ".join(repr(name) for name in names)
    if isinstance(arrays, Mapping):
        unknown = [str(name) for name in arrays if name not in names]
        if unknown:
            constant = [name for name in unknown if name in others]
            reason = "it is a constant node, which takes no data" if constant else "no input has this name"
            wrong = (constant or unknown)[0]
            raise DataError(f"{wrong!r}: {reason}; the inputs are {listed}", input=wrong)
        missing = [name for name in names if name not in arrays]
        if missing:
            raise DataError(f"there is no data for the input {missing[0]!r}; the inputs are {listed}")
        return {name: arrays[name] for name in names}
    if isinstance(arrays, list):
        if len(arrays) == len(names):
            return dict(zip(names, arrays))
        if len(names) == 1:
            return {names[0]: _joined_list(arrays)}
        raise DataError(f"{len(arrays)} arrays for the inputs {listed}; give one for each, by name or in this order")
    if len(names) != 1:
        raise DataError(f"one array for the inputs {listed}; give a dictionary with an array for each")
    return {names[0]: arrays}


def _joined_list(arrays: List[Any]) -> npt.NDArray[Any]:
    try:
        return np.stack([_plain(array) for array in arrays])
    except ValueError as error:
        raise DataError(f"the samples have different shapes: {error}") from error


def _plain(array: Any) -> npt.NDArray[Any]:
    """A NumPy array of anything that is one: of other libraries, on other devices."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    return np.asarray(array)


def _numbers(array: Any, name: str, labels: bool) -> npt.NDArray[Any]:
    """An array in row-major order, of a type that the library reads."""
    plain = _plain(array)
    kind = plain.dtype.kind
    if kind == "b" or plain.dtype == np.uint8 or plain.dtype == np.float32:
        target: Any = plain.dtype
    elif kind in "iu":
        target = np.int64 if labels else np.float32
    elif kind == "f":
        target = np.float32
    else:
        raise DataError(
            f"{name} has the dtype {plain.dtype}; convert it to uint8 or float32 (labels: to an integer type)",
            input=None if labels else name,
        )
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(plain, dtype=target.newbyteorder("=") if hasattr(target, "newbyteorder") else target)
