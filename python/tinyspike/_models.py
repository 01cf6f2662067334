"""Models as users have them → native networks."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from tinyspike import _native, _options
from tinyspike.errors import ModelError, OptionError

#: Front end, name in messages, content; for weights beside a configuration both contents.
Content = Tuple[str, str, Any]

#: Packages whose classes Keras models are of.
_KERAS = {"keras", "tf_keras", "tensorflow"}

_EXPORTS = (
    "export it: spiking networks to NIR (snntorch.export_nir.export_to_nir, norse.torch.to_nir, "
    "sinabs.nir.to_nir, spikingjelly.activation_based.nir_exchange.export_to_nir), others to ONNX (torch.onnx.export)"
)


def loaded(
    model: Any, options: Dict[str, Any], config: Optional[Any], example_input: Optional[Any]
) -> Tuple[_native.Network, Content]:
    """The native network of a model, and the content that makes it again."""
    modules = _modules(model)
    # Keras' own models are modules of PyTorch, too, if that is their backend.
    is_torch = "torch" in modules and not modules & _KERAS and hasattr(model, "state_dict")
    if example_input is not None and not is_torch:
        raise OptionError(
            "example_input is for modules of PyTorch, and this model tells its shapes itself", option="example_input"
        )
    if isinstance(model, (str, os.PathLike)):
        return _of_path(_options.path(model, "model"), options, config)
    if config is not None:
        raise OptionError("config is for files that hold weights alone, and this model has its own", option="config")
    content = _of_torch(model, example_input, options) if is_torch else _content(model)
    return restored(content, options), content


def restored(content: Content, options: Dict[str, Any]) -> _native.Network:
    """The native network of a content."""
    kind, name, data = content
    if kind == "weights":
        with tempfile.TemporaryDirectory() as folder:
            weights, config = Path(folder, "weights.h5"), Path(folder, "config.json")
            weights.write_bytes(data[0])
            config.write_bytes(data[1])
            return _native.Network.load(weights, options, config)
    return _native.Network.load_bytes(kind, name, data, options)


def _of_path(path: Path, options: Dict[str, Any], config: Optional[Any]) -> Tuple[_native.Network, Content]:
    if config is None:
        network = _native.Network.load(path, options)
        return network, (network.kind, str(path), _read(path))
    text = config if isinstance(config, str) and config.lstrip().startswith("{") else None
    if text is not None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "config.json")
            file.write_text(text, encoding="utf-8")
            network = _native.Network.load(path, options, file)
        return network, ("weights", str(path), (_read(path), text.encode()))
    file = _options.path(config, "config")
    network = _native.Network.load(path, options, file)
    return network, ("weights", str(path), (_read(path), file.read_bytes()))


def _read(path: Path) -> bytes:
    """The content of a file, or of a folder as an archive that is read like it."""
    if not path.is_dir():
        return path.read_bytes()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(path, arcname=path.name)
    return packed.getvalue()


def _content(model: Any) -> Content:
    """The content of a file of a live model."""
    modules = _modules(model)
    if "onnx" in modules and hasattr(model, "SerializeToString"):
        name = getattr(getattr(model, "graph", None), "name", "") or "model"
        return "onnx", f"the ONNX model {name!r}", model.SerializeToString()
    if "nir" in modules and hasattr(model, "nodes") and hasattr(model, "edges"):
        return "nir", "the NIR graph", _nir(model)
    if modules & _KERAS and hasattr(model, "save") and hasattr(model, "layers"):
        name = getattr(model, "name", "model")
        return "keras", f"the Keras model {name!r}", _keras(model)
    raise ModelError(
        f"{_named(model)} is no model",
        advice=[
            "give a path to a .keras, .h5, .onnx or .nir file, a Keras model, an onnx.ModelProto or a nir.NIRGraph",
        ],
    )


def _modules(model: Any) -> set[str]:
    """The packages that an object's classes are from."""
    return {kind.__module__.split(".")[0] for kind in type(model).__mro__}


