"""Bad input: exceptions that name what is wrong and what to do, and no panic."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyspike
from tinyspike import TinyspikeError


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros((5, 7)), r"shape \[7\], but the input \"input_1\" takes \[28, 28, 1\]"),
        (np.zeros((5, 28, 29)), r"takes \[28, 28, 1\]"),
        (np.zeros((0, 28, 28)), "no sample"),
        (np.float32(1.0), "no sample"),
        (np.full((2, 28, 28), np.nan, dtype="float32"), "sample 0: the value NaN"),
        (np.full((2, 28, 28), np.inf), "not finite"),
        (np.full((2, 28, 28), 1e300), "not finite"),
        (np.zeros((2, 28, 28), dtype=complex), "dtype complex128; convert it to uint8 or float32"),
        (np.array([["a"]]), "dtype <U1"),
        (np.array([[object()]]), "dtype object"),
        ([[1.0], [1.0, 2.0]], "different lengths"),
        ("samples.npz", "this is str"),
        (7, "this is int"),
        (iter([]), "no batch"),
        ({"input_2": np.zeros((2, 28, 28))}, "'input_2': no input has this name; the inputs are 'input_1'"),
        ({}, "no data for the input 'input_1'"),
    ],
)
def test_samples_that_do_not_fit(x: Any, said: str) -> None:
    network = tinyspike.demo.network()
    with pytest.raises(tinyspike.DataError, match=said):
        network.simulate(x, steps=1)
    if x is not None and not isinstance(x, dict) and "batch" not in said:
        with pytest.raises(tinyspike.DataError):
            network.deploy(x)


def test_bias_nodes_take_no_data() -> None:
    network = tinyspike.demo.network()
    bias = next(node.label for node in network.nodes if node.label.endswith(".bias") or "bias" in node.label)
    x, _ = tinyspike.demo.samples(2)
    with pytest.raises(tinyspike.DataError, match="constant node, which takes no data; the inputs are 'input_1'") as caught:
        network.simulate({"input_1": x, bias: np.ones((2, 1))}, steps=1)
    assert caught.value.input == bias


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.zeros(3), r"labels has shape \[3\]: it must have one label"),
        (np.array(["a", "b"]), "labels has the dtype <U1"),
        (np.array([0.0, np.nan]), "sample 1: the value NaN"),
    ],
)
def test_labels_that_do_not_fit(y: Any, said: str) -> None:
    x, _ = tinyspike.demo.samples(2)
    with pytest.raises(tinyspike.DataError, match=said):
        tinyspike.demo.network().simulate(x, y, steps=1)


@pytest.mark.parametrize("model", [None, 7, b"bytes", object(), np.zeros(3), tinyspike.convert])
def test_objects_that_are_no_model(model: Any) -> None:
    with pytest.raises(tinyspike.ModelError, match="is no model") as caught:
        tinyspike.convert(model)
    assert ".keras" in caught.value.advice[0]


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"goal": "best"}, "goal"),
        ({"target": "cortex-m99"}, "target"),
        ({"steps": 2.5}, "steps"),
        ({"max_count": 0}, "max_count"),
        ({"weight_bits": 12}, "weight_bits"),
        ({"input_bits": 9}, "input_bits"),
        ({"seed": -1}, "seed"),
        ({"max_ram": -5}, "max_ram"),
        ({"goal": "exact", "initial_voltage": "high"}, "initial_voltage"),
    ],
)
def test_options_that_cannot_be(options: Any, option: str, digits: Any) -> None:
    x, y = digits
    with pytest.raises(tinyspike.OptionError) as caught:
        tinyspike.demo.network().deploy(x, y, **options)
    assert caught.value.option == option and str(caught.value).startswith(f"{option}: ")


def test_advice_is_in_words_of_python(models: Path, digits: Any) -> None:
    with pytest.raises(tinyspike.DeployError) as caught:
        tinyspike.convert(models / "mnist_forum_kr.keras").deploy(*digits)
    assert caught.value.stage == "lower" and caught.value.layer
    assert any("inference_only=True" in advice for advice in caught.value.advice)
    assert "hint: " in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.advice, again.stage) == (str(caught.value), caught.value.advice, "lower")
    with pytest.raises(tinyspike.DeployError, match="bytes of flash") as caught:
        tinyspike.demo.network().deploy(*digits, max_flash=20_000)
    assert caught.value.stage == "budget"


def test_no_file_makes_a_panic(models: Path, tmp_path: Path) -> None:
    """Damaged files of every kind: an exception of the package, or a result."""
    dice = random.Random(1)
    fixtures = models.parent / "tests" / "fixtures"
    sources = [
        models / "mnist_mlp.keras",
        fixtures / "nir" / "norse_watch_ff.nir",
        fixtures / "onnx" / "keras" / "mnist_pool_bn.onnx",
    ]
    refused = 0
    for source in sources:
        content = source.read_bytes()
        for trial in range(25):
            damaged = bytearray(content)
            for _ in range(1 + trial):
                damaged[dice.randrange(min(len(damaged), 4096) if trial % 2 else len(damaged))] = dice.randrange(256)
            file = tmp_path / f"damaged{source.suffix}"
            file.write_bytes(damaged[: dice.randrange(len(damaged))] if trial % 5 == 4 else damaged)
            try:
                tinyspike.convert(file)
            except tinyspike.InternalError as error:
                raise AssertionError(f"{source.name}, trial {trial}") from error
            except TinyspikeError:
                refused += 1
    assert refused > 20
    image = tinyspike.demo.image().to_bytes()
    for trial in range(60):
        damaged = bytearray(image)
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        with pytest.raises(tinyspike.ImageError):
            tinyspike.Image.from_bytes(bytes(damaged))


def test_a_panic_is_an_exception(capfd: pytest.CaptureFixture[str]) -> None:
    from tinyspike import _native

    with pytest.raises(tinyspike.InternalError, match="a panic on purpose") as caught:
        _native.panic()
    # It says where, and prints nothing.
    assert "src/lib.rs" in str(caught.value)
    assert capfd.readouterr().err == ""


def test_errors_of_progress_are_the_users() -> None:
    """An exception in a callback comes out as it is."""
    network, (x, y) = tinyspike.demo.network(), tinyspike.demo.samples(300)

    def broken(function: Any, items: Any) -> Any:
        raise KeyError("the user's own")

    with pytest.raises(KeyError, match="the user's own"):
        network.deploy(x, y, goal="tuned", max_drop=0.02, evaluations=2, map=broken)
