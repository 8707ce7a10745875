"""``segment --volume`` into OME-Zarr: the result is that of TIFF, and runs that stopped go on."""

import os

import numpy as np
import pandas as pd
import pytest
import zarr
from test_cli_volumes import SHAPE, ball_stack, read, write

from napari_nuclei_unet import LabelsStore, UserError, read_result, run
from napari_nuclei_unet.batch.inputs import find_inputs
from napari_nuclei_unet.batch.job import open_job
from napari_nuclei_unet.batch.outputs import OutputOptions
from napari_nuclei_unet.batch.run import segment_job_steps
from napari_nuclei_unet.batch.settings import JobSettings
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.models.model import load_model

FRAMES = 3


def film():
    return np.stack([ball_stack(2 * t) for t in range(FRAMES)])


def write_film(path, step=0.8):
    """An OME-Zarr image with a chunk for each slice; without a step its size is unknown."""
    kinds = [("t", "time"), ("z", "space"), ("y", "space"), ("x", "space")]
    units = {"unit": "micrometer"} if step else {}
    axes = [{"name": n, "type": kind, **(units if kind == "space" else {})} for n, kind in kinds]
    steps = [{"type": "scale", "scale": [1, step, 0.4, 0.4] if step else [1, 1, 1, 1]}]
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    about = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets}]}
    group = zarr.create_group(path, zarr_format=2, attributes=about)
    group.create_array("0", data=film(), chunks=(1, 1, *SHAPE[1:]))
    return path


def chunk_of(path, t, z):
    return path / "0" / f"{t}.{z}.0.0"


def spoil(chunk, content=b"damaged"):
    """Write other bytes, and leave size and time as they are; return what was there."""
    good, about = chunk.read_bytes(), chunk.stat()
    chunk.write_bytes(content.ljust(about.st_size, b"-"))
    os.utime(chunk, ns=(about.st_atime_ns, about.st_mtime_ns))
    return good


@pytest.fixture
def segment_files(tmp_path, bright_file):
    """Return a function that runs ``segment --volume``."""

    def run_command(path, *flags, out="out", kind="zarr", volume=True):
        arguments = ["segment", str(path), "--model", str(bright_file), "--format", kind, *flags]
        return main([*arguments, "--out", str(tmp_path / out), *(["--volume"] if volume else [])])

    return run_command


@pytest.fixture
def open_file(tmp_path, bright_file):
    """Return a function that opens the job of ``segment --volume``."""

    def open_it(path, out="out", **settings):
        made = JobSettings(load_model(bright_file), str(bright_file), volume=True, **settings)
        return open_job(find_inputs([path])[0], made, OutputOptions(tmp_path / out, format="zarr"))

    return open_it


def open_store(tmp_path, out="out"):
    return LabelsStore.open_existing(tmp_path / out / "a_labels.ome.zarr")


def tables(folder):
    names = [path for path in folder.glob("*.csv") if path.name != "nuclei_summary.csv"]
    return {path.name: path.read_bytes() for path in names}


@pytest.mark.parametrize(
    ("axes", "flags"),
    [
        ("ZYX", ("--planes", "4-13", "--exclude-border")),
        ("TZYX", ()),
        ("TCZYX", ("--channel", "0", "--measure", "all", "--track")),
    ],
)
def test_the_result_is_that_of_tiff(tmp_path, segment_files, axes, flags):
    image = film() if "T" in axes else ball_stack()
    image = np.stack([image, 60_000 - image], axis=1) if "C" in axes else image
    path = write(tmp_path / "a.ome.tif", image, axes)
    assert segment_files(path, *flags, out="tiff", kind="tiff") == 0
    assert segment_files(path, *flags) == 0
    labels, _ = read(tmp_path, out="tiff")
    store = open_store(tmp_path)
    assert labels.max() > 0
    np.testing.assert_array_equal(store.labels[:], labels)
    assert tables(tmp_path / "out") == tables(tmp_path / "tiff")
    assert store.grid.scale[-3:] == pytest.approx((0.8, 0.4, 0.4))
    tiff = read_result(tmp_path / "tiff" / "a_labels.ome.tif").record
    # of labels in OME-Zarr the record says what was asked for
    others = ("time", "seconds", "format", "wish", "table_crc", "params", "ran_on")
    assert {k: v for k, v in store.record.items() if k not in others} == {
        k: v for k, v in tiff.items() if k not in others
    }
    assert store.record["volume"] is True
    assert read_result(store.path).is_volume


