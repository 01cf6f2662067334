"""Images: what microcontrollers run."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from tinyspike import _html, _native, _options
from tinyspike._arrays import Samples, arrays_of, data_of
from tinyspike._progress import bar
from tinyspike._said import note, warn
from tinyspike.results import Bench, BoardRun, Emulation, Estimate, Report, Tuning

__all__ = ["Image", "keygen", "public_key"]


class Image:
    """A packed network in integers, which a device reads in place.

    :meth:`tinyspike.Network.deploy` makes one, :meth:`load` reads one. Images pickle.

    >>> import pickle, tinyspike
    >>> image = tinyspike.demo.image()
    >>> image.steps, image.ram_bytes > 0
    (2, True)
    >>> pickle.loads(pickle.dumps(image)).to_bytes() == image.to_bytes()
    True
    """

    def __init__(
        self,
        native: _native.Image,
        report: Optional[Report] = None,
        tuning: Optional[Tuning] = None,
        notes: Sequence[str] = (),
    ) -> None:
        self._native = native
        self._description: Dict[str, Any] = json.loads(native.description())
        self._report = report
        self._tuning = tuning
        self._notes = list(notes)

    def __reduce__(self) -> Tuple[Any, ...]:
        return (_restored, (self.to_bytes(), self._report, self._tuning, self._notes))

    @classmethod
    def load(cls, path: Union[str, "os.PathLike[str]"]) -> "Image":
        """Reads an image file.

        :raises ImageError: it cannot be read, or holds no image.

        >>> import tempfile, tinyspike
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tinyspike.demo.image().save(folder + "/mnist.tsp")
        ...     tinyspike.Image.load(folder + "/mnist.tsp").steps
        2
        """
        return cls(_native.Image.load(_options.path(path, "path")))

    @classmethod
    def from_bytes(cls, content: bytes) -> "Image":
        """Takes the content of an image file.

        :raises ImageError: it is no image.

        >>> import tinyspike
        >>> tinyspike.Image.from_bytes(tinyspike.demo.image().to_bytes()).steps
        2
        """
        return cls(_native.Image.from_bytes(_bytes(content)))

    def save(self, path: Union[str, "os.PathLike[str]"]) -> None:
        """Writes an image file, as a whole or not at all.

        :raises ImageError: it cannot be written.

        >>> import tempfile, tinyspike
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tinyspike.demo.image().save(folder + "/mnist.tsp")
        """
        self._native.save(_options.path(path, "path"))

    def to_bytes(self) -> bytes:
        """The content of its file, with its signature if it has one.

        >>> import tinyspike
        >>> tinyspike.demo.image().to_bytes()[:4]
        b'TSPK'
        """
        return self._native.to_bytes()

    @property
    def report(self) -> Optional[Report]:
        """Effects of quantization on each layer; None of an image that was read from a file.

        >>> import tinyspike
        >>> print(tinyspike.demo.image().report)
        input input_1: 8 bits...
        """
        return self._report

    @property
    def tuning(self) -> Optional[Tuning]:
        """Result of the search that found it; None of other images.

        >>> import tinyspike
        >>> tinyspike.demo.image().tuning is None
        True
        """
        return self._tuning

    @property
    def notes(self) -> List[str]:
        """Notes of the deployment, such as what the image leaves out.

        >>> import tinyspike
        >>> tinyspike.demo.image().notes
        []
        """
        return list(self._notes)

    @property
    def steps(self) -> int:
        """Steps of an inference; 0 of an image that runs without end.

        >>> import tinyspike
        >>> tinyspike.demo.image().steps
        2
        """
        return int(self._description["steps"])

    @property
    def over_time(self) -> bool:
        """True if its neurons keep their state from step to step, and its data has an axis of time.

        >>> import tinyspike
        >>> tinyspike.demo.image().over_time
        False
        """
        return bool(self._description["over_time"])

    @property
    def flash_bytes(self) -> int:
        """Bytes of flash that it takes, without a signature and firmware.

        >>> import tinyspike
        >>> 40_000 < tinyspike.demo.image().flash_bytes < 50_000
        True
        """
        return int(self._description["flash_bytes"])

    @property
    def ram_bytes(self) -> int:
        """Bytes of RAM that its state takes: the arena.

        >>> import tinyspike
        >>> tinyspike.demo.image().ram_bytes < 10_000
        True
        """
        return int(self._description["ram_bytes"])

    @property
    def inputs(self) -> Dict[str, int]:
        """Number of values of each input, by its name.

        >>> import tinyspike
        >>> tinyspike.demo.image().inputs
        {'input_1': 784}
        """
        return {place["label"]: place["size"] for place in self._description["inputs"]}

    @property
    def outputs(self) -> Dict[str, int]:
        """Number of values of each output, by its name.

        >>> import tinyspike
        >>> tinyspike.demo.image().outputs
        {'dense_1': 10}
        """
        return {place["label"]: place["size"] for place in self._description["outputs"]}

    @property
    def description(self) -> Dict[str, Any]:
        """Its parts, with the bytes of flash and RAM of each.

        >>> import tinyspike
        >>> [e["label"] for e in tinyspike.demo.image().description["ensembles"]]
        ['conv2d.0', 'conv2d_1.0', 'dense.0']
        """
        return dict(self._description)

    def emulate(
        self,
        x: Samples,
        labels: Any = None,
        *,
        steps: Optional[int] = None,
        early_exit: bool = True,
        record: bool = False,
        byte_scale: Optional[float] = None,
        values: bool = False,
        progress: Optional[bool] = None,
    ) -> Emulation:
        """Runs the engine that devices run, on this machine.

        :param x: samples: an array of shape (samples, ...), arrays by the names of inputs, or an iterable of batches
            ``x`` or ``(x, labels)``.
        :param labels: a class, or a row of values, for each sample.
        :param steps: fewer steps than the image states.
        :param early_exit: an inference may end early, if the image allows it.
        :param record: keep all outputs, spikes and last potentials of each sample.
        :param byte_scale: the value of one unit of a byte: 1/255, unless the image was made for 0 to 255.
        :param values: take labels of 0 and 1 as values, which have errors.
        :param progress: as in :meth:`tinyspike.Network.simulate`.
        :raises DataError: samples or steps do not fit the image.

        >>> import tinyspike
        >>> x, y = tinyspike.demo.samples(100)
        >>> tinyspike.demo.image().emulate(x, y).accuracy
        0.99
        """
        if self.over_time:
            return self.stream(
                x,
                labels,
                steps=steps,
                record=record,
                byte_scale=byte_scale,
                values=values,
                progress=progress,
            )
        data = self._data(x, labels, byte_scale, values)
        asked, early = _options.count(steps, "steps", 1, 0xFFFF), _options.flag(early_exit, "early_exit")
        recorded = _options.flag(record, "record")
        with bar("emulating", len(data[0]), progress) as show:
            result = self._native.emulate(data, asked, early, recorded, show)
        warn(result["warnings"])
        note(result)
        return Emulation(
            result["outputs"],
            result["classes"],
            result["steps"],
            result["spikes"],
            result["potentials"],
            json.loads(result["report"]),
            result["probabilities"],
        )

    def stream(
        self,
        x: Samples,
        labels: Any = None,
        *,
        steps: Optional[int] = None,
        stateful: bool = False,
        record: bool = False,
        readout: Optional[str] = None,
        byte_scale: Optional[float] = None,
        values: bool = False,
        progress: Optional[bool] = None,
    ) -> Emulation:
        """Runs recordings through the engine, step by step without end.

        :param x: recordings of shape (samples, steps, ...); bytes stand for numbers of events.
        :param labels: a class, or a row of values, for each recording.
        :param steps: the first so many steps; how often samples without an axis of time are shown.
        :param stateful: go on from recording to recording, instead of from rest.
        :param record: keep the spikes and potentials of each step.
        :param readout: the result of an output, as in :meth:`tinyspike.Network.simulate`.
        :raises DataError: recordings do not fit the image.

        >>> import tinyspike
        >>> x, y = tinyspike.demo.samples(10)
        >>> network = tinyspike.demo.network(swap_activations={"relu": "spiking-relu"}, scale_firing_rates=200)
        >>> image = network.deploy(x, goal="exact", steps=0)
        >>> image.stream(x, steps=5).outputs["dense_1"].shape
        (10, 5, 10)
        """
        data = self._data(x, labels, byte_scale, values)
        asked, on = _options.count(steps, "steps", 1, 0xFFFF), _options.flag(stateful, "stateful")
        recorded, read = _options.flag(record, "record"), _options.text_or_none(readout, "readout")
        with bar("emulating", len(data[0]), progress) as show:
            result = self._native.stream(data, asked, on, recorded, read, show)
        warn(result["warnings"])
        note(result)
        report = json.loads(result["report"])
        first = next(iter(result["outputs"].values()))
        ran = np.full(first.shape[0], first.shape[1], dtype=np.int64)
        return Emulation(
            result["outputs"],
            _decided(first, report["readout"]),
            ran,
            result["spikes"],
            result["potentials"],
            report,
        )

    def sign(self, key: str) -> "Image":
        """The image with a signature behind it, for devices that ask for one.

        :param key: an Ed25519 private key in PEM form, as :func:`keygen` or OpenSSL makes it.
        :raises SignError: it is no such key.

        >>> import tinyspike
        >>> private, public = tinyspike.keygen()
        >>> signed = tinyspike.demo.image().sign(private)
        >>> signed.verify(public)
        """
        return Image(self._native.sign(_options.text(key, "key")), self._report, self._tuning, self._notes)

    def verify(self, key: str) -> None:
        """Checks that the key's owner has signed the image.

        :param key: an Ed25519 public key in PEM form.
        :raises SignError: the signature is missing, or another's.

        >>> import tinyspike
        >>> tinyspike.demo.image().verify(tinyspike.keygen()[1])
        Traceback (most recent call last):
        tinyspike.errors.SignError: ...
        """
        self._native.verify(_options.text(key, "key"))

    def with_model_version(self, model_version: int) -> "Image":
        """The same image, stated to be this release of its model; a signature is dropped.

        >>> import tinyspike
        >>> tinyspike.demo.image().with_model_version(2).description["model_version"]
        2
        """
        native = self._native.with_model_version(_options.whole(model_version, "model_version", 0))
        return Image(native, self._report, self._tuning, self._notes)

    def flash(
        self,
        *,
        on: str,
        probe: Optional[str] = None,
        chip_description: Union[None, str, "os.PathLike[str]"] = None,
        firmware: Union[None, str, "os.PathLike[str]"] = None,
        key: Optional[str] = None,
        minimum_version: int = 0,
    ) -> None:
        """Writes the image with its firmware to a board.

        :param on: a board such as ``"microbit-v2"`` or a chip such as ``"nRF52840_xxAA"``, which ``tinyspike boards`` and
            ``tinyspike chips`` list, or an emulated board such as
            ``"emulated:microbit"``, which ends with this call.
        :param probe: the debug probe, if several are connected: VID:PID or VID:PID:SERIAL.
        :param chip_description: a description of the chip in probe-rs's format.
        :param firmware: an ELF file for the chip. Without it the package takes the firmware that it holds. If it holds none,
            it builds it, which takes the checkout that the package was built in.
        :param key: a public key in PEM form: the firmware runs only what it has signed.
        :param minimum_version: the release of the model below which the device takes none from then on.
        :raises BoardError: the board cannot be reached, or does not hold the image.

        >>> import tinyspike
        >>> tinyspike.demo.image().flash(on="emulated:mps2-an386")
        """
        owner = _options.text_or_none(key, "key")
        least = _options.whole(minimum_version, "minimum_version", 0)
        _native.flash(self._native, _target(on, probe, chip_description, firmware), owner, least)

    def run(
        self,
        x: Samples,
        labels: Any = None,
        *,
        on: str,
        probe: Optional[str] = None,
        chip_description: Union[None, str, "os.PathLike[str]"] = None,
        firmware: Union[None, str, "os.PathLike[str]"] = None,
        bisect: bool = False,
        stateful: bool = False,
        readout: Optional[str] = None,
        byte_scale: Optional[float] = None,
        values: bool = False,
        progress: Optional[bool] = None,
    ) -> BoardRun:
        """Writes the image to a board, runs samples there, and compares every spike and output with the emulator.

        Arguments are those of :meth:`emulate`, :meth:`stream` and :meth:`flash`.

        :param bisect: compare every potential and sum after every step, too.
        :raises BoardError: the board cannot be reached, or parts from the emulator.

        >>> import tinyspike
        >>> x, y = tinyspike.demo.samples(5)
        >>> tinyspike.demo.image().run(x, y, on="emulated:mps2-an386")
        <BoardRun of 5 samples, accuracy 100.00 %>
        """
        data = self._data(x, labels, byte_scale, values)
        target = _target(on, probe, chip_description, firmware)
        each, goes_on = _options.flag(bisect, "bisect"), _options.flag(stateful, "stateful")
        read = _options.text_or_none(readout, "readout")
        with bar("running", len(data[0]), progress) as show:
            result = _native.run(self._native, data, target, each, goes_on, read, show)
        warn(result["warnings"])
        note(result)
        return BoardRun(result["outputs"], json.loads(result["report"]), result["probabilities"])

    def to_c(
        self,
        folder: Union[str, "os.PathLike[str]"],
        x: Samples = None,
        *,
        cores: Union[str, Sequence[str]] = (),
        name: str = "model",
        byte_scale: Optional[float] = None,
    ) -> List[str]:
        """Writes a C project around the image, as ``tinyspike export --c`` does, and returns the cores of its libraries.

        Files of an earlier project that are yours to change stay. Libraries that the package does not hold are built, which
        takes the checkout that the package was built in.

        :param folder: the project's folder.
        :param x: samples, as :meth:`emulate` takes them: the project carries the first, with the emulator's results.
        :param cores: cores that get a library, such as ``"cortex-m4"``; by default this machine.
        :param name: the model's name, of which files, variables and macros are made.
        :raises ExportError: a library cannot be built, or the name is none for C.
        :raises OptionError: a core is not known.

        >>> import tempfile, tinyspike
        >>> tinyspike.demo.image().to_c(tempfile.gettempdir(), cores=["z80"])
        Traceback (most recent call last):
        tinyspike.errors.OptionError: cores: "z80" is none of host, ...
        """
        data = [] if x is None else self._data(x, None, byte_scale, False)
        place, named = _options.path(folder, "folder"), _options.text(name, "name")
        return _native.export_c(self._native, place, data, named, _options.texts(cores, "cores"))

    def bench(
        self,
        x: Samples,
        labels: Any = None,
        *,
        on: str = "emulated:mps2-an386",
        byte_scale: Optional[float] = None,
        values: bool = False,
    ) -> Bench:
        """Counts the instructions of inferences on an emulated board, to the instruction.

        :param x: samples, as :meth:`emulate` takes them, or recordings, of which each step counts; a hundred are enough.
        :param on: ``"emulated:mps2-an386"`` (Cortex-M4), ``"emulated:mps2-an500"`` (M7) or ``"emulated:microbit"`` (M0).
        :raises BoardError: the board cannot be run.

        >>> import tinyspike
        >>> x, y = tinyspike.demo.samples(3)
        >>> print(tinyspike.demo.image().bench(x, y))
        3 samples on mps2-an386 (Cortex-M4)...
        """
        data = self._data(x, labels, byte_scale, values)
        report, text = _native.bench(self._native, data, _options.text(on, "on"))
        return Bench(json.loads(report), text)

    def estimate(self, x: Samples, *, board: str, byte_scale: Optional[float] = None) -> Estimate:
        """Predicts time and energy of inferences on a board, from a run on this machine: nothing is measured.

        :param x: samples, as :meth:`emulate` takes them; a hundred are enough.
        :param board: a board such as ``"nrf52840-dk"``, which ``tinyspike boards`` lists.
        :raises BoardError: there is no such board, or no model of its core's time.

        >>> import tinyspike
        >>> x, _ = tinyspike.demo.samples(100)
        >>> estimate = tinyspike.demo.image().estimate(x, board="nrf52840-dk")
        >>> least, most = estimate.milliseconds
        >>> 0.5 < least < most < 10
        True
        """
        data = self._data(x, None, byte_scale, False)
        report, text = _native.estimate(self._native, data, _options.text(board, "board"))
        return Estimate(json.loads(report), text)

    def _data(self, x: Samples, labels: Any, byte_scale: Optional[float], values: bool) -> List[_native.Data]:
        names = list(self.inputs)
        arrays, y = arrays_of(names, x, labels)
        return data_of(names, arrays, y, byte_scale, values)

    def __repr__(self) -> str:
        ensembles = self._description["ensembles"]
        neurons = sum(ensemble["neurons"] for ensemble in ensembles)
        steps = {0: "a step for each sample of a stream", 1: "1 step"}.get(self.steps, f"{self.steps} steps")
        return (
            f"<Image of {neurons} neurons in {len(ensembles)} ensembles, {steps}, "
            f"{self.flash_bytes} bytes of flash, {self.ram_bytes} bytes of RAM>"
        )

    def _repr_html_(self) -> str:
        facts = [
            ("steps", self.steps or "without end"),
            ("flash in bytes", _html.number(self.flash_bytes)),
            ("RAM in bytes", _html.number(self.ram_bytes)),
            ("checksum", self._description["checksum"]),
        ]
        if self._tuning is not None:
            chosen = self._tuning.chosen
            if self._tuning.data.get("scalar"):
                facts.append(("error on held-out samples", f"{chosen['risk'] * 100:.2f} % of the standard deviation"))
            else:
                facts.append(("accuracy on held-out samples", f"{chosen['accuracy'] * 100:.2f} %"))
        keys = ["neurons", "ram_bytes", "flash_bytes"]
        ensembles = self._description["ensembles"]
        rows = [[e["label"]] + [_html.number(e[key]) for key in keys] for e in ensembles]
        joined = [
            [f"{c['pre']} → {c['post']}", _html.number(c["flash_bytes"])] for c in self._description["connections"]
        ]
        tables = [
            _html.table(["ensemble", *map(_html.words, keys)], rows),
            _html.table(["connection", "flash in bytes"], joined),
        ]
        return _html.page("Image", facts, tables)


def _restored(content: bytes, report: Optional[Report], tuning: Optional[Tuning], notes: List[str]) -> Image:
    return Image(_native.Image.from_bytes(content), report, tuning, notes)


def _target(on: str, probe: Optional[str], chip_description: Any, firmware: Any) -> Dict[str, Any]:
    files = {
        "chip_description": _options.path_or_none(chip_description, "chip_description"),
        "firmware": _options.path_or_none(firmware, "firmware"),
    }
    return {"on": _options.text(on, "on"), "probe": _options.text_or_none(probe, "probe"), **files}


def _bytes(content: Any) -> bytes:
    try:
        return bytes(memoryview(content))
    except (TypeError, BufferError) as error:
        raise _options.refused("content", content, "content of an image file in bytes") from error


def _decided(values: Any, readout: str) -> Any:
    """The class of each recording, as a read-out has it."""
    kind, _, window = readout.partition(":")
    if kind == "sum":
        results = values.sum(axis=1, dtype=np.float64)
    elif kind == "largest":
        results = values.max(axis=1)
    elif kind == "first":
        steps = values.shape[1]
        spiked = values > 0
        results = np.where(spiked.any(axis=1), steps - spiked.argmax(axis=1), 0)
    else:
        results = values[:, -(int(window) if kind == "mean" else 1) :].mean(axis=1, dtype=np.float64)
    return results.argmax(axis=1).astype(np.int64)


def keygen() -> Tuple[str, str]:
    """A new pair of Ed25519 keys in PEM form: the private one, and the public one.

    >>> import tinyspike
    >>> private, public = tinyspike.keygen()
    >>> tinyspike.public_key(private) == public
    True
    """
    return _native.keygen()


def public_key(key: str) -> str:
    """The public key of a private one, both in PEM form.

    >>> import tinyspike
    >>> tinyspike.public_key(tinyspike.keygen()[0]).startswith("-----BEGIN PUBLIC KEY-----")
    True
    """
    return _native.public_key(_options.text(key, "key"))
