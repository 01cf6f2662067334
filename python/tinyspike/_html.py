"""Tables for notebooks."""

from __future__ import annotations

from html import escape
from typing import Any, List, Optional, Sequence, Tuple

_WORDS = {
    "bits": "bits",
    "clip": "largest that spikes show",
    "clipped": "above it",
    "density": "active",
    "events_per_image": "events per sample",
    "flash_bytes": "flash in bytes",
    "largest": "largest seen",
    "max_count": "spikes in a step, at most",
    "ram_bytes": "RAM in bytes",
    "spikes_per_image": "spikes per sample",
    "spikes_per_step": "spikes per step",
    "sqnr_db": "signal to noise in dB",
    "steps_mean": "steps, mean",
    "synaptic_ops": "synaptic operations",
    "synaptic_ops_per_image": "synaptic operations per sample",
    "zero": "zeros",
}


def words(key: str) -> str:
    """A heading."""
    return _WORDS.get(key, key.replace("_", " "))


def number(value: Any) -> str:
    """A number as people write it."""
    if value is None:
        return "–"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"
    if isinstance(value, (int, float)):
        return f"{int(value):,}"
    return str(value)


def accuracy(share: Optional[float]) -> List[Tuple[str, Any]]:
    """A fact on the accuracy, if it is known."""
    return [] if share is None else [("accuracy", f"{share * 100:.2f} %")]


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table."""
    cells = "".join(f"<th>{escape(str(cell))}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def page(title: str, facts: Sequence[Tuple[str, Any]], tables: Sequence[str]) -> str:
    """A heading, facts and tables."""
    listed = " · ".join(f"{escape(name)}: {escape(str(value))}" for name, value in facts)
    return f"<div><strong>{escape(title)}</strong><br>{listed}{''.join(tables)}</div>"
