"""Sentences for the user: warnings by Python's module for them, notes in the log of the package."""

from __future__ import annotations

import logging
import warnings
from typing import Any, Iterable, Mapping

from tinyspike.errors import TinyspikeWarning

_LOG = logging.getLogger("tinyspike")


def warn(messages: Iterable[str]) -> None:
    """Warns the caller of who calls this."""
    for message in messages:
        warnings.warn(message, TinyspikeWarning, stacklevel=3)


def note(result: Mapping[str, Any]) -> None:
    """Logs a result's notes."""
    for message in result["notes"]:
        _LOG.info(message)
