"""Progress by tqdm, if it is there."""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional

from tinyspike import _options


@contextmanager
def bar(what: str, total: Optional[int], wanted: Optional[bool]) -> Iterator[Optional[Callable[[int], None]]]:
    """A function that is told how many are done; None if nothing is shown."""
    shown = _options.flag(wanted, "progress") if wanted is not None else sys.stderr.isatty() or "ipykernel" in sys.modules
    tqdm: Any = None
    if shown:
        try:
            with warnings.catch_warnings():
                # Without the packages for its widgets it shows text, and says so each time.
                warnings.simplefilter("ignore")
                from tqdm import auto
        except ImportError as error:
            if wanted:
                raise ImportError("progress bars need tqdm: pip install tinyspike[progress]") from error
        else:
            tqdm = auto.tqdm
    if tqdm is None:
        yield None
        return
    with tqdm(total=total, desc=what, leave=False) as progress:

        def show(done: int) -> None:
            progress.update(done - progress.n)

        yield show
