"""Candidates of a search in other processes, or on other machines."""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Iterable as _Iterable
from functools import partial
from typing import Any, Callable, Dict, Iterable, List, Optional, Protocol, Tuple

from tinyspike._arrays import data_of
from tinyspike._native import Network as NativeNetwork
from tinyspike._native import Task
from tinyspike.errors import OptionError


class Source(Protocol):
    """What a candidate needs of a network."""

    _native: NativeNetwork

    @property
    def _names(self) -> List[str]: ...


#: Tasks that this process has prepared, the last used one at the end.
_PREPARED: "OrderedDict[str, Task]" = OrderedDict()
_KEPT = 2


def runner(
    map: Callable[..., Iterable[Any]],
    network: Source,
    samples: Tuple[Any, ...],
    options: Dict[str, Any],
) -> Callable[[List[bytes]], List[Optional[bytes]]]:
    """A function that runs candidates by a `map`."""
    payload = pickle.dumps((network, samples, options), protocol=pickle.HIGHEST_PROTOCOL)
    key = hashlib.sha256(payload).hexdigest()
    run = partial(_run, key, payload)

    def outcomes(candidates: List[bytes]) -> List[Optional[bytes]]:
        results = map(run, candidates)
        if not isinstance(results, _Iterable):
            raise _fault(f"it returned {results!r} instead of results")
        # Each comes with the candidate that it is of, as a map may give them in any order.
        found: Dict[str, Optional[bytes]] = {}
        for result in results:
            # A client of dask.distributed returns futures.
            result = result.result() if hasattr(result, "result") else result
            if not (isinstance(result, tuple) and len(result) == 2):
                raise _fault(f"it gave {result!r}, which is none of the function's results")
            found[result[0]] = result[1]
        names = [_name(candidate) for candidate in candidates]
        missing = sum(name not in found for name in names)
        if missing:
            raise _fault(f"it gave no results for {missing} of {len(names)} candidates")
        return [found[name] for name in names]

    return outcomes


def _fault(reason: str) -> OptionError:
    return OptionError(f"map: {reason}", option="map", advice=["map= takes the map of an executor or of a pool"])


def _name(candidate: bytes) -> str:
    return hashlib.sha256(candidate).hexdigest()


def _run(key: str, payload: bytes, candidate: bytes) -> Tuple[str, Optional[bytes]]:
    task = _PREPARED.get(key)
    if task is None:
        network, samples, options = pickle.loads(payload)
        task = Task(network._native, data_of(network._names, *samples), options)
        _PREPARED[key] = task
        while len(_PREPARED) > _KEPT:
            _PREPARED.popitem(last=False)
    _PREPARED.move_to_end(key)
    return _name(candidate), task.run(candidate)
