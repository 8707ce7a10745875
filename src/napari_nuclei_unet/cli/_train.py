"""``train``."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_nuclei_unet.cli._common import Commands, add_flags, check_writable, complain, params_of
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.params import DEVICES, RECIPES, TrainParams


def add_to(commands: Commands) -> None:
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
    one.set_defaults(command=train)


def train(args: argparse.Namespace) -> int:
    """Train a model."""
    from napari_nuclei_unet.checkpoints import checkpoint_path, load_checkpoint
    from napari_nuclei_unet.files import read_examples
    from napari_nuclei_unet.training import train as run

    base = RECIPES[args.recipe or "default"]
    if args.resume and args.recipe is None:
        base = load_checkpoint(checkpoint_path(args.out)).params
    params = params_of(args, base)
    _check_model_name(args.out)
    examples = read_examples(args.images, args.labels, args.groups)
    try:
        card = run(
            examples,
            params,
            args.out,
            start=args.start,
            encoder_from=args.encoder_weights,
            resume=args.resume,
            device=args.device,
        )
    except KeyboardInterrupt:
        complain(UserError(_where_it_stopped(args.out)))
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
    check_writable(out.parent)


def _where_it_stopped(out: Path) -> str:
    if not out.is_file():
        return "stopped before the end of the first epoch; nothing was written."
    return f"stopped; the best model so far is {out}. Go on with --resume."
