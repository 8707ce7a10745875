"""Loading of torch, which takes seconds and memory, and may fail."""

from __future__ import annotations

from ..errors import UserError
from ..memory import MEMORY_SHORT, is_out_of_memory, require_network_memory


def load_torch() -> None:
    """Import torch.

    Raises
    ------
    UserError
        If there is too little memory for it, or if it is missing or damaged.
    """
    require_network_memory()
    try:
        # here: importing it takes seconds
        import torch  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: of its own libraries
        if is_out_of_memory(error):
            raise UserError(MEMORY_SHORT) from error
        raise UserError(describe_damage(error, "torch")) from error


def describe_damage(error: Exception, package: str = "") -> str:
    """Return a sentence for what does not load: why, and how it is installed again."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(". ")
    advice = (
        f"run pip uninstall {package}, then pip install {package}"
        if package
        else "install napari-nuclei-unet in a new environment"
    )
    return f"A part of the installation is missing or damaged ({reason}): {advice}."
