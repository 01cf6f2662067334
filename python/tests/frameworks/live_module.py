"""A live module of a framework becomes the network of its NIR file, with every spike that the framework recorded.

`cargo xtask test-frameworks` runs it in the environment of each framework: live_module.py EXPORT_SCRIPT FOLDER.
"""

from __future__ import annotations

import pickle
import runpy
import sys
from pathlib import Path

import numpy as np

import tinyspike


def main(script: str, folder: Path) -> None:
    name = Path(script).stem.split("_", 1)[1]
    sys.argv = [script, str(folder)]
    made = runpy.run_path(script)
    live = tinyspike.convert(made["net"], example_input=made["example"])
    file = tinyspike.convert(folder / "net.nir", semantics=name)
    with np.load(folder / "sample.npz") as recorded:
        x = recorded["x"][None]
        spikes = {key: recorded[key] for key in recorded.files if key != "x"}
    simulation = live.simulate(x, record=True)
    assert set(simulation.spikes) >= set(spikes), (sorted(simulation.spikes), sorted(spikes))
    for label, values in spikes.items():
        np.testing.assert_array_equal(simulation.spikes[label][0], values, err_msg=label)
    image = live.deploy(x)
    assert image.to_bytes() == file.deploy(x).to_bytes()
    assert pickle.loads(pickle.dumps(live)).deploy(x).to_bytes() == image.to_bytes()
    # What does not run on the module, and a module without spikes, are refused in words.
    for module, example in ((made["net"], made["torch"].zeros(3, 5, 7)), (made["net"], None), (made["torch"].nn.Linear(2, 3), x)):
        try:
            tinyspike.convert(module, example_input=example)
        except tinyspike.ModelError as error:
            assert error.advice
        else:
            raise AssertionError("it should have been refused")
    cells = sum(values.size for values in spikes.values())
    print(f"{name}: a live module, {cells} cells of spikes; semantics {live.semantics}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
