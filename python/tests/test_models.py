"""Models by path and live ones, of every front end."""

from __future__ import annotations

import pickle
import tarfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyspike


@pytest.fixture(scope="module")
def trained() -> Any:
    """A small convolutional network that learns digits here."""
    import keras

    keras.utils.set_random_seed(1)
    x, y = tinyspike.demo.samples(2000, calibration=True)
    x = x[..., None].astype("float32") / 255
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(8, 5, strides=3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(32, activation="relu", kernel_regularizer="l2"),
            keras.layers.Dense(10, activation="softmax"),
        ],
        name="trained_here",
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=6, batch_size=50, verbose=0)
    return model


def test_a_live_keras_model_becomes_the_image_of_its_file(trained: Any, tmp_path: Path, digits: Any) -> None:
    x, y = digits
    for ending in (".keras", ".h5"):
        trained.save(tmp_path / f"model{ending}")
    start = time.perf_counter()
    live = tinyspike.convert(trained, inference_only=True)
    took = time.perf_counter() - start
    start = time.perf_counter()
    file = tinyspike.convert(tmp_path / "model.keras", inference_only=True)
    assert took - (time.perf_counter() - start) < 2.0
    image = live.deploy(x, y)
    assert image.to_bytes() == file.deploy(x, y).to_bytes()
    assert image.to_bytes() == tinyspike.convert(tmp_path / "model.h5", inference_only=True).deploy(x, y).to_bytes()
    test, classes = tinyspike.demo.samples(500)
    emulated = image.emulate(test, classes)
    wanted = trained.predict(test[..., None] / np.float32(255), verbose=0).argmax(axis=1)
    assert float((emulated.classes == wanted).mean()) > 0.97
    assert emulated.accuracy is not None and emulated.accuracy > 0.85


def test_verify_compares_with_keras(trained: Any) -> None:
    x, _ = tinyspike.demo.samples(20)
    network = tinyspike.convert(trained, inference_only=True)
    network.verify(x, atol=1e-5)
    outputs = network.simulate(x, steps=1).outputs["dense_1" if "dense_1" in network.outputs else next(iter(network.outputs))]
    wanted = trained.predict(x[..., None] / np.float32(255), verbose=0)
    np.testing.assert_allclose(outputs[:, 0], wanted, atol=1e-5)


def test_a_model_without_weights_is_refused() -> None:
    import keras

    with pytest.raises(tinyspike.ModelError, match="no weights yet") as caught:
        tinyspike.convert(keras.Sequential([keras.layers.Dense(3)]))
    assert any("Input" in advice for advice in caught.value.advice)


def test_batches_of_a_keras_sequence_are_samples(trained: Any) -> None:
    import keras

    x, y = tinyspike.demo.samples(100)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 4

        def __getitem__(self, at: int) -> Any:
            return x[at * 25 : at * 25 + 25], y[at * 25 : at * 25 + 25]

    network = tinyspike.convert(trained, inference_only=True)
    whole = network.simulate(x, y, steps=1)
    batched = network.simulate(Batches(), steps=1)
    assert whole.accuracy == batched.accuracy
    for name, values in whole.outputs.items():
        np.testing.assert_array_equal(values, batched.outputs[name])


def test_live_nir_graphs_are_read(nir_fixtures: Path) -> None:
    import nir

    data = np.load(nir_fixtures / "norse_watch_ff.npz")
    graph = nir.read(nir_fixtures / "norse_watch_ff.nir")
    live = tinyspike.convert(graph, semantics="norse")
    file = tinyspike.convert(nir_fixtures / "norse_watch_ff.nir", semantics="norse")
    assert live.deploy(data["x"]).to_bytes() == file.deploy(data["x"]).to_bytes()
    restored = pickle.loads(pickle.dumps(live))
    assert restored.deploy(data["x"]).to_bytes() == file.deploy(data["x"]).to_bytes()


def test_a_nir_graph_reproduces_its_frameworks_spikes(nir_fixtures: Path) -> None:
    data = np.load(nir_fixtures / "snntorch_watch_rleaky.npz")
    network = tinyspike.convert(nir_fixtures / "snntorch_watch_rleaky.nir", semantics="snntorch")
    simulation = network.simulate(data["x"], data["y"], record=True)
    assert simulation.accuracy == 1.0 and len(simulation.spikes) == 2
    for label, spikes in simulation.spikes.items():
        np.testing.assert_array_equal(spikes, data[f"spikes/{label}"])


def test_live_onnx_models_are_read(digits: Any) -> None:
    import onnx

    path = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "onnx" / "keras" / "mnist_small.onnx"
    x, y = digits
    live = tinyspike.convert(onnx.load(path))
    assert live.kind == "onnx"
    assert live.deploy(x, y).to_bytes() == tinyspike.convert(path).deploy(x, y).to_bytes()
    assert pickle.loads(pickle.dumps(live)).deploy(x, y).to_bytes() == live.deploy(x, y).to_bytes()


