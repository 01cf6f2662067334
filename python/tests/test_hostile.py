"""Arguments of every kind in every place: a result, or an exception of the package that says what is wrong."""

from __future__ import annotations

import inspect
import random
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import numpy as np
import pytest

import tinyspike
from tinyspike import TinyspikeError

SHAPES = [(), (0,), (1,), (7,), (2, 784), (2, 28, 28), (2, 28, 28, 1), (0, 28, 28), (2, 0, 28), (2, 3, 28, 28), (1,) * 20]
DTYPES = [*"?bBhHiIlLqQefdgFDGSUVOMm", ">f4", "<i8", ">u2", "i4,f4"]


def _arrays(dice: random.Random) -> Any:
    """An array of any shape, type, order and content."""
    shape, dtype = dice.choice(SHAPES), np.dtype(dice.choice(DTYPES))
    array = np.zeros(shape, dtype)
    filling: Any = dice.choice([None, None, 1, 200, -3, "nan", "inf", 1e300, 2**40])
    if filling is not None and dtype.kind in "biufc":
        with np.errstate(all="ignore"):
            array[...] = np.array(float(filling)).astype(dtype)
    layouts: list[Callable[[Any], Any]] = [
        lambda a: a,
        np.asfortranarray,
        lambda a: a[::-1] if a.ndim else a,
        lambda a: a.T,
        lambda a: np.repeat(a, 2, axis=0)[::2] if a.ndim else a,
        lambda a: np.broadcast_to(a, (2, *a.shape)),
        lambda a: np.ma.masked_array(a, mask=a.dtype.kind == "f") if a.dtype.kind in "biuf" else a,
        memoryview if dtype.kind in "bBhHiIlLqQfd" and dtype.isnative else (lambda a: a),
        lambda a: a.tolist(),
    ]
    array = dice.choice(layouts)(array)
    if isinstance(array, np.ndarray) and dice.random() < 0.2:
        array.flags.writeable = False
    return array


class Lying:
    """An object that claims to be an array, a sequence and a number, and is none."""

    shape = (2, 28, 28)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("no array after all")

    def __len__(self) -> int:
        return 3

    def __float__(self) -> float:
        raise ValueError("no number after all")

    def __index__(self) -> int:
        raise TypeError("no index after all")


