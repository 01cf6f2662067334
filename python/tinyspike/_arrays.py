"""Samples as users have them → arrays for each input."""

from __future__ import annotations

from array import array as _Array
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt

from tinyspike import _native, _options
from tinyspike.errors import DataError

__all__ = ["Samples", "arrays_of", "data_of"]

#: What has items, and becomes an array as it is. Sequences of other kinds may have no end.
_PLAIN = (list, tuple, range, str, bytes, bytearray, memoryview, _Array)

#: Samples: an array, arrays by the names of inputs, or an iterable of batches ``x`` or ``(x, y)``.
Samples = Any


def arrays_of(
    names: Sequence[str], x: Samples, labels: Optional[Any], others: Sequence[str] = ()
) -> Tuple[List[npt.NDArray[Any]], Optional[npt.NDArray[Any]]]:
    """The samples of each input, in order, and their labels. `others` are nodes that take no data."""
    arrays, found = _gathered(x, len(names))
    if found is not None:
        if labels is not None:
            raise DataError("labels are given, and the batches have their own: give one of the two")
        labels = found
    by_name = _by_name(names, arrays, others)
    plain = [_plain(by_name[name], name) for name in names]
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
    scale = None if byte_scale is None else _options.number(byte_scale, "byte_scale", above=0.0, most=1e30)
    measured = _options.flag(values, "values")
    labelled = [labels] + [None] * len(arrays)
    return [
        _native.Data(name, array, y, byte_scale=scale, values=measured)
        for name, array, y in zip(names, arrays, labelled)
    ]


def _gathered(x: Samples, inputs: int) -> Tuple[Any, Optional[Any]]:
    """Samples as one array, or arrays by name; and their labels, if batches have some."""
    if isinstance(x, (str, bytes, bytearray, memoryview)) or x is None:
        raise _no_samples(x)
    if isinstance(x, Mapping) or _is_array(x):
        return x, None
    if hasattr(x, "toarray"):
        raise DataError(f"samples are sparse ({type(x).__name__})", advice=["x.toarray() makes an array of them"])
    if isinstance(x, list) and x and all(isinstance(part, tuple) and part and _is_array(part[0]) for part in x):
        return _batches(x, inputs)
    if isinstance(x, (list, tuple)):
        if x and all(_is_array(part) for part in x):
            shapes = {np.shape(part) for part in x}
            # Arrays of several inputs differ in shape or have a batch axis; numbers in lists are one array.
            return (list(x) if len(shapes) > 1 or np.ndim(x[0]) > 1 else np.asarray(x)), None
        return _listed(x), None
    return _batches(_all(x), inputs)


def _no_samples(x: Any) -> DataError:
    return DataError(f"samples must be an array, a dictionary of arrays or batches, and this is {type(x).__name__}")


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
        raise _no_samples(x) from None


def _batches(batches: Iterable[Any], inputs: int) -> Tuple[Any, Optional[Any]]:
    xs: List[Any] = []
    ys: List[Any] = []
    for batch in batches:
        samples, labels = _of_batch(batch, inputs)
        xs.append(samples)
        if labels is not None:
            ys.append(_plain(labels, "labels"))
    if not xs:
        raise DataError("there is no batch: the generator is empty, or was used before")
    if ys and len(ys) != len(xs):
        raise DataError("some batches have labels, and others have none")
    keys = _keys(xs[0])
    for at, part in enumerate(xs):
        if _keys(part) != keys:
            raise DataError(
                f"batch {at} has {_listing(_keys(part))}, and the first has {_listing(keys)}: batches must be alike"
            )
    if keys is None:
        joined: Any = _joined([_plain(part, "a batch") for part in xs], "samples")
    else:
        arrays = [_joined([_plain(part[key], str(key)) for part in xs], str(key)) for key in keys]
        joined = dict(zip(keys, arrays)) if isinstance(xs[0], Mapping) else arrays
    return joined, (_joined(ys, "labels") if ys else None)


