"""A live Keras model of the backend that KERAS_BACKEND names, or of Keras 2, becomes the image of its file."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import tinyspike

if sys.argv[1] == "keras2":
    import tf_keras as keras

    name = f"Keras {keras.__version__}"
else:
    os.environ["KERAS_BACKEND"] = sys.argv[1]
    import keras

    name = f"Keras {keras.__version__} on {keras.backend.backend()}"

keras.utils.set_random_seed(1)
x, y = tinyspike.demo.samples(600, calibration=True)
model = keras.Sequential(
    [
        keras.layers.Input((28, 28, 1)),
        keras.layers.Conv2D(8, 5, strides=3, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu", kernel_regularizer="l2"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
floats = x[..., None].astype("float32") / 255
# This backend does not train.
if sys.argv[1] != "numpy":
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(floats, y, epochs=2, verbose=0)
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "model.keras")
    model.save(file)
    start = time.perf_counter()
    of_file = tinyspike.convert(file, inference_only=True)
    file_took = time.perf_counter() - start
start = time.perf_counter()
live = tinyspike.convert(model, inference_only=True)
took = time.perf_counter() - start
assert took - file_took < 2.0, (took, file_took)
assert live.deploy(x, y).to_bytes() == of_file.deploy(x, y).to_bytes()
outputs = next(iter(live.simulate(x[:50], steps=1).outputs.values()))[:, 0]
np.testing.assert_allclose(outputs, np.asarray(model.predict(floats[:50], verbose=0)), atol=1e-5)
print(f"{name}: live model in {took:.2f} s, its file in {file_took:.2f} s; the same image")
