"""Every public name says what it is, with an example; the examples run as tests of their own."""

from __future__ import annotations

import inspect
from typing import Any, Iterator

import pytest

import tinyspike
from tinyspike import demo, plot


def _public() -> Iterator[tuple[str, Any]]:
    """All public functions and classes, and the methods and properties of the latter."""
    for module in (tinyspike, demo, plot):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.ismodule(thing) or isinstance(thing, str):
                continue
            yield f"{module.__name__}.{name}", thing
            if not inspect.isclass(thing):
                continue
            for own, member in vars(thing).items():
                plain = isinstance(member, (property, classmethod)) or inspect.isfunction(member)
                if plain and not own.startswith("_"):
                    yield f"{module.__name__}.{name}.{own}", member


PUBLIC = dict(_public())


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_an_example(name: str) -> None:
    text = inspect.getdoc(PUBLIC[name]) or ""
    assert ">>>" in text and "SKIP" not in text


def test_all_public_names_are_looked_at() -> None:
    for name in ("tinyspike.convert", "tinyspike.Image.run", "tinyspike.Network.deploy", "tinyspike.plot.front"):
        assert name in PUBLIC
    assert len(PUBLIC) > 80
