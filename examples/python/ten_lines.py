"""A network that is trained here, on an emulated board, with a picture of its spikes.

pip install tinyspike keras jax matplotlib; KERAS_BACKEND=jax python ten_lines.py
"""

import keras
from matplotlib import pyplot

import tinyspike
from tinyspike import plot

x, y = tinyspike.demo.samples(2000, calibration=True)
test, classes = tinyspike.demo.samples(1000)

model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])
model.add(keras.layers.Dense(64, activation="relu"))
model.add(keras.layers.Dense(10, activation="softmax"))
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x / 255, y, epochs=8, verbose=0)

network = tinyspike.convert(model, inference_only=True)
image = network.deploy(x, y, goal="tuned", max_drop=0.01)
print(image, image.emulate(test, classes).accuracy)
print(image.run(test[:20], classes[:20], on="emulated:mps2-an386").accuracy)
plot.raster(image.emulate(test[:60], record=True))
pyplot.savefig("raster.png")
