"""Records of provenance as files keep them: what scripts and earlier results rely on."""

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"
# What differs from run to run, and stands in a golden file as its kind only.
CHANGING = ("time", "seconds", "table_crc", "tracks_crc", "model_sha256", "--model")


def check_golden(name: str, record: dict[str, Any], folder: Path, ids: dict[str, str]) -> None:
    """Compare a record with its golden file; with UPDATE_GOLDEN=1 write that file.

    Parameters
    ----------
    name : str
        Of the file, without its suffix.
    record : dict
        JSON can hold it.
    folder : Path
        Temporary one, which paths in the record begin with.
    ids : dict of str to str
        Unique ids of layers, and what stands for each.
    """
    text = json.dumps(_without_changes(record), indent=2, ensure_ascii=False) + "\n"
    for value, stand_in in {**ids, str(folder): "FOLDER"}.items():
        text = text.replace(value, stand_in)
    path = FOLDER / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def _without_changes(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _without_changes(inner, key) for key, inner in value.items()}
    if isinstance(value, list) and name == "image":  # time and size of a file, in a fingerprint
        return value[:1]
    if isinstance(value, list):
        return [_without_changes(inner) for inner in value]
    if name in CHANGING and value is not None:
        return type(value).__name__
    if value == version("napari-nuclei-unet"):
        return "VERSION"
    return value
