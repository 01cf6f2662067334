"""Results are those of the command-line tool: images to the byte, spikes to the bit."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyspike

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"

# Flags of the tool, options of convert(), options of deploy().
EXACT_FLAGS = ["--exact", "--swap-activation", "relu=spiking-relu", "--scale-firing-rates", "500", "--synapse", "0.005"]
EXACT = {"swap_activations": {"relu": "spiking-relu"}, "scale_firing_rates": 500, "synapse": 0.005}
DEPLOYMENTS = {
    "plain": ([], {}, {}),
    "coarse": (
        ["--steps", "3", "--max-count", "5", "--weight-bits", "4", "--input-bits", "5", "--target", "cortex-m0"],
        {},
        {"steps": 3, "max_count": 5, "weight_bits": 4, "input_bits": 5, "target": "cortex-m0"},
    ),
    "percentile": (
        ["--percentile", "0.999", "--model-version", "7"],
        {},
        {"percentile": 0.999, "model_version": 7},
    ),
    "exact": (EXACT_FLAGS, EXACT, {"goal": "exact"}),
    "exact without end": (
        [*EXACT_FLAGS, "--steps", "0", "--seed", "5"],
        EXACT,
        {"goal": "exact", "steps": 0, "seed": 5},
    ),
}


def _file(tmp_path: Path, name: str) -> Path:
    """A model of the repository, unpacked if it is packed."""
    for folder in (FIXTURES.parents[1] / "models", FIXTURES / "keras", FIXTURES / "onnx" / "keras", FIXTURES / "nir"):
        if (folder / name).is_file():
            return folder / name
        if (folder / (name + ".gz")).is_file():
            unpacked = tmp_path / name
            unpacked.write_bytes(gzip.decompress((folder / (name + ".gz")).read_bytes()))
            return unpacked
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("name", "how"), [*(("mnist_small.h5", how) for how in DEPLOYMENTS), ("mnist_pool_bn.keras", "plain")]
)
def test_images_are_the_tools(name: str, how: str, tmp_path: Path, tool: Any, saved: Any, digits: Any) -> None:
    flags, converting, deploying = DEPLOYMENTS[how]
    x, y = digits
    model, made = _file(tmp_path, name), tmp_path / "tool.tsp"
    tool("convert", model, "-o", made, "--inference-only", "--calibration", saved(x, y), *flags)
    network = tinyspike.convert(model, inference_only=True, **converting)
    image = network.deploy(x, y, **deploying)
    assert image.to_bytes() == made.read_bytes()
    # Saved and pickled, it is the same.
    image.save(tmp_path / "own.tsp")
    assert (tmp_path / "own.tsp").read_bytes() == made.read_bytes()


def test_an_image_without_samples_is_the_tools(models: Path, tmp_path: Path, tool: Any) -> None:
    model, made = models / "mnist_mlp.keras", tmp_path / "tool.tsp"
    tool("convert", model, "-o", made, "--inference-only")
    with pytest.warns(tinyspike.TinyspikeWarning, match="ranges of activations are bounds"):
        image = tinyspike.convert(model, inference_only=True).deploy()
    assert image.to_bytes() == made.read_bytes()


def test_a_tuned_image_is_the_tools(models: Path, tmp_path: Path, tool: Any, saved: Any, digits: Any) -> None:
    x, y = digits
    x, y = x[:240], y[:240]
    model, made = models / "mnist_mlp.keras", tmp_path / "tool.tsp"
    bound = ["--steps", "1", "--max-drop", "2"]
    done = tool(
        "convert", model, "-o", made, "--inference-only", "--calibration", saved(x, y), "--tune", *bound, "--json"
    )
    image = tinyspike.convert(model, inference_only=True).deploy(x, y, goal="tuned", steps=1, max_drop=0.02)
    assert image.to_bytes() == made.read_bytes()
    assert image.tuning is not None and image.report is not None
    printed = json.loads(done.stdout)
    assert image.tuning.data == printed["tuning"]
    assert image.report.data == printed["report"]


@pytest.mark.parametrize("name", ["mnist_small.onnx", "mnist_small_torch.onnx"])
def test_onnx_is_the_tools(name: str, tmp_path: Path, tool: Any, saved: Any, digits: Any) -> None:
    x, y = digits
    model, made = _file(tmp_path, name), tmp_path / "tool.tsp"
    tool("convert", model, "-o", made, "--calibration", saved(x, y))
    assert tinyspike.convert(model).deploy(x, y).to_bytes() == made.read_bytes()


def test_several_inputs_are_the_tools(tmp_path: Path, tool: Any) -> None:
    model, made, npz = _file(tmp_path, "digits_two_inputs.keras"), tmp_path / "tool.tsp", tmp_path / "out.npz"
    sets = [FIXTURES / "data" / "digits.npz", FIXTURES / "data" / "digits_mirrored.npz"]
    network = tinyspike.convert(model, inference_only=True)
    names = list(network.inputs)
    files = [f"{name}={path}" for name, path in zip(names, sets)]
    calibration = [part for file in files for part in ("--calibration", file)]
    scale = ["--byte-scale", "1/16"]
    tool("convert", model, "-o", made, "--inference-only", *calibration, *scale)
    loaded = [np.load(path) for path in sets]
    x = {name: data["x"] for name, data in zip(names, loaded)}
    y = loaded[0]["y"]
    image = network.deploy(x, y, byte_scale=1 / 16)
    assert image.to_bytes() == made.read_bytes()
    # In any order, as a list in the network's order, and batch by batch.
    turned = {name: x[name] for name in reversed(names)}
    assert network.deploy(turned, y, byte_scale=1 / 16).to_bytes() == image.to_bytes()
    assert network.deploy([x[name] for name in names], y, byte_scale=1 / 16).to_bytes() == image.to_bytes()
    batches = (({name: x[name][at : at + 64] for name in names}, y[at : at + 64]) for at in range(0, len(y), 64))
    assert network.deploy(batches, byte_scale=1 / 16).to_bytes() == image.to_bytes()
    data = [part for file in files for part in ("--data", file)]
    tool("emulate", made, *data, *scale, "-o", npz)
    own = image.emulate(dict(zip(image.inputs, x.values())), y, byte_scale=1 / 16, record=True)
    assert own.accuracy is not None and own.accuracy > 0.9
    _same(own, np.load(npz))


def _same(own: tinyspike.Emulation, file: Any) -> None:
    """Outputs, spikes and potentials are those that the tool wrote, to the bit."""
    found = {
        **{f"output/{name}": values for name, values in own.outputs.items()},
        **{f"spikes/{name}": values for name, values in own.spikes.items()},
        **{f"potentials/{name}": values for name, values in own.potentials.items()},
    }
    assert set(found) == set(file.files)
    for name, values in found.items():
        assert values.dtype == file[name].dtype, name
        assert values.shape == file[name].shape, name
        np.testing.assert_array_equal(values, file[name], err_msg=name)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_spikes_of_images_are_the_tools(dtype: str, tmp_path: Path, tool: Any, saved: Any) -> None:
    x, y = tinyspike.demo.samples(200)
    x = x if dtype == "uint8" else (x / np.float64(255)).astype(dtype)
    image = tinyspike.demo.image()
    image.save(tmp_path / "image.tsp")
    done = tool("emulate", tmp_path / "image.tsp", "--data", saved(x, y), "-o", tmp_path / "out.npz", "--json")
    own = image.emulate(x, y, record=True)
    _same(own, np.load(tmp_path / "out.npz"))
    printed = json.loads(done.stdout)
    changing = {"images_per_second"}
    assert {k: v for k, v in own.report.items() if k not in changing} == {
        k: v for k, v in printed.items() if k not in changing
    }
    assert (own.outputs["dense_1"].argmax(axis=1) == own.classes).all()


def test_spikes_of_simulations_are_the_tools(models: Path, tmp_path: Path, tool: Any, saved: Any) -> None:
    x, y = tinyspike.demo.samples(30)
    flags = ["--inference-only", *EXACT_FLAGS[1:], "--steps", "25", "--seed", "3", "--probe", "all"]
    model = models / "mnist_small.keras"
    done = tool("simulate", model, "--data", saved(x, y), *flags, "-o", tmp_path / "out.npz", "--json")
    network = tinyspike.convert(model, inference_only=True, **EXACT)
    own = network.simulate(x, y, steps=25, seed=3, record=True)
    file = np.load(tmp_path / "out.npz")
    for name, values in own.spikes.items():
        np.testing.assert_array_equal(values, file[f"spikes/{name}"])
    outputs = [name for name in file.files if name.startswith("output/")]
    assert len(own.outputs) == len(outputs) == 1
    np.testing.assert_array_equal(own.outputs["dense_1"], file[outputs[0]])
    assert own.accuracy == json.loads(done.stdout)["accuracy"]


@pytest.mark.parametrize("name", ["snntorch_watch_rleaky", "norse_watch_ff", "spikingjelly_vowels_ff"])
def test_networks_over_time_are_the_tools(name: str, tmp_path: Path, tool: Any) -> None:
    model, data = FIXTURES / "nir" / f"{name}.nir", FIXTURES / "nir" / f"{name}.npz"
    made, npz = tmp_path / "tool.tsp", tmp_path / "out.npz"
    semantics = name.split("_")[0]
    choose = ["--semantics", semantics]
    recordings = np.load(data)
    x, y = recordings["x"], recordings["y"]
    network = tinyspike.convert(model, semantics=semantics)
    assert network.kind == "nir" and network.dt is not None

    done = tool("simulate", model, "--data", data, "--probe", "all", "-o", npz, "--json", *choose)
    simulation = network.simulate(x, y, record=True)
    written = np.load(npz)
    assert simulation.spikes
    for label, values in simulation.spikes.items():
        np.testing.assert_array_equal(values, written[f"spikes/{label}"], err_msg=label)
    for label, values in simulation.potentials.items():
        np.testing.assert_array_equal(values, written[f"potentials/{label}"], err_msg=label)
    assert simulation.accuracy == json.loads(done.stdout)["accuracy"]

    tool("convert", model, "-o", made, "--calibration", data, *choose)
    image = network.deploy(x, y)
    assert image.over_time and image.to_bytes() == made.read_bytes()

    done = tool("emulate", made, "--data", data, "-o", npz, "--json")
    own = image.emulate(x, y, record=True)
    written = np.load(npz)
    for label, values in own.spikes.items():
        np.testing.assert_array_equal(values, written[f"spikes/{label}"], err_msg=label)
    for label, values in own.potentials.items():
        np.testing.assert_array_equal(values, written[f"potentials/{label}"], err_msg=label)
    for label, values in own.outputs.items():
        np.testing.assert_array_equal(values, written[f"output/{label}"], err_msg=label)
    printed = json.loads(done.stdout)
    assert own.accuracy == printed["accuracy"]
    assert own.report["ensembles"] == printed["ensembles"]
    if y is not None and own.accuracy is not None:
        assert own.accuracy == float((own.classes == y).mean())


def test_listings_are_the_tools(models: Path, tool: Any) -> None:
    for name in ("mnist_forum_kr.keras", "mnist_pool_bn.keras"):
        printed = json.loads(tool("inspect", models / name, "--json").stdout)
        with pytest.warns(tinyspike.TinyspikeWarning):
            listing = tinyspike.convert(models / name).listing
        assert {key: printed[key] for key in listing} == listing
