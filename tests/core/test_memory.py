"""How much memory a process may take, and what is said where that is not enough."""

import subprocess
import sys
import textwrap

import psutil
import pytest

from napari_nuclei_unet import UserError
from napari_nuclei_unet.limits import Limits
from napari_nuclei_unet.memory import (
    available_memory,
    explain_out_of_memory,
    free_in_cgroups,
    free_in_slurm,
    require_memory,
)

V1, V2 = "4:memory:/jobs/one\n1:cpu:/\n0::/\n", "0::/jobs/one\n"
USED_V1 = {"memory.usage_in_bytes": "500", "memory.stat": "cache 90\ntotal_inactive_file 40\n"}
USED_V2 = {"memory.current": "500", "memory.stat": "file 90\ninactive_file 40\n"}


@pytest.mark.parametrize(
    ("memberships", "group", "files", "free"),
    [
        (V2, "jobs/one", USED_V2 | {"memory.max": "900\n"}, [440]),
        (V2, "jobs/one", USED_V2 | {"memory.max": "max\n", "memory.high": "800\n"}, [340]),
        (V2, "jobs", USED_V2 | {"memory.max": "900\n"}, [440]),
        (V2, "", USED_V2 | {"memory.max": "900\n"}, [440]),  # a container that sees its own
        (V2, "jobs/one", USED_V2 | {"memory.max": "max\n"}, []),
        (V2, "jobs/one", {"memory.max": "900\n"}, []),
        ("0::/../elsewhere\n", "", USED_V2 | {"memory.max": "900\n"}, [440]),
        (V1, "memory/jobs/one", USED_V1 | {"memory.limit_in_bytes": "900"}, [440]),
        (V1, "memory/jobs", USED_V1 | {"memory.limit_in_bytes": "900"}, [440]),
        (V1, "memory", USED_V1 | {"memory.limit_in_bytes": "900"}, [440]),
        (V1, "memory", USED_V1 | {"memory.limit_in_bytes": "9223372036854771712"}, []),
        ("", "", USED_V2 | {"memory.max": "900\n"}, []),  # no control groups
    ],
)
def test_limits_of_control_groups_count(tmp_path, memberships, group, files, free):
    (tmp_path / group).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (tmp_path / group / name).write_text(text)
    assert free_in_cgroups(memberships, tmp_path) == free


def test_each_control_group_above_a_process_counts_with_its_own_use(tmp_path):
    """As the kernel writes the files of a job in a slice of systemd, with cgroups of version 2."""
    stat = "anon {anon}\nfile {file}\nkernel 28672\ninactive_anon {anon}\ninactive_file {file}\n"
    groups = {  # the root has no limits, and no use
        "": {"memory.stat": stat.format(anon=9_000_000, file=8_000_000), "cgroup.procs": "1\n"},
        "user.slice": {"memory.max": "max\n", "memory.high": "max\n"},
        "user.slice/job.scope": {"memory.max": "70000000\n", "memory.high": "60000000\n"},
        "user.slice/job.scope/step": {"memory.max": "65536000\n", "memory.high": "max\n"},
    }
    use = {"user.slice": 80_000_000, "user.slice/job.scope": 50_000_000}
    for group, files in groups.items():
        (tmp_path / group).mkdir(exist_ok=True)
        current = use.get(group, 20_000_000)
        known = {"memory.current": f"{current}\n", "memory.stat": stat.format(anon=7, file=4096)}
        for name, text in ({} if group == "" else known).items() | files.items():
            (tmp_path / group / name).write_text(text)
    free = free_in_cgroups("0::/user.slice/job.scope/step\n", tmp_path)
    assert free == [45_536_000 + 4096, 10_000_000 + 4096]


@pytest.mark.parametrize(
    ("environment", "free"),
    [
        ({}, []),
        ({"SLURM_MEM_PER_NODE": "100"}, [100 * 2**20 - 7]),
        ({"SLURM_MEM_PER_NODE": "0"}, []),  # all of the machine
        ({"SLURM_MEM_PER_CPU": "10", "SLURM_CPUS_ON_NODE": "4"}, [40 * 2**20 - 7]),
        ({"SLURM_MEM_PER_CPU": "10"}, []),
    ],
)
def test_what_slurm_has_allotted_counts(environment, free):
    assert free_in_slurm(environment, 7) == free


@pytest.fixture
def allot(monkeypatch):
    """Let this process have so much more memory, in MB, as a SLURM job has it."""

    def set_limit(megabytes):
        used = psutil.Process().memory_info().rss // 2**20
        monkeypatch.setenv("SLURM_MEM_PER_NODE", str(used + megabytes))

    return set_limit


def test_the_smallest_limit_counts(allot):
    whole = available_memory()
    assert 0 < whole <= psutil.virtual_memory().total
    allot(100)
    assert 80e6 < available_memory() < 120e6
    allot(-10)
    assert available_memory() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="sets limits as Linux has them")
@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_limits_of_ulimit_count(limit):
    code = f"""
        import resource, psutil
        from napari_nuclei_unet.memory import available_memory
        used = psutil.Process().memory_info().vms
        resource.setrlimit(resource.{limit}, (used + 100_000_000,) * 2)
        print(available_memory())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert 0 < int(done.stdout) < 400e6


def test_too_little_memory_is_told_with_the_number(allot):
    allot(100)
    require_memory(10**6, "This takes", "do less.")
    with pytest.raises(UserError, match=r"^This takes 2\.0 GB of memory, of which 0\.\d+ GB are"):
        require_memory(2 * 10**9, "This takes", "do less.")
    assert Limits().needs_blocks(4096 * 4096)
    assert not Limits().needs_blocks(512 * 512)
    with pytest.raises(UserError, match="4096 x 4096 pixels in memory takes"):
        Limits().require_plane_memory((4096, 4096))


def test_running_out_is_told_and_a_bug_is_not_taken_for_it():
    for error in (MemoryError(), RuntimeError("[enforce fail] can't allocate memory: you tried")):
        with pytest.raises(UserError, match="not enough memory"), explain_out_of_memory():
            raise error
    with pytest.raises(RuntimeError, match="shapes"), explain_out_of_memory():
        raise RuntimeError("shapes cannot be multiplied")
