"""Trained networks on microcontrollers, as spiking networks.

>>> import tinyspike
>>> x, y = tinyspike.demo.samples(300, calibration=True)
>>> network = tinyspike.convert(tinyspike.demo.model(), inference_only=True)
>>> image = network.deploy(x, y, goal="plain")
>>> test, classes = tinyspike.demo.samples(200)
>>> image.emulate(test, classes).accuracy > 0.97
True
"""

from tinyspike import _native, demo, errors, plot
from tinyspike.errors import (
    BoardError,
    ConvertError,
    DataError,
    DeployError,
    ExportError,
    ImageError,
    InternalError,
    ModelError,
    OptionError,
    SignError,
    SimulateError,
    TinyspikeError,
    TinyspikeWarning,
)
from tinyspike.image import Image, keygen, public_key
from tinyspike.network import Connection, Ensemble, Network, Node, Probe, convert
from tinyspike.results import Bench, BoardRun, Emulation, Estimate, Report, Simulation, Tuning

__version__: str = _native.VERSION

__all__ = [
    "Bench",
    "BoardError",
    "BoardRun",
    "Connection",
    "ConvertError",
    "DataError",
    "DeployError",
    "Emulation",
    "Ensemble",
    "Estimate",
    "ExportError",
    "Image",
    "ImageError",
    "InternalError",
    "ModelError",
    "Network",
    "Node",
    "OptionError",
    "Probe",
    "Report",
    "SignError",
    "SimulateError",
    "Simulation",
    "TinyspikeError",
    "TinyspikeWarning",
    "Tuning",
    "__version__",
    "convert",
    "demo",
    "errors",
    "keygen",
    "plot",
    "public_key",
]