class Endless:
    """A sequence of batches whose items are not there."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, at: int) -> Any:
        return (np.zeros((1, 28, 28)), np.zeros(1 + at))


def _containers(dice: random.Random) -> Any:
    """Arrays in what users put them in."""
    a, b = _arrays(dice), _arrays(dice)
    return dice.choice(
        [
            lambda: a,
            lambda: [a, b],
            lambda: (a, b),
            lambda: {"input_1": a},
            lambda: {"input_1": a, 3: b},
            lambda: {None: a},
            lambda: iter([a, b]),
            lambda: iter([(a, b), (a, b)]),
            lambda: iter([(a, [1]), (b, None)]),
            lambda: iter([{"input_1": a}, {"input_1": b}]),
            lambda: iter([{"input_1": a}, {"other": b}]),
            lambda: iter([[a], [a, b]]),
            lambda: iter([(), []]),
            lambda: iter([None, "x"]),
            lambda: [[a], [[b]]],
            lambda: [(a, b), (b,)],
            Lying,
            Endless,
        ]
    )()


def _checked(call: Callable[[], Any], said: str) -> bool:
    """Tells whether a call was refused; what is neither refused well nor done is a fault."""
    try:
        call()
    except tinyspike.InternalError as error:
        raise AssertionError(f"{said}: a panic") from error
    except TinyspikeError as error:
        assert len(error.message) > 10, said
        assert "Traceback" not in str(error) and "object at 0x" not in error.message, f"{said}: {error}"
        return True
    except ImportError as error:
        # A bar without tqdm, which may be left out.
        assert "pip install tinyspike[progress]" in str(error), said
        return True
    except Exception as error:
        raise AssertionError(f"{said}: {type(error).__name__}, which is no exception of the package: {error}") from error
    return False


@pytest.mark.filterwarnings("ignore")
def test_no_samples_make_a_panic() -> None:
    dice = random.Random(19)
    network, image = tinyspike.demo.network(), tinyspike.demo.image()
    x, _ = tinyspike.demo.samples(2)
    refused = 0
    for trial in range(600):
        seed = dice.randrange(1 << 30)

        def odd(seed: int = seed) -> Any:
            return _containers(random.Random(seed))

        said = f"trial {trial}, seed {seed}"
        refused += _checked(lambda: image.emulate(odd()), said)
        if trial % 3 == 0:
            _checked(lambda: network.simulate(odd(), steps=1), said)
            _checked(lambda: network.deploy(odd(), goal="plain"), said)
            _checked(lambda: network.verify(odd(), atol=1e9), said)
            _checked(lambda: image.emulate(x, odd()), f"labels, {said}")
    assert 300 < refused < 600


class Kept:
    def __repr__(self) -> str:
        return "<something else>"


ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    3,
    2.5,
    1 << 40,
    1 << 70,
    -(1 << 70),
    float("nan"),
    float("inf"),
    1e39,
    -1e-45,
    "",
    "x",
    "a\0b",
    "ü" * 1000,
    b"x",
    [],
    [None],
    ["x"],
    [(1 << 70, 2)],
    {},
    {"x": "y"},
    {None: None},
    {"relu": 3.0},
    np.zeros(3),
    np.float32(0.5),
    np.int64(-7),
    1j,
    Kept(),
    Lying(),
    Lying,
    len,
    lambda *_: None,
]


def _options(function: Any) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind in kinds]


def _calls(folder: Path) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Functions with arguments that are right."""
    x, y = tinyspike.demo.samples(4)
    network, image = tinyspike.demo.network(), tinyspike.demo.image()
    exact_network = tinyspike.demo.network(swap_activations={"relu": "spiking-relu"}, scale_firing_rates=200)
    exact = exact_network.deploy(x, goal="exact", steps=0)
    private, public = tinyspike.keygen()
    nowhere = {"on": "emulated:nothing"}
    yield "convert", tinyspike.convert, {"model": tinyspike.demo.model(), "inference_only": True}
    yield "simulate", network.simulate, {"x": x, "labels": y, "steps": 1}
    yield "verify", network.verify, {"x": x, "atol": 1e9}
    yield "deploy", network.deploy, {"calibration": x, "labels": y}
    yield "emulate", image.emulate, {"x": x, "labels": y}
    yield "stream", exact.stream, {"x": x, "steps": 2}
    yield "flash", image.flash, nowhere
    yield "run", image.run, {"x": x, **nowhere}
    yield "bench", image.bench, {"x": x, **nowhere}
    yield "estimate", image.estimate, {"x": x, "board": "pico"}
    yield "to_c", image.to_c, {"folder": folder / "c", "cores": ["nothing"]}
    yield "save", image.save, {"path": folder / "image.tsp"}
    yield "load", tinyspike.Image.load, {"path": folder / "image.tsp"}
    yield "from_bytes", tinyspike.Image.from_bytes, {"content": image.to_bytes()}
    yield "sign", image.sign, {"key": private}
    yield "verify the signature", image.sign(private).verify, {"key": public}
    yield "with_model_version", image.with_model_version, {"model_version": 1}
    simulation = exact_network.simulate(x, steps=3, record=True)
    yield "raster", tinyspike.plot.raster, {"result": simulation}
    yield "potentials", tinyspike.plot.potentials, {"result": simulation}
    yield "rates", tinyspike.plot.rates, {"result": simulation}
    yield "front", tinyspike.plot.front, {"tuning": image}
    yield "instructions", tinyspike.plot.instructions, {"bench": image}
    yield "memory", tinyspike.plot.memory, {"image": image}
    yield "quantization", tinyspike.plot.quantization, {"report": image}
    yield "public_key", tinyspike.public_key, {"key": private}


@pytest.mark.filterwarnings("ignore")
def test_no_option_makes_a_panic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused = asked = 0
    for name, function, right in _calls(tmp_path):
        for option in _options(function):
            if option == "axes":
                continue
            # Without cores a library for this machine is built, which takes minutes.
            for odd in ODD if option != "cores" else filter(None, ODD[2:17]):
                said = f"{name}({option}={repr(odd)[:60]})"
                refused += _checked(lambda: function(**{**right, option: odd}), said)
                asked += 1
    assert asked > 2000 and refused > asked // 2


@pytest.mark.filterwarnings("ignore")
def test_huge_arrays_are_refused() -> None:
    """Arrays that are views of one value: what a copy of them takes is not there."""
    huge = np.broadcast_to(np.float64(0), (1 << 40, 28, 28))
    with pytest.raises(tinyspike.DataError, match="does not fit into memory") as caught:
        tinyspike.demo.image().emulate(huge)
    assert "x[:100]" in caught.value.advice[0]


def test_masks_bytes_among_floats_and_odd_batches_are_named() -> None:
    image = tinyspike.demo.image()
    x, y = tinyspike.demo.samples(4)
    with pytest.raises(tinyspike.DataError, match="input_1 has masked values") as caught:
        image.emulate(np.ma.masked_equal(x, 0))
    assert "filled" in caught.value.advice[0]
    with pytest.raises(tinyspike.DataError, match="dtypes float32, uint8"):
        image.emulate(iter([x, x.astype("float32")]))
    with pytest.raises(tinyspike.DataError, match="batch 1 has arrays for 'b'"):
        image.emulate(iter([{"a": x}, {"b": x}]))
    with pytest.raises(tinyspike.OptionError, match="record: 'no' is no truth value"):
        image.emulate(x, record="no")  # type: ignore[arg-type]
    # What PyTorch's loaders make: lists of samples and labels.
    batches = image.emulate(iter([[x[:2], y[:2]], [x[2:], y[2:]]]))
    assert batches.accuracy == image.emulate(x, y).accuracy
    assert image.emulate([(x[:2], y[:2]), (x[2:], y[2:])]).accuracy == batches.accuracy