def test_a_saved_model_is_a_folder(tmp_path: Path, digits: Any) -> None:
    packed = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "keras" / "mnist_small_savedmodel.tar.gz"
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path)
    folder = next(path.parent for path in tmp_path.rglob("saved_model.pb"))
    network = tinyspike.convert(folder, inference_only=True)
    again = pickle.loads(pickle.dumps(network))
    x, y = digits
    assert again.deploy(x, y).to_bytes() == network.deploy(x, y).to_bytes()


def test_networks_and_images_pickle(digits: Any) -> None:
    x, y = digits
    network = tinyspike.demo.network(swap_activations={"relu": "spiking-relu"}, scale_firing_rates={"conv2d": 50.0})
    again = pickle.loads(pickle.dumps(network))
    assert again.listing == network.listing
    image = network.deploy(x, y, goal="exact")
    restored = pickle.loads(pickle.dumps(image))
    assert restored.to_bytes() == image.to_bytes()
    assert restored.report == image.report and restored.notes == image.notes


class Sigmoid:
    """Like Nengo's neuron types: a class of this name, with parameters as attributes."""


class LIF:
    tau_rc = 0.03
    amplitude = 0.5


class AdaptiveLIF:
    tau_rc = 0.02
    tau_n = 2.0
    inc_n = 0.5


class LIFRate:
    def __init__(self, tau_rc: float = 0.02) -> None:
        self.tau_rc = tau_rc


class PoissonSpiking:
    amplitude = 1.0

    def __init__(self, base_type: Any) -> None:
        self.base_type = base_type


class Lowpass:
    tau = 0.01


def relu(x: Any) -> Any:
    return x


def test_nengos_own_objects_are_options() -> None:
    by_name = tinyspike.demo.network(swap_activations={"relu": "lif:tau_rc=0.03,amplitude=0.5"}, synapse=0.01)
    by_object = tinyspike.demo.network(swap_activations={relu: LIF()}, synapse=Lowpass())
    assert by_object.listing == by_name.listing
    assert "tau_rc=0.03" in by_name.ensembles[0].neuron_type
    for given, name in [
        (AdaptiveLIF(), "adaptive-lif:tau_rc=0.02,tau_n=2.0,inc_n=0.5"),
        (PoissonSpiking(LIFRate()), "poisson-spiking:base=lif-rate"),
    ]:
        by_object = tinyspike.demo.network(swap_activations={"relu": given})
        assert by_object.listing == tinyspike.demo.network(swap_activations={"relu": name}).listing
    # What there is no word for is refused, and not left out.
    with pytest.raises(tinyspike.OptionError, match="tau_rc"):
        tinyspike.demo.network(swap_activations={"relu": PoissonSpiking(LIFRate(0.05))})
    started = LIF()
    started.initial_state = {"voltage": 0.5}  # type: ignore[attr-defined]
    with pytest.raises(tinyspike.OptionError, match="initial_state"):
        tinyspike.demo.network(swap_activations={"relu": started})


class Layer:
    """Like a layer of Keras, which NengoDL takes as a key."""

    name = "conv2d"


def test_layers_are_keys_as_their_names_are() -> None:
    by_layer = tinyspike.demo.network(scale_firing_rates={Layer(): 50.0})
    assert by_layer.listing == tinyspike.demo.network(scale_firing_rates={"conv2d": 50.0}).listing
    assert by_layer.listing != tinyspike.demo.network().listing


def test_what_nir_leaves_open_is_said() -> None:
    file = Path(__file__).parents[2] / "tests/fixtures/nir/norse_vowels_lifcell.nir"
    with pytest.warns(tinyspike.TinyspikeWarning, match="taken for semantics"):
        tinyspike.convert(file)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tinyspike.convert(file, semantics=["norse-lif", "dt=0.001"])


def test_values_have_an_error_and_no_accuracy() -> None:
    file = Path(__file__).parents[2] / "tests/fixtures/silence/sine.keras"
    x = np.linspace(0.0, 2.0 * np.pi, 400, dtype=np.float32)[:, None]
    y = np.sin(x)
    image = tinyspike.convert(file, inference_only=True).deploy(x, y, goal="tuned", max_error=0.2, evaluations=2)
    run = image.emulate(x, y)
    assert run.accuracy is None and run.rms_error is not None and run.rms_error < 0.3
    assert run.r2 is not None and run.r2 > 0.8 and "rms error" in repr(run)
    assert image.tuning is not None and image.tuning.data["scalar"]
    assert "accuracy" not in image._repr_html_() and "error on held-out samples" in image._repr_html_()
    assert tinyspike.plot.front(image).get_ylabel().startswith("error in %")
