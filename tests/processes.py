"""Processes of their own, without the seconds in which Python imports torch.

They are forks of one that has imported what the commands need (``forkserver`` of the standard
library): signals, limits and terminals are real ones.
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd

import pytest

from napari_nuclei_unet.cli import main

OURS = [f"napari_nuclei_unet.{name}" for name in ("batch.run", "export", "training.finetune")]


def use_fork_server():
    """Start the process that the others are forks of; also those of distributed, if it is told."""
    multiprocessing.set_forkserver_preload([*OURS, "distributed"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        multiprocessing.forkserver.ensure_running()


@contextlib.contextmanager
def process(program, *args, out, err):
    """A process that calls a function and ends with what it returns; the files are its own."""
    use_fork_server()
    made = ForkServerProcess(target=_call, args=(program, args, DupFd(out), DupFd(err)))
    try:
        made.start()
    finally:
        for number in {out, err}:
            os.close(number)
    yield made
    made.join()


def _call(program, args, *files):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what runs in background
    for number, file in enumerate(files, 1):
        os.dup2(file.detach(), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, closefd=False) for number in (1, 2))
    sys.exit(program(*args))


def run_process(program, *args):
    """Run a function in a process of its own; what it prints must be short."""
    (out, out_end), (err, err_end) = os.pipe(), os.pipe()
    with (
        process(program, *args, out=out_end, err=err_end) as made,
        open(out) as one,
        open(err) as two,
    ):
        printed = one.read(), two.read()
    return subprocess.CompletedProcess(args, made.exitcode, *printed)


def run_limited(size, *args):
    """Run the command line where no file may grow past so many bytes, as on a full disk."""
    return run_process(_limited, size, list(map(str, args)))


def _limited(size, args):
    import resource  # not on Windows

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return main(args)
