"""Notebooks and example scripts run, and the notebooks that are stored have their pictures."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOKS = sorted((EXAMPLES / "notebooks").glob("*.ipynb"))
QUICK = {"nir_over_time"}

RUN = """
import json, sys, matplotlib
matplotlib.use("agg")
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), cell["id"], "exec"))
"""


@pytest.mark.parametrize(
    "notebook",
    [pytest.param(path, marks=[] if path.stem in QUICK else [pytest.mark.slow]) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_notebooks_run(notebook: Path) -> None:
    run = [sys.executable, "-c", RUN, str(notebook)]
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=notebook.parent)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_pictures(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    # Nothing tells of the machine that ran them.
    text = json.dumps(outputs)
    assert str(EXAMPLES.parent) not in text and tempfile.gettempdir() not in text
    assert notebook.stat().st_size < 400_000


@pytest.mark.slow
@pytest.mark.parametrize("script", ["ten_lines.py", "five_networks.py"])
def test_scripts_run(script: str, tmp_path: Path) -> None:
    run = [sys.executable, str(EXAMPLES / "python" / script)]
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if script == "ten_lines.py":
        assert (tmp_path / "raster.png").stat().st_size > 10_000
