"""Five networks that are tuned on a cluster: the images are those that one process makes, byte for byte.

pip install tinyspike dask distributed; python five_networks.py
"""

from pathlib import Path
from typing import Any, Dict, List, Tuple

from distributed import Client, LocalCluster

import tinyspike

MODELS = Path(__file__).resolve().parents[2] / "models"

#: A model's file, and its options in converting and deploying.
Network = Tuple[str, Dict[str, Any], Dict[str, Any]]
NETWORKS: List[Network] = [
    ("mnist_small", {}, {}),
    ("mnist_mlp", {}, {}),
    ("mnist_pool_bn", {"max_to_avg_pool": True}, {}),
    ("mnist_small", {}, {"target": "cortex-m0"}),
    ("mnist_mlp", {}, {"target": "cortex-m0", "weight_bits": 4}),
]


def main() -> None:
    x, y = tinyspike.demo.samples(1000, calibration=True)
    test, classes = tinyspike.demo.samples(2000)
    # In place of a local cluster, the address of a scheduler: Client("tcp://10.0.0.1:8786").
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster) as client:
        for name, convert, deploy in NETWORKS:
            network = tinyspike.convert(MODELS / f"{name}.keras", inference_only=True, **convert)
            tune: Dict[str, Any] = {"goal": "tuned", "max_drop": 0.01, "evaluations": 12, **deploy}
            image = network.deploy(x, y, map=client.map, **tune)
            assert image.to_bytes() == network.deploy(x, y, **tune).to_bytes()
            print(name, image, f"{image.emulate(test, classes).accuracy:.2%}")


if __name__ == "__main__":
    main()
