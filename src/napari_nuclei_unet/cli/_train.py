"""``train``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from ..errors import UserError
from ..io.atomic import check_writable
from ..io.paths import printable
from ..models.model import read_card
from ..params import DEVICES, TrainParams
from ..progress import Step, run
from ..training.recipes import ARCHITECTURE, FINE_TUNING, RECIPES, WARM_START
from ._common import Commands, add_flags, loads_network, name_flags, params_from_flags, print_error


def add_train_command(commands: Commands) -> None:
    """Add the command ``train``."""
    parser = commands.add_parser("train", help="train a model on annotated images")
    parser.add_argument(
        "images",
        type=Path,
        metavar="IMAGES_DIR",
        help="folder of images, or one in the layout of the Data Science Bowl (ID/images beside "
        "ID/masks)",
    )
    parser.add_argument(
        "labels",
        type=Path,
        metavar="LABELS",
        nargs="?",
        help="folder of labels, or a CSV of run lengths (ImageId, EncodedPixels). Default: the"
        " masks in IMAGES_DIR",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="MODEL.safetensors")
    parser.add_argument(
        "--groups",
        type=Path,
        metavar="CSV",
        help="table with the columns id, field_group and modality, to split and balance by",
    )
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        help="set of parameters, which the flags below can change: default (as the shipped "
        "model), finetune (for a few images; used with --from by default), long (trains "
        "the model of --from further on all images) or seed (as in the paper, whole "
        "images of 128 x 128)",
    )
    parser.add_argument(
        "--from", dest="start", metavar="MODEL", help="model to start from: name or file"
    )
    parser.add_argument(
        "--encoder-weights",
        metavar="FILE",
        help="ImageNet weights for the encoder: a .pth file in the layout of torchvision, a "
        "safetensors file, or random",
    )
    parser.add_argument(
        "--resume", action="store_true", help="resume from the checkpoint beside the model"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an existing model and its checkpoint"
    )
    parser.add_argument("--device", default="auto", choices=DEVICES)
    add_flags(parser, TrainParams)
    parser.set_defaults(command=run_train)


@loads_network
def run_train(args: argparse.Namespace) -> int:
    """Train a model, or resume its training."""
    _check_model_name(args.out)
    _check_beginning(args)
    if not (args.resume or args.overwrite) and args.out.is_file():
        raise UserError(f"{args.out} exists: resume with --resume, or replace it with --overwrite.")
    from ..training.plots import NO_PLOTS, can_plot  # here, so that --help starts fast

    before = _modified_at(args.out)
    if not can_plot():
        _print_message(NO_PLOTS)
    try:
        _fine_tune(args) if _is_fine_tuning(args) else _train(args)
    except KeyboardInterrupt:
        saved = args.out.is_file() and (args.resume or _modified_at(args.out) != before)
        print_error(UserError(_stop_message(args.out, saved)))
        return 2
    return 0


def _is_fine_tuning(args: argparse.Namespace) -> bool:
    """Return whether it is a fine-tuning, by its flags or by the resumed model."""
    if args.resume and args.out.is_file():
        return "annotated" in read_card(args.out).trained_on
    return args.start is not None and args.recipe not in WARM_START


def _params(args: argparse.Namespace, recipe: str) -> TrainParams:
    """Return the parameters of a recipe, or of the resumed training, changed by flags."""
    # in the functions, so that --help does not load torch
    from ..training.checkpoint import checkpoint_path, load_checkpoint

    base = RECIPES[args.recipe or recipe]
    if args.resume and args.recipe is None:
        base = load_checkpoint(checkpoint_path(args.out)).params
    return params_from_flags(args, base)


def _train(args: argparse.Namespace) -> None:
    from ..training.dataset import read_examples
    from ..training.train import TrainStart, train

    card = train(
        read_examples(args.images, args.labels, args.groups),
        _params(args, "default"),
        args.out,
        TrainStart(args.encoder_weights, args.resume, args.start),
        args.device,
        _print_message,
    )
    _print_message(
        f"{args.out}, best epoch {card.training['best_epoch']}, thresholds {card.thresholds}"
    )
    for kind, scores in card.scores.items():
        print(
            f"{kind}: AP@0.5 {scores['AP@0.5']:.3f}, mean AP {scores['mean AP']:.3f} by image "
            f"({scores['images']} images)"
        )


def _fine_tune(args: argparse.Namespace) -> None:
    from ..training.dataset import read_pairs
    from ..training.evaluation import PART_TITLES
    from ..training.finetune import fine_tune_steps
    from ..training.finetune_data import make_finetune_data
    from ..training.plots import plot_predictions
    from ..training.threshold_tuning import make_validation_pictures, predict_examples

    params = _params(args, "finetune")
    data = make_finetune_data(read_pairs(args.images, args.labels, args.groups, params), params)
    steps = fine_tune_steps(data, args.start, params, args.device, args.out, args.resume)
    tuned = run(steps, partial(_report_epoch, args.out))
    card = tuned.save(args.out)
    predicted = predict_examples(tuned.model, data.validation, args.device)
    plot_predictions(
        args.out.with_name("predictions.png"), make_validation_pictures(predicted, card.thresholds)
    )
    _print_message(
        f"{args.out}, best epoch {card.training['best_epoch']}, thresholds {card.thresholds}"
    )
    for on, after in tuned.after.items():
        before = tuned.before.get(on, {})
        for name, value in after.items():
            was = f"{before[name]:.3f} -> " if name in before else ""
            print(f"{PART_TITLES[on]}: {name} {was}{value:.3f}")
    print(tuned.verdict)


def _report_epoch(out: Path, step: Step) -> None:
    """Print the result of an epoch, and write and plot the history beside the model."""
    from ..training.loop import Epoch
    from ..training.plots import plot_curves, write_history

    if step.notice:
        _print_message(step.notice)
    if isinstance(step, Epoch):
        _print_message(str(step))
        write_history(out.with_name("history.csv"), step.history)
        plot_curves(out.with_name("curves.png"), step.history)


def _print_message(message: str) -> None:
    print(printable(name_flags(message)), flush=True)


def _check_model_name(out: Path) -> None:
    if out.is_dir():
        raise UserError(f"--out is the file of the model, such as {out / 'nuclei.safetensors'}.")
    if out.suffix != ".safetensors":
        raise UserError(f"--out is the file of the model, such as {out}.safetensors.")
    check_writable(out.parent)


def _check_beginning(args: argparse.Namespace) -> None:
    """Raise an error for flags that would have no effect."""
    if args.resume and (args.start or args.encoder_weights):
        raise UserError(
            "--resume uses the weights of its checkpoint: leave --from and --encoder-weights out."
        )
    if args.start and args.encoder_weights:
        raise UserError("--from takes the network as it is: leave --encoder-weights out.")
    idle = [name for name in FINE_TUNING if getattr(args, name) is not None]
    if args.recipe in WARM_START:
        if not (args.start or args.resume):
            raise UserError(f"--recipe {args.recipe} starts from a model: add --from MODEL.")
        if idle:
            raise UserError(
                f"--{' and --'.join(idle)} only apply to fine-tuning: leave --recipe out."
            )
    if idle and not (args.start or args.resume):
        raise UserError(
            f"--{' and --'.join(idle)} only apply with a model to start from: add --from."
        )
    given = [name for name in ARCHITECTURE if getattr(args, name) is not None]
    if args.start and given:
        raise UserError(f"--from takes the network as it is: leave --{' and --'.join(given)} out.")


def _modified_at(path: Path) -> int:
    """Return when a file was last modified; 0 if there is none."""
    return path.stat().st_mtime_ns if path.is_file() else 0


def _stop_message(out: Path, saved: bool) -> str:
    if not saved:
        return "stopped before there was a model; none was written."
    return f"stopped; the best model so far is {out}. Go on with --resume."
