"""A trained network for handwritten digits, and data for it, to try things on.

The network is mnist_small, trained in Keras on 60,000 images: 98.57 % of the test images are right.
"""

from __future__ import annotations

import atexit
import io
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Tuple

import numpy as np
import numpy.typing as npt

from tinyspike import _native

if TYPE_CHECKING:
    from tinyspike.image import Image
    from tinyspike.network import Network

__all__ = ["image", "model", "network", "samples"]


@lru_cache(maxsize=None)
def model() -> Path:
    """The network's ``.keras`` file, in a folder that this process removes.

    >>> import tinyspike
    >>> tinyspike.demo.model().name
    'mnist_small.keras'
    """
    folder = tempfile.mkdtemp(prefix="tinyspike-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = Path(folder, "mnist_small.keras")
    file.write_bytes(_native.bundled("model"))
    return file


@lru_cache(maxsize=None)
def _arrays(which: str) -> Tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
    with np.load(io.BytesIO(_native.bundled(which))) as file:
        return file["x"], file["y"]


def samples(count: int = 10_000, *, calibration: bool = False) -> Tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
    """Images of digits and their classes: the first of 10,000 for tests, or of 2,000 that the network has seen.

    :param count: number of images.
    :param calibration: take images that the network was trained on.
    :returns: uint8 of shape (count, 28, 28), of which 255 stands for 1, and classes of shape (count,).

    >>> import tinyspike
    >>> x, y = tinyspike.demo.samples(3)
    >>> x.shape, y.tolist()
    ((3, 28, 28), [7, 2, 1])
    """
    x, y = _arrays("calibration" if calibration else "test")
    return x[:count], y[:count]


def network(**options: Any) -> "Network":
    """The converted network; options are those of :func:`tinyspike.convert`.

    >>> import tinyspike
    >>> len(tinyspike.demo.network().ensembles)
    3
    """
    from tinyspike.network import convert

    options.setdefault("inference_only", True)
    return convert(model(), **options)


@lru_cache(maxsize=None)
def image() -> "Image":
    """A plain image of the network, calibrated on 300 images.

    >>> import tinyspike
    >>> tinyspike.demo.image().inputs
    {'input_1': 784}
    """
    x, y = samples(300, calibration=True)
    return network().deploy(x, y, goal="plain", progress=False)
