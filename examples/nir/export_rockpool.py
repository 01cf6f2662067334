"""A network of Rockpool as a NIR file, and a recorded sample. Its semantics are `rockpool`."""

import sys
from pathlib import Path

import nir
import numpy as np
import torch
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import LIFTorch, LinearTorch, to_nir

folder, steps = Path(sys.argv[1]), 50
torch.manual_seed(1)


def lif(n):
    # The bias of LIFTorch is not in the file.
    return LIFTorch(n, tau_mem=0.02, tau_syn=0.01, dt=1e-3, bias=torch.zeros(n))


def linear(inputs, outputs):
    return LinearTorch((inputs, outputs), weight=0.1 * torch.randn(inputs, outputs), bias=torch.zeros(outputs))


net = Sequential(linear(6, 16), lif(16), linear(16, 4), lif(4))
x = torch.randint(0, 4, (1, steps, 6)).float()
example = x
nir.write(folder / "net.nir", to_nir(net, example))

net = net.reset_state()
with torch.no_grad():
    _, _, record = net(x, record=True)
spikes = {name: record[name]["spikes"][0] for name in ("1_LIFTorch", "3_LIFTorch")}
np.savez(folder / "sample.npz", x=x[0], **spikes)
