"""The command ``nuclei-unet``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, get_args, get_type_hints

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.params import DEVICES, RECIPES, SegmentParams, TrainParams

if TYPE_CHECKING:
    from napari_nuclei_unet.engine import Segmentation
    from napari_nuclei_unet.models import Model
    from napari_nuclei_unet.prediction import Step

# What --help calls the default of a parameter that is None and does not come from the model.
AUTOMATIC = {"diameter": "measured"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; ``sys.argv`` without.

    Returns
    -------
    int
        Exit code: 0, or 2 after a mistake of the user's, which is told on stderr in one line,
        or 130 after Ctrl-C.
    """
    args = _parser().parse_args(argv)
    try:
        return int(args.command(args) or 0)
    except (UserError, OSError) as error:
        _complain(error)
        return 2
    except KeyboardInterrupt:
        print("nuclei-unet: stopped; the files that were finished stay.", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _complain(error: UserError | OSError, about: str = "") -> None:
    if isinstance(error, OSError):
        error = UserError(f"{error.filename or 'A file'}: {error.strerror or error}.")
    print(f"nuclei-unet: {about}{error}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nuclei-unet", description="Find and separate nuclei in microscope images."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("segment", help="find the nuclei in image files")
    one.add_argument(
        "paths", nargs="+", metavar="PATH", help="TIFF, PNG, JPEG, or a folder of them"
    )
    one.add_argument("--out", required=True, type=Path, metavar="DIR", help="where results go")
    one.add_argument("--model", default="nuclei", help="name or .safetensors file")
    one.add_argument("--device", default="auto", choices=DEVICES)
    add_flags(one, SegmentParams)
    one.set_defaults(command=_segment)

    one = commands.add_parser("evaluate", help="compare labels with annotations")
    one.add_argument("predicted", type=Path, metavar="PREDICTED_DIR")
    one.add_argument("true", type=Path, metavar="TRUE_DIR")
    one.add_argument("--json", action="store_true", help="print JSON instead of a table")
    one.set_defaults(command=_evaluate)

    one = commands.add_parser("models", help="list the models and their cards")
    one.add_argument("--json", action="store_true", help="print JSON instead of text")
    one.set_defaults(command=_models)

    one = commands.add_parser("demo", help="segment the sample images of the package")
    one.add_argument("--out", default=Path("nuclei-demo"), type=Path, metavar="DIR")
    one.set_defaults(command=_demo)

    one = commands.add_parser("train", help="train a model on annotated images")
    one.add_argument("images", type=Path, metavar="IMAGES_DIR")
    one.add_argument("labels", type=Path, metavar="LABELS_DIR")
    one.add_argument("--out", required=True, type=Path, metavar="MODEL.safetensors")
    one.add_argument(
        "--groups",
        type=Path,
        metavar="CSV",
        help="table with the columns id, field_group and modality, to split and balance by",
    )
    one.add_argument(
        "--recipe",
        choices=RECIPES,
        help="set of parameters, which the flags below change: default, that of the shipped "
        "model, or seed, that of the paper (whole images of 128 x 128)",
    )
    one.add_argument(
        "--from", dest="start", metavar="MODEL", help="model to begin with: name or file"
    )
    one.add_argument(
        "--encoder-weights",
        metavar="FILE",
        help="ImageNet weights to start the encoder with: .pth in the layout of torchvision, or "
        "safetensors; or random",
    )
    one.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint beside the model"
    )
    one.add_argument("--device", default="auto", choices=DEVICES)
    add_flags(one, TrainParams)
    one.set_defaults(command=_train)
    return parser


def add_flags(parser: argparse.ArgumentParser, params: type) -> None:
    """Add one flag for every field of a parameter dataclass; one that is not given is None.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    params : type
        ``SegmentParams`` or ``TrainParams``.
    """
    types = get_type_hints(params)
    for one in dataclasses.fields(params):
        hint = types[one.name]
        default = AUTOMATIC.get(one.name, "the model's own") if one.default is None else one.default
        parser.add_argument(
            "--" + one.name.replace("_", "-"),
            dest=one.name,
            type=next((t for t in get_args(hint) if t is not type(None)), hint),
            choices=one.metadata.get("choices"),
            metavar=None if "choices" in one.metadata else "N",
            help=f"{one.metadata['help']} Default: {default}.".replace("%", "%%"),
        )


Params = TypeVar("Params", SegmentParams, TrainParams)


def params_of(args: argparse.Namespace, base: Params) -> Params:
    """Change what the flags of :func:`add_flags` say in a set of parameters."""
    given = {one.name: getattr(args, one.name) for one in dataclasses.fields(base)}
    return dataclasses.replace(base, **{k: v for k, v in given.items() if v is not None})


def _segment(args: argparse.Namespace) -> int:
    from napari_nuclei_unet.files import (
        LABELS_END,
        find_images,
        image_stem,
        read_image,
        write_results,
    )
    from napari_nuclei_unet.models import load_model

    params = params_of(args, SegmentParams())
    paths = find_images(args.paths, skip=LABELS_END)
    model = load_model(args.model)
    _check_writable(args.out)
    failed = 0
    for path in paths:
        try:
            result = _with_bar(read_image(path), path.name, model, params, args.device)
            write_results(args.out, image_stem(path), result)
        except (UserError, OSError) as error:  # the other files go on
            failed += 1
            _complain(error, f"{path.name}: ")
            continue
        print(f"{path.name}: {result.count} nuclei")
    print(f"{len(paths) - failed} of {len(paths)} files written to {args.out}")
    return 2 if failed else 0


def _check_writable(folder: Path) -> None:
    """Find out before the work that the results will have a place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{folder} cannot be written ({reason}): choose another folder.") from error


def _with_bar(
    image: Any, name: str, model: Model, params: SegmentParams, device: str
) -> Segmentation:
    """Segment with a progress bar, and say on stderr what the user has to know."""
    from tqdm import tqdm

    from napari_nuclei_unet.engine import run, segment_steps

    said: set[str] = set()

    def say(notice: str) -> None:
        if notice and notice not in said:
            said.add(notice)
            tqdm.write(f"{name}: {notice}", file=sys.stderr)

    with tqdm(desc=name, unit="tile", leave=False, disable=None) as bar:

        def show(step: Step) -> None:
            say(step.notice)
            bar.total, bar.n = step.total, step.done
            bar.refresh()

        result = run(segment_steps(image, model, params, device), show)
    for notice in result.notices:
        say(notice)
    return result


def _evaluate(args: argparse.Namespace) -> int:
    from napari_nuclei_unet.core.scores import by_image, count, pooled

    counts = {}
    for stem, (predicted, true) in _pairs(args.predicted, args.true).items():
        if predicted.shape != true.shape:
            raise UserError(
                f"{stem}: predicted labels have the shape {predicted.shape}, "
                f"true ones {true.shape}."
            )
        counts[stem] = count(true, predicted)
    images = list(counts.values())
    table = {"by image": by_image(images), "pooled": pooled(images)}
    if args.json:
        each = {stem: one.scores() for stem, one in counts.items()}
        print(json.dumps({"images": len(images), **table, "each": each}, indent=2))
        return 0
    print(f"{'':10}{'by image':>10}{'pooled':>10}   ({len(images)} images)")
    for name in table["pooled"]:
        print(f"{name:10}{table['by image'][name]:10.3f}{table['pooled'][name]:10.3f}")
    return 0


def _pairs(predicted: Path, true: Path) -> dict[str, tuple[Any, Any]]:
    """Labels of both folders by stem; ``_labels`` at the end of a name does not count."""
    from napari_nuclei_unet.files import find_images, image_stem, read_labels

    found = [
        {image_stem(path).removesuffix("_labels"): path for path in find_images([folder])}
        for folder in (predicted, true)
    ]
    missing = sorted(found[1].keys() - found[0].keys())
    if missing:
        raise UserError(
            f"{predicted} has no labels for {len(missing)} of the {len(found[1])} annotated "
            f"images, the first is {missing[0]}."
        )
    return {stem: (read_labels(found[0][stem]), read_labels(found[1][stem])) for stem in found[1]}


def _models(args: argparse.Namespace) -> int:
    from napari_nuclei_unet.models import available_models, read_card

    cards = [dataclasses.asdict(read_card(path)) for path in available_models().values()]
    if args.json:
        print(json.dumps(cards, indent=2))
        return 0
    for card in cards:
        print(card["name"])
        for key, value in card.items():
            if key != "name" and value:
                print(f"  {key}: {value if isinstance(value, str) else json.dumps(value)}")
    return 0


def _demo(args: argparse.Namespace) -> int:
    from napari_nuclei_unet.files import write_overlay, write_results
    from napari_nuclei_unet.models import load_model
    from napari_nuclei_unet.samples import SAMPLES, read_sample

    model = load_model()
    for name, title in SAMPLES.items():
        image, annotation = read_sample(name)
        result = _with_bar(image, name, model, SegmentParams(), "auto")
        write_results(args.out, name, result)
        write_overlay(args.out / f"{name}_overlay.png", result.plane, result.labels)
        print(f"{title}: {result.count} nuclei (annotated: {len(set(annotation.flat)) - 1})")
    print(f"Labels, tables and overlay pictures are in {args.out.resolve()}")
    return 0


def _train(args: argparse.Namespace) -> int:
    from napari_nuclei_unet.checkpoints import checkpoint_path, load_checkpoint
    from napari_nuclei_unet.files import read_examples
    from napari_nuclei_unet.training import train

    base = RECIPES[args.recipe or "default"]
    if args.resume and args.recipe is None:
        base = load_checkpoint(checkpoint_path(args.out)).params
    params = params_of(args, base)
    _check_model_name(args.out)
    examples = read_examples(args.images, args.labels, args.groups)
    try:
        card = train(
            examples,
            params,
            args.out,
            start=args.start,
            encoder_from=args.encoder_weights,
            resume=args.resume,
            device=args.device,
        )
    except KeyboardInterrupt:
        _complain(UserError(_where_it_stopped(args.out)))
        return 130
    print(f"{args.out}, best epoch {card.training['best_epoch']}, thresholds {card.thresholds}")
    for kind, scores in card.scores.items():
        print(
            f"{kind}: AP@0.5 {scores['AP@0.5']:.3f}, mean AP {scores['mean AP']:.3f} by image "
            f"({scores['images']} images)"
        )
    return 0


def _check_model_name(out: Path) -> None:
    if out.suffix != ".safetensors":
        raise UserError(f"--out is the file of the model: {out.with_suffix('.safetensors')}?")
    _check_writable(out.parent)


def _where_it_stopped(out: Path) -> str:
    if not out.is_file():
        return "stopped before the end of the first epoch; nothing was written."
    return f"stopped; the best model so far is {out}. Go on with --resume."


if __name__ == "__main__":
    sys.exit(main())
