"""``train``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from napari_nuclei_unet.cli._common import (
    Commands,
    add_flags,
    name_flags,
    params_from_flags,
    print_error,
)
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.atomic import check_writable
from napari_nuclei_unet.params import DEVICES, TrainParams
from napari_nuclei_unet.progress import Step, run
from napari_nuclei_unet.training.presets import ARCHITECTURE, FINE_TUNING, RECIPES, WARM_START


def add_train_command(commands: Commands) -> None:
    """Add the command ``train``."""
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
        "model; finetune, for a few images, which --from takes by itself; long, which takes the "
        "model of --from further on all images; or seed, that of the paper (whole images of "
        "128 x 128)",
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
    one.add_argument(
        "--overwrite", action="store_true", help="replace the model and checkpoint of that name"
    )
    one.add_argument("--device", default="auto", choices=DEVICES)
    add_flags(one, TrainParams)
    one.set_defaults(command=run_train)


def run_train(args: argparse.Namespace) -> int:
    """Train a model, or go on training one."""
    _check_model_name(args.out)
    _check_beginning(args)
    if not (args.resume or args.overwrite) and args.out.is_file():
        raise UserError(f"{args.out} exists: go on with --resume, or replace it with --overwrite.")
    before = _modified_at(args.out)
    try:
        _fine_tune(args) if _is_fine_tuning(args) else _train(args)
    except KeyboardInterrupt:
        saved = args.out.is_file() and (args.resume or _modified_at(args.out) != before)
        print_error(UserError(_stop_message(args.out, saved)))
        return 2
    return 0


def _is_fine_tuning(args: argparse.Namespace) -> bool:
    """Return whether it is a fine-tuning, by its flags or by what is resumed."""
    from napari_nuclei_unet.models.model import read_card

    if args.resume and args.out.is_file():
        return "annotated" in read_card(args.out).trained_on
    return args.start is not None and args.recipe not in WARM_START


def _params(args: argparse.Namespace, recipe: str) -> TrainParams:
    """Take the parameters of a recipe, or of what is resumed, changed by flags."""
    from napari_nuclei_unet.training.checkpoint import checkpoint_path, load_checkpoint

    base = RECIPES[args.recipe or recipe]
    if args.resume and args.recipe is None:
        base = load_checkpoint(checkpoint_path(args.out)).params
    return params_from_flags(args, base)


def _train(args: argparse.Namespace) -> None:
    from napari_nuclei_unet.training.dataset import read_examples
    from napari_nuclei_unet.training.train import TrainStart
    from napari_nuclei_unet.training.train import train as run

    card = run(
        read_examples(args.images, args.labels, args.groups),
        _params(args, "default"),
        args.out,
        TrainStart(args.encoder_weights, args.resume, args.start),
        args.device,
        _print_message,
    )
    print(f"{args.out}, best epoch {card.training['best_epoch']}, thresholds {card.thresholds}")
    for kind, scores in card.scores.items():
        print(
            f"{kind}: AP@0.5 {scores['AP@0.5']:.3f}, mean AP {scores['mean AP']:.3f} by image "
            f"({scores['images']} images)"
        )


def _fine_tune(args: argparse.Namespace) -> None:
    from napari_nuclei_unet.training.dataset import read_pairs
    from napari_nuclei_unet.training.finetune import fine_tune_steps
    from napari_nuclei_unet.training.finetune_data import make_finetune_data
    from napari_nuclei_unet.training.plots import plot_predictions
    from napari_nuclei_unet.training.threshold_tuning import (
        make_validation_pictures,
        predict_examples,
    )

    params = _params(args, "finetune")
    lesson = make_finetune_data(read_pairs(args.images, args.labels, args.groups, params), params)
    steps = fine_tune_steps(lesson, args.start, params, args.device, args.out, args.resume)
    made = run(steps, partial(_report_epoch, args.out))
    card = made.save(args.out)
    predicted = predict_examples(made.model, lesson.validation, args.device)
    plot_predictions(
        args.out.with_name("predictions.png"), make_validation_pictures(predicted, card.thresholds)
    )
    print(f"{args.out}, best epoch {card.training['best_epoch']}, thresholds {card.thresholds}")
    for on, after in made.after.items():
        before = made.before.get(on, {})
        for name, value in after.items():
            was = f"{before[name]:.3f} -> " if name in before else ""
            print(f"{on}: {name} {was}{value:.3f}")
    print(made.verdict)


def _report_epoch(out: Path, step: Step) -> None:
    """Print what an epoch gave, and draw it beside the model."""
    from napari_nuclei_unet.training.loop import Epoch
    from napari_nuclei_unet.training.plots import plot_curves, write_history

    if step.notice:
        _print_message(step.notice)
    if isinstance(step, Epoch):
        _print_message(str(step))
        write_history(out.with_name("history.csv"), step.history)
        plot_curves(out.with_name("curves.png"), step.history)


def _print_message(message: str) -> None:
    print(name_flags(message), flush=True)


def _check_model_name(out: Path) -> None:
    if out.is_dir():
        raise UserError(f"--out is the file of the model, such as {out / 'nuclei.safetensors'}.")
    if out.suffix != ".safetensors":
        raise UserError(f"--out is the file of the model, such as {out}.safetensors.")
    check_writable(out.parent)


def _check_beginning(args: argparse.Namespace) -> None:
    """Refuse flags that would be without effect."""
    if args.resume and (args.start or args.encoder_weights):
        raise UserError(
            "--resume goes on with the weights of its checkpoint: leave --from and "
            "--encoder-weights out."
        )
    if args.start and args.encoder_weights:
        raise UserError("--from takes the network as it is: leave --encoder-weights out.")
    idle = [name for name in FINE_TUNING if getattr(args, name) is not None]
    if args.recipe in WARM_START:
        if not (args.start or args.resume):
            raise UserError(f"--recipe {args.recipe} takes a model further: add --from MODEL.")
        if idle:
            raise UserError(f"--{' and --'.join(idle)} go with a fine-tuning: leave --recipe out.")
    if idle and not (args.start or args.resume):
        raise UserError(f"--{' and --'.join(idle)} go with a model to begin with: add --from.")
    given = [name for name in ARCHITECTURE if getattr(args, name) is not None]
    if args.start and given:
        raise UserError(f"--from takes the network as it is: leave --{' and --'.join(given)} out.")


def _modified_at(path: Path) -> int:
    """When a file was changed last; 0 where there is none."""
    return path.stat().st_mtime_ns if path.is_file() else 0


def _stop_message(out: Path, saved: bool) -> str:
    if not saved:
        return "stopped before there was a model; none was written."
    return f"stopped; the best model so far is {out}. Go on with --resume."
