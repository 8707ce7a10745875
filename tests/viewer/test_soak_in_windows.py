"""A short day of random actions in real windows; `make soak` makes long ones, from other seeds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.viewer
SOAK = Path(__file__).parents[1] / "soak.py"
SEED, ACTIONS = 7, 80


def test_random_actions_leave_no_traceback_and_nothing_at_work():
    """A process of its own: napari alone may crash, and a soak must not end other tests."""
    command = [sys.executable, str(SOAK), "--seed", str(SEED), "--actions", str(ACTIONS)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
