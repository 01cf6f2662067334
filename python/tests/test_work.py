"""Threads: other threads run meanwhile, Ctrl-C stops work, and candidates run elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

import tinyspike

SEARCH = """
import sys, time, tinyspike
x, y = tinyspike.demo.samples(2000, calibration=True)
network = tinyspike.demo.network()
print("started", flush=True)
try:
    network.deploy(x, y, goal="tuned")
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_ctrl_c_stops_work_at_once() -> None:
    child = subprocess.Popen([sys.executable, "-c", SEARCH], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "started\n"
    time.sleep(1.0)
    child.send_signal(signal.SIGINT)
    start = time.perf_counter()
    assert child.stdout.readline() == "stopped\n"
    # An idle machine needs 40 ms.
    assert time.perf_counter() - start < 2.0
    assert child.wait(timeout=20) == 0


def test_other_threads_run_meanwhile() -> None:
    x, y = tinyspike.demo.samples(3000)
    image = tinyspike.demo.image()
    counted = 0
    done = threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    start = time.perf_counter()
    image.emulate(x, y)
    took = time.perf_counter() - start
    done.set()
    thread.join()
    assert counted > took * 50


def test_progress_counts_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinyspike import _native
    from tinyspike._arrays import data_of

    x, y = tinyspike.demo.samples(2000)
    seen: list[int] = []
    image = tinyspike.demo.image()
    image._native.emulate(data_of(["x"], [x], y, None, False), progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 2000
    assert _native.VERSION == tinyspike.__version__


def _search(map: Any = None) -> tinyspike.Image:
    x, y = tinyspike.demo.samples(200, calibration=True)
    return tinyspike.demo.network().deploy(x, y, goal="tuned", steps=1, max_drop=0.02, evaluations=4, map=map)


def test_candidates_in_other_processes_change_nothing() -> None:
    here = _search()
    assert here.tuning is not None
    with ThreadPoolExecutor(2) as pool:
        asked: list[int] = []

        def counting(function: Any, items: Any) -> Any:
            asked.append(len(items))
            return pool.map(function, items)

        there = _search(counting)
    assert there.to_bytes() == here.to_bytes() and there.tuning == here.tuning
    assert sum(asked) > 4
    # Python forks by default on Linux, which threads do not survive.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        assert _search(processes.map).to_bytes() == here.to_bytes()
    # Results in another order are the same.
    assert _search(lambda function, items: [function(item) for item in reversed(items)]).to_bytes() == here.to_bytes()
    for broken in [lambda f, items: [None for _ in items], lambda f, items: [], lambda f, items: None]:
        with pytest.raises(tinyspike.OptionError, match="map: it ") as caught:
            _search(broken)
        assert caught.value.option == "map"


@pytest.mark.slow
def test_a_cluster_tunes_five_networks_as_one_process_does() -> None:
    from distributed import Client, LocalCluster

    x, y = tinyspike.demo.samples(400, calibration=True)

    def search(options: Any, map: Any = None) -> bytes:
        network = tinyspike.demo.network()
        options = {"steps": 2, **options}
        image = network.deploy(x, y, goal="tuned", max_drop=0.02, evaluations=4, map=map, **options)
        return image.to_bytes()

    five = [{}, {"target": "cortex-m0"}, {"weight_bits": 4}, {"steps": 1}, {"max_count": 9}]
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        there = [search(options, client.map) for options in five]
    assert there == [search(options) for options in five]
    assert len(set(there)) == len(five)


@pytest.mark.slow
def test_emulating_takes_as_long_as_the_tool(tmp_path: Any, tool: Any, saved: Any) -> None:
    """10,000 images, within 10 %: the least of several runs, since the machine does other things, too."""
    import json

    x, y = tinyspike.demo.samples(10_000)
    image = tinyspike.demo.image()
    image.save(tmp_path / "image.tsp")
    data = saved(x, y)
    own, tools = [], []
    for _ in range(7):
        start = time.perf_counter()
        report = image.emulate(x, y).report
        own.append(time.perf_counter() - start)
        start = time.perf_counter()
        printed = json.loads(tool("emulate", tmp_path / "image.tsp", "--data", data, "--json").stdout)
        tools.append(time.perf_counter() - start)
        assert printed["accuracy"] == report["accuracy"]
    print(f"Python {min(own):.3f} s, the tool {min(tools):.3f} s")
    assert min(own) < 1.1 * min(tools)


def test_the_tool_is_in_the_wheel(tool: Any) -> None:
    version = tool("--version").stdout
    assert version == f"tinyspike {tinyspike.__version__}\n"
    module = [sys.executable, "-m", "tinyspike", "--version"]
    assert subprocess.run(module, capture_output=True, text=True, check=True).stdout == version
    wrong = subprocess.run([*module[:-1], "fly"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "unrecognized subcommand 'fly'" in wrong.stderr
    missing = subprocess.run([*module[:-1], "inspect", os.devnull], capture_output=True, text=True, check=False)
    assert missing.returncode == 1 and missing.stderr.startswith("error: ")
