"""Candidates of a search in other processes, or on other machines."""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from functools import partial
from typing import Any, Callable, Dict, Iterable, List, Optional, Protocol, Tuple

from tinyspike._arrays import data_of
from tinyspike._native import Network as NativeNetwork
from tinyspike._native import Task


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
        results = list(map(run, candidates))
        # A client of dask.distributed returns futures.
        results = [result.result() if hasattr(result, "result") else result for result in results]
        # Those of a map that goes wrong run in the search itself.
        return [result if isinstance(result, bytes) else None for result in results]

    return outcomes


def _run(key: str, payload: bytes, candidate: bytes) -> Optional[bytes]:
    task = _PREPARED.get(key)
    if task is None:
        network, samples, options = pickle.loads(payload)
        task = Task(network._native, data_of(network._names, *samples), options)
        _PREPARED[key] = task
        while len(_PREPARED) > _KEPT:
            _PREPARED.popitem(last=False)
    _PREPARED.move_to_end(key)
    return task.run(candidate)
