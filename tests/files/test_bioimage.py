"""Packages for other programs: run by bioimageio.core, and read back."""

import hashlib
import io
import pickle
import socket
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import save_file

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.export.bioimageio import (
    MAX_UNPACKED_BYTES,
    export_bioimage,
    import_bioimage,
)
from napari_nuclei_unet.models.model import (
    Model,
    ModelCard,
    find_model_path,
    load_model,
    save_model,
)
from napari_nuclei_unet.network.unet import TARGETS, UNet, UNetConfig
from napari_nuclei_unet.samples.images import read_sample
from napari_nuclei_unet.segmentation.normalization import check_plane

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
THRESHOLDS = {"threshold": 0.5, "separation": 0.9, "confidence": 0.0, "minimum_area": 5}


@pytest.fixture(scope="session")
def packages(bright_file, tmp_path_factory) -> dict[str, Path]:
    """The brightness network and the shipped model, exported."""
    pytest.importorskip("bioimageio.spec")
    folder = tmp_path_factory.mktemp("packages")
    return {
        "bright": export_bioimage(bright_file, folder / "bright.zip"),
        "nuclei": export_bioimage("nuclei", folder / "nuclei.zip"),
    }


@pytest.fixture
def models(bright_file) -> dict[str, Model]:
    return {"bright": load_model(bright_file), "nuclei": load_model("nuclei")}


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def made(folder: Path, config: UNetConfig, file: str = "made", **card) -> Path:
    """A model file of random weights."""
    torch.manual_seed(0)
    network = UNet(config).eval()
    if card.pop("blind", False):
        torch.nn.init.zeros_(network.head.weight)
        torch.nn.init.constant_(network.head.bias, -20)
    path = folder / f"{file}.safetensors"
    known = {"name": file, "description": "", "network": vars(config), "thresholds": THRESHOLDS}
    save_model(path, ModelCard(**known | card), network.state_dict())
    return path


def probabilities(network: UNet, images: np.ndarray) -> np.ndarray:
    """Our own maps of normalised images (N, 3, Y, X)."""
    with torch.inference_mode():
        return torch.sigmoid(network(torch.from_numpy(images))).numpy()


def normalised(image: np.ndarray) -> np.ndarray:
    """Our own input (3, Y, X) for an image (Y, X, 3)."""
    return np.ascontiguousarray(np.moveaxis(check_plane(image).normalized(), 2, 0))


def run(package: Path, images: np.ndarray, **how) -> np.ndarray:
    """What bioimageio.core makes of images (N, 3, Y, X): in tiles, or whole as they come."""
    core = pytest.importorskip("bioimageio.core")
    from bioimageio.core.digest_spec import create_sample_for_model

    described = core.load_model_description(package)
    sample = create_sample_for_model(described, inputs={"image": images})
    with core.create_prediction_pipeline(described, weights_format="torchscript") as pipeline:
        if how:
            result = pipeline.predict_sample_with_blocking(sample, **how)
        else:
            result = pipeline.predict_sample_without_blocking(
                sample, skip_input_padding=True, skip_output_cropping=True
            )
    return result.members["maps"].data.to_numpy()


def weights(package: Path) -> torch.jit.ScriptModule:
    with ZipFile(package) as opened:
        return torch.jit.load(io.BytesIO(opened.read("weights.pt")))


@pytest.mark.parametrize("name", ["bright", "nuclei"])
def test_bioimageio_runs_the_package_and_gets_the_example_without_network(name, packages, offline):
    core = pytest.importorskip("bioimageio.core")
    summary = core.test_description(packages[name], expected_type="model")
    assert summary.status == "passed", summary.format()
    tested = [detail.name for detail in summary.details if detail.status == "passed"]
    assert "Reproduce test outputs from test inputs (torchscript)" in tested
    # batches of one and of two images in three sizes
    assert sum("size parameter" in one for one in tested) == 6