def _of_batch(batch: Any, inputs: int) -> Tuple[Any, Optional[Any]]:
    """Samples and labels of a batch: of a tuple ``(x, y)``, or of a list with labels behind the samples of each input."""
    if isinstance(batch, (list, tuple)) and not batch:
        raise DataError("a batch is empty: it must be x, or (x, labels)")
    if isinstance(batch, tuple):
        return batch[0], (batch[1] if len(batch) > 1 else None)
    # PyTorch's loaders make lists.
    if isinstance(batch, list) and len(batch) == inputs + 1 and all(map(_is_array, batch)):
        return (batch[0] if inputs == 1 else batch[:-1]), batch[-1]
    return batch, None


def _keys(samples: Any) -> Optional[List[Any]]:
    """Names or places of the inputs in a batch; None of a lone array."""
    if isinstance(samples, Mapping):
        return sorted(samples, key=str)
    return list(range(len(samples))) if isinstance(samples, (list, tuple)) else None


def _listing(keys: Optional[List[Any]]) -> str:
    return "one array" if keys is None else f"arrays for {', '.join(map(repr, keys))}"


def _joined(parts: List[npt.NDArray[Any]], name: str) -> npt.NDArray[Any]:
    dtypes = sorted({str(part.dtype) for part in parts})
    # Bytes stand for other numbers than floats do.
    if len(dtypes) > 1 and "uint8" in dtypes and name != "labels":
        raise DataError(f"{name}: batches have the dtypes {', '.join(dtypes)}, of which uint8 counts in units of its own")
    try:
        return np.concatenate(parts)
    except (ValueError, TypeError) as error:
        shapes = sorted({str(part.shape) for part in parts})
        raise DataError(f"{name}: batches of the shapes {', '.join(shapes)} do not join: {error}") from error


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
        return np.stack([_plain(array, "a sample") for array in arrays])
    except (ValueError, TypeError) as error:
        raise DataError(f"the samples have different shapes: {error}") from error


def _plain(given: Any, name: str) -> npt.NDArray[Any]:
    """A NumPy array of anything that is one: of other libraries, on other devices."""
    try:
        if hasattr(given, "detach"):
            given = given.detach().cpu()
            # NumPy has no such type.
            given = given.float() if str(given.dtype) == "torch.bfloat16" else given
        if np.ma.is_masked(given):
            raise DataError(f"{name} has masked values", advice=["x.filled(0) gives them a value"])
        if not _is_array(given) and not isinstance(given, _PLAIN) and hasattr(given, "__getitem__"):
            raise DataError(f"{name} must be an array or a list, and this is {type(given).__name__}")
        return np.asarray(given)
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001, whatever the other library raises is the reason
        kind = type(given)
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{name} is no array but {kind.__module__}.{kind.__qualname__} ({reason})") from error


def _numbers(array: Any, name: str, labels: bool) -> npt.NDArray[Any]:
    """An array in row-major order, of a type that the library reads."""
    plain = _plain(array, name)
    kind = plain.dtype.kind
    if kind == "b" or plain.dtype == np.uint8 or plain.dtype == np.float32:
        target: Any = plain.dtype.newbyteorder("=")
    elif kind in "iu":
        target = np.dtype(np.int64 if labels else np.float32)
    elif kind == "f" or _is_small_float(plain.dtype):
        target = np.dtype(np.float32)
    else:
        raise DataError(
            f"{name} has the dtype {plain.dtype}; convert it to uint8 or float32 (labels: to an integer type)",
            input=None if labels else name,
        )
    try:
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(plain, dtype=target)
    except MemoryError as error:
        raise DataError(
            f"{name} has the shape {plain.shape}, of which a copy does not fit into memory",
            advice=["run fewer samples, such as x[:100]"],
            input=None if labels else name,
        ) from error


def _is_small_float(dtype: Any) -> bool:
    """Tells whether a type of another library is one of its floats, such as bfloat16."""
    return dtype.kind == "V" and dtype.names is None and "float" in dtype.name
