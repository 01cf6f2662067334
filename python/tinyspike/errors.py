"""Exceptions of the package. Each says what is wrong, and what to do.

Every exception is a :class:`TinyspikeError`. Its ``advice`` lists remedies, the best first.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple

__all__ = [
    "BoardError",
    "ConvertError",
    "DataError",
    "DeployError",
    "ExportError",
    "ImageError",
    "InternalError",
    "ModelError",
    "OptionError",
    "SignError",
    "SimulateError",
    "TinyspikeError",
    "TinyspikeWarning",
]


class TinyspikeWarning(UserWarning):
    """A sign that results may not be what was meant.

    >>> import tinyspike
    >>> issubclass(tinyspike.TinyspikeWarning, UserWarning)
    True
    """


class TinyspikeError(Exception):
    """The base of all exceptions of this package.

    :ivar message: the fault, a sentence.
    :ivar advice: remedies in words, the best first; empty if there is none to name.
    :ivar layer: the layer at fault, if it is one.
    :ivar stage: the stage of a deployment that failed, if it is one.
    :ivar input: the input of the network at fault, if it is one.
    :ivar option: the argument at fault, if it is one.

    >>> import tinyspike
    >>> try:
    ...     tinyspike.demo.network().deploy(goal="plane")
    ... except tinyspike.TinyspikeError as error:
    ...     print(error.option)
    goal
    """

    def __init__(
        self,
        message: str,
        *,
        advice: Sequence[str] = (),
        layer: Optional[str] = None,
        stage: Optional[str] = None,
        input: Optional[str] = None,
        option: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.advice: Tuple[str, ...] = tuple(advice)
        self.layer = layer
        self.stage = stage
        self.input = input
        self.option = option

    def __str__(self) -> str:
        if not self.advice:
            return self.message
        return f"{self.message}\nhint: {'; or '.join(self.advice)}"

    def __reduce__(self) -> Tuple[Any, ...]:
        return (_restored, (type(self), self.message, dict(self.__dict__)))


def _restored(kind: type[TinyspikeError], message: str, values: dict[str, Any]) -> TinyspikeError:
    error = kind(message)
    error.__dict__.update(values)
    return error


class ModelError(TinyspikeError, ValueError):
    """The file cannot be read, or the object is no model.

    >>> import tinyspike
    >>> tinyspike.convert("nowhere.keras")
    Traceback (most recent call last):
    tinyspike.errors.ModelError: nowhere.keras: ...
    """


class ConvertError(TinyspikeError, ValueError):
    """A layer, an activation or an option has no network; ``layer`` names the layer.

    >>> import tinyspike
    >>> tinyspike.demo.network(scale_firing_rates=-1.0)
    Traceback (most recent call last):
    tinyspike.errors.ConvertError: ...scale_firing_rates is -1, but must be a finite number above 0
    """


class OptionError(TinyspikeError, ValueError):
    """An argument has a value that it cannot have; ``option`` names it.

    >>> import tinyspike
    >>> tinyspike.demo.network(synapse="beta:1")
    Traceback (most recent call last):
    tinyspike.errors.OptionError: synapse: must be none, ...
    """


class DataError(TinyspikeError, ValueError):
    """Samples or labels do not fit the network, or hold what is no number.

    >>> import numpy, tinyspike
    >>> tinyspike.demo.network().simulate(numpy.zeros((2, 7)), steps=1)
    Traceback (most recent call last):
    tinyspike.errors.DataError: samples have the shape [7], but the input "..." takes [28, 28, 1]
    """


class SimulateError(TinyspikeError, RuntimeError):
    """The network cannot be simulated.

    >>> import tinyspike
    >>> x, _ = tinyspike.demo.samples(1)
    >>> tinyspike.demo.network().simulate(x, steps=1, dt=-1.0)
    Traceback (most recent call last):
    tinyspike.errors.SimulateError: a step of -1 s; it must be above 0
    """


class DeployError(TinyspikeError, RuntimeError):
    """A stage of a deployment failed; ``stage`` and ``layer`` name it.

    >>> import tinyspike
    >>> x, y = tinyspike.demo.samples(200)
    >>> try:
    ...     tinyspike.demo.network().deploy(x, y, goal="plain", max_flash=1000)
    ... except tinyspike.DeployError as error:
    ...     print(error.stage)
    budget
    """


class ImageError(TinyspikeError, ValueError):
    """The bytes are no image.

    >>> import tinyspike
    >>> tinyspike.Image.from_bytes(b"nothing")
    Traceback (most recent call last):
    tinyspike.errors.ImageError: ...
    """


class SignError(TinyspikeError, ValueError):
    """A key is none, or a signature is missing or wrong.

    >>> import tinyspike
    >>> tinyspike.public_key("no key")
    Traceback (most recent call last):
    tinyspike.errors.SignError: this is no Ed25519 private key in PKCS#8 PEM form ...
    """


class ExportError(TinyspikeError, RuntimeError):
    """A project cannot be made of an image, or a library for it cannot be built.

    >>> import tempfile, tinyspike
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tinyspike.demo.image().to_c(folder, name="1st model")
    Traceback (most recent call last):
    tinyspike.errors.ExportError: "1st model" is no name for a model: ...
    """


class BoardError(TinyspikeError, RuntimeError):
    """A board cannot be reached, does not hold the image, or does otherwise than the emulator.

    >>> import tinyspike
    >>> image = tinyspike.demo.image()
    >>> image.flash(on="emulated:nothing")
    Traceback (most recent call last):
    tinyspike.errors.BoardError: ...
    """


class InternalError(TinyspikeError, RuntimeError):
    """A fault of tinyspike itself. Please report it, with the message.

    >>> import tinyspike
    >>> issubclass(tinyspike.InternalError, tinyspike.TinyspikeError)
    True
    """