def _named(model: Any) -> str:
    kind = type(model)
    return f"an object of {kind.__module__}.{kind.__qualname__}"


def _keras(model: Any) -> bytes:
    if not getattr(model, "built", True):
        raise ModelError(
            "the Keras model has no weights yet",
            advice=["call it on a batch, model.build(input_shape), or start it with an Input layer"],
        )
    # Keras 2 before 2.12 knows .h5 alone; what is not functional or sequential has no configuration.
    reasons: List[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".keras", ".h5"):
            file = Path(folder, "model" + ending)
            try:
                model.save(file if ending == ".keras" else str(file))
                if file.is_file():
                    return file.read_bytes()
                reasons.append(f"{ending}: it wrote no file")
            except Exception as error:  # noqa: BLE001, whatever Keras raises is the reason
                reasons.append(f"{ending}: {error}")
    raise ModelError(f"Keras cannot save the model: {'; '.join(reasons)}")


def _nir(graph: Any) -> bytes:
    import nir

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "graph.nir")
        try:
            nir.write(str(file), graph)
        except Exception as error:  # noqa: BLE001, whatever nir raises is the reason
            raise ModelError(f"nir.write refuses the graph: {error}") from error
        return file.read_bytes()


def _snntorch(module: Any, example: Any) -> Any:
    from snntorch.export_nir import export_to_nir

    return export_to_nir(module, example, ignore_dims=[0])


def _norse(module: Any, example: Any) -> Any:
    from norse.torch import to_nir

    # It multiplies time constants by this dt.
    return to_nir(module, example, dt=1.0)


def _sinabs(module: Any, example: Any) -> Any:
    from sinabs.nir import to_nir

    return to_nir(module, example)


def _spikingjelly(module: Any, example: Any) -> Any:
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    return export_to_nir(module, example)


def _rockpool(module: Any, example: Any) -> Any:
    from rockpool.nn.modules import to_nir

    return to_nir(module, example)


#: How each framework, by its package and its semantics, makes a NIR graph of a module and the input of a step.
_TO_NIR: Dict[str, Callable[[Any, Any], Any]] = {
    "norse": _norse,
    "rockpool": _rockpool,
    "sinabs": _sinabs,
    "snntorch": _snntorch,
    "spikingjelly": _spikingjelly,
}


def _preset(part: Any, framework: str) -> Optional[str]:
    """The semantics of a module's neurons, if it has some and their file would not tell."""
    kind = type(part).__name__
    if framework not in _modules(part):
        return None
    if framework == "norse" and "LIF" in kind and kind.endswith(("Cell", "LIF", "LIFRecurrent")):
        return "norse" if "Box" in kind else "norse-lif"
    # snnTorch writes the same file for all resets.
    if framework == "snntorch" and hasattr(part, "reset_mechanism"):
        reset, late = str(part.reset_mechanism), bool(getattr(part, "reset_delay", True))
        if reset == "none":
            return "snntorch,reset=none"
        if reset == "zero":
            return ("snntorch-zero" if kind == "Leaky" else "snntorch-r-zero") if late else "nir"
        return "snntorch" if late else "snntorch-nodelay"
    return None


