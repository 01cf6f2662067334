"""Arguments as users give them → values of the type that the native half takes."""

from __future__ import annotations

import math
import operator
import os
from pathlib import Path
from typing import Any, List, Optional, Sequence, Union

from tinyspike.errors import OptionError

#: The largest whole number that every option can hold.
LARGEST = 0xFFFF_FFFF


def refused(option: str, value: Any, wanted: str) -> OptionError:
    """The exception for an argument that is none of what it may be."""
    shown = _shown(value)
    return OptionError(f"{option}: {shown} is no {wanted}", advice=[f"give {option}= a {wanted}"], option=option)


def _shown(value: Any) -> str:
    """The value, or its kind if it is no short text."""
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001, whatever an object of the user's raises
        shown = "<"
    if len(shown) <= 80 and not shown.startswith("<"):
        return shown
    kind = type(value)
    return f"an object of {kind.__module__}.{kind.__qualname__}"


def whole(value: Any, option: str, least: int = 1, most: int = LARGEST) -> int:
    """A whole number within limits; floats without a fraction are whole."""
    wanted = f"whole number from {least} to {most}"
    try:
        number = int(value) if isinstance(value, float) else operator.index(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise refused(option, value, wanted) from error
    if number != value or not least <= number <= most:
        raise refused(option, value, wanted)
    return number


def count(value: Any, option: str, least: int = 1, most: int = LARGEST) -> Optional[int]:
    """The same, or None."""
    return None if value is None else whole(value, option, least, most)


def number(
    value: Any, option: str, *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf
) -> float:
    """A finite number within limits."""
    wanted = "finite number"
    wanted += f" above {above:g}" if above > -math.inf else f" from {least:g} on" if least > -math.inf else ""
    wanted += f", at most {most:g}" if most < math.inf else ""
    if not isinstance(value, (str, bytes)):
        try:
            found = float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise refused(option, value, wanted) from error
        if math.isfinite(found) and found > above and least <= found <= most:
            return found
    raise refused(option, value, wanted)


def flag(value: Any, option: str) -> bool:
    """True or False: a text that says no is neither."""
    if type(value).__name__ in ("bool", "bool_") or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise refused(option, value, "truth value: True or False")


def text(value: Any, option: str) -> str:
    """A text."""
    if isinstance(value, str):
        return str(value)
    raise refused(option, value, "text")


def text_or_none(value: Any, option: str) -> Optional[str]:
    """The same, or None."""
    return None if value is None else text(value, option)


def texts(value: Union[None, str, Sequence[str]], option: str) -> List[str]:
    """Texts: one alone, or several."""
    if isinstance(value, str):
        return [str(value)]
    if value is None:
        return []
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return [str(part) for part in value]
    raise refused(option, value, "text, or a list of texts")


def path(value: Any, option: str) -> Path:
    """A path."""
    try:
        return Path(os.fsdecode(value))
    except TypeError as error:
        raise refused(option, value, "path") from error


def path_or_none(value: Any, option: str) -> Optional[Path]:
    """The same, or None."""
    return None if value is None else path(value, option)


def shapes(value: Any, option: str) -> Optional[List[List[int]]]:
    """A shape for each input, or None."""
    if value is None:
        return None
    try:
        return [[whole(length, option) for length in shape] for shape in value]
    except TypeError as error:
        raise refused(option, value, "list with the shape of each input, such as [(28, 28, 1)]") from error
