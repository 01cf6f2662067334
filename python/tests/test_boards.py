"""Images on emulated boards. They need QEMU and a compiler, which `cargo xtask setup` installs."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyspike


def test_a_board_does_what_the_emulator_does() -> None:
    x, y = tinyspike.demo.samples(8)
    image = tinyspike.demo.image()
    run = image.run(x, y, on="emulated:mps2-an386")
    emulated = image.emulate(x, y)
    assert run.report["images"] == 8 and run.report["divergence"] is None
    assert run.accuracy == emulated.accuracy
    np.testing.assert_allclose(run.outputs["dense_1"], emulated.outputs["dense_1"], rtol=1e-6)


@pytest.mark.slow
def test_instructions_are_counted() -> None:
    x, y = tinyspike.demo.samples(10)
    bench = tinyspike.demo.image().bench(x, y)
    assert bench.report["board"] == "mps2-an386" and 50_000 < bench.instructions < 200_000
    axes = tinyspike.plot.instructions(bench)
    widths = sum(bar.get_width() for bar in axes.patches)
    assert widths == pytest.approx(sum(layer["instructions"] for layer in bench.report["layers"]))


@pytest.mark.slow
def test_a_step_of_a_recording_is_counted_as_the_tool_does(
    nir_fixtures: Path, tmp_path: Path, tool: Any, saved: Any
) -> None:
    recordings = np.load(nir_fixtures / "norse_watch_ff.npz")["x"][:3, :20]
    network = tinyspike.convert(nir_fixtures / "norse_watch_ff.nir", semantics="norse")
    image = network.deploy(recordings)
    image.save(tmp_path / "model.tsp")
    flags = ["--on", "emulated:mps2-an386", "--limit", "60", "--json"]
    told = tool("bench", tmp_path / "model.tsp", "--data", saved(recordings), *flags)
    bench = image.bench(recordings)
    assert bench.report["images"] == 60
    assert bench.instructions == json.loads(told.stdout)["instructions_per_inference"]
    # The last value is another result than the sum, of the same steps.
    runs = [image.run(recordings, on="emulated:mps2-an386", readout=read) for read in ("sum", "last")]
    assert [run.report["divergence"] for run in runs] == [None, None]


def test_a_board_that_is_not_there_is_estimated_as_the_tool_does(tmp_path: Path, tool: Any, saved: Any) -> None:
    x, y = tinyspike.demo.samples(20)
    image = tinyspike.demo.image()
    image.save(tmp_path / "model.tsp")
    told = tool("bench", tmp_path / "model.tsp", "--data", saved(x, y), "--board", "nucleo-u575zi-q", "--json")
    estimate = image.estimate(x, board="nucleo-u575zi-q")
    assert estimate.report == json.loads(told.stdout)
    least, most = estimate.milliseconds
    assert 0.5 < least < most < 10 and estimate.microjoules is not None
    page = estimate._repr_html_()
    assert "nucleo-u575zi-q" in page and "µJ" in page and "ms" in page
    with pytest.raises(tinyspike.BoardError, match="pico"):
        image.estimate(x, board="pico-9")
    with pytest.raises(tinyspike.BoardError, match="no model"):
        image.estimate(x, board="esp32-c3-devkit")


@pytest.mark.slow
def test_a_c_project_is_the_tools(tmp_path: Path, tool: Any, saved: Any) -> None:
    x, y = tinyspike.demo.samples(1)
    image = tinyspike.demo.image()
    image.save(tmp_path / "model.tsp")
    tool("export", tmp_path / "model.tsp", "--c", tmp_path / "tool", "--data", saved(x, y))
    assert len(image.to_c(tmp_path / "own", x)) == 1
    files = sorted(path.relative_to(tmp_path / "tool") for path in (tmp_path / "tool").rglob("*") if path.is_file())
    assert len(files) > 5
    for file in files:
        assert (tmp_path / "own" / file).read_bytes() == (tmp_path / "tool" / file).read_bytes(), file


@pytest.mark.slow
def test_a_probe_that_is_silent_ends_the_wait() -> None:
    image = tinyspike.demo.image()
    x, _ = tinyspike.demo.samples(1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        probe = f"20b7:9db1:tcp:127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(tinyspike.BoardError, match="has not answered for") as caught:
            image.run(x, on="nRF52840_xxAA", probe=probe)
    assert any("probe is still connected" in advice for advice in caught.value.advice)


def test_boards_have_names() -> None:
    image = tinyspike.demo.image()
    x, _ = tinyspike.demo.samples(1)
    # The chip is known: what is missing is a probe.
    with pytest.raises(tinyspike.BoardError, match="probe"):
        image.run(x, on="microbit-v2", probe="ffff:ffff")


def test_boards_that_there_are_not() -> None:
    image = tinyspike.demo.image()
    x, _ = tinyspike.demo.samples(1)
    with pytest.raises(tinyspike.BoardError, match="mps2-an386"):
        image.run(x, on="emulated:nothing")
    with pytest.raises(tinyspike.BoardError) as caught:
        image.run(x, on="nRF99")
    assert any("tinyspike chips" in advice for advice in caught.value.advice)
    with pytest.raises(tinyspike.BoardError):
        image.run(x, on="nRF52840_xxAA", firmware="nowhere.elf")
