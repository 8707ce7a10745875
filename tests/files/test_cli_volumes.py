"""``segment --volume``: z-stacks in files, with one id and one row for each nucleus."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from napari_nuclei_unet import Provenance, UserError, read_result, segment_volume
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.labels import read_record
from napari_nuclei_unet.provenance.reproduce import format_command, format_python

SHAPE, STEP = (14, 64, 72), 2.0
CENTRES = ((6, 20, 20), (6, 20, 50), (9, 45, 35))


def ball_stack(shift=0):
    z, y, x = np.ogrid[tuple(slice(n) for n in SHAPE)]
    mask = np.zeros(SHAPE, bool)
    for centre in CENTRES:
        squares = ((z - centre[0]) * STEP) ** 2 + (y - centre[1]) ** 2
        mask |= squares + (x - shift - centre[2]) ** 2 < 8**2
    noise = np.random.default_rng(shift).normal(0, 20, SHAPE)
    soft = ndimage.gaussian_filter(mask.astype(float), (0.3, 1, 1))
    return np.clip(500 + 4000 * soft + noise, 0, 65535).astype(np.uint16)


def write(path, image=None, axes="ZYX", z_step=0.8, **options):
    metadata = {"axes": axes, "PhysicalSizeX": 0.4, "PhysicalSizeY": 0.4}
    units = {f"PhysicalSize{axis}Unit": "µm" for axis in "XYZ"}
    sizes = {} if z_step is None else {"PhysicalSizeZ": z_step}
    image = ball_stack() if image is None else image
    tifffile.imwrite(path, image, metadata=metadata | units | sizes | options)
    return path


@pytest.fixture
def segment_files(tmp_path, bright_file):
    """Return a function that runs ``segment --volume``."""

    def run(path, *flags, out="out", volume=True):
        arguments = ["segment", str(path), "--model", str(bright_file), "--out"]
        arguments += [str(tmp_path / out), *(["--volume"] if volume else []), *flags]
        return main(arguments)

    return run


def read(tmp_path, stem="a", out="out"):
    labels = tifffile.imread(tmp_path / out / f"{stem}_labels.ome.tif")
    return labels, pd.read_csv(tmp_path / out / f"{stem}_nuclei.csv")


def test_a_nucleus_has_one_id_and_one_row(tmp_path, segment_files, capsys):
    assert segment_files(write(tmp_path / "a.ome.tif")) == 0
    labels, table = read(tmp_path)
    assert labels.shape == SHAPE
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    assert table["label"].tolist() == [1, 2, 3]
    assert "3 nuclei in 14 planes" in capsys.readouterr().out
    voxel = 0.8 * 0.4 * 0.4
    voxels = np.bincount(labels.ravel())[1:]
    assert table["volume"].tolist() == voxels.tolist()
    np.testing.assert_allclose(table["volume_um3"], voxels * voxel, rtol=1e-6)
    centroids = table[["centroid_z", "centroid_y", "centroid_x"]].to_numpy()
    np.testing.assert_allclose(sorted(centroids.tolist()), sorted(CENTRES), atol=0.6)
    assert "z" not in table
    assert table["confidence"].between(0.5, 1).all()


def test_the_result_says_that_it_is_a_volume_and_keeps_the_step(tmp_path, segment_files):
    segment_files(write(tmp_path / "a.ome.tif"))
    record = read_record(tmp_path / "out" / "a_labels.ome.tif")
    assert record["volume"] is True
    assert record["z_step"] == pytest.approx(2.0)
    result = read_result(tmp_path / "out" / "a_labels.ome.tif")
    assert result.is_volume
    assert result.spacing == pytest.approx((0.8, 0.4, 0.4))


def test_a_step_that_is_given_replaces_that_of_the_file(tmp_path, segment_files):
    path = write(tmp_path / "a.ome.tif", z_step=5)
    assert segment_files(path, "--z-step", "0.8um") == 0
    result = read_result(tmp_path / "out" / "a_labels.ome.tif")
    assert result.spacing == pytest.approx((0.8, 0.4, 0.4))
    assert segment_files(path, "--z-step", "2px", out="px") == 0
    first, second = read(tmp_path)[1], read(tmp_path, out="px")[1]
    pd.testing.assert_frame_equal(first, second)


def test_python_finds_the_same(tmp_path, segment_files, bright):
    segment_files(write(tmp_path / "a.ome.tif"))
    found = segment_volume(ball_stack(), "ZYX", z_step=2.0, model=bright)
    np.testing.assert_array_equal(read(tmp_path)[0], found)


def test_join_z_is_the_same(tmp_path, segment_files):
    path = write(tmp_path / "a.ome.tif")
    segment_files(path)
    assert segment_files(path, "--join", "z", out="joined", volume=False) == 0
    np.testing.assert_array_equal(read(tmp_path)[0], read(tmp_path, out="joined")[0])
    pd.testing.assert_frame_equal(read(tmp_path)[1], read(tmp_path, out="joined")[1])


def test_it_is_done_once(tmp_path, segment_files, capsys):
    path = write(tmp_path / "a.ome.tif")
    segment_files(path)
    assert segment_files(path) == 0
    assert "done before" in capsys.readouterr().out
    assert segment_files(path, "--z-step", "4px") == 2
    assert "--z-step" in capsys.readouterr().err


def test_time_points_are_linked_in_3d(tmp_path, segment_files):
    film = np.stack([ball_stack(), ball_stack(2), ball_stack(4)])
    path = write(tmp_path / "a.ome.tif", film, "TZYX")
    assert segment_files(path, "--track") == 0
    labels, table = read(tmp_path)
    assert labels.shape == film.shape
    assert [set(np.unique(volume)) for volume in labels] == [{0, 1, 2, 3}] * 3
    assert len(table) == 9
    assert table["t"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    tracks = pd.read_csv(tmp_path / "out" / "a_tracks.csv")
    assert {"track", "time", "z", "y", "x", "parent"} <= set(tracks)
    assert len(tracks) == 9
    lineages = pd.read_csv(tmp_path / "out" / "a_lineage.csv")
    assert lineages["frames"].tolist() == [3, 3, 3]


def test_time_points_without_links_are_numbered_on(tmp_path, segment_files):
    path = write(tmp_path / "a.ome.tif", np.stack([ball_stack(), ball_stack(2)]), "TZYX")
    segment_files(path)
    labels, table = read(tmp_path)
    assert set(np.unique(labels[1])) == {0, 4, 5, 6}
    assert table["label"].tolist() == [1, 2, 3, 4, 5, 6]


def test_nuclei_at_a_face_are_left_out(tmp_path, segment_files):
    cut = ball_stack()[5:]
    write(tmp_path / "a.ome.tif", cut)
    segment_files(tmp_path / "a.ome.tif", "--exclude-border")
    labels, table = read(tmp_path)
    assert table["label"].tolist() == [1]
    assert set(np.unique(labels)) == {0, 1}


def test_all_channels_are_measured(tmp_path, segment_files):
    image = np.stack([ball_stack(), 60_000 - ball_stack()], axis=1)
    write(tmp_path / "a.ome.tif", image, "ZCYX")
    assert segment_files(tmp_path / "a.ome.tif", "--channel", "0", "--measure", "all") == 0
    table = read(tmp_path)[1]
    sums = table["mean_intensity_0"] + table["mean_intensity_1"]
    np.testing.assert_allclose(sums, 60_000, rtol=1e-6)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--z-step", "0"], "--z-step"),
        (["--z-step", "1000000000um"], "10,000 pixels at most"),
        (["--join", "z"], "leave out --join or --volume"),
        (["--planes", "3"], "axis Z, but there is only a single plane"),
        (["--axes", "QYX"], "axis Z, but there is only Q: name the axes with --axes"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, segment_files, capsys, flags, message):
    path = write(tmp_path / "a.ome.tif")
    try:
        code = segment_files(path, *flags)
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("a_*"))


def test_micrometers_need_the_size_of_a_pixel(tmp_path, segment_files, capsys):
    tifffile.imwrite(tmp_path / "a.tif", ball_stack())
    assert segment_files(tmp_path / "a.tif", "--z-step", "2um") == 2
    assert "give --z-step in pixels" in capsys.readouterr().err


@pytest.fixture
def mixed_folder(tmp_path):
    """A stack, a plane, and a film of planes."""
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "a.ome.tif")
    tifffile.imwrite(folder / "b.tif", ball_stack()[6])
    write(folder / "c.ome.tif", np.stack([ball_stack(shift)[6] for shift in (0, 2)]), "TYX")
    return folder


@pytest.mark.parametrize("flags", [["--volume", "--z-step", "2px"], ["--join", "z"]])
def test_planes_and_films_among_stacks_are_segmented_as_planes(
    tmp_path, segment_files, mixed_folder, capsys, flags
):
    assert segment_files(mixed_folder, *flags, volume=False) == 0
    assert read(tmp_path, "a")[1].columns[0] == "label"
    for stem, planes in (("b", 1), ("c", 2)):
        table = read(tmp_path, stem)[1]
        assert "area" in table
        assert len(table) == 3 * planes
        assert read_record(tmp_path / "out" / f"{stem}_labels.ome.tif").get("volume") is None
    text = capsys.readouterr().out
    assert "a.ome.tif: 3 nuclei in 14 planes\n" in text
    assert "c.ome.tif: 6 nuclei in 2 planes; it has no axis Z, and is segmented plane" in text


def test_stacks_and_planes_among_films_are_not_tracked(
    tmp_path, segment_files, mixed_folder, capsys
):
    assert segment_files(mixed_folder, "--track", "--save", "geojson") == 0
    assert read(tmp_path, "a")[0].shape == SHAPE
    assert [path.name for path in (tmp_path / "out").glob("*_tracks.csv")] == ["c_tracks.csv"]
    assert "in 14 planes; it has no axis T, and is not tracked" in capsys.readouterr().out


def test_rows_are_sorted_by_time_and_label(tmp_path, segment_files):
    film = np.stack([ball_stack(), ball_stack()])
    film[0, :, :, :34][:, :32] = 500  # the first nucleus is new in the second frame
    segment_files(write(tmp_path / "a.ome.tif", film, "TZYX"), "--track")
    table = read(tmp_path)[1]
    assert table[["t", "label"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 1], [1, 2], [1, 3]]
    assert table["centroid_x"].iloc[-1] == pytest.approx(20, abs=0.6)


def test_slices_are_counted_in_the_image(tmp_path, segment_files):
    path = write(tmp_path / "a.ome.tif")
    segment_files(path)
    segment_files(path, "--planes", "1-13", out="some")
    whole, some = read(tmp_path)[1], read(tmp_path, out="some")[1]
    np.testing.assert_allclose(some["centroid_z"], whole["centroid_z"], atol=0.05)
    np.testing.assert_allclose(some["centroid_z_um"], whole["centroid_z_um"], atol=0.05)


def test_rings_and_a_step_without_volumes_are_refused(tmp_path, segment_files, capsys):
    path = write(tmp_path / "a.ome.tif")
    assert segment_files(path, "--ring", "2um") == 2
    assert "leave out --ring" in capsys.readouterr().err
    assert segment_files(path, "--z-step", "2px", volume=False) == 2
    assert "add --volume" in capsys.readouterr().err


def test_the_step_is_not_taken_from_an_empty_frame(tmp_path, segment_files, capsys):
    film = np.stack([np.full(SHAPE, 500, np.uint16), ball_stack()])
    assert segment_files(write(tmp_path / "a.ome.tif", film, "TZYX", z_step=None)) == 0
    record = read_record(tmp_path / "out" / "a_labels.ome.tif")
    assert record["z_step"] == pytest.approx(STEP, abs=0.3)
    assert read(tmp_path)[1]["t"].tolist() == [1, 1, 1]
    error = capsys.readouterr().err
    assert "All slices hold one value only" in error
    assert "too few nuclei" not in error


def test_a_coarser_level_has_the_step_of_the_labels(tmp_path, segment_files):
    full = np.kron(ball_stack(), np.ones((1, 2, 2), np.uint16))
    about = {"axes": "ZYX", "PhysicalSizeZ": 0.8, "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}
    about |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XYZ"}
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as out:
        out.write(full, subifds=1, metadata=about, photometric="minisblack")
        out.write(ball_stack(), subfiletype=1, photometric="minisblack")
    assert segment_files(tmp_path / "a.ome.tif", "--level", "1") == 0
    labels, table = read(tmp_path)
    assert labels.shape == full.shape
    assert len(table) == 3
    record = read_record(tmp_path / "out" / "a_labels.ome.tif")
    assert record["z_step"] == pytest.approx(4)
    assert segment_files(write(tmp_path / "b.ome.tif")) == 0
    np.testing.assert_array_equal(labels[:, ::2, ::2] > 0, read(tmp_path, "b")[0] > 0)


def test_leaving_out_the_border_is_told_and_in_the_record(tmp_path, segment_files, capsys):
    path = write(tmp_path / "a.ome.tif", ball_stack()[5:9])
    assert segment_files(path, "--exclude-border") == 0
    assert "0 nuclei" in (said := capsys.readouterr().out)
    assert "the first and the last slice" in said
    provenance = Provenance.from_json(read_record(tmp_path / "out" / "a_labels.ome.tif"))
    assert "--exclude-border" in format_command(provenance)
    with pytest.raises(UserError, match="Only the command line"):
        format_python(provenance)
