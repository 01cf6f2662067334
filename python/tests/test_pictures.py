"""Pictures have labels and units, and show what they should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyspike
from tinyspike import plot


def _drawn(axes: Any, tmp_path: Path) -> None:
    """The picture is written, is not blank, and nothing is cut off."""
    from matplotlib import image, pyplot

    assert axes.get_title() and axes.get_xlabel()
    file = tmp_path / "picture.png"
    pyplot.gcf().savefig(file, dpi=80)
    pixels = image.imread(file)[..., :3]
    assert pixels.std() > 0.02
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (border > 0.99).all()


@pytest.fixture(scope="module")
def simulation() -> tinyspike.Simulation:
    x, y = tinyspike.demo.samples(3)
    network = tinyspike.demo.network(swap_activations={"relu": "spiking-relu"}, scale_firing_rates=100)
    return network.simulate(x, y, steps=40, record=True)


def test_raster_over_time(simulation: tinyspike.Simulation, tmp_path: Path) -> None:
    axes = plot.raster(simulation, sample=1)
    assert [text.get_text().split("\n")[0] for text in axes.get_yticklabels()] == list(simulation.spikes)
    marks = sum(len(collection.get_offsets()) for collection in axes.collections)
    assert marks == sum(int((spikes[1] != 0).sum()) for spikes in simulation.spikes.values())
    assert axes.get_xlim()[1] > 40.0
    _drawn(axes, tmp_path)


def test_raster_of_an_image(tmp_path: Path) -> None:
    x, y = tinyspike.demo.samples(40)
    emulation = tinyspike.demo.image().emulate(x, y, record=True)
    axes = plot.raster(emulation)
    for shown, spikes in zip(axes.images, emulation.spikes.values()):
        np.testing.assert_array_equal(shown.get_array(), spikes.T)
    assert len(axes.images) == 3
    _drawn(axes, tmp_path)


def test_potentials(simulation: tinyspike.Simulation, nir_fixtures: Path, tmp_path: Path) -> None:
    _drawn(plot.potentials(simulation), tmp_path)
    # Nengo's neurons have voltages, too: what is left below the threshold of 1.
    voltages = simulation.potentials["conv2d.0"]
    assert voltages.shape == simulation.spikes["conv2d.0"].shape and (voltages >= 0).all() and (voltages < 1).all()
    assert len(plot.potentials(simulation, "conv2d.0", neurons=[100, 101]).lines) == 2
    data = np.load(nir_fixtures / "norse_watch_ff.npz")
    network = tinyspike.convert(nir_fixtures / "norse_watch_ff.nir", semantics="norse")
    result = network.simulate(data["x"], record=True)
    axes = plot.potentials(result, "1", neurons=[0, 5])
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), result.potentials["1"][0, :, 5])
    _drawn(axes, tmp_path)


def test_rates(simulation: tinyspike.Simulation, tmp_path: Path) -> None:
    axes = plot.rates(simulation)
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == list(simulation.rates.values())
    _drawn(axes, tmp_path)


def test_front_memory_and_quantization(digits: Any, tmp_path: Path) -> None:
    image = tinyspike.demo.network().deploy(*digits, goal="tuned", steps=2, max_drop=0.02, evaluations=4)
    _drawn(plot.front(image), tmp_path)
    axes = plot.memory(image)
    assert sum(bar.get_width() for bar in axes.containers[0]) == image.flash_bytes
    assert sum(bar.get_width() for bar in axes.containers[1]) == image.ram_bytes
    _drawn(axes, tmp_path)
    _drawn(plot.quantization(image), tmp_path)


def test_cheaper_candidates_than_the_chosen_one_are_hollow(tmp_path: Path) -> None:
    shares = {1000.0: 0.97, 2000.0: 0.99, 3000.0: 0.995}
    points = [{"instructions": cost, "accuracy": share} for cost, share in shares.items()]
    for kept, hollow in ((True, [[1.0]]), (False, [])):
        data = {"front": points, "chosen": points[1], "kept": kept, "float_accuracy": 0.996}
        axes = plot.front(tinyspike.Tuning(data, ""))
        assert [list(line.get_xdata()) for line in axes.lines if line.get_fillstyle() == "none"] == hollow
        _drawn(axes, tmp_path)


def test_pictures_of_nothing_are_refused() -> None:
    image = tinyspike.demo.image()
    x, _ = tinyspike.demo.samples(2)
    with pytest.raises(tinyspike.DataError, match="record=True"):
        plot.raster(image.emulate(x))
    with pytest.raises(tinyspike.DataError, match="was not tuned"):
        plot.front(image)
    with pytest.raises(tinyspike.DataError, match="no report"):
        plot.quantization(tinyspike.Image.from_bytes(image.to_bytes()))
    with pytest.raises(tinyspike.DataError, match="no values over time"):
        plot.potentials(image.emulate(x, record=True))


def test_notebooks_show_tables(simulation: tinyspike.Simulation, digits: Any) -> None:
    image = tinyspike.demo.network().deploy(*digits)
    things: list[Any] = [tinyspike.demo.network(), image, image.report, simulation, image.emulate(digits[0])]
    for thing in things:
        html = thing._repr_html_()
        assert "<table>" in html and "conv2d.0" in html and html.count("<div>") == html.count("</div>") == 1
