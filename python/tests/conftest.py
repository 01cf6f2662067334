"""What the tests share. They test the package that is installed, never the sources beside them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import pytest

import tinyspike

# Those run in environments of other frameworks: `cargo xtask test-frameworks`.
collect_ignore_glob = ["frameworks/*"]

ROOT = Path(__file__).resolve().parents[2]

assert ROOT not in Path(tinyspike.__file__).resolve().parents or "site-packages" in tinyspike.__file__


@pytest.fixture
def models() -> Path:
    return ROOT / "models"


@pytest.fixture
def nir_fixtures() -> Path:
    return ROOT / "tests" / "fixtures" / "nir"


@pytest.fixture
def tool() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command-line tool of the wheel."""
    program = Path(sys.executable).with_name("tinyspike.exe" if sys.platform == "win32" else "tinyspike")

    def run(*arguments: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def digits() -> tuple[Any, Any]:
    """600 images of digits that networks have seen, and their classes."""
    return tinyspike.demo.samples(600, calibration=True)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Writes samples as a file for the tool."""

    def save(x: Any, y: Any = None, name: str = "data.npz") -> Path:
        file = tmp_path / name
        arrays = {"x": x} if y is None else {"x": x, "y": y}
        np.savez(file, **arrays)
        return file

    return save


@pytest.fixture(autouse=True)
def _figures() -> Iterator[None]:
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
