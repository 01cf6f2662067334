"""Pictures of networks, runs and costs. Each function draws on axes of matplotlib, and returns them.

``pip install tinyspike[plot]`` brings matplotlib.

>>> import tinyspike
>>> from tinyspike import plot
>>> x, y = tinyspike.demo.samples(50)
>>> axes = plot.raster(tinyspike.demo.image().emulate(x, y, record=True))
>>> axes.get_xlabel()
'sample'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from tinyspike import _options
from tinyspike.errors import DataError
from tinyspike.image import Image
from tinyspike.results import Bench, Emulation, Report, Simulation, Tuning

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["front", "instructions", "memory", "potentials", "quantization", "raster", "rates"]

#: Colours that people who do not see red or green tell apart (Okabe and Ito).
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"]
_GREY = "#595959"


def _axes(axes: Optional["Axes"], size: Tuple[float, float]) -> "Axes":
    if axes is not None:
        return axes
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install tinyspike[plot]") from error
    _, new = pyplot.subplots(figsize=size, layout="constrained")
    made: Axes = new
    return made


def _plain(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _colour(at: int) -> str:
    return _COLOURS[at % len(_COLOURS)]


def raster(
    result: Union[Simulation, Emulation],
    *,
    sample: int = 0,
    ensembles: Optional[Sequence[str]] = None,
    axes: Optional["Axes"] = None,
) -> "Axes":
    """Shows which neurons spiked, and when.

    Spikes over time are those of one sample. Of an image of few steps every sample is a column, and darker is more spikes.

    :param result: a simulation or an emulation with ``record=True``.
    :param sample: the sample, if there are steps.
    :param ensembles: labels of the ensembles that are shown, all unless they are given.
    :raises DataError: no spikes were recorded.

    >>> import tinyspike
    >>> x, _ = tinyspike.demo.samples(1)
    >>> network = tinyspike.demo.network(swap_activations={"relu": "spiking-relu"}, scale_firing_rates=100)
    >>> axes = tinyspike.plot.raster(network.simulate(x, steps=20, record=True), ensembles=["dense.0"])
    >>> axes.get_xlabel()
    'time in ms'
    """
    _is(result, "result", Simulation, Emulation)
    spikes = _chosen(result.spikes, ensembles)
    over_time = next(iter(spikes.values())).ndim == 3
    counts = {label: _of_sample(values, sample) for label, values in spikes.items()}
    neurons = [values.shape[-1] for values in counts.values()]
    axes = _axes(axes, (8.0, min(8.0, 2.5 + 0.9 * len(counts))))
    from matplotlib.colors import LinearSegmentedColormap

    unit = 1000.0 * result.dt if isinstance(result, Simulation) else 1.0
    # Ensembles are as high as the root of their size, so that small ones are seen.
    heights = [float(n) ** 0.5 for n in neurons]
    base, ticks, columns = 0.0, [], 0
    for at, ((label, values), size, height) in enumerate(zip(counts.items(), neurons, heights)):
        columns = values.shape[0]
        if over_time:
            step, neuron = np.nonzero(values)
            axes.scatter(
                (step + 1) * unit,
                base + (neuron + 0.5) / size * height,
                s=max(6.0, min(24.0, 900.0 / max(columns, 1))),
                color=_colour(at),
                marker="|",
                linewidths=0.9,
                rasterized=step.size > 20_000,
            )
        else:
            shades = LinearSegmentedColormap.from_list(label, ["#ffffff", _colour(at)])
            extent = (0.0, float(columns), base, base + height)
            axes.imshow(
                np.abs(values).T, cmap=shades, vmin=0, extent=extent, aspect="auto", interpolation="nearest", origin="lower"
            )
        ticks.append((base + height / 2, f"{label}\n{size:,} neurons"))
        base += height
        if at + 1 < len(counts):
            axes.axhline(base, color=_GREY, linewidth=0.6)
    axes.set_yticks([place for place, _ in ticks], [text for _, text in ticks])
    axes.set_ylim(0.0, base)
    if over_time:
        axes.set_xlim(0.0, columns * unit + 0.5 * unit)
        axes.set_xlabel("time in ms" if isinstance(result, Simulation) else "step")
        axes.set_title(f"Spikes of sample {sample}")
    else:
        axes.set_xlim(0.0, float(columns))
        axes.set_xlabel("sample")
        axes.set_title("Spikes of each neuron, sample by sample (darker: more)")
    axes.tick_params(axis="y", length=0)
    _plain(axes)
    return axes


def potentials(
    result: Union[Simulation, Emulation],
    label: Optional[str] = None,
    *,
    neurons: Optional[Sequence[int]] = None,
    sample: int = 0,
    axes: Optional["Axes"] = None,
) -> "Axes":
    """Shows potentials of neurons over time, or the values of an output.

    :param result: a simulation, or an emulation over recordings; potentials need ``record=True``.
    :param label: an ensemble or an output; by default the first output.
    :param neurons: places of the neurons that are shown; by default the ten largest.
    :raises DataError: nothing of this label was recorded over time.

    >>> import tinyspike
    >>> x, _ = tinyspike.demo.samples(1)
    >>> network = tinyspike.demo.network(swap_activations={"relu": "spiking-relu"}, scale_firing_rates=100)
    >>> axes = tinyspike.plot.potentials(network.simulate(x, steps=20))
    >>> len(axes.lines)
    10
    """
    _is(result, "result", Simulation, Emulation)
    label = next(iter(result.outputs)) if label is None else _options.text(label, "label")
    of_neurons = label in result.potentials
    found = result.potentials.get(label, result.outputs.get(label))
    if found is None or found.ndim != 3:
        there = [name for name, values in {**result.outputs, **result.potentials}.items() if values.ndim == 3]
        raise DataError(f"{label!r} has no values over time; there are those of {', '.join(map(repr, there)) or 'none'}")
    values = _of_sample(found, sample)
    if neurons is None:
        most = np.argsort(-np.abs(values).max(axis=0), kind="stable")[:10]
        neurons = sorted(int(n) for n in most)
    else:
        neurons = [_options.whole(n, "neurons", 0, values.shape[1] - 1) for n in _listed(neurons)]
    axes = _axes(axes, (8.0, 3.6))
    dt = 1000.0 * result.dt if isinstance(result, Simulation) else 1.0
    time = (np.arange(values.shape[0]) + 1) * dt
    styles = ["-", "--", ":"]
    for at, neuron in enumerate(neurons):
        style = styles[at // len(_COLOURS) % len(styles)]
        axes.plot(time, values[:, neuron], style, color=_colour(at), linewidth=1.3, label=str(neuron))
    axes.set_xlabel("time in ms" if isinstance(result, Simulation) else "step")
    if of_neurons:
        units = "in the network's units" if isinstance(result, Simulation) else "in the image's units"
        axes.set_ylabel(f"potential\n{units}")
        axes.set_title(f"Potentials of {label}, sample {sample}")
    else:
        axes.set_ylabel("value in the network's units")
        axes.set_title(f"Output {label}, sample {sample}")
    axes.legend(title="neuron" if of_neurons else "class", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _plain(axes)
    return axes


def rates(result: Union[Simulation, Emulation], *, axes: Optional["Axes"] = None) -> "Axes":
    """Shows how often the neurons of each ensemble spike: in hertz, or of an image in spikes of an inference or step.

    >>> import tinyspike
    >>> x, _ = tinyspike.demo.samples(20)
    >>> axes = tinyspike.plot.rates(tinyspike.demo.image().emulate(x))
    >>> axes.get_xlabel()
    'spikes per neuron and inference'
    """
    _is(result, "result", Simulation, Emulation)
    ensembles = result.report["ensembles"]
    if isinstance(result, Simulation):
        found = [(e["label"], e["rate_hz"]) for e in ensembles if e["rate_hz"] is not None]
        title = "spikes per neuron and second, in Hz"
    elif "spikes_per_image" in result.report:
        found = [(e["label"], e["spikes_per_image"] / max(1, e["neurons"])) for e in ensembles]
        title = "spikes per neuron and inference"
    else:
        found = [(e["label"], e["spikes_per_step"] / max(1, e["neurons"])) for e in ensembles]
        title = "spikes per neuron and step"
    if not found:
        raise DataError("no ensemble has neurons that spike")
    axes = _bars(axes, [label for label, _ in found], [("", [value for _, value in found])], title, "{:.3g}")
    axes.set_title("Mean rates by layer")
    return axes


def front(tuning: Union[Tuning, Image], *, axes: Optional["Axes"] = None) -> "Axes":
    """Shows accuracy, or the error of values, against cost: the candidates that no other beats, and the one that was chosen.

    Cheaper ones than that are hollow. They take more memory than they may, or may lose too much accuracy on other samples, even
    if they had as many right on these.

    :param tuning: the result of a search, or an image with one.
    :raises DataError: the image was not tuned.

    >>> import tinyspike
    >>> x, y = tinyspike.demo.samples(300)
    >>> image = tinyspike.demo.network().deploy(x, y, goal="tuned", max_drop=0.02, evaluations=2)
    >>> tinyspike.plot.front(image).get_ylabel()
    'accuracy in %'
    """
    _is(tuning, "tuning", Tuning, Image)
    found = tuning.tuning if isinstance(tuning, Image) else tuning
    if found is None:
        raise DataError("the image was not tuned, so that there is no front", advice=['deploy with goal="tuned"'])
    axes = _axes(axes, (7.0, 4.2))
    points, chosen = found.front, found.chosen
    float_accuracy = found.data["float_accuracy"]
    # Outputs that are values have an error, which is small if it is good.
    values = bool(found.data.get("scalar"))
    key = "risk" if values else "accuracy"
    best = (chosen["instructions"] / 1000.0, 100.0 * chosen[key])
    places = [(point["instructions"] / 1000.0, 100.0 * point[key]) for point in points]
    # The choice is the cheapest one within the bounds on accuracy and memory: cheaper ones are not.
    beyond = [place for place in places if found.kept and place[0] < best[0]]
    within = [place for place in places if place not in beyond and place != best]
    if within:
        axes.plot(*zip(*within), "o", color=_COLOURS[0], markersize=6, label="candidates on the front")
    if beyond:
        label = "cheaper, but beyond a bound"
        axes.plot(*zip(*beyond), "o", color=_COLOURS[0], markersize=6, fillstyle="none", label=label)
    axes.plot(*best, "o", color=_COLOURS[1], markersize=11, label="chosen")
    if float_accuracy is not None and not values:
        value = 100.0 * float_accuracy
        axes.axhline(value, color=_GREY, linewidth=1.0, linestyle="--", label="float network")
    axes.margins(x=0.12, y=0.2)
    costs = [place[0] for place in (*places, best)]
    # Words are on the side with more room.
    left = best[0] > (min(costs) + max(costs)) / 2
    axes.annotate(
        f"{best[1]:.2f} %, {best[0]:,.1f} k",
        best,
        textcoords="offset points",
        xytext=(-9 if left else 9, -14),
        ha="right" if left else "left",
        color=_COLOURS[1],
    )
    axes.set_xlabel("predicted instructions of an inference, in thousands")
    if values:
        axes.set_ylabel("error in % of the outputs' standard deviation")
    else:
        axes.set_ylabel("accuracy in %" if float_accuracy is not None else "agreement with the float network in %")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_title("Error against cost" if values else "Accuracy against cost")
    axes.legend(frameon=False, loc="best")
    axes.grid(color="#e0e0e0", linewidth=0.6)
    axes.set_axisbelow(True)
    _plain(axes)
    return axes


def instructions(bench: Bench, *, axes: Optional["Axes"] = None) -> "Axes":
    """Shows where the instructions of an inference go: inputs, layers and outputs.

    >>> import tinyspike
    >>> layers = [{"label": "dense", "instructions": 1000.0}, {"label": "out", "instructions": 200.0}]
    >>> bench = tinyspike.Bench({"board": "mps2-an386", "core": "Cortex-M4", "layers": layers}, "")
    >>> tinyspike.plot.instructions(bench).get_title()
    'Instructions of an inference on mps2-an386 (Cortex-M4)'
    """
    _is(bench, "bench", Bench)
    layers = bench.report["layers"]
    title = "instructions of an inference"
    labels = [layer["label"] for layer in layers]
    axes = _bars(axes, labels, [("", [layer["instructions"] for layer in layers])], title, "{:,.0f}")
    axes.set_title(f"Instructions of an inference on {bench.report['board']} ({bench.report['core']})")
    return axes


def memory(image: Image, *, axes: Optional["Axes"] = None) -> "Axes":
    """Shows where an image's bytes of flash and RAM go.

    >>> import tinyspike
    >>> tinyspike.plot.memory(tinyspike.demo.image()).get_xlabel()
    'bytes'
    """
    _is(image, "image", Image)
    description = image.description
    flash: Dict[str, int] = {}
    ram: Dict[str, int] = {}
    for ensemble in description["ensembles"]:
        flash[ensemble["label"]] = ensemble["flash_bytes"]
        ram[ensemble["label"]] = ensemble["ram_bytes"]
    for connection in description["connections"]:
        post = connection["post"]
        flash[post] = flash.get(post, 0) + connection["flash_bytes"]
    others = ("header, tables and biases of outputs", image.flash_bytes - sum(flash.values()))
    flash[others[0]] = max(0, others[1])
    shared = "inputs, outputs and buffers"
    ram[shared] = max(0, image.ram_bytes - sum(ram.values()))
    labels = list(dict.fromkeys([*flash, *ram]))
    series = [
        ("flash", [float(flash.get(label, 0)) for label in labels]),
        ("RAM", [float(ram.get(label, 0)) for label in labels]),
    ]
    axes = _bars(axes, labels, series, "bytes", "{:,.0f}")
    axes.set_title(f"Memory: {image.flash_bytes:,} bytes of flash, {image.ram_bytes:,} bytes of RAM")
    axes.legend(frameon=False, loc="lower right")
    return axes


def quantization(report: Union[Report, Image], *, axes: Optional["Axes"] = None) -> "Axes":
    """Shows how exact the weights of each connection are: the ratio of signal to noise. More is better.

    :raises DataError: the image was read from a file, which has no report.

    >>> import tinyspike
    >>> tinyspike.plot.quantization(tinyspike.demo.image()).get_xlabel()
    'ratio of signal to noise of the weights, in dB'
    """
    _is(report, "report", Report, Image)
    found = report.report if isinstance(report, Image) else report
    if found is None:
        raise DataError("the image was read from a file, and has no report", advice=["deploy the network again"])
    connections = found.connections
    ratios = [c["sqnr_db"] for c in connections]
    values = [0.0 if ratio is None else float(ratio) for ratio in ratios]
    notes = [
        "exact" if ratio is None else f"{ratio:.1f} dB, {c['bits']} bits" for ratio, c in zip(ratios, connections)
    ]
    title = "ratio of signal to noise of the weights, in dB"
    labels = [f"{c['pre']} → {c['post']}" for c in connections]
    axes = _bars(axes, labels, [("", values)], title, "", notes)
    axes.set_title("Quantization error by connection")
    return axes


def _bars(
    axes: Optional["Axes"],
    labels: List[str],
    series: List[Tuple[str, List[float]]],
    title: str,
    form: str,
    notes: Optional[List[str]] = None,
) -> "Axes":
    """Bars from left to right, a group for each label, from top to bottom."""
    axes = _axes(axes, (7.5, 1.3 + 0.42 * len(labels) * max(1, len(series) * 0.75)))
    height = 0.78 / len(series)
    for at, (name, values) in enumerate(series):
        places = [row + (at - (len(series) - 1) / 2) * height for row in range(len(labels))]
        bars = axes.barh(places, values, height=height * 0.92, color=_colour(at), label=name or None)
        texts = notes if notes is not None else [form.format(value) for value in values]
        axes.bar_label(bars, texts, padding=4, fontsize=9)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel(title)
    if max((value for _, values in series for value in values), default=0.0) >= 1000.0:
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.locator_params(axis="x", nbins=6)
    axes.margins(x=0.22)
    axes.set_xlim(left=0.0)
    axes.tick_params(axis="y", length=0)
    _plain(axes)
    return axes


def _chosen(spikes: Dict[str, Any], ensembles: Optional[Sequence[str]]) -> Dict[str, Any]:
    if not spikes:
        raise DataError("there are no spikes: none were recorded, or no neurons spike", advice=["run with record=True"])
    if ensembles is None:
        return spikes
    wanted = _options.texts(ensembles, "ensembles")
    missing = [label for label in wanted if label not in spikes]
    if missing:
        raise DataError(f"{missing[0]!r} is no ensemble with spikes; there are {', '.join(map(repr, spikes))}")
    if not wanted:
        raise _options.refused("ensembles", ensembles, "list with the label of an ensemble")
    return {label: spikes[label] for label in wanted}


def _is(thing: Any, name: str, *kinds: type) -> None:
    """Refuses what is no object of one of these kinds."""
    if not isinstance(thing, kinds):
        raise _options.refused(name, thing, " or ".join(kind.__name__ for kind in kinds))


def _listed(neurons: Any) -> List[Any]:
    try:
        return list(neurons)
    except TypeError as error:
        raise _options.refused("neurons", neurons, "list of neurons' places") from error


def _of_sample(values: Any, sample: int) -> Any:
    if values.ndim != 3:
        return values
    sample = _options.whole(sample, "sample", 0)
    if not 0 <= sample < values.shape[0]:
        raise DataError(f"sample {sample} is none of {values.shape[0]}")
    return values[sample]
