"""Dark bright fields are lightened by one gamma, everywhere the same, and nothing else is."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import tifffile
from skimage.color import hed2rgb, rgb2hed
from synthetic import nuclei_image

from napari_nuclei_unet import SegmentParams, run, segment, segment_steps
from napari_nuclei_unet.blockwise.retry import RunProgress
from napari_nuclei_unet.blockwise.survey import survey_steps
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.labels import read_record
from napari_nuclei_unet.io.ome_zarr import LabelsStore
from napari_nuclei_unet.metrics.matching import count_matches
from napari_nuclei_unet.samples.images import SAMPLES, read_sample
from napari_nuclei_unet.segmentation.device import plan_inference
from napari_nuclei_unet.segmentation.intensity_range import Brightness
from napari_nuclei_unet.segmentation.normalization import check_lazy_plane, check_plane
from napari_nuclei_unet.segmentation.volume import predict_volume_steps

RNG = np.random.default_rng(0)


def darker(image, power):
    return np.round(255 * (image / 255) ** power).astype(np.uint8)


HISTOLOGY, _ = read_sample("histology_pink_purple")
DARK = darker(HISTOLOGY, 3)


def as_rgb(grey, colours=(1, 1, 1)):
    return np.round(255 * np.clip(grey[..., None] * np.array(colours), 0, 1)).astype(np.uint8)


def fluorescence():
    grey = np.clip(nuclei_image(noise=0.02)[0] / 1.2, 0, 1)
    crowded = np.clip(nuclei_image(count=60, radius=14, noise=0.02)[0] / 1.2, 0, 1)
    blue, glow = as_rgb(grey, (0, 0, 1)), 0.5 + 0.1 * RNG.standard_normal(grey.shape)
    return {
        "grey": as_rgb(grey)[..., 0],
        "crowded": as_rgb(crowded)[..., 0],
        "grey as RGB": as_rgb(crowded),
        "inverted": 255 - as_rgb(crowded)[..., 0],
        "inverted RGB": 255 - as_rgb(crowded),
        "blue": blue,
        "pale blue": as_rgb(crowded, (0.6, 0.8, 1)),
        "glow in two colours": np.maximum(blue, as_rgb(glow, (0.9, 1, 0.3))),
        "light in three colours": np.stack(
            [as_rgb(glow)[..., 0], as_rgb(glow.T)[..., 0], blue[..., 2]], 2
        ),
        "noise in colours": np.uint8(128 + 20 * RNG.standard_normal((*grey.shape, 3)).clip(-6, 6)),
        "few pixels": np.full((3, 2, 3), 90, np.uint8) + np.arange(3, dtype=np.uint8),
        "one value": np.full((64, 64, 3), 90, np.uint8),
        "NaN": np.full((64, 64, 3), np.nan),
    }


FLUORESCENCE = fluorescence()


@pytest.mark.parametrize("name", FLUORESCENCE)
def test_fluorescence_is_not_touched(name):
    assert check_plane(FLUORESCENCE[name]).gamma == 1


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_seen_as_before(name):
    image, _ = read_sample(name)
    assert check_plane(image).gamma == 1
    assert check_plane(255 - image).gamma == 1


def test_more_is_found_in_dark_histology():
    image, truth = read_sample("histology_purple")
    dark = darker(image, 4)
    found, before = (count_matches(truth, segment(dark, gamma=one)) for one in (None, 1))
    assert found.n_predicted >= before.n_predicted > 50
    assert found.matched[0] > before.matched[0]


def test_the_darker_the_more_and_lighter_ones_stay():
    gammas = [check_plane(darker(HISTOLOGY, power)).gamma for power in (0.5, 1, 1.5, 2, 3)]
    assert gammas[:2] == [1, 1]
    assert 1 > gammas[2] > gammas[3] > gammas[4] >= 0.3


def test_strong_stain_is_no_fluorescence():
    """Of what is dark the colours are deeper the brighter it is."""
    image, _ = read_sample("histology_purple")
    stained = hed2rgb(rgb2hed(image) * [4, 4, 1])
    assert check_plane(np.round(255 * stained).astype(np.uint8)).gamma < 0.6


def test_what_is_given_is_obeyed():
    for given in (Brightness(gamma=1), Brightness(0, 255), Brightness(white=200)):
        assert check_plane(DARK, given).gamma == 1
    assert check_plane(DARK, Brightness(gamma=0.8)).gamma == 0.8


def test_units_and_transparency_play_no_part():
    gamma = check_plane(DARK).gamma
    assert check_plane(DARK.astype(np.float64) * 1e180 - 1e170).gamma == gamma
    assert check_plane(np.dstack([DARK, DARK[..., :1]])).gamma == gamma
    assert check_plane((DARK.astype(np.uint16) * 100 + 7)[:, ::-1]).gamma == gamma


def test_blocks_and_volumes_have_the_gamma_of_the_plane(bright):
    """Of more than four million values both see a sample."""
    large, params = np.tile(DARK, (5, 4, 1)), SegmentParams()
    plan = plan_inference(params, "cpu", bright)
    survey = run(survey_steps(large, bright, params, plan, []))
    assert large.size > 4_000_000
    assert survey.gamma == check_plane(large).gamma == check_lazy_plane(large).gamma < 1
    volume = run(predict_volume_steps(lambda _: DARK, 2, 1.0, bright, params))
    assert volume.provenance.gamma == check_plane(DARK).gamma


def test_the_record_has_it_and_giving_it_gives_the_same(bright):
    made = run(segment_steps(DARK, bright))
    gamma = made.provenance.gamma
    assert made.record["gamma"] == gamma == check_plane(DARK).gamma
    assert made.provenance.params.gamma is None
    again = run(segment_steps(DARK, bright, SegmentParams(gamma=gamma)))
    np.testing.assert_array_equal(again.quantized_maps, made.quantized_maps)
    assert "gamma" not in again.record
    assert type(made.provenance).from_json(made.record) == made.provenance


@pytest.mark.parametrize("flags", [(), ("--format", "zarr"), ("--format", "zarr", "--join", "t")])
def test_of_several_planes_it_is_a_list_and_is_told(tmp_path, bright_file, flags, capsys):
    path, out = tmp_path / "a.tif", tmp_path / "out"
    tifffile.imwrite(path, [HISTOLOGY, DARK], metadata={"axes": "TYXS"}, photometric="rgb")
    arguments = ["segment", str(path), "--out", str(out), "--model", str(bright_file), *flags]
    assert main(arguments) == 0
    labels = out / ("a_labels.ome.zarr" if flags else "a_labels.ome.tif")
    record = LabelsStore.open_existing(labels).record if flags else read_record(labels)
    gamma = check_plane(DARK).gamma
    assert record["gamma"] == [None, gamma]
    told = f"lightened as a dark stained section in 1 of the planes, gamma {gamma:g} (--gamma 1"
    assert told in capsys.readouterr().out
    assert main([*arguments, "--overwrite", "--gamma", "1"]) == 0
    assert "lightened" not in capsys.readouterr().out


def test_journals_of_before_have_none():
    stored = asdict(RunProgress(plane=1))
    del stored["gammas"]
    assert RunProgress.from_json(stored) == replace(RunProgress(), plane=1)
