"""A recurrent network of snnTorch as a NIR file, and a recorded sample. Its semantics are `snntorch`."""

import sys
from pathlib import Path

import nir
import numpy as np
import snntorch as snn
import torch
from snntorch.export_nir import export_to_nir

folder, steps = Path(sys.argv[1]), 50
torch.manual_seed(1)
# One number for a whole layer does not export: NIR has a value for each neuron.
ones, beta = torch.ones, lambda n: torch.linspace(0.7, 0.95, n)
hidden = snn.RLeaky(beta=beta(16), threshold=ones(16), linear_features=16, init_hidden=True)
output = snn.Leaky(beta=beta(4), threshold=ones(4), init_hidden=True)
net = torch.nn.Sequential(torch.nn.Linear(6, 16), hidden, torch.nn.Linear(16, 4), output)
x = torch.randint(0, 4, (steps, 1, 6)).float()
example = x[0]
nir.write(folder / "net.nir", export_to_nir(net, example, ignore_dims=[0]))

spikes = {"1.lif": [], "3": []}
hidden.register_forward_hook(lambda _, __, out: spikes["1.lif"].append(out))
output.register_forward_hook(lambda _, __, out: spikes["3"].append(out))
for layer in (hidden, output):
    layer.reset_mem()
with torch.no_grad():
    for step in x:
        net(step)
np.savez(folder / "sample.npz", x=x[:, 0], **{name: torch.cat(each) for name, each in spikes.items()})
