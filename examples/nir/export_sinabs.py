"""A network of sinabs as a NIR file, and a recorded sample. Its semantics are `sinabs`."""

import sys
from pathlib import Path

import nir
import numpy as np
import sinabs.layers as sl
import torch
from sinabs.nir import to_nir

folder, steps = Path(sys.argv[1]), 50
torch.manual_seed(1)
# One number for a whole layer does not export: NIR has a value for each neuron.
output = sl.LIF(tau_mem=torch.full((4,), 20.0), spike_threshold=torch.full((4,), 0.1))
net = torch.nn.Sequential(torch.nn.Linear(6, 16), sl.IAF(), torch.nn.Linear(16, 4), output)
x = torch.randint(0, 4, (1, steps, 6)).float()
with torch.no_grad():
    hidden = net[:2](x)
    spikes = {"1": hidden[0], "3": net[2:](hidden)[0]}
example = x
nir.write(folder / "net.nir", to_nir(net, example))
np.savez(folder / "sample.npz", x=x[0], **spikes)
