"""Files of each kind that the program reads, small and whole, to be damaged."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import tifffile
import zarr

sys.path.append(str(Path(__file__).parent / "files"))

from conftest import THRESHOLDS, bright_network, discs
from microscope_files import write_lif, write_nd2, write_oif

from napari_nuclei_unet.cli import main
from napari_nuclei_unet.models.model import ModelCard, save_model

CENTRES = [(15, 15), (40, 30), (30, 60)]


def make_base(base):
    """Make all files, in folders by what is done with them."""
    base.mkdir(parents=True)
    image = discs((60, 80), CENTRES)
    tifffile.imwrite(base / "good.tif", image)
    network = bright_network()
    card = ModelCard("bright", "calls bright pixels nucleus", vars(network.config), THRESHOLDS)
    save_model(base / "bright.safetensors", card, network.state_dict())
    (base / "models").mkdir()
    shutil.copy(base / "bright.safetensors", base / "models" / "good.safetensors")
    for make in (make_images, make_described, make_zarr, make_annotations):
        folder = base / make.__name__.removeprefix("make_")
        folder.mkdir()
        make(folder, image)
    for kind in ("tiff", "zarr"):
        make_result(base, base / f"done_{kind}", kind)
    make_project(base / "project")


def make_images(folder, image):
    """Make TIFF of several layouts, pictures, and files of microscopes."""
    colours = np.stack([image, image // 2, 255 - image], -1)
    wide = image.astype(np.uint16) * 200
    tifffile.imwrite(folder / "plain.tif", image, metadata=None)
    tifffile.imwrite(
        folder / "stack.tif",
        np.stack([wide] * 3),
        compression="zlib",
        photometric="minisblack",
        metadata=None,
    )
    tifffile.imwrite(folder / "rgb.tif", colours, photometric="rgb", compression="lzw")
    tifffile.imwrite(folder / "tiled.tif", np.pad(image, 64).astype(np.float32), tile=(64, 64))
    tifffile.imwrite(folder / "big.tif", image, bigtiff=True)
    PIL.Image.fromarray(image).save(folder / "grey.png")
    PIL.Image.fromarray(wide).save(folder / "wide.png")
    PIL.Image.fromarray(colours).quantize(16).save(folder / "palette.png")
    PIL.Image.fromarray(colours).save(folder / "a.jpg")
    write_nd2(folder / "a.nd2", np.stack([wide, wide], -1)[None])
    write_lif(folder / "a.lif", [("one", wide[None, None])])
    (folder / "oif").mkdir()
    write_oif(folder / "oif" / "odd.oif", wide[None, None])


def make_described(folder, image):
    """Make TIFF whose description says what their planes are."""
    planes = np.stack([image] * 4)
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "Channel": {"Name": ["a", "b"]}}
    for name, axes in (("t.ome.tif", "TYX"), ("z.ome.tif", "ZYX")):
        tifffile.imwrite(
            folder / name,
            planes,
            photometric="minisblack",
            metadata={"axes": axes, "PhysicalSizeX": 0.5},
        )
    channels = planes.reshape(2, 2, *image.shape)
    tifffile.imwrite(
        folder / "c.ome.tif", channels, photometric="minisblack", metadata={"axes": "TCYX", **sizes}
    )
    tifffile.imwrite(folder / "imagej.tif", planes, imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(
        folder / "shaped.tif",
        planes,
        photometric="minisblack",
        metadata={"axes": "TYX", "spacing": 2},
    )
    tifffile.imwrite(
        folder / "pair.ome.tif", planes, photometric="minisblack", metadata={"axes": "TYX"}
    )
    xml = tifffile.tiffcomment(folder / "pair.ome.tif")
    named = '<TiffData IFD="0" PlaneCount="4"><UUID FileName="other.ome.tif">urn:uuid:1</UUID>'
    start, _, end = xml.partition("<TiffData")
    xml = f"{start}{named}</TiffData>{end.partition('/>')[2]}"
    tifffile.tiffcomment(folder / "pair.ome.tif", xml.encode())


def make_zarr(folder, image):
    """Make arrays, images and a plate, on zarr 2 and 3."""
    planes = np.stack([image] * 2)
    axes = [{"name": n, "type": t} for n, t in (("t", "time"), ("y", "space"), ("x", "space"))]
    scaled = [{"type": "scale", "scale": [1, 0.5, 0.5]}]
    levels = [{"path": "0", "coordinateTransformations": scaled}]
    image_about = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": levels}]}
    for form in (2, 3):

        def attributes(about, form=form):
            return about if form == 2 else {"ome": {"version": "0.5", **about}}

        def write(path, about, form=form):
            group = zarr.create_group(path, zarr_format=form, attributes=attributes(about))
            group.create_array("0", data=planes, chunks=(1, 32, 32))

        array = folder / f"array{form}.zarr"
        zarr.create_array(array, data=planes, chunks=(1, 32, 32), zarr_format=form)
        write(folder / f"image{form}.zarr", image_about)
        plate = folder / f"plate{form}.zarr"
        for path, about in (
            (plate, {"plate": {"wells": [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}]}}),
            (plate / "A", {}),
            (plate / "A" / "1", {"well": {"images": [{"path": "0"}]}}),
        ):
            zarr.create_group(path, zarr_format=form, attributes=attributes(about))
        write(plate / "A" / "1" / "0", image_about)


def make_annotations(folder, image):
    """Make labels as found and as annotated: masks, run lengths, groups."""
    found = np.zeros(image.shape, np.uint16)
    for label, (y, x) in enumerate(CENTRES, 1):
        found[y - 5 : y + 5, x - 5 : x + 5] = label
    for name in ("found", "masks"):
        (folder / name).mkdir()
        tifffile.imwrite(folder / name / "a.tif", found)
        PIL.Image.fromarray(found.astype(np.uint8)).save(folder / name / "b.png")
    rows = ["ImageId,EncodedPixels"]
    for stem in "ab":
        for label in (1, 2, 3):
            flat = np.flatnonzero((found == label).T.ravel()) + 1
            starts = flat[np.diff(flat, prepend=-9) > 1]
            rows.append(f"{stem},{' '.join(f'{start} 10' for start in starts)}")
    (folder / "runs.csv").write_text("\n".join(rows), "utf-8")
    (folder / "groups.csv").write_text("id,modality\na,one\nb,two\n", "utf-8")


def make_result(base, folder, kind):
    """Segment an image, whose result can be damaged."""
    (folder / "images").mkdir(parents=True)
    shutil.copy(base / "good.tif", folder / "images" / "a.tif")
    args = ["segment", str(folder / "images" / "a.tif"), "--out", str(folder / "out")]
    assert not main([*args, "--model", str(base / "bright.safetensors"), "--format", kind])


def make_project(folder):
    """Write a project with an image, labels and settings."""
    folder.mkdir()
    geometry = {
        "scale": [1, 1], "translate": [0, 0], "rotate": [[1, 0], [0, 1]], "shear": [0],
        "affine": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "units": ["pixel", "pixel"],
        "axis_labels": ["y", "x"],
    }  # fmt: skip
    layer = {"geometry": geometry, "display": {"visible": True}, "shape": [60, 80]}
    file = {"relative": "a.tif", "absolute": "/data/a.tif"}
    labels = {"axes": "YX", "dtype": "int32", "has_table": False, "image": "a", "file": file}
    content = {
        "format": "napari-nuclei-unet project", "version": 1, "plugin_version": "1",
        "time": "2026-01-01T00:00:00+00:00",
        "images": [{"name": "a", "order": 0, "file": file, **layer}],
        "labels": [{"name": "b", "order": 1, **labels, **layer}],
    }  # fmt: skip
    (folder / "a.nuclei.json").write_text(json.dumps(content), "utf-8")