@pytest.mark.parametrize("shape", [(240, 288), (256, 272)])
@pytest.mark.parametrize("name", ["bright", "nuclei"])
def test_others_get_our_maps_of_images_as_they_come(name, shape, packages, models):
    colours, _ = read_sample("histology_purple")
    grey, _ = read_sample("fluorescence_small")
    height, width = shape
    pair = [colours[:height, :width], np.stack([grey[:height, :width]] * 3, axis=2)]
    expected = probabilities(models[name].network, np.stack([normalised(one) for one in pair]))
    found = run(packages[name], np.moveaxis(np.stack(pair), 3, 1))
    assert found.shape == expected.shape
    assert expected[:, 0].max() > 0.9
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_tiles_with_the_described_halo_leave_no_seams(packages):
    image, _ = read_sample("fluorescence_small")
    images = np.stack([image] * 3)[None]
    whole, tiled = run(packages["nuclei"], images), run(packages["nuclei"], images, ns=10)
    # at the edge of the image others mirror it, where our network sees zeros
    inner = np.s_[..., 112:-112, 112:-112]
    np.testing.assert_allclose(tiled[inner], whole[inner], atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(3, 1, width=2, depth=2),
        UNetConfig(3, 4, width=3, depth=1, stem=2, detail=2, mean=(0.2,) * 3, std=(2,) * 3),
        UNetConfig(width=3, depth=2, stem=2, encoder="efficientnet_lite0", mean=(0.5,) * 3),
        UNetConfig(width=3, depth=1, stem=2, encoder="resnet34"),
    ],
    ids=["one map", "stem, detail and shift", "efficientnet", "resnet"],
)  # fmt: skip
def test_every_architecture_is_traced_for_any_size_and_number(config, tmp_path):
    spec = pytest.importorskip("bioimageio.spec")
    model = made(tmp_path, config)
    package = export_bioimage(model, tmp_path / "package.zip")
    network, traced = load_model(model).network, weights(package)
    for shape in ((1, 3, 8, 16), (2, 3, 40, 24)):
        images = torch.rand(shape)
        with torch.no_grad():
            found = traced(images).numpy()
        np.testing.assert_allclose(found, probabilities(network, images.numpy()), atol=1e-5)
    described = spec.load_model_description(package, perform_io_checks=True)
    names = TARGETS[: config.out_channels]
    assert described.outputs[0].axes[1].channel_names == list(names)
    assert described.inputs[0].axes[2].size.step == config.divisor
    assert described.outputs[0].axes[2].halo == config.halo


def test_weights_hold_plain_operators_and_no_path_of_this_computer(packages):
    here = [str(Path(__file__).parents[2]).encode(), sys.prefix.encode(), b".py\x94"]
    with ZipFile(packages["nuclei"]) as opened:
        records = ZipFile(io.BytesIO(opened.read("weights.pt")))
        texts = [opened.read("rdf.yaml"), opened.read("README.md")]
    texts += [records.read(name) for name in records.namelist()]
    code = b"".join(records.read(name) for name in records.namelist() if name.endswith(".py"))
    assert b"torch.batch_norm" in code  # as trained, not fused
    assert not [one for one in (b"mkldnn", b"slice", b"new_empty") if one in code]  # nor in strips
    assert not [one for one in here for text in texts if one in text]


def test_the_package_holds_what_a_reader_looks_for(packages):
    spec = pytest.importorskip("bioimageio.spec")
    described = spec.load_model_description(packages["nuclei"], perform_io_checks=True)
    assert str(described.license) == "BSD-3-Clause"
    assert {str(one.doi) for one in described.cite} == {
        "10.1007/978-3-319-24574-4_28", "10.1038/s41592-019-0612-7",
    }  # fmt: skip
    steps = [step.id for step in described.inputs[0].preprocessing]
    assert steps == ["ensure_dtype", "scale_range", "clip", "ensure_dtype"]
    with ZipFile(packages["nuclei"]) as opened:
        cover = opened.read("cover.png")
        page = opened.read("README.md").decode()
        example = np.load(io.BytesIO(opened.read("test_output.npy")))
    assert PIL.Image.open(io.BytesIO(cover)).size == (512, 256)
    assert len(cover) < 500_000  # as bioimage.io asks
    assert "The plugin does, by a watershed" in page
    assert "threshold: 0.5" in page
    assert example.shape == (1, 4, 256, 256)


@pytest.mark.parametrize("name", ["bright", "nuclei"])
def test_import_gives_the_exported_file_byte_for_byte(name, packages, bright_file, tmp_path):
    exported = bright_file if name == "bright" else find_model_path("nuclei")
    with ZipFile(packages[name]) as opened:
        opened.extractall(tmp_path / "unpacked")
    sources = [packages[name], tmp_path / "unpacked", tmp_path / "unpacked" / "rdf.yaml"]
    found = [import_bioimage(source, tmp_path / "my models") for source in sources]
    stem = "nuclei copy" if name == "nuclei" else name  # that of the package keeps its name
    assert [one.name for one in found] == [f"{stem}{n}.safetensors" for n in ("", " 2", " 3")]
    assert {one.read_bytes() for one in found} == {exported.read_bytes()}
    assert load_model(found[0]).card == load_model(exported).card
    digest = hashlib.sha256(exported.read_bytes()).hexdigest()
    assert digest in (tmp_path / "unpacked" / "rdf.yaml").read_text("utf-8")
    assert sorted(one.name for one in (tmp_path / "my models").iterdir()) == sorted(
        one.name for one in found
    )


