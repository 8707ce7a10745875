"""A real scheduler with two workers on the loopback interface."""

import json
import os
import signal
import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import numpy as np
import psutil
import pytest
import tifffile
from processes import run_process, use_fork_server
from test_streaming import begin, mosaic, stream

from napari_nuclei_unet import UserError, run
from napari_nuclei_unet.arrays.axes import PlaneIndex
from napari_nuclei_unet.blockwise.cluster import FilePlane, connect_to_cluster
from napari_nuclei_unet.blockwise.processes import compute_in_processes
from napari_nuclei_unet.blockwise.run import segment_blockwise_steps
from napari_nuclei_unet.blockwise.stages import BlockwisePlane
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.limits import Limits

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")


@pytest.fixture(autouse=True)
def quick_workers():
    """Workers that need not import torch; by the setting of distributed for that."""
    use_fork_server()
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        yield


@pytest.fixture
def image(tmp_path):
    pixels = mosaic("fluorescence_small", (700, 700))
    tifffile.imwrite(tmp_path / "image.tif", pixels, tile=(128, 128))
    (tmp_path / "here").mkdir()
    return pixels


@pytest.fixture
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1",
        env={"OMP_NUM_THREADS": "1"},
    ) as made:  # fmt: skip
        yield made


def on_cluster(address, folder, blocks, on_step=None, timeout=15):
    with connect_to_cluster(address, blocks.model, timeout) as compute:
        return compute_blocks(folder, blocks, compute, on_step)


def compute_blocks(folder, blocks, compute, on_step=None):
    store, journal = begin(folder, (700, 700))
    layers = [BlockwisePlane(FilePlane(str(folder / "image.tif"), 0, PlaneIndex((None, None))))]
    progress = run(segment_blockwise_steps(layers, store, journal, blocks, compute), on_step)
    return progress, store.labels[:]


def test_a_worker_that_dies_costs_nothing_but_time(tmp_path, image, cluster, bright_blocks):
    _, expected = stream(image, tmp_path / "here", bright_blocks)
    turns = count()
    victims = [worker.pid for worker in cluster.workers.values()]

    def kill(step):
        if step.done and next(turns) == 1:
            os.kill(victims[0], signal.SIGKILL)

    progress, labels = on_cluster(cluster.scheduler_address, tmp_path, bright_blocks, kill)
    assert next(turns) > 1
    assert progress.plane == 1
    assert np.array_equal(labels, expected)


def test_processes_of_this_machine_open_no_port_and_are_replaced(tmp_path, image, bright_blocks):
    """Whoever reaches a scheduler has it run anything; and a process that is killed costs time."""
    _, expected = stream(image, tmp_path / "here", bright_blocks)
    others, ports, workers = children(), listening(), set()

    def look(step):
        if step.done and not workers:
            workers.update(children() - others)
            assert listening() == ports
            next(iter(workers)).kill()

    with compute_in_processes(2, "forkserver") as compute:
        progress, labels = compute_blocks(tmp_path, bright_blocks, compute, look)
    assert workers
    assert not progress.failed
    assert np.array_equal(labels, expected)
    assert children() == others


def children():
    return set(psutil.Process().children(recursive=True))


def listening():
    """Ports of the network at which this process, or one that it has started, listens."""
    name = "net_connections" if psutil.version_info >= (6,) else "connections"
    found = [getattr(one, name)("inet") for one in (psutil.Process(), *children())]
    return {socket.laddr for some in found for socket in some if socket.status == "LISTEN"}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("local:none", "number of processes"),
        ("local", "local:N"),
        ("foo", "tcp://host:port"),
        ("/no/such.json", "existing scheduler file"),
        ("tcp://foo", "cannot be reached"),
        ("tcp://127.0.0.1:9", "cannot be reached"),
    ],
)
def test_a_scheduler_that_is_none_is_told(tmp_path, image, bright_blocks, address, words):
    with pytest.raises(UserError, match=words):
        on_cluster(address, tmp_path, bright_blocks, timeout=1)


@contextmanager
def silent():
    """A port that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def web():
    """A web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextmanager
def talkative():
    """A port at which something else speaks first, in such a way that its bytes make a length."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet():
            with suppress(OSError):
                while True:
                    listener.accept()[0].sendall(b"220 mail\x7f\x00\x00\x00\x00\x00")

        threading.Thread(target=greet, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("server", [silent, web, talkative])
def test_what_is_no_scheduler_is_told_in_time(tmp_path, server):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64), np.uint8))
    with server() as port:
        command = [
            *("segment", str(tmp_path / "a.tif"), "--out", str(tmp_path / "out")),
            *("--scheduler", f"tcp://127.0.0.1:{port}"),
        ]
        since = time.monotonic()
        done = run_process(main, command, Limits(scheduler_timeout=3))
        took = time.monotonic() - since
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "cannot be reached: check its address, and whether it is running." in line
    assert took < 45  # most of which a busy computer takes to begin


def test_a_scheduler_file_is_read(tmp_path, image, cluster):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": cluster.scheduler_address}))
    with connect_to_cluster(str(file), "nuclei") as compute:
        assert callable(compute)
    file.write_text("[]")
    with (
        pytest.raises(UserError, match="not a scheduler file"),
        connect_to_cluster(str(file), "nuclei"),
    ):
        pass


def test_a_worker_is_no_scheduler(image, cluster):
    address = next(iter(cluster.scheduler.workers))
    with pytest.raises(UserError, match="cannot be reached"), connect_to_cluster(address, "nuclei"):
        pass


def test_a_worker_of_another_version_is_refused(tmp_path, image, cluster, bright_blocks):
    with distributed.Client(cluster, set_as_default=False) as client:
        client.run(_pretend_to_be_old, workers=[next(iter(client.scheduler_info()["workers"]))])
    with pytest.raises(UserError, match=r"version 0\.0\.1 .* this computer"):
        on_cluster(cluster.scheduler_address, tmp_path, bright_blocks)


def _pretend_to_be_old():
    import napari_nuclei_unet.blockwise.cluster as there

    there.version = lambda _: "0.0.1"