def test_join_z_is_the_same_and_is_done_once(tmp_path, segment_files, capsys):
    path = write(tmp_path / "a.ome.tif")
    assert segment_files(path) == 0
    assert segment_files(path, "--join", "z", volume=False) == 0
    assert "done before" in capsys.readouterr().out
    assert segment_files(path, "--z-step", "4px") == 2
    assert "--z-step" in capsys.readouterr().err


def test_a_level_of_a_pyramid_has_labels_and_a_table_of_its_own(tmp_path, segment_files):
    path = write_film(tmp_path / "a.zarr")
    group = zarr.open_group(path, mode="r+")
    group.create_array("1", data=film()[..., ::2, ::2], chunks=(1, 1, *SHAPE[1:]))
    image = dict(group.attrs["multiscales"][0])
    step = {"type": "scale", "scale": [1, 0.8, 0.8, 0.8]}
    image["datasets"] = [*image["datasets"], {"path": "1", "coordinateTransformations": [step]}]
    group.attrs["multiscales"] = [image]
    assert segment_files(path, "--level", "1") == 0
    store = open_store(tmp_path)
    assert store.labels.shape == (FRAMES, SHAPE[0], SHAPE[1] // 2, SHAPE[2] // 2)
    table = pd.read_csv(tmp_path / "out" / "a_nuclei.csv")
    voxels = np.bincount(store.labels[:].ravel())[1:]
    assert table["volume"].tolist() == voxels.tolist()
    np.testing.assert_allclose(table["volume_um3"], voxels * 0.8**3, rtol=1e-6)


def leave_half_a_volume(folder, track):
    """Write what a run that was killed while it wrote a volume leaves behind."""
    name = ".a_nuclei_unlinked" if track else "a_labels"
    store = LabelsStore.open_existing(folder / f"{name}.ome.zarr")
    store.labels[store.labels[:].max(axis=(1, 2, 3)).argmin(), 3:6] = 77
    with (folder / f"{name if track else 'a_nuclei'}.csv").open("a") as table:
        table.write("1,77,")


@pytest.mark.parametrize("track", [False, True], ids=["plain", "tracked"])
def test_stopped_and_gone_on_with_equals_uninterrupted(tmp_path, open_file, track):
    """The step is estimated in the first volume, which is not computed again."""
    path = write_film(tmp_path / "a.zarr", step=None)
    run(segment_job_steps(open_file(path, "whole", track=track)))
    first = []
    for stop in (SHAPE[0] + 3, 2 * SHAPE[0] + 1, None):
        planes = []

        def leave(step, stop=stop, planes=planes):
            planes.append(getattr(step, "plane", -1))
            return planes[-1] == stop

        if stop is None:
            run(segment_job_steps(open_file(path, track=track)), leave)
        else:
            with pytest.raises(UserError, match="run it again to resume"):
                run(segment_job_steps(open_file(path, track=track)), leave)
            leave_half_a_volume(tmp_path / "out", track)
        first.append(min(plane for plane in planes if plane >= 0) // SHAPE[0])
    assert first == [0, 1, 2]
    store, whole = open_store(tmp_path), open_store(tmp_path, "whole")
    assert whole.labels[:].max() > 0
    np.testing.assert_array_equal(store.labels[:], whole.labels[:])
    assert tables(tmp_path / "out") == tables(tmp_path / "whole")
    assert store.record["z_step"] == whole.record["z_step"] != 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        path.name for path in (tmp_path / "whole").iterdir()
    }


@pytest.mark.parametrize("track", [False, True], ids=["plain", "tracked"])
def test_a_volume_of_which_labels_are_lost_is_computed_again(tmp_path, open_file, track):
    path = write_film(tmp_path / "a.zarr", step=None)
    run(segment_job_steps(open_file(path, "whole", track=track)))
    stop = 2 * SHAPE[0] + 1
    with pytest.raises(UserError, match="run it again to resume"):
        run(
            segment_job_steps(open_file(path, track=track)),
            lambda step: getattr(step, "plane", -1) == stop,
        )
    (labels,) = (tmp_path / "out").glob(".*.ome.zarr" if track else "a_*.ome.zarr")
    lost = next(one for one in sorted((labels / "0" / "1").rglob("*")) if one.is_file())
    lost.unlink()
    planes = []
    run(
        segment_job_steps(open_file(path, track=track)),
        lambda step: planes.append(getattr(step, "plane", stop)),
    )
    assert min(planes) // SHAPE[0] == 1
    store, whole = open_store(tmp_path), open_store(tmp_path, "whole")
    np.testing.assert_array_equal(store.labels[:], whole.labels[:])
    assert tables(tmp_path / "out") == tables(tmp_path / "whole")
    assert store.record["z_step"] == whole.record["z_step"]


@pytest.mark.parametrize(
    ("slices", "flags"), [((6,), ()), (range(SHAPE[0]), ("--track",))], ids=["slice", "volume"]
)
def test_what_could_not_be_read_is_tried_again(tmp_path, segment_files, slices, flags):
    path = write_film(tmp_path / "a.zarr")
    assert segment_files(path, *flags, out="whole") == 0
    good = {z: spoil(chunk_of(path, 1, z)) for z in slices}
    for _ in range(2):
        assert segment_files(path, *flags) == 2
        store = open_store(tmp_path)
        assert not store.finished
        assert len(store.record["failed"]) == 1
        assert not store.labels[1, slices[0]].any()
        assert set(np.unique(store.labels[2])) - {0}
    good_at_last = dict(sorted(good.items(), reverse=True))
    for z, content in good_at_last.items():
        spoil(chunk_of(path, 1, z), content)
        if len(good) > 1 and z == slices[-1]:  # some of the volume, but not its first slice
            assert segment_files(path, *flags) == 2
            assert open_store(tmp_path).labels[1].shape == SHAPE
    assert segment_files(path, *flags) == 0
    store = open_store(tmp_path)
    assert store.finished
    assert store.record["failed"] == []
    np.testing.assert_array_equal(store.labels[:], open_store(tmp_path, "whole").labels[:])
    assert tables(tmp_path / "out") == tables(tmp_path / "whole")


def test_a_step_is_estimated_where_there_is_something(tmp_path, segment_files):
    image = film()
    image[0] = 500
    path = write(tmp_path / "a.ome.tif", image, "TZYX", z_step=None)
    assert segment_files(path, "--track", out="tiff", kind="tiff") == 0
    assert segment_files(path, "--track") == 0
    store, tiff = open_store(tmp_path), read_result(tmp_path / "tiff" / "a_labels.ome.tif")
    assert store.record["z_step"] == tiff.record["z_step"] != 1
    np.testing.assert_array_equal(store.labels[:], tiff.labels)
    assert tables(tmp_path / "out") == tables(tmp_path / "tiff")


def test_an_image_of_which_nothing_can_be_read_is_an_error(tmp_path, segment_files, capsys):
    path = write_film(tmp_path / "a.zarr")
    for t in range(FRAMES):
        for z in range(SHAPE[0]):
            spoil(chunk_of(path, t, z))
    assert segment_files(path, "--track") == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_cluster_joins_sections_and_refuses_volumes(tmp_path, bright_file):
    path = write(tmp_path / "a.ome.tif")
    item, out = find_inputs([path])[0], OutputOptions(tmp_path / "out", on_cluster=True)
    settings = JobSettings(load_model(bright_file), str(bright_file), join="z")
    assert not open_job(item, settings, out).settings.volume
    settings = JobSettings(load_model(bright_file), str(bright_file), volume=True)
    with pytest.raises(UserError, match="leave out `scheduler`, or `volume`"):
        open_job(item, settings, out)
