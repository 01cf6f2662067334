"""A network of Norse as a NIR file, and a recorded sample. Its semantics are `norse`."""

import sys
from pathlib import Path

import nir
import norse.torch as norse
import numpy as np
import torch

folder, steps = Path(sys.argv[1]), 50
torch.manual_seed(1)


def box(n, each=torch.full):
    # One number for a whole layer does not export: NIR has a value for each neuron.
    values = dict(tau_mem_inv=each((n,), 50.0), v_th=each((n,), 0.1), v_leak=each((n,), 0.0), v_reset=each((n,), 0.0))
    return norse.LIFBoxCell(norse.LIFBoxParameters(**values))


net = norse.SequentialState(torch.nn.Linear(6, 16), box(16), torch.nn.Linear(16, 4), box(4))
x = torch.randint(0, 200, (steps, 1, 6)).float()
example = x[0]
# Norse 1.1 multiplies time constants by this dt.
nir.write(folder / "net.nir", norse.to_nir(net, example, dt=1.0))

spikes, state = {"1": [], "3": []}, None
for name, each in spikes.items():
    net[int(name)].register_forward_hook(lambda _, __, out, each=each: each.append(out[0]))
with torch.no_grad():
    for step in x:
        _, state = net(step, state)
np.savez(folder / "sample.npz", x=x[:, 0], **{name: torch.cat(each) for name, each in spikes.items()})
