"""A network of SpikingJelly as a NIR file, and a recorded sample. Its semantics are `spikingjelly`."""

import sys
from pathlib import Path

import nir
import numpy as np
import torch
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir

folder, steps = Path(sys.argv[1]), 50
torch.manual_seed(1)
# Soft resets (v_reset=None) do not export.
net = torch.nn.Sequential(layer.Linear(6, 16), neuron.LIFNode(tau=2.0), layer.Linear(16, 4), neuron.IFNode())
x = torch.randint(0, 4, (steps, 1, 6)).float()
example = x[0]
nir.write(folder / "net.nir", export_to_nir(net, example))

spikes = {"_1": [], "_3": []}
for name, each in spikes.items():
    net[int(name[1:])].register_forward_hook(lambda _, __, out, each=each: each.append(out))
functional.reset_net(net)
with torch.no_grad():
    for step in x:
        net(step)
np.savez(folder / "sample.npz", x=x[:, 0], **{name: torch.cat(each) for name, each in spikes.items()})
