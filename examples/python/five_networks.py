"""Five networks that are tuned on a cluster: the images are those that one process makes.

pip install tinyspike dask distributed; python five_networks.py
"""

from distributed import Client, LocalCluster

import tinyspike


def main() -> None:
    x, y = tinyspike.demo.samples(1000, calibration=True)
    test, classes = tinyspike.demo.samples(2000)
    # In place of a local cluster, the address of a scheduler: Client("tcp://10.0.0.1:8786").
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster) as client:
        for scale in (1.0, 2.0, 3.0, 5.0, 9.0):
            network = tinyspike.demo.network(scale_firing_rates=scale)
            image = network.deploy(x, y, goal="tuned", max_drop=0.01, evaluations=20, map=client.map)
            print(scale, image, image.emulate(test, classes).accuracy)


if __name__ == "__main__":
    main()