def test_names_and_texts_of_any_kind_are_packed(tmp_path):
    core = pytest.importorskip("bioimageio.core")
    name, card = "Müller's #2 (50%)", {
        "name": 'Zellkerne: "50 %" \\ Müller',
        "description": "one\ntwo: {three} %s \x7f 🔬",
        "licence": "ask me",
        "trained_on": {"kinds": {"färbung: 1": 3}},
        "scores": {"after": {"yours": {"AP@0.5": 0.5}}},
    }  # fmt: skip
    model = made(tmp_path, UNetConfig(width=2, depth=1), name, **card)
    package = export_bioimage(model, tmp_path / "odd")
    assert package == tmp_path / "odd.zip"
    assert core.test_model(package).status == "passed"
    described = core.load_model_description(package)
    assert described.name == "Nuclei U-Net Zellkerne- -50 -- - M-ller"
    assert described.description == "one two: {three} %s   🔬"
    found = import_bioimage(package, tmp_path / "back")
    assert found.name == "Müller_s _2 (50_).safetensors"
    assert found.read_bytes() == model.read_bytes()


def test_export_replaces_a_package_and_leaves_nothing_beside_it(bright_file, tmp_path):
    pytest.importorskip("bioimageio.spec")
    out = tmp_path / "new folder" / "bright.ZIP"
    for _ in range(2):
        assert export_bioimage(bright_file, out) == out
    assert [one.name for one in out.parent.iterdir()] == ["bright.ZIP"]


def sentence(caught: pytest.ExceptionInfo[UserError], *words: str) -> None:
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    for word in words:
        assert word in text, text


def test_what_cannot_be_exported_is_refused_and_nothing_is_left(bright_file, tmp_path):
    pytest.importorskip("bioimageio.spec")
    (tmp_path / "file").write_text("no folder")
    blind = made(tmp_path, UNetConfig(width=2, depth=1), blind=True)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError) as caught:
        export_bioimage("none", tmp_path / "a.zip")
    sentence(caught, "no model 'none'")
    with pytest.raises(UserError) as caught:
        export_bioimage(bright_file, tmp_path / "file" / "a.zip")
    sentence(caught, "cannot be written", "choose another folder")
    with pytest.raises(UserError) as caught:
        export_bioimage(blind, tmp_path / "a.zip")
    sentence(caught, "made finds nothing", "train it longer")
    assert sorted(tmp_path.iterdir()) == before


