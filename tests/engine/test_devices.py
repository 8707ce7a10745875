import os
import subprocess
import sys

import pytest
import torch

from napari_nuclei_unet.memory import is_out_of_memory
from napari_nuclei_unet.models.model import load_model
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.segmentation.device import InferencePlan, plan_inference


def test_what_is_set_is_obeyed():
    wanted = SegmentParams(tile=48, batch=3, precision="bf16")
    chosen = plan_inference(wanted, "cpu", load_model("nuclei"))
    assert chosen == InferencePlan("cpu", "bf16", 48, 3)


@pytest.mark.skipif(
    not hasattr(torch.cpu, "get_capabilities"), reason="torch does not know the processor"
)
def test_a_processor_without_16_bit_arithmetic_works_in_others(bright):
    claimed = torch.cpu.get_capabilities()
    own = claimed.get("amx_tile") or claimed.get("avx512_bf16")
    precision = plan_inference(SegmentParams(), "cpu", load_model("nuclei")).precision
    assert precision in (("fp32", "int8", "bf16") if own else ("fp32", "int8"))
    older = plan_inference(SegmentParams(), "cpu", bright).precision  # has no 8 bits
    assert older in (("fp32", "bf16") if own else ("fp32",))


def test_16_bits_that_onednn_may_not_use_are_not_chosen():
    """On a processor with AMX, torch would multiply them itself, a hundred times as slowly."""
    code = (
        "import torch; torch.cpu.get_capabilities = lambda: {'amx_tile': True}; "
        "from napari_nuclei_unet.segmentation.device import choose_device_and_precision as choose; "
        "print(choose('cpu', 'auto')[1])"
    )
    limited = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    made = subprocess.run(
        [sys.executable, "-c", code], env=limited, check=True, capture_output=True, text=True
    )
    assert made.stdout.split() == ["fp32"]


def test_the_ladder_goes_down_to_the_smallest_tile_on_the_cpu():
    step, seen = InferencePlan("cuda", "fp16", 512, 4), []
    while step is not None:
        seen.append((step.device, step.tile, step.batch))
        step = step.smaller()
    assert seen == [
        ("cuda", 512, 4), ("cuda", 512, 2), ("cuda", 512, 1), ("cuda", 256, 1), ("cuda", 128, 1),
        ("cpu", 1472, 1), ("cpu", 736, 1), ("cpu", 368, 1), ("cpu", 184, 1),
        ("cpu", 128, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, answer):
    assert is_out_of_memory(error) == answer


def test_torch_says_what_is_looked_for_when_the_cpu_has_no_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