def _of_torch(module: Any, example: Optional[Any], options: Dict[str, Any]) -> Content:
    """The NIR graph of a module that a framework for spiking networks exports; its semantics become an option."""
    # Rockpool's modules() is a dictionary.
    inner = module.modules() if callable(getattr(module, "modules", None)) else ()
    parts = [module, *(inner.values() if isinstance(inner, Mapping) else inner)]
    found = sorted({package for part in parts for package in _modules(part)} & set(_TO_NIR))
    named = _named(module)
    if len(found) != 1:
        reason = f"of {' and '.join(found)}" if found else "without spiking neurons of a framework that is known"
        raise ModelError(f"{named} is a PyTorch module {reason}, whose graph is code", advice=[_EXPORTS])
    framework = found[0]
    if example is None:
        raise ModelError(
            f"{named} is a PyTorch module of {framework}, whose graph is code that only runs on an input",
            advice=["give example_input= a tensor that the module takes, with the batch axis", _EXPORTS],
        )
    try:
        graph = _TO_NIR[framework](module, example)
    except Exception as error:  # noqa: BLE001, whatever the framework raises is the reason
        raise ModelError(
            f"{framework} does not export {named}: {type(error).__name__}: {error}",
            advice=[
                "example_input= must be a tensor that the module takes",
                f"export it by {framework}'s own function, and give the nir.NIRGraph",
            ],
        ) from error
    presets = sorted({preset for part in parts for preset in [_preset(part, framework)] if preset})
    if len(presets) > 1 and not options["semantics"]:
        raise ModelError(
            f"{named} has neurons that step in different ways: {' and '.join(presets)}",
            advice=['give semantics=, one of them first, then "NODE:PRESET" for each other node (docs/nir.md)'],
        )
    options["semantics"] = [presets[0] if len(presets) == 1 else framework, *options["semantics"]]
    return "nir", f"the NIR graph of {named}", _nir(graph)


#: Parameters of Nengo's neuron types.
_PARAMETERS = ("amplitude", "tau_rc", "tau_ref", "min_voltage", "negative_slope", "tau_n", "inc_n")


def swaps(pairs: Optional[Mapping[Any, Any]]) -> List[Tuple[str, str]]:
    """Names of activations and neuron types: of names, functions, or Nengo's objects."""
    if pairs is not None and not isinstance(pairs, Mapping):
        raise _options.refused("swap_activations", pairs, 'dictionary such as {"relu": "spiking-relu"}')
    return [(activation(a), activation(b)) for a, b in (pairs or {}).items()]


def activation(thing: Any) -> str:
    """The name of an activation or neuron type."""
    if isinstance(thing, str):
        return thing
    if callable(thing) and hasattr(thing, "__name__") and not isinstance(thing, type):
        return str(thing.__name__)
    kind = thing if isinstance(thing, type) else type(thing)
    if isinstance(thing, type):
        return kind.__name__
    if getattr(thing, "initial_state", None):
        raise OptionError(
            f"swap_activations: {kind.__name__} has an initial_state, which conversion does not take",
            option="swap_activations",
            advice=["give network.simulate(..., initial_voltage=) instead"],
        )
    given = [(name, getattr(thing, name, None)) for name in _PARAMETERS]
    values = [f"{name}={float(value)!r}" for name, value in given if isinstance(value, (int, float))]
    base = getattr(thing, "base_type", None)
    if base is not None:
        values.append(f"base={_base(base)}")
    return kind.__name__ + (":" + ",".join(values) if values else "")


def _base(base: Any) -> str:
    """The name of the rate type that a spiking type draws its spikes from; only Nengo's defaults have a name."""
    kind = base if isinstance(base, type) else type(base)
    usual = kind()
    other = [name for name in _PARAMETERS if getattr(base, name, None) != getattr(usual, name, None)]
    if other:
        raise OptionError(
            f"swap_activations: a base_type of {kind.__name__} has parameters of its own ({', '.join(other)}), which "
            "conversion does not take",
            option="swap_activations",
            advice=[f"take {kind.__name__}() as it is, or another spiking type"],
        )
    return kind.__name__


def synapse(thing: Any) -> Optional[str]:
    """The words of a synapse: None, seconds of a Lowpass, words, or Nengo's object."""
    if thing is None or isinstance(thing, str):
        return thing
    if hasattr(thing, "__float__") and not hasattr(thing, "tau"):
        return repr(_options.number(thing, "synapse"))
    tau, kind = getattr(thing, "tau", None), type(thing).__name__.lower()
    if kind in ("lowpass", "alpha") and tau is not None:
        return f"{kind}:{float(tau)!r}"
    raise OptionError(
        f"synapse: {thing!r} is neither seconds, \"alpha:0.01\" nor nengo.Lowpass or nengo.Alpha", option="synapse"
    )