def test_without_bioimageio_export_says_what_to_install_and_import_works(
    packages, bright_file, tmp_path
):
    program = (
        "import sys; sys.modules['bioimageio'] = None\n"
        "from pathlib import Path\n"
        "from napari_nuclei_unet.export.bioimageio import export_bioimage, import_bioimage\n"
        "from napari_nuclei_unet.errors import UserError\n"
        "model, package, folder = map(Path, sys.argv[1:])\n"
        "print(import_bioimage(package, folder).name)\n"
        "try:\n    export_bioimage(model, folder / 'a.zip')\n"
        "except UserError as error:\n    print(error)\n"
    )
    paths = map(str, (bright_file, packages["bright"], tmp_path))
    printed = subprocess.run(
        [sys.executable, "-c", program, *paths], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert printed == [
        "bright.safetensors",
        'Exporting needs another package: pip install "napari-nuclei-unet[bioimageio]".',
    ]
    assert [one.name for one in tmp_path.iterdir()] == ["bright.safetensors"]


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with ZipFile(path, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


def refused(path: Path, folder: Path, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        import_bioimage(path, folder)
    sentence(caught, *words)
    assert not folder.exists()


def test_what_is_no_package_of_ours_is_refused(bright_file, tmp_path):
    folder = tmp_path / "models"
    save_file({"a": torch.zeros(2)}, tmp_path / "theirs.safetensors")
    theirs = (tmp_path / "theirs.safetensors").read_bytes()
    refused(tmp_path / "none.zip", folder, "No such file", "choose another")
    refused(tmp_path / "none" / "rdf.yaml", folder, "No such file", "choose another")
    refused(tmp_path, folder, "contains no model of this plugin", "choose another")
    packed = zipped(tmp_path / "a.zip", {"rdf.yaml": b"type: model", "weights.pt": b"x"})
    refused(packed, folder, "a.zip contains no model of this plugin", "choose another")
    packed = zipped(tmp_path / "b.zip", {"rdf.yaml": b"", "x.safetensors": theirs})
    refused(packed, folder, "b.zip contains no model of this plugin", "choose another")
    (tmp_path / "c.zip").write_bytes(b"no zip file")
    refused(tmp_path / "c.zip", folder, "cannot be read", "download it again")
    (tmp_path / "file").write_text("no folder")
    packed = zipped(tmp_path / "d.zip", {"x.safetensors": bright_file.read_bytes()})
    with pytest.raises(UserError) as caught:
        import_bioimage(packed, tmp_path / "file")
    sentence(caught, "cannot be written")


def test_ours_is_found_among_theirs(bright_file, tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "theirs.safetensors")
    theirs, ours = (tmp_path / "theirs.safetensors").read_bytes(), bright_file.read_bytes()
    package = zipped(
        tmp_path / "a.zip", {"top/a.safetensors": theirs, "top/bright.safetensors": ours}
    )
    found = import_bioimage(package, tmp_path)
    assert (found.name, found.read_bytes()) == ("bright.safetensors", ours)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.999])
def test_a_truncated_package_is_refused(part, packages, tmp_path):
    content = packages["bright"].read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: int(part * len(content))])
    refused(tmp_path / "cut.zip", tmp_path / "models", "cannot be read", "download it again")


def test_a_package_with_wrong_bytes_is_refused_or_its_model_is_whole(
    packages, bright_file, tmp_path
):
    content = packages["bright"].read_bytes()
    random, refusals = np.random.default_rng(0), 0
    for number in range(150):
        damaged = bytearray(content)
        # half of them where the zip file lists its members
        start = len(content) - 2000 if number % 2 else 0
        for place in random.integers(start, len(content), 20):
            damaged[place] = random.integers(256)
        path = tmp_path / "damaged.zip"
        path.write_bytes(damaged)
        try:
            found = import_bioimage(path, tmp_path / "models")
        except UserError:
            refusals += 1
        else:
            assert found.read_bytes() == bright_file.read_bytes()
    assert refusals > 40


def test_a_model_with_other_weights_than_its_card_says_is_refused(bright_file, tmp_path):
    content = bytearray(bright_file.read_bytes())
    content[-1] ^= 1
    package = zipped(tmp_path / "a.zip", {"bright.safetensors": bytes(content)})
    refused(package, tmp_path / "models", "bright.safetensors was changed or damaged")


@pytest.mark.parametrize(
    "name", ["../../evil", "/evil", "C:\\evil", "..\\..\\evil", "a/../../../evil", "..", "con: *"]
)
def test_no_name_in_a_package_leads_out_of_the_folder(name, bright_file, tmp_path):
    package = zipped(tmp_path / "a.zip", {f"{name}.safetensors": bright_file.read_bytes()})
    folder = tmp_path / "deep" / "er" / "models"
    found = import_bioimage(package, folder)
    assert found.parent == folder
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [package, found]
    assert found.name in {"evil.safetensors", "model.safetensors", "_.safetensors"}


def test_a_package_that_claims_to_be_enormous_is_not_unpacked(bright_file, tmp_path):
    package = tmp_path / "a.zip"
    with ZipFile(package, "w") as opened:
        for name in "ab":
            opened.writestr(f"{name}.safetensors", bright_file.read_bytes())
            opened.infolist()[-1].file_size = (
                MAX_UNPACKED_BYTES // 2 + 1
            )  # goes into the list of members
    refused(package, tmp_path / "models", "more than 1 GiB")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_nothing_of_a_package_is_unpickled(bright_file, tmp_path):
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    pickle.loads(trap)
    assert (tmp_path / "sprung").exists()  # it would work
    (tmp_path / "sprung").unlink()
    names = ["weights.pt", "data.pkl", "trap.safetensors", "test_input.npy"]
    members = dict.fromkeys(names, trap) | {"z.safetensors": bright_file.read_bytes()}
    import_bioimage(zipped(tmp_path / "a.zip", members), tmp_path / "models")
    assert not (tmp_path / "sprung").exists()
