"""Models → networks → images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from tinyspike import _html, _map, _models, _native, _options
from tinyspike._arrays import Samples, arrays_of, data_of
from tinyspike._progress import bar
from tinyspike._said import note, warn
from tinyspike.errors import ConvertError, OptionError
from tinyspike.image import Image
from tinyspike.results import Report, Simulation, Tuning

__all__ = ["Connection", "Ensemble", "Network", "Node", "Probe", "convert"]


@dataclass(frozen=True)
class Node:
    """A node of a network, in Nengo's words.

    >>> import tinyspike
    >>> tinyspike.demo.network().nodes[0]
    <Node 'input_1'>
    """

    label: str
    kind: str
    size_in: int
    size_out: int
    details: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<{self.kind} '{self.label}'>"


@dataclass(frozen=True)
class Ensemble:
    """An ensemble of neurons, in Nengo's words.

    >>> import tinyspike
    >>> ensemble = tinyspike.demo.network().ensembles[0]
    >>> ensemble, ensemble.neuron_type
    (<Ensemble 'conv2d.0'>, 'RectifiedLinear()')
    """

    label: str
    n_neurons: int
    neuron_type: str
    gain: str
    bias: str

    def __repr__(self) -> str:
        return f"<Ensemble '{self.label}'>"


@dataclass(frozen=True)
class Connection:
    """A connection, in Nengo's words.

    >>> import tinyspike
    >>> tinyspike.demo.network().connections[2].transform["type"]
    'Convolution'
    """

    pre: str
    post: str
    transform: Mapping[str, Any]
    synapse: str
    trainable: str

    def __repr__(self) -> str:
        return f"<Connection from {self.pre} to {self.post}>"


@dataclass(frozen=True)
class Probe:
    """A probe, in Nengo's words.

    >>> import tinyspike
    >>> tinyspike.demo.network().probes
    [<Probe of <Node 'dense_1.0'>>]
    """

    target: str
    synapse: str

    def __repr__(self) -> str:
        return f"<Probe of {self.target}>"


def convert(
    model: Any,
    *,
    inference_only: bool = False,
    allow_fallback: bool = True,
    max_to_avg_pool: bool = False,
    split_shared_weights: bool = False,
    swap_activations: Optional[Mapping[Any, Any]] = None,
    scale_firing_rates: Union[None, float, Mapping[Any, float]] = None,
    synapse: Any = None,
    temporal_model: bool = False,
    nengo_dl_compat: bool = False,
    input_shapes: Optional[Sequence[Sequence[int]]] = None,
    semantics: Union[None, str, Sequence[str]] = None,
    config: Any = None,
    example_input: Any = None,
) -> "Network":
    """Converts a trained model to a spiking network, as NengoDL's Converter does.

    :param model: a path to a file of Keras (.keras, .h5, a SavedModel), ONNX or NIR; a live Keras model of version 2
        or 3; an ``onnx.ModelProto``; a ``nir.NIRGraph``; or a PyTorch module that snnTorch, Norse, Sinabs, SpikingJelly or
        Rockpool exports to NIR.
    :param inference_only: ignore what matters only in training, such as regularizers.
    :param allow_fallback: make a TensorNode of a layer that has no native form, with a warning, instead of an error.
    :param max_to_avg_pool: use average pooling instead of max pooling, as NengoDL does.
    :param split_shared_weights: give each use of a shared layer its own weights.
    :param swap_activations: activations or neuron types, and those that take their place: names such as ``"relu"`` and
        ``"spiking-relu"``, functions, or Nengo's neuron types.
    :param scale_firing_rates: a factor on the input of all neurons, or of each layer: a dictionary by layers of Keras, or by
        their names. Outputs are divided by it.
    :param synapse: the filter on what neurons send: None, seconds of a Lowpass, ``"alpha:0.01"``, or Nengo's object.
    :param temporal_model: take the first axis of inputs as time.
    :param nengo_dl_compat: follow NengoDL to the letter, even if it gives up on a layer that is native here.
    :param input_shapes: the shape of each input without the batch axis, if the model leaves it open.
    :param semantics: choices that a NIR file leaves open, such as ``"snntorch"`` or ``"dt=0.001"``.
    :param config: path or text of ``model.to_json()``, for a file that holds weights alone.
    :param example_input: of a PyTorch module a tensor that it takes, with the batch axis: exporting runs it.
    :raises ModelError: the file cannot be read, or the object is no model.
    :raises ConvertError: a layer, activation, shape or option has no network.
    :raises OptionError: an argument has a value that it cannot have.

    >>> import tinyspike
    >>> network = tinyspike.convert(tinyspike.demo.model(), inference_only=True)
    >>> network.ensembles
    [<Ensemble 'conv2d.0'>, <Ensemble 'conv2d_1.0'>, <Ensemble 'dense.0'>]
    """
    scale: Any = scale_firing_rates
    if isinstance(scale, Mapping):
        # NengoDL's keys are layers, which have names.
        scale = {str(getattr(layer, "name", layer)): _options.number(factor, "scale_firing_rates") for layer, factor in scale.items()}
    else:
        scale = None if scale is None else _options.number(scale, "scale_firing_rates")
    options = {
        "allow_fallback": _options.flag(allow_fallback, "allow_fallback"),
        "inference_only": _options.flag(inference_only, "inference_only"),
        "max_to_avg_pool": _options.flag(max_to_avg_pool, "max_to_avg_pool"),
        "split_shared_weights": _options.flag(split_shared_weights, "split_shared_weights"),
        "swap_activations": _models.swaps(swap_activations),
        "scale_firing_rates": scale,
        "synapse": _models.synapse(synapse),
        "temporal_model": _options.flag(temporal_model, "temporal_model"),
        "nengo_dl_compat": _options.flag(nengo_dl_compat, "nengo_dl_compat"),
        "input_shapes": _options.shapes(input_shapes, "input_shapes"),
        "semantics": _options.texts(semantics, "semantics"),
    }
    native, content = _models.loaded(model, options, config, example_input)
    network = Network(native, content, options)
    warn(network.warnings)
    return network


class Network:
    """A spiking network in floats: ensembles, nodes and connections, as Nengo names them.

    :func:`convert` makes one. Networks pickle, with the content of the model's file.

    >>> import pickle, tinyspike
    >>> network = tinyspike.demo.network()
    >>> network.inputs, network.outputs
    ({'input_1': (28, 28, 1)}, {'dense_1': (10,)})
    >>> pickle.loads(pickle.dumps(network)).ensembles == network.ensembles
    True
    """

    def __init__(self, native: _native.Network, content: _models.Content, options: Dict[str, Any]) -> None:
        self._native = native
        self._content = content
        self._options = options
        self._ends: Dict[str, Any] = json.loads(native.ends())
        self._listing: Optional[Dict[str, Any]] = None

    def __reduce__(self) -> Tuple[Any, ...]:
        return (_restored, (self._content, self._options))

    @property
    def kind(self) -> str:
        """The front end that read the model: keras, onnx or nir.

        >>> import tinyspike
        >>> tinyspike.demo.network().kind
        'keras'
        """
        return self._native.kind

    @property
    def semantics(self) -> Optional[str]:
        """Semantics that a NIR graph was read by, and why; None of other models.

        >>> import tinyspike
        >>> tinyspike.demo.network().semantics is None
        True
        """
        return self._native.semantics

    @property
    def dt(self) -> Optional[float]:
        """Seconds per step, if the model says them, as a NIR graph's semantics do.

        >>> import tinyspike
        >>> tinyspike.demo.network().dt is None
        True
        """
        return self._native.dt

    @property
    def warnings(self) -> List[str]:
        """Remarks of the front end and the converter.

        >>> import tinyspike
        >>> tinyspike.demo.network().warnings
        []
        """
        return self._native.warnings

    @property
    def inputs(self) -> Dict[str, Tuple[int, ...]]:
        """Shape of each input by its name, without the batch axis.

        >>> import tinyspike
        >>> tinyspike.demo.network().inputs
        {'input_1': (28, 28, 1)}
        """
        return {place["name"]: tuple(place["shape"]) for place in self._ends["inputs"]}

    @property
    def outputs(self) -> Dict[str, Tuple[int, ...]]:
        """Shape of each output by its name.

        >>> import tinyspike
        >>> tinyspike.demo.network().outputs
        {'dense_1': (10,)}
        """
        return {place["name"]: tuple(place["shape"]) for place in self._ends["outputs"]}

    @property
    def listing(self) -> Dict[str, Any]:
        """All objects in Nengo's words, as ``tinyspike inspect --json`` prints them.

        >>> import tinyspike
        >>> sorted(tinyspike.demo.network().listing)
        ['connections', 'ensembles', 'net_label', 'nodes', 'probes']
        """
        if self._listing is None:
            self._listing = json.loads(self._native.listing())
        return self._listing

    @property
    def nodes(self) -> List[Node]:
        """All nodes: inputs, biases, outputs, and TensorNodes.

        >>> import tinyspike
        >>> len(tinyspike.demo.network().nodes)
        7
        """
        known = ("label", "class", "size_in", "size_out", "repr")
        return [
            Node(
                node["label"],
                node["class"],
                node["size_in"],
                node["size_out"],
                {key: value for key, value in node.items() if key not in known},
            )
            for node in self.listing["nodes"]
        ]

    @property
    def ensembles(self) -> List[Ensemble]:
        """All ensembles.

        >>> import tinyspike
        >>> [ensemble.n_neurons for ensemble in tinyspike.demo.network().ensembles]
        [1352, 576, 64]
        """
        keys = ("label", "n_neurons", "neuron_type", "gain", "bias")
        return [Ensemble(*(ensemble[key] for key in keys)) for ensemble in self.listing["ensembles"]]

    @property
    def connections(self) -> List[Connection]:
        """All connections.

        >>> import tinyspike
        >>> sorted({c.synapse for c in tinyspike.demo.network(synapse=0.005).connections})
        ['Lowpass(tau=0.005)', 'None']
        """
        keys = ("pre", "post", "transform", "synapse", "trainable")
        return [Connection(*(connection[key] for key in keys)) for connection in self.listing["connections"]]

    @property
    def probes(self) -> List[Probe]:
        """All probes: one for each output.

        >>> import tinyspike
        >>> len(tinyspike.demo.network().probes)
        1
        """
        return [Probe(probe["target"], probe["synapse"]) for probe in self.listing["probes"]]

    @property
    def all_nodes(self) -> List[Node]:
        """The same as :attr:`nodes`, by Nengo's other name: those of nested networks are among them.

        >>> import tinyspike
        >>> network = tinyspike.demo.network()
        >>> network.all_nodes == network.nodes
        True
        """
        return self.nodes

    @property
    def all_ensembles(self) -> List[Ensemble]:
        """The same as :attr:`ensembles`, by Nengo's other name.

        >>> import tinyspike
        >>> len(tinyspike.demo.network().all_ensembles)
        3
        """
        return self.ensembles

    @property
    def all_connections(self) -> List[Connection]:
        """The same as :attr:`connections`, by Nengo's other name.

        >>> import tinyspike
        >>> network = tinyspike.demo.network()
        >>> network.all_connections == network.connections
        True
        """
        return self.connections

    @property
    def all_probes(self) -> List[Probe]:
        """The same as :attr:`probes`, by Nengo's other name.

        >>> import tinyspike
        >>> len(tinyspike.demo.network().all_probes)
        1
        """
        return self.probes

    def simulate(
        self,
        x: Samples,
        labels: Any = None,
        *,
        steps: Optional[int] = None,
        record: bool = False,
        dt: Optional[float] = None,
        initial_voltage: str = "uniform",
        seed: int = 0,
        readout: Optional[str] = None,
        byte_scale: Optional[float] = None,
        values: bool = False,
        progress: Optional[bool] = None,
    ) -> Simulation:
        """Runs the network in floats, step by step as NengoDL or the NIR graph's framework does.

        :param x: samples: an array of shape (samples, ...), or over time (samples, steps, ...); a dictionary with an
            array for each input; or an iterable of batches ``x`` or ``(x, labels)``.
        :param labels: a class, or a row of values, for each sample.
        :param steps: number of steps that samples without an axis of time are shown.
        :param record: keep what each neuron did in every step.
        :param dt: seconds per step, 0.001 unless it is given or the model says it.
        :param initial_voltage: start of voltages: ``"uniform"`` in [0, 1) as Nengo draws them, or ``"zero"``.
        :param seed: seed of uniform voltages and of random neurons, as in Nengo.
        :param readout: the result of an output: ``"last"``, ``"mean:N"`` of the last N steps, ``"sum"``, ``"largest"`` or
            ``"first"`` to spike; by default the sum of spikes, else the last value.
        :param byte_scale: the value of one unit of a byte: 1/255, unless the model scales bytes itself.
        :param values: take labels of 0 and 1 as values, which have errors.
        :param progress: True shows a bar by tqdm, False none; by default it is shown in notebooks and terminals.
        :raises DataError: samples, labels or steps do not fit the network.
        :raises SimulateError: the network cannot be simulated.

        >>> import tinyspike
        >>> x, y = tinyspike.demo.samples(20)
        >>> network = tinyspike.demo.network(
        ...     swap_activations={"relu": "spiking-relu"}, scale_firing_rates=100, synapse=0.005
        ... )
        >>> network.simulate(x, y, steps=50).accuracy > 0.9
        True
        """
        data = self._data(x, labels, byte_scale, values)
        options = {
            "steps": _options.count(steps, "steps"),
            "dt": None if dt is None else _options.number(dt, "dt"),
            "initial_voltage": _options.text(initial_voltage, "initial_voltage"),
            "seed": _options.whole(seed, "seed", 0),
            "readout": _options.text_or_none(readout, "readout"),
            "record": _options.flag(record, "record"),
        }
        with bar("simulating", len(data[0]), progress) as show:
            result = self._native.simulate(data, options, show)
        warn(result["warnings"])
        note(result)
        return Simulation(
            result["outputs"],
            result["spikes"],
            result["activity"],
            result["potentials"],
            json.loads(result["report"]),
        )

    def verify(
        self,
        x: Samples,
        *,
        atol: float = 1e-8,
        rtol: float = 1e-5,
        byte_scale: Optional[float] = None,
        progress: Optional[bool] = None,
    ) -> str:
        """Compares the network with the model's own forward pass, and returns the outcome in words.

        :param x: samples, as :meth:`simulate` takes them.
        :param atol: allowed difference.
        :param rtol: allowed difference for each unit of an output's largest value.
        :raises ConvertError: they differ by more.

        >>> import tinyspike
        >>> x, _ = tinyspike.demo.samples(10)
        >>> print(tinyspike.demo.network().verify(x, atol=1e-5))
        dense_1...
        """
        bounds = _options.number(atol, "atol", least=0.0), _options.number(rtol, "rtol", least=0.0)
        data = self._data(x, None, byte_scale, False)
        with bar("comparing", len(data[0]), progress) as show:
            passed, text = self._native.verify(data, bounds[0], bounds[1], show)
        if not passed:
            raise ConvertError(f"network and model differ: {text}")
        return text

    def deploy(
        self,
        calibration: Samples = None,
        labels: Any = None,
        *,
        goal: Optional[str] = None,
        max_drop: float = 0.002,
        max_error: float = 0.05,
        steps: Optional[int] = None,
        max_count: Optional[int] = None,
        weight_bits: Optional[int] = None,
        input_bits: int = 8,
        percentile: Optional[float] = None,
        target: str = "cortex-m4",
        max_ram: Optional[int] = None,
        max_flash: Optional[int] = None,
        early_exit: bool = True,
        evaluations: Optional[int] = None,
        initial_voltage: str = "uniform",
        dt: float = 0.001,
        seed: int = 0,
        model_version: int = 0,
        coder: Optional[str] = None,
        byte_scale: Optional[float] = None,
        values: bool = False,
        map: Optional[Callable[..., Iterable[Any]]] = None,
        progress: Optional[bool] = None,
    ) -> Image:
        """Makes an image for a microcontroller, byte for byte as ``tinyspike convert`` does.

        :param calibration: real inputs, a few hundred at least, a few thousand to tune; as :meth:`simulate` takes them.
        :param labels: a class, or a row of values, for each sample.
        :param goal: ``"tuned"`` searches for the cheapest image that keeps the accuracy, ``"plain"`` makes one for few
            steps, ``"exact"`` one that takes the network's own steps. By default plain, and of NIR graphs their own steps.
        :param max_drop: accuracy that tuning may give up, as a share: 0.002 is 0.2 percentage points.
        :param max_error: error that tuning may make in outputs that are values, relative to their standard deviation.
        :param steps: steps of an inference; of an exact image 0 makes a stream without end.
        :param max_count: the most spikes of a neuron in a step.
        :param weight_bits: bits of a weight, 2 to 8, of an exact image up to 16.
        :param input_bits: bits of an input's bytes, 1 to 8; tuning finds them.
        :param percentile: the share of activations above zero that a plain image's ranges hold.
        :param target: the processor that the layout of weights is for.
        :param max_ram: the most bytes of RAM that the network's state may take.
        :param max_flash: the most bytes of flash that the image may take.
        :param early_exit: tuning may let an inference end before its last step.
        :param evaluations: the most candidates that tuning runs on all samples.
        :param initial_voltage: start of an exact image's voltages, as in :meth:`simulate`.
        :param dt: seconds per step of an exact image.
        :param seed: seed of tuning, or of an exact image's voltages.
        :param model_version: the release of the model, below which devices can refuse to go back.
        :param coder: what makes events of samples on the device, for a network that takes events over time:
            ``"delta:0.1,0.3:2"`` for changes by the threshold of each channel (or of all), up to 2 in a step; ``"rate"``
            in proportion to values. Calibration samples and all later ones are those before the coder.
        :param byte_scale: the value of one unit of a byte, as in :meth:`simulate`.
        :param values: take labels of 0 and 1 as values, which have errors.
        :param map: a function that runs tuning's candidates elsewhere: the ``map`` of an executor of concurrent.futures,
            of a pool, or of a client of dask.distributed. The image is the same, to the byte.
        :param progress: as in :meth:`simulate`.
        :raises DataError: calibration samples do not fit the network.
        :raises DeployError: a stage fails; ``stage`` and ``layer`` say which.

        >>> import tinyspike
        >>> x, y = tinyspike.demo.samples(300)
        >>> image = tinyspike.demo.network().deploy(x, y, goal="plain")
        >>> image
        <Image of 1992 neurons in 3 ensembles, 2 steps, ... bytes of flash, ... bytes of RAM>
        """
        arrays, y = ([], None) if calibration is None else self._arrays(calibration, labels)
        data = data_of(self._names, arrays, y, byte_scale, values)
        if calibration is None and labels is not None:
            raise OptionError("labels are given without calibration samples", option="labels")
        drop = _options.number(max_drop, "max_drop", least=0.0, most=1.0)
        if drop > 0.1:
            warn([f"max_drop={drop} gives up {drop * 100:g} percentage points of accuracy; 0.002 is 0.2 points"])
        options = {
            "goal": "plain" if goal is None else _options.text(goal, "goal"),
            "steps": _options.count(steps, "steps", 0, 0xFFFF),
            "max_count": _options.count(max_count, "max_count", 1, 255),
            "input_bits": _options.whole(input_bits, "input_bits", 1, 8),
            "weight_bits": _options.count(weight_bits, "weight_bits", 2, 16),
            "percentile": None if percentile is None else _options.number(percentile, "percentile", above=0.0, most=1.0),
            "max_drop": drop,
            "max_error": _options.number(max_error, "max_error", above=0.0),
            "seed": _options.whole(seed, "seed", 0),
            "early_exit": _options.flag(early_exit, "early_exit"),
            "evaluations": _options.count(evaluations, "evaluations"),
            "initial_voltage": _options.text(initial_voltage, "initial_voltage"),
            "dt": _options.number(dt, "dt", above=0.0),
            "max_ram": _options.count(max_ram, "max_ram"),
            "max_flash": _options.count(max_flash, "max_flash"),
            "model_version": _options.whole(model_version, "model_version", 0),
            "target": _options.text(target, "target"),
            "coder": None if coder is None else _options.text(coder, "coder"),
        }
        if map is not None and not callable(map):
            raise _options.refused("map", map, "function, such as the map of an executor")
        run = None
        if map is not None:
            samples = (arrays, y, byte_scale, values)
            run = _map.runner(map, self, samples, options)
        tuned = goal == "tuned"
        total = None if tuned or not data else 2 * len(data[0])
        with bar("tuning" if tuned else "calibrating", total, progress) as show:
            native, made = self._native.deploy(data, options, run, show)
        warn(made["warnings"])
        note(made)
        tuning = None
        if made["tuning"] is not None:
            tuning = Tuning(json.loads(made["tuning"]), made["tuning_text"])
        report = Report(json.loads(made["report"]), made["report_text"])
        return Image(native, report, tuning, made["notes"])

    @property
    def _names(self) -> List[str]:
        return [place["name"] for place in self._ends["inputs"]]

    def _arrays(self, x: Samples, labels: Any) -> Tuple[List[Any], Optional[Any]]:
        return arrays_of(self._names, x, labels, self._ends["constants"])

    def _data(self, x: Samples, labels: Any, byte_scale: Optional[float], values: bool) -> List[_native.Data]:
        arrays, y = self._arrays(x, labels)
        return data_of(self._names, arrays, y, byte_scale, values)

    def __repr__(self) -> str:
        neurons = sum(ensemble.n_neurons for ensemble in self.ensembles)
        return f"<Network of {neurons} neurons in {len(self.ensembles)} ensembles, from {self._content[1]}>"

    def __str__(self) -> str:
        return self._native.listing_text()

    def _repr_html_(self) -> str:
        shapes = ", ".join(f"{name} {shape}" for name, shape in self.inputs.items())
        outputs = ", ".join(f"{name} {shape}" for name, shape in self.outputs.items())
        facts = [("inputs", shapes), ("outputs", outputs), ("warnings", len(self.warnings))]
        ensembles = [[e.label, f"{e.n_neurons:,}", e.neuron_type] for e in self.ensembles]
        connections = [[c.pre, c.post, c.transform["type"], c.synapse] for c in self.connections]
        tables = [
            _html.table(["ensemble", "neurons", "neuron type"], ensembles),
            _html.table(["from", "to", "transform", "synapse"], connections),
        ]
        return _html.page("Network", facts, tables)


def _restored(content: _models.Content, options: Dict[str, Any]) -> Network:
    return Network(_models.restored(content, options), content, options)

