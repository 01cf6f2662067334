"""snnTorch writes the same file for all of its resets. A live module tells them apart: every spike is snnTorch's."""

from __future__ import annotations

import itertools

import numpy as np
import snntorch as snn
import torch

import tinyspike

STEPS = 60
tinyspike_cells = 0
for kind, reset, late in itertools.product((snn.Leaky, snn.RLeaky), ("subtract", "zero"), (True, False)):
    torch.manual_seed(3)
    more = {"linear_features": 12} if kind is snn.RLeaky else {}
    cell = kind(
        beta=torch.linspace(0.6, 0.9, 12),
        threshold=torch.ones(12),
        init_hidden=True,
        reset_mechanism=reset,
        reset_delay=late,
        **more,
    )
    net = torch.nn.Sequential(torch.nn.Linear(5, 12), cell)
    x = torch.randint(0, 5, (STEPS, 1, 5)).float()
    network = tinyspike.convert(net, example_input=x[0])
    cell.reset_mem()
    with torch.no_grad():
        wanted = torch.cat([net(step) for step in x]).numpy()
    assert 20 < wanted.sum() < wanted.size - 20
    found = next(iter(network.simulate(x[:, 0].numpy()[None], record=True).spikes.values()))[0]
    np.testing.assert_array_equal(found, wanted, err_msg=f"{kind.__name__}, {reset}, {late}: {network.semantics}")
    tinyspike_cells += wanted.size
print(f"snntorch: {tinyspike_cells} cells of spikes of eight live modules")
