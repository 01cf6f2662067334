"""What simulations, emulators and boards return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import numpy.typing as npt

from tinyspike import _html

__all__ = ["Bench", "BoardRun", "Emulation", "Estimate", "Report", "Simulation", "Tuning"]

#: Arrays by the labels of ensembles or outputs.
Arrays = Dict[str, npt.NDArray[Any]]


class _Judged:
    """Figures of outputs beside targets, from a report."""

    report: Dict[str, Any]

    @property
    def accuracy(self) -> Optional[float]:
        """Share of classes that are right, from 0 to 1; None without labels, or if targets are values.

        >>> import tinyspike
        >>> x, y = tinyspike.demo.samples(20)
        >>> tinyspike.demo.image().emulate(x, y).accuracy
        0.95
        """
        return _number(self.report, "accuracy")

    @property
    def rms_error(self) -> Optional[float]:
        """Root mean squared error of outputs that are values, in the targets' units; None if targets are classes.

        >>> import tinyspike
        >>> tinyspike.BoardRun({}, {"rms_error": 0.25}).rms_error
        0.25
        """
        return _number(self.report, "rms_error")

    @property
    def r2(self) -> Optional[float]:
        """Share of the targets' variance that outputs explain, at most 1; None if targets are classes, or do not vary.

        >>> import tinyspike
        >>> tinyspike.BoardRun({}, {"r2": 0.5}).r2
        0.5
        """
        return _number(self.report, "r2")

    def _figures(self) -> List[Tuple[str, Any]]:
        """Facts for a page."""
        facts = _html.accuracy(self.accuracy)
        named = [("rms error", self.rms_error), ("R²", self.r2)]
        return facts + [(name, f"{value:.4g}") for name, value in named if value is not None]


@dataclass(frozen=True, repr=False)
class Simulation(_Judged):
    """A simulation in floats, step by step.

    :ivar outputs: values of each output at every step, float32 of shape (samples, steps, size).
    :ivar spikes: spikes of each neuron in every step, int32 of shape (samples, steps, neurons); empty unless recorded.
    :ivar activity: the same for neurons that do not spike, float32.
    :ivar potentials: voltages after each step of neurons that have one, float32; empty unless recorded.
    :ivar report: means per sample, as ``tinyspike simulate --json`` prints them.
    :ivar dt: seconds per step.

    >>> import tinyspike
    >>> x, y = tinyspike.demo.samples(20)
    >>> network = tinyspike.demo.network(
    ...     swap_activations={"relu": "spiking-relu"}, scale_firing_rates=100
    ... )
    >>> simulation = network.simulate(x, y, steps=50, record=True)
    >>> simulation.outputs["dense_1"].shape
    (20, 50, 10)
    >>> sorted(simulation.spikes)
    ['conv2d.0', 'conv2d_1.0', 'dense.0']
    """

    outputs: Arrays
    spikes: Arrays
    activity: Arrays
    potentials: Arrays
    report: Dict[str, Any]

    @property
    def dt(self) -> float:
        """Seconds per step.

        >>> import tinyspike
        >>> x, _ = tinyspike.demo.samples(1)
        >>> tinyspike.demo.network().simulate(x, steps=1).dt
        0.001
        """
        return float(self.report["dt"])

    @property
    def rates(self) -> Dict[str, float]:
        """Spikes per neuron and second, by ensemble that spikes, in hertz.

        >>> import tinyspike
        >>> x, _ = tinyspike.demo.samples(1)
        >>> tinyspike.demo.network().simulate(x, steps=1).rates
        {}
        """
        all_of = self.report["ensembles"]
        return {e["label"]: e["rate_hz"] for e in all_of if e["rate_hz"] is not None}

    def __repr__(self) -> str:
        return _brief("Simulation", self.report["images"], self.report["steps"], self)

    def _repr_html_(self) -> str:
        rows = [
            [e["label"], e["neurons"], e["neuron_type"], _html.number(e["rate_hz"]), _html.number(e["spikes_per_image"])]
            for e in self.report["ensembles"]
        ]
        facts = [("samples", self.report["images"]), ("steps", f"{self.report['steps']} of {self.dt} s")]
        facts += self._figures()
        head = ["ensemble", "neurons", "neuron type", "rate in Hz", "spikes per sample"]
        return _html.page("Simulation", facts, [_html.table(head, rows)])


@dataclass(frozen=True, repr=False)
class Emulation(_Judged):
    """A run of an image with the engine that devices run.

    :ivar outputs: values of each output in the network's units, float32 of shape (samples, size); of images that run
        over recordings (samples, steps, size). Without ``record``, the first output alone.
    :ivar classes: the class of each sample after its last step, int64 of shape (samples,): the place of the largest value of the
        first output, or of a single one behind a sigmoid 0 or 1.
    :ivar steps: steps that each sample took, int64 of shape (samples,).
    :ivar spikes: spikes of each neuron over all steps, int32 of shape (samples, neurons), or over recordings of shape
        (samples, steps, neurons); empty unless recorded.
    :ivar potentials: potentials less the threshold after the last step, in the image's units, int32.
    :ivar report: means per sample, as ``tinyspike emulate --json`` prints them.
    :ivar probabilities: for each output whose softmax or sigmoid the image leaves out, what that makes of its values,
        float32 of shape (samples, size); empty over recordings.

    >>> import tinyspike
    >>> x, y = tinyspike.demo.samples(20)
    >>> emulation = tinyspike.demo.image().emulate(x, y, record=True)
    >>> emulation.outputs["dense_1"].shape, emulation.spikes["dense.0"].shape
    ((20, 10), (20, 64))
    >>> emulation.probabilities  # the model ends with a linear layer
    {}
    """

    outputs: Arrays
    classes: npt.NDArray[np.int64]
    steps: npt.NDArray[np.int64]
    spikes: Arrays
    potentials: Arrays
    report: Dict[str, Any]
    probabilities: Arrays = field(default_factory=dict)

    def __repr__(self) -> str:
        samples, most = self.steps.shape[0], int(self.steps.max(initial=0))
        return _brief("Emulation", samples, most, self)

    def _repr_html_(self) -> str:
        facts = self._figures()
        keys = [
            ("samples", "images"),
            ("steps, mean", "steps_mean"),
            ("spikes per sample", "spikes_per_image"),
            ("synaptic operations per sample", "synaptic_ops_per_image"),
        ]
        facts += [(name, _html.number(self.report[key])) for name, key in keys if key in self.report]
        shown = ["neurons", "events_per_image", "spikes_per_image", "synaptic_ops_per_image", "spikes_per_step"]
        keys_of = [key for key in shown if any(key in e for e in self.report["ensembles"])]
        rows = [[e["label"]] + [_html.number(e.get(key)) for key in keys_of] for e in self.report["ensembles"]]
        head = ["ensemble"] + [_html.words(key) for key in keys_of]
        return _html.page("Emulation", facts, [_html.table(head, rows)])


@dataclass(frozen=True, repr=False)
class BoardRun(_Judged):
    """A run on a board, of which every spike count and output was the emulator's.

    :ivar outputs: values of each output in the network's units, float32 of shape (samples, size).
    :ivar report: means per sample, as ``tinyspike run --json`` prints them.
    :ivar probabilities: as those of an emulation.

    >>> import tinyspike
    >>> x, y = tinyspike.demo.samples(2)
    >>> run = tinyspike.demo.image().run(x, y, on="emulated:mps2-an386")
    >>> run.outputs["dense_1"].shape, run.report["divergence"]
    ((2, 10), None)
    """

    outputs: Arrays
    report: Dict[str, Any]
    probabilities: Arrays = field(default_factory=dict)

    def __repr__(self) -> str:
        return _brief("BoardRun", self.report.get("images", 0), None, self)

    def _repr_html_(self) -> str:
        keys = [
            ("samples", "images"),
            ("steps, mean", "steps_mean"),
            ("spikes per sample", "spikes_per_image"),
            ("samples per second", "images_per_second"),
        ]
        facts = self._figures()
        facts += [(name, _html.number(self.report.get(key))) for name, key in keys]
        return _html.page("Run on a board", facts, [])


@dataclass(frozen=True, repr=False)
class Bench:
    """Instructions of inferences on an emulated board, to the instruction.

    :ivar report: as ``tinyspike bench --json`` prints it.
    :ivar text: the same as text.

    >>> import tinyspike
    >>> report = {"board": "mps2-an386", "instructions_per_inference": 84102.7}
    >>> tinyspike.Bench(report, "")
    <Bench on mps2-an386: 84,103 instructions of an inference>
    """

    report: Dict[str, Any]
    text: str

    @property
    def instructions(self) -> float:
        """Instructions of an inference, in the mean.

        >>> import tinyspike
        >>> tinyspike.Bench({"instructions_per_inference": 3.0}, "").instructions
        3.0
        """
        return float(self.report["instructions_per_inference"])

    def __repr__(self) -> str:
        return f"<Bench on {self.report.get('board')}: {self.instructions:,.0f} instructions of an inference>"

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        facts = [
            ("board", f"{self.report['board']} ({self.report['core']})"),
            ("instructions per inference", _html.number(self.instructions)),
            ("RAM in bytes", _html.number(self.report["ram_bytes"])),
            ("image in bytes", _html.number(self.report["image_bytes"])),
        ]
        keys = ["instructions", "neurons", "events", "synaptic_ops"]
        rows = [[layer["label"]] + [_html.number(layer[key]) for key in keys] for layer in self.report["layers"]]
        return _html.page("Instructions", facts, [_html.table(["layer", *map(_html.words, keys)], rows)])


@dataclass(frozen=True, repr=False)
class Estimate:
    """Time and energy of inferences on a board that nobody has measured, from a run on this machine.

    :ivar report: as ``tinyspike bench --board NAME --json`` prints it.
    :ivar text: the same as text.

    >>> import tinyspike
    >>> report = {"board": "pico", "milliseconds": {"least": 1.5, "most": 4.0}, "microjoules": None}
    >>> tinyspike.Estimate(report, "")
    <Estimate for pico: 1.5 to 4 ms of an inference>
    """

    report: Dict[str, Any]
    text: str

    @property
    def milliseconds(self) -> Tuple[float, float]:
        """The least and the most milliseconds of an inference, at the clock that the chip is made for.

        >>> import tinyspike
        >>> tinyspike.Estimate({"milliseconds": {"least": 1.5, "most": 4.0}}, "").milliseconds
        (1.5, 4.0)
        """
        span = self.report["milliseconds"]
        return float(span["least"]), float(span["most"])

    @property
    def microjoules(self) -> Optional[Tuple[float, float]]:
        """The least and the most energy of an inference in microjoules; None if no current of the chip is known.

        >>> import tinyspike
        >>> tinyspike.Estimate({"microjoules": {"least": 20.0, "most": 30.0}}, "").microjoules
        (20.0, 30.0)
        """
        span = self.report["microjoules"]
        return None if span is None else (float(span["least"]), float(span["most"]))

    def __repr__(self) -> str:
        least, most = self.milliseconds
        return f"<Estimate for {self.report['board']}: {least:.3g} to {most:.3g} ms of an inference>"

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        def span(values: Optional[Tuple[float, float]], unit: str) -> str:
            return "not known" if values is None else f"{values[0]:.3g} to {values[1]:.3g} {unit}"

        facts = [
            ("board", self.report["board"]),
            ("clock", f"{_html.number(self.report['clock_mhz'])} MHz"),
            ("time", span(self.milliseconds, "ms")),
            ("energy", span(self.microjoules, "µJ")),
        ]
        return _html.page("Estimate of an inference, which nobody has measured", facts, [])


@dataclass(frozen=True, repr=False)
class Report:
    """Effects of quantization on each layer, and the bytes of an image.

    :ivar data: as ``tinyspike convert --report`` writes it.
    :ivar text: the same as text.

    >>> import tinyspike
    >>> report = tinyspike.demo.image().report
    >>> [layer["label"] for layer in report.layers]
    ['conv2d.0', 'conv2d_1.0', 'dense.0']
    """

    data: Dict[str, Any]
    text: str

    @property
    def layers(self) -> List[Dict[str, Any]]:
        """Layers of neurons: ranges, counts, bits and bytes of each.

        >>> import tinyspike
        >>> tinyspike.demo.image().report.layers[0]["neurons"] > 0
        True
        """
        return list(self.data["layers"])

    @property
    def connections(self) -> List[Dict[str, Any]]:
        """Connections: bits, signal-to-noise ratio in decibels, and bytes of each one's weights.

        >>> import tinyspike
        >>> all(c["bits"] <= 8 for c in tinyspike.demo.image().report.connections)
        True
        """
        return list(self.data["connections"])

    def __repr__(self) -> str:
        return f"<Report on {len(self.layers)} layers and {len(self.connections)} connections>"

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        facts = [
            ("RAM in bytes", _html.number(self.data["ram_bytes"])),
            ("flash in bytes", _html.number(self.data["flash_bytes"])),
            ("calibration samples", _html.number(self.data["calibration_samples"])),
        ]
        keys = ["neurons", "max_count", "clip", "largest", "clipped", "density", "bits", "ram_bytes", "flash_bytes"]
        layers = [[e["label"]] + [_html.number(e.get(key)) for key in keys] for e in self.layers]
        names = ["weights", "bits", "sqnr_db", "clipped", "zero", "flash_bytes"]
        joined = [[f"{c['pre']} → {c['post']}"] + [_html.number(c.get(key)) for key in names] for c in self.connections]
        tables = [
            _html.table(["layer", *map(_html.words, keys)], layers),
            _html.table(["connection", *map(_html.words, names)], joined),
        ]
        return _html.page("Report", facts, tables)


@dataclass(frozen=True, repr=False)
class Tuning:
    """Result of a search for the cheapest image that keeps the accuracy.

    :ivar data: as ``tinyspike convert --tune --json`` prints it.
    :ivar text: the same as text.

    >>> import tinyspike
    >>> x, y = tinyspike.demo.samples(300)
    >>> image = tinyspike.demo.network().deploy(x, y, goal="tuned", max_drop=0.02, evaluations=2)
    >>> image.tuning.chosen["accuracy"] > 0.9
    True
    """

    data: Dict[str, Any]
    text: str

    @property
    def front(self) -> List[Dict[str, Any]]:
        """Candidates that no other beats in accuracy, instructions, RAM and flash together, by cost.

        >>> import tinyspike
        >>> tinyspike.Tuning({"front": []}, "").front
        []
        """
        return list(self.data["front"])

    @property
    def chosen(self) -> Dict[str, Any]:
        """The candidate that was chosen.

        >>> import tinyspike
        >>> tinyspike.Tuning({"chosen": {"accuracy": 1.0}}, "").chosen
        {'accuracy': 1.0}
        """
        return dict(self.data["chosen"])

    @property
    def kept(self) -> bool:
        """True if it keeps the accuracy, or the error, within the bound that was asked for.

        >>> import tinyspike
        >>> tinyspike.Tuning({"kept": True}, "").kept
        True
        """
        return bool(self.data["kept"])

    def __repr__(self) -> str:
        return f"<Tuning with {len(self.front)} candidates on the front>"

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        keys = ["risk"] if self.data.get("scalar") else ["accuracy", "risk"]
        keys += ["instructions", "synaptic_ops", "steps_mean", "ram_bytes", "flash_bytes"]
        rows = [[_html.number(point[key]) for key in keys] for point in self.front]
        facts = [("candidates", _html.number(self.data["candidates"])), ("kept", "yes" if self.kept else "no")]
        return _html.page("Tuning", facts, [_html.table([_html.words(key) for key in keys], rows)])


def _brief(name: str, samples: int, steps: Optional[int], of: "_Judged") -> str:
    parts = [f"{samples} samples"]
    if steps is not None:
        parts.append(f"{steps} steps")
    if of.accuracy is not None:
        parts.append(f"accuracy {of.accuracy * 100:.2f} %")
    if of.rms_error is not None:
        parts.append(f"rms error {of.rms_error:.4g}")
    return f"<{name} of {', '.join(parts)}>"


def _number(report: Dict[str, Any], key: str) -> Optional[float]:
    value = report.get(key)
    return None if value is None else float(value)
