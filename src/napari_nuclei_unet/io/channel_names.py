"""Names of channels in the metadata of OME-TIFF and OME-Zarr."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET


def read_ome_channel_names(xml: str, number: int) -> tuple[str, ...]:
    """Read the names of the channels of an image in OME-XML.

    Parameters
    ----------
    xml : str
    number : int
        Of the image.

    Returns
    -------
    tuple of str
        Empty if a channel has no name.
    """
    try:
        images = ET.fromstring(xml).findall("{*}Image/{*}Pixels")
    except ET.ParseError:
        return ()
    channels = images[number].findall("{*}Channel") if number < len(images) else []
    return _all_or_none([channel.get("Name") for channel in channels])


def read_ngff_channel_names(metadata: dict[str, Any]) -> tuple[str, ...]:
    """Read the names of the channels of an OME-Zarr, as they stand under ``omero``."""
    omero = metadata.get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(channels, list):
        return ()
    return _all_or_none([one.get("label") if isinstance(one, dict) else None for one in channels])


def _all_or_none(names: list[Any]) -> tuple[str, ...]:
    return tuple(map(str, names)) if all(names) else ()
