"""Planes that are too large for memory: block by block into an OME-Zarr, which becomes a layer."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject

from napari_nuclei_unet.arrays.axes import Cut, CutArray
from napari_nuclei_unet.arrays.blocks import LARGE
from napari_nuclei_unet.blockwise.journal import JOURNAL
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.paths import plain_name, results_folder
from napari_nuclei_unet.models.model import read_card
from napari_nuclei_unet.progress import Step, Wish, sticky
from napari_nuclei_unet.widgets.common.job import use_threads
from napari_nuclei_unet.widgets.layers.features import table_of
from napari_nuclei_unet.widgets.layers.image_source import Source
from napari_nuclei_unet.widgets.layers.keys import METADATA
from napari_nuclei_unet.widgets.layers.labels_layer import Place, place_of, release, write_record
from napari_nuclei_unet.widgets.layers.measurements import behind_source
from napari_nuclei_unet.widgets.layers.streamed_features import read_table, rows_of
from napari_nuclei_unet.widgets.segment.plane_task import (
    Run,
    Wanted,
    file_like,
    fingerprint,
    origin,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_nuclei_unet.blockwise.journal import Progress as Journaled
    from napari_nuclei_unet.widgets.common.status_panel import Progress
    from napari_nuclei_unet.widgets.segment.display import Look
    from napari_nuclei_unet.widgets.segment.runner import Runner

# Labels of larger planes are shown as a pyramid: napari would read the whole plane at every look.
PAINTABLE = 300_000_000
BEFORE = "segmented before with the same settings; what was painted since stays"


def is_large(source: Source) -> bool:
    """Whether a plane has to go block by block."""
    height, width = source.shape
    return source.level == 0 and height * width > LARGE


@dataclass(frozen=True, eq=False)
class Streamed:
    """What the thread returns.

    Attributes
    ----------
    path : Path
        Of the store.
    progress : Journaled
    whole : bool
        Whether all planes are finished.
    record : dict
    table : pandas.DataFrame or None
        Of all nuclei, if all planes are finished.
    before : bool
        Whether all was finished before, so that nothing was written.
    """

    path: Path
    progress: Journaled
    whole: bool
    record: dict[str, Any]
    table: Any = None
    before: bool = False


class LargeRun(Run):
    """What is known of the run under way."""

    whole = True

    def __init__(self, wanted: Wanted, cuts: Sequence[Cut]) -> None:
        super().__init__(wanted)
        self.cuts = cuts

    def words(self, step: Any) -> str:
        """Say how far it is."""
        if self.stopping:
            return "Stopping …"
        if not hasattr(step, "blocks"):
            return "Making the pyramid …" if step.done else "Looking at the image …"
        words = f"Block {step.block + 1} of {step.blocks} · {step.nuclei:,} nuclei"
        if step.planes > 1:
            words = f"Plane {step.plane + 1} of {step.planes} · {words}"
        if step.block == 0 and step.done * step.blocks < step.total:
            self.tiles_from = time.monotonic()
            return words
        return f"{words} · {self.left(step)}" if step.done else words


class Large(QObject):
    """Runs over planes that do not fit, and shows their labels.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    runner : Runner
    progress : Progress
    look : Look
    """

    def __init__(self, viewer: ViewerModel, runner: Runner, progress: Progress, look: Look) -> None:
        super().__init__(progress)
        self._viewer, self._runner, self._progress, self._look = viewer, runner, progress, look
        runner.ended.connect(self._on_ended)

    def start(self, wanted: Wanted, cuts: Sequence[Cut]) -> None:
        """Begin, or go on with what was stopped.

        Raises
        ------
        UserError
            If the plane's axes are not the last of its labels.
        """
        place = place_of(wanted.source.image, wanted.source.cut)
        if [isinstance(at, slice) for at in place.index[-2:]] != [True, True]:
            raise UserError(
                "A plane as large as this must lie along the last two axes of the image: "
                "change their order with numpy.moveaxis, or choose a part of it as region."
            )
        run = LargeRun(wanted, cuts)
        self._runner.work(run, "Looking at the image …", stream, wanted, cuts, place)

    def _on_ended(self, run: Any, result: Streamed | None) -> None:
        if not isinstance(run, LargeRun) or result is None:
            return
        if not result.whole:
            self._progress.say(
                f"Stopped after {result.progress.nuclei:,} nuclei; Segment goes on from there."
            )
            return
        source = run.wanted.source
        if source.image not in self._viewer.layers:
            show_warning(
                f"The image '{source.image.name}' was removed meanwhile; its nuclei are in "
                f"{result.path}."
            )
            return
        self._show(source, run.cuts, result)
        self._progress.say(_summary(result))

    def _show(self, source: Source, cuts: Sequence[Cut], result: Streamed) -> None:
        """Add the store as a layer, in place of one that shows it already."""
        from napari_nuclei_unet.io.ome_zarr import LabelsStore

        store, key = LabelsStore.open_existing(result.path), str(result.path)
        for layer in list(self._viewer.layers):
            if layer.metadata.get(METADATA, {}).get("store") == key:
                self._viewer.layers.remove(layer)
        place = place_of(source.image, source.cut)
        height, width = source.shape
        paintable = height * width <= PAINTABLE or len(store.levels) == 1
        layer = self._viewer.add_labels(
            store.labels if paintable else store.levels,
            name=f"{source.image.name} nuclei",
            multiscale=not paintable,
            **place.geometry,
        )
        *others, last = [place_of(source.image, cut) for cut in cuts]
        write_record(layer, source.image, last, result.record | {"store": key}, others)
        release(layer)  # later results of a part get a layer of their own, and memory
        self._look.apply(layer)
        _tabulate(layer, [source.at(cut) for cut in cuts], result.table)


def _tabulate(layer: Labels, planes: Sequence[Source], table: Any) -> None:
    """Fill the table of the layer."""
    kept = table_of(layer)
    for plane in planes:
        behind = behind_source(plane, lambda: None)
        index = place_of(plane.image, plane.cut).index
        kept.take(index, behind, rows_of(table, _columns(plane), plane.shape, behind.spacing))
    kept.publish()


def _summary(result: Streamed) -> str:
    nuclei = result.progress.nuclei
    words = [
        "1 nucleus" if nuclei == 1 else f"{nuclei:,} nuclei",
        BEFORE if result.before else f"{result.progress.seconds:.0f} s",
        f"labels and table are in {result.path.parent}",
    ]
    if failed := len(result.progress.failed):
        some = "1 part" if failed == 1 else f"{failed} parts"
        words.insert(1, f"{some} could not be read; Segment tries again")
    return " · ".join(words)


def stream(wanted: Wanted, cuts: Sequence[Cut], place: Place) -> Generator[Step, Wish, Streamed]:
    """Run in the thread: segment planes into a store, or do what is left of them."""
    from napari_nuclei_unet.io.locks import locked

    use_threads(wanted.threads_free)
    wish = _wish(wanted, cuts)
    path = _path(wanted.source.image.name, wish)
    with locked(path):
        return (yield from _stream_steps(wanted, cuts, place, path, wish))


def _stream_steps(
    wanted: Wanted, cuts: Sequence[Cut], place: Place, path: Path, wish: dict[str, Any]
) -> Generator[Step, Wish, Streamed]:
    """Segment planes into a store, whatever is left of them."""
    from napari_nuclei_unet.blockwise.block import Held
    from napari_nuclei_unet.blockwise.block import Wanted as WantedOfBlocks
    from napari_nuclei_unet.blockwise.journal import Journal
    from napari_nuclei_unet.blockwise.run import Layer, stream_steps
    from napari_nuclei_unet.io.ome_zarr import LabelsStore

    source = wanted.source
    store = LabelsStore.create(path, _grid(source, place), np.int32)
    table = path.with_name(f"{path.name.removesuffix('.ome.zarr')}.csv")
    journal = Journal(path / JOURNAL, table, wish)
    journal.begin()
    before = store.finished
    planes = [source.at(cut) for cut in cuts]
    layers = [
        Layer(Held(CutArray(source.pixels, one.cut)), _index(one), _columns(one)) for one in planes
    ]
    how = WantedOfBlocks(wanted.model, wanted.params, wanted.device, source.region)
    check = partial(_check_there, _home(source))
    progress = yield from sticky(stream_steps(layers, store, journal, how, check=check))
    whole = progress.next_plane(len(layers)) is None
    record = _record(wanted)
    if whole and not store.finished:
        store.write_record(record)
        for step in store.build_pyramid():
            if (yield step):
                return Streamed(path, progress, False, record)
        if not progress.failed:
            store.finish()
    return Streamed(path, progress, whole, record, read_table(table) if whole else None, before)


def _home(source: Source) -> Path | None:
    """File or folder that is read while the run goes on, if it is known."""
    path, lazy = source.path, not isinstance(source.pixels, np.ndarray)
    return path if lazy and path is not None and path.exists() else None


def _check_there(home: Path | None, _: bool) -> None:
    """Refuse to go on with an image that is gone: zarr would be read as black."""
    try:
        if home is not None:
            home.stat()
    except OSError as error:
        raise UserError(
            f"{home} cannot be opened any more: see that its disk or server is there, then click "
            "Segment to go on."
        ) from error


def _index(source: Source) -> tuple[int, ...]:
    """Place of a plane on the axes of its labels before the last two."""
    return tuple(at for at in place_of(source.image, source.cut).index if not isinstance(at, slice))


def _columns(source: Source) -> dict[str, int]:
    """Say for the table where a plane is."""
    names = zip(source.axes.lower(), source.cut.index, strict=True)
    return {name: at for name, at in names if name not in "cyx" and at is not None}


def _grid(source: Source, place: Place) -> Any:
    from napari_nuclei_unet.io.ngff import Grid

    letters = source.axes
    if len(place.shape) < len(letters):  # the first axis was that of channels
        letters = letters[1:]
    units = [str(unit) for unit in place.geometry["units"]]
    return Grid(
        place.shape,
        letters,
        tuple(float(one) for one in place.geometry["scale"]),
        tuple(None if unit == "pixel" else unit for unit in units),
    )


def _record(wanted: Wanted) -> dict[str, Any]:
    """Say what made the labels, as far as it can be said of all planes."""
    from napari_nuclei_unet.models.model import load_model
    from napari_nuclei_unet.segmentation.device import plan

    model = load_model(wanted.model)
    card, how = model.card, plan(wanted.params, wanted.device, model.network.config)
    return {
        "plugin": "napari-nuclei-unet",
        "version": version("napari-nuclei-unet"),
        "model": card.name,
        "model_sha256": card.sha256,
        "device": wanted.device,
        "params": dict(vars(wanted.params)),
        "ran_on": dataclasses.asdict(how),
        "format": "zarr",
        "stopped": False,
    } | origin(wanted, wanted.source, file_like(wanted.source))


def _wish(wanted: Wanted, cuts: Sequence[Cut]) -> dict[str, Any]:
    """All that makes another result, so that only the same is gone on with."""
    source = wanted.source
    region = source.region
    return {
        "version": version("napari-nuclei-unet"),
        "model": read_card(wanted.model).sha256,
        "params": {name: value for name, value in vars(wanted.params).items() if name != "batch"},
        "region": None if region is None else [list(map(list, one)) for one in region.polygons],
        "image": source.image.name,
        "shape": list(source.pixels.shape),
        "content": fingerprint(source.at(cuts[0])),
        "planes": [list(cut.index) for cut in cuts],
    }


def _path(name: str, wish: dict[str, Any]) -> Path:
    """Store of this wish, or the first name that is free."""
    from napari_nuclei_unet.blockwise.journal import wish_of

    bare = plain_name(name, "image")
    for number in count(1):
        end = "" if number == 1 else f" {number}"
        path = results_folder() / f"{bare} nuclei{end}.ome.zarr"
        if not path.exists() or wish_of(path / JOURNAL) == wish:
            return path
    raise AssertionError("there is always another number")
