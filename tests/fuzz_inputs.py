"""Damaged inputs by the hundred, which are the same for the same seed.

    python tests/fuzz_inputs.py --cases 1200 --seed 0
    python tests/fuzz_inputs.py --only 17 --seed 0 --keep /tmp/case

Each case damages real files of a kind that the program reads, and runs the command line on them. It
ends in a result or in a sentence; a traceback, a wait without end, control characters on the
screen, or an image beside the damaged one that is not segmented are faults: exit code 1.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import queue
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
import zipfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

# Seconds that a case may take, and until a process has loaded what it needs; bytes of its memory.
CASE_SECONDS, START_SECONDS, MAX_BYTES = 30, 120, 12 * 10**9
FAULTS = ("traceback", "hang")
# Of runs over images of which some are no stacks.
FLAGS = (
    (), (), (), ("--volume",), ("--track",), ("--join", "z"), ("--measure", "all"),
    ("--format", "zarr"), ("--channel", "mean"), ("--exclude-border", "--save", "geojson"),
)  # fmt: skip
GOOD, ODD = "z_good.tif", "odd"


@dataclass(frozen=True)
class Outcome:
    """What has come of a case."""

    number: int
    kind: str
    outcome: str
    detail: str = ""


# what a worker does: it loads the program once


class Fault(Exception):
    """What a case should not do; counted as a traceback."""


def run_cli(*args):
    """Run the command line, and return its exit code and what it printed."""
    from napari_nuclei_unet.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(arg) for arg in args])
        except SystemExit as ended:
            code = ended.code
    out, err = out.getvalue(), err.getvalue()
    odd = [c for c in out + err if c != "\n" and not c.isprintable()]
    if odd:
        raise Fault(f"prints {odd[0]!r}: {out + err!r}")
    if code not in (0, 2) or "Traceback" in err:
        raise Fault(f"exit code {code}: {err}")
    if code == 2 and "nuclei-unet" not in err:
        raise Fault(f"exit code 2 without a sentence: {out}")
    return code, out, err


def describe(code, out, err):
    """Return the outcome of a command, and its last words."""
    told = (err if code else out).strip().splitlines() or [""]
    return ("sentence" if code else "result"), told[-1]


def segment(base, case, *more):
    """Segment a folder with a good image and an odd one; each gets a result or its sentence."""
    images, out = case / "images", case / "out"
    shutil.copy(base / "good.tif", images / GOOD)
    code, printed, told = run_cli(
        "segment", images, "--out", out, "--model", base / "bright.safetensors",
        "--device", "cpu", "--workers", "1", *more,
    )  # fmt: skip
    if f"{GOOD}: 3 nuclei" not in printed:
        raise Fault(f"the good image has no result: {printed} {told}")
    with (out / "nuclei_summary.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    if len(rows) < 2 and "passed over" not in printed:
        raise Fault(f"the odd image has no row: {printed} {told}")
    if any(row["status"] == "failed" and not row["error"] for row in rows):
        raise Fault("a row has no sentence")
    return describe(code, printed, told)


def write_all(folder, files):
    """Write files, some of them in folders, and return the first one."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / next(iter(files))


def damage_image(rng, base, case):
    """Damage a TIFF, PNG or JPEG, or a file of a microscope."""
    from mutations import mutate_bytes, mutate_tags, pick

    source = pick(rng, sorted((base / "images").iterdir()))
    mutate = mutate_tags if ".tif" in source.name and rng.random() < 0.5 else mutate_bytes
    images = case / "images"
    if source.is_dir():  # a file and the folder of its parts
        shutil.copytree(source, images, dirs_exist_ok=True)
        chosen = pick(rng, sorted(path for path in images.rglob("*") if path.is_file()))
        chosen.write_bytes(mutate_bytes(rng, chosen.read_bytes()))
    else:
        (images / f"{ODD}{source.name}").write_bytes(mutate(rng, source.read_bytes()))
    return segment(base, case)


def damage_description(rng, base, case):
    """Damage the OME-XML, or the description by ImageJ or tifffile, of a TIFF."""
    import tifffile
    from mutations import mutate_json, mutate_xml, pick

    source = pick(rng, sorted((base / "described").iterdir()))
    odd = case / "images" / f"{ODD}_{source.name}"
    shutil.copy(source, odd)
    with tifffile.TiffFile(odd) as opened:
        text = opened.pages.first.description
    if text.startswith("<"):
        text = mutate_xml(rng, text)
    elif text.startswith("{"):
        text = mutate_json(rng, text)
    else:
        numbers = list(re.finditer(r"\d+", text))
        one = pick(rng, numbers)
        new = pick(rng, (0, -1, 2, 10**6, 10**9, "x", ""))
        text = f"{text[: one.start()]}{new}{text[one.end() :]}"
    tifffile.tiffcomment(odd, text.encode("utf-8", "replace"))
    return segment(base, case, *pick(rng, FLAGS))


def damage_zarr(rng, base, case):
    """Damage metadata or chunks of an array, an image or a plate of zarr."""
    from mutations import mutate_bytes, mutate_json, pick, replace_entry

    source = pick(rng, sorted((base / "zarr").iterdir()))
    odd = case / "images" / f"{ODD}_{source.name}"
    shutil.copytree(source, odd)
    files = sorted(path for path in odd.rglob("*") if path.is_file())
    metadata = [path for path in files if path.name.startswith((".z", "zarr.json"))]
    path = pick(rng, metadata if rng.random() < 0.75 else files)
    how = rng.random()
    if how < 0.6 and path in metadata:
        path.write_text(mutate_json(rng, path.read_text()), errors="replace")
    elif how < 0.8:
        path.write_bytes(mutate_bytes(rng, path.read_bytes()))
    else:
        replace_entry(rng, path)
    return segment(base, case, *pick(rng, FLAGS))


def odd_entry(rng, base, case):
    """Put an entry of another kind, or with an odd name, beside a good image."""
    from mutations import pick, replace_entry

    names = [
        b"a\xe4.tif", b"a\nb.png", b"\x1b[31mred.tif", b"a\tb.jpg", b"a.nd2", b"a.ome.tif",
        b"\xff\xfe.tif", b"n" * 250 + b".tif", b"a.npy", b"a.zarr", b"a", b"a.zip", b"a.czi",
    ]  # fmt: skip
    odd = Path(os.fsdecode(os.fsencode(case / "images") + b"/" + pick(rng, names)))
    kind = int(rng.integers(6))
    if kind < 2:
        replace_entry(rng, odd)
    elif kind == 2:
        shutil.copy(base / "good.tif", odd)
    elif kind == 3:
        with zipfile.ZipFile(odd, "w") as archive:
            for number in range(20_000):
                archive.writestr(f"{number}/.zattrs_", "")
    elif kind == 4:
        odd.write_bytes(rng.bytes(int(rng.integers(2000))))
    else:
        odd.mkdir()
        for number in range(3):
            (odd / f"loop{number}").symlink_to("..")
        (odd / ".zattrs").write_text("{}")
    more = pick(rng, ((), (), ("--save", "geojson,rois"), ("--format", "zarr")))
    return segment(base, case, *more)


def odd_format(rng, base, case):
    """Put a file that claims to be of some kind, with absurd sizes, loops or texts, by an image."""
    from mutations import mutate_bytes, pick
    from odd_files import MAKERS

    name, make = pick(rng, MAKERS)
    odd = case / "images" / f"{ODD}_{name}"
    make(rng, odd, base)
    if odd.is_file() and rng.random() < 0.3:
        odd.write_bytes(mutate_bytes(rng, odd.read_bytes()))
    return segment(base, case, *pick(rng, FLAGS))


def odd_table(rng, base, case):
    """Put text of no table in place of one, and read annotations or a result with it."""
    from mutations import pick
    from odd_files import TABLES

    data = pick(rng, TABLES)(rng)
    if rng.random() < 0.5:
        shutil.copytree(base / "annotations", case, dirs_exist_ok=True)
        table = pick(rng, ("runs.csv", "groups.csv"))
        (case / table).write_bytes(data)
        true = "runs.csv" if table == "runs.csv" else "masks"
        groups = ("--groups", case / "groups.csv", "--each") if table == "groups.csv" else ()
        return describe(*run_cli("evaluate", case / "found", case / true, *groups))
    out = case / "out"
    shutil.copytree(base / "done_tiff" / "out", out)
    (out / pick(rng, ("a_nuclei.csv", "nuclei_summary.csv"))).write_bytes(data)
    labels, image = out / "a_labels.ome.tif", base / "done_tiff" / "images" / "a.tif"
    command = pick(rng, (
        ("segment", image, "--out", out, "--model", base / "bright.safetensors"),
        ("convert", labels, "--to", pick(rng, sorted(formats())), "--out", case / "converted"),
        ("measure", labels, image, "--out", case / "new.csv"),
    ))  # fmt: skip
    return describe(*run_cli(*command))


def formats():
    """Return the formats of --save."""
    from napari_nuclei_unet.cli._results import ENDINGS

    return ENDINGS


def damage_result(rng, base, case):
    """Damage a finished result, and resume, convert or measure it."""
    from mutations import mutate_bytes, mutate_csv, mutate_json, pick, replace_entry

    kind, out = pick(rng, ("tiff", "zarr")), case / "out"
    shutil.copytree(base / f"done_{kind}" / "out", out)
    files = sorted(path for path in out.rglob("*") if path.is_file())
    top = [path for path in files if path.parent == out or path.name.startswith((".z", "nuclei"))]
    path = pick(rng, top if rng.random() < 0.8 else files)
    how = rng.random()
    if how < 0.15:
        replace_entry(rng, path)
    elif path.suffix == ".csv":
        path.write_bytes(mutate_csv(rng, path.read_text("utf-8")))
    elif path.suffix == ".json" or path.name.startswith(".z"):
        path.write_text(mutate_json(rng, path.read_text("utf-8")), errors="replace")
    else:
        path.write_bytes(mutate_bytes(rng, path.read_bytes()))
    labels = out / ("a_labels.ome.tif" if kind == "tiff" else "a_labels.ome.zarr")
    image = base / f"done_{kind}" / "images" / "a.tif"  # whose path is in the record
    command = pick(rng, (
        ("segment", image, "--out", out, "--model", base / "bright.safetensors", "--format", kind),
        ("convert", labels, "--to", pick(rng, sorted(formats())), "--out", case / "converted"),
        ("measure", labels, image, "--out", case / "new.csv"),
        ("evaluate", labels.parent, labels.parent),
    ))  # fmt: skip
    return describe(*run_cli(*command))


def damage_record(rng, base, case):
    """Damage the record in labels, and read them."""
    import tifffile
    from mutations import mutate_json, pick

    from napari_nuclei_unet.io.labels import RECORD_KEY, read_record

    record = read_record(base / "done_tiff" / "out" / "a_labels.ome.tif")
    (case / "out").mkdir()
    labels = case / "out" / "a_labels.tif"
    record = json.loads(mutate_json(rng, json.dumps(record), can_break=False))
    pixels = tifffile.imread(base / "done_tiff/out/a_labels.ome.tif")
    text = json.dumps({RECORD_KEY: record})
    tifffile.imwrite(labels, pixels, compression="zlib", description=text, metadata=None)
    image = base / "done_tiff" / "images" / "a.tif"
    command = pick(rng, (
        ("segment", image, "--out", case / "out", "--model", base / "bright.safetensors"),
        ("convert", labels, "--to", pick(rng, sorted(formats())), "--out", case / "converted"),
        ("measure", labels, image, "--out", case / "new.csv"),
    ))  # fmt: skip
    return describe(*run_cli(*command))


def damage_annotation(rng, base, case):
    """Damage a table of run lengths or of groups, or an annotation, and evaluate with it."""
    from mutations import mutate_bytes, mutate_csv, pick

    shutil.copytree(base / "annotations", case, dirs_exist_ok=True)
    path = pick(rng, sorted(path for path in case.rglob("*") if path.is_file()))
    mutate = mutate_csv if path.suffix == ".csv" else mutate_bytes
    data = path.read_text("utf-8") if path.suffix == ".csv" else path.read_bytes()
    path.write_bytes(mutate(rng, data))
    groups = ("--groups", case / "groups.csv", "--each") if rng.random() < 0.5 else ()
    true = pick(rng, ("masks", "runs.csv"))
    return describe(*run_cli("evaluate", case / "found", case / true, *groups))


def damage_model(rng, base, case):
    """Damage a model in the library, list all of them, and use it."""
    from mutations import mutate_bytes, mutate_json, pick, replace_entry

    models = case / "models"
    shutil.copytree(base / "models", models)
    odd = models / pick(
        rng, ("odd.safetensors", "odd\x1b[31m.safetensors", "odd\udce4.safetensors")
    )
    data = (base / "bright.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, weights = data[8 : 8 + length].decode(), data[8 + length :]
    how = int(rng.integers(5))
    if how == 0:
        odd.write_bytes(mutate_bytes(rng, data))
    elif how == 1:
        replace_entry(rng, odd)
    elif how == 2:
        odd.write_bytes(_safetensors(mutate_json(rng, header), weights))
    else:
        content = json.loads(header)
        card = mutate_json(rng, content["__metadata__"]["card"], can_break=how < 4)
        if how == 4:
            card = json.loads(card)
            if isinstance(card, dict):
                name = pick(rng, ("width", "depth", "stem", "detail", "in_channels", "mean", "std"))
                card["network"] = {
                    "width": 2,
                    "depth": 1,
                    name: pick(rng, (0, 7, 4096, 10**9, [1])),
                }
            card = json.dumps(card)
        content["__metadata__"]["card"] = card
        odd.write_bytes(_safetensors(json.dumps(content), weights))
    os.environ["NUCLEI_UNET_HOME"] = str(case)
    _, out, err = run_cli("models", *(["--json"] if rng.random() < 0.3 else []))
    if "good" not in out:
        raise Fault(f"the good model is not listed: {err}")
    name = pick(rng, (odd, odd.stem))
    image = base / "good.tif"
    return describe(*run_cli("segment", image, "--out", case / "out", "--model", name))


def _safetensors(header, weights):
    text = header.encode("utf-8", "replace")
    return len(text).to_bytes(8, "little") + text + weights


def damage_project(rng, base, case):
    """Damage a project, and read it."""
    from mutations import mutate_bytes, mutate_json

    from napari_nuclei_unet.errors import UserError
    from napari_nuclei_unet.provenance.project import read_project

    data = (base / "project" / "a.nuclei.json").read_text("utf-8")
    changed = mutate_json(rng, data) if rng.random() < 0.8 else ""
    raw = changed.encode("utf-8", "replace") or mutate_bytes(rng, data.encode())
    path = write_all(case, {"a.nuclei.json": raw})
    try:
        read_project(path).to_json()
    except UserError as error:
        return "sentence", str(error)
    return "result", ""


# a kind more than once: it has more to be damaged
KINDS = [
    damage_image, damage_zarr, damage_description, damage_model, damage_image, damage_result,
    damage_zarr, odd_entry, damage_record, damage_annotation, damage_project, damage_image,
    odd_format, odd_table,
]  # fmt: skip


def work(seed, folder, keep):
    """Run cases whose numbers come on stdin, and write their outcomes, as lines of JSON."""
    answers, sys.stdout = os.fdopen(os.dup(1), "w", 1), sys.stderr
    os.dup2(2, 1)  # whatever libraries print
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    base = folder / "base"
    print(json.dumps(asdict(Outcome(-1, "", "ready"))), file=answers)
    for line in sys.stdin:
        number = int(line)
        print(json.dumps(asdict(run_case(seed, number, base, folder, keep))), file=answers)


def run_case(seed, number, base, folder, keep=False):
    """Run a case, and return its outcome."""
    case, damage = folder / f"case_{number}", KINDS[number % len(KINDS)]
    (case / "images").mkdir(parents=True)
    try:
        outcome, detail = damage(np.random.default_rng([seed, number]), base, case)
    except Exception:
        outcome, detail = "traceback", traceback.format_exc()
    if not keep:
        shutil.rmtree(case)
    return Outcome(number, damage.__name__, outcome, detail.encode("utf-8", "replace").decode())


# what the first process does: it never waits for ever


class Worker:
    """A process that runs cases one after the other."""

    def __init__(self, seed, folder, keep):
        args = ["--worker", str(folder), "--seed", str(seed), *(["--keep"] if keep else [])]
        self._process = subprocess.Popen(
            [sys.executable, __file__, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, bufsize=1,
        )  # fmt: skip
        self._answers = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.wait(START_SECONDS)

    def _listen(self):
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")  # it has ended

    def wait(self, seconds):
        """Return the next outcome; an empty text if the process has ended, None if it hangs."""
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            return None

    def run(self, number):
        """Run a case; None: the process is gone."""
        self._process.stdin.write(f"{number}\n")
        return self.wait(CASE_SECONDS)

    def end(self):
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()


def run_cases(numbers, seed, folder, keep=False):
    """Run cases in a process that is replaced when it hangs or dies; yield their outcomes."""
    worker = Worker(seed, folder, keep)
    try:
        for number in numbers:
            answer = worker.run(number)
            if answer:
                yield Outcome(**json.loads(answer))
                continue
            kind = KINDS[number % len(KINDS)].__name__
            how = ("hang", "") if answer is None else ("traceback", "the process has died")
            yield Outcome(number, kind, *how)
            worker.end()
            worker = Worker(seed, folder, keep)
    finally:
        worker.end()


def main():
    """Run all cases, and print how many ended in what."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="+", help="numbers of cases")
    parser.add_argument("--keep", action="store_true", help="keep the files, and print where")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.seed, args.worker, args.keep)
        return 0
    folder = Path(tempfile.mkdtemp(prefix="fuzz_"))
    try:
        return report(args, folder)
    finally:
        if args.keep:
            print(f"files are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def report(args, folder):
    """Run the cases, print what is at fault and the counts, and return the exit code."""
    from fuzz_base import make_base

    make_base(folder / "base")
    counts = Counter()
    for done in run_cases(args.only or range(args.cases), args.seed, folder, args.keep):
        counts[done.kind, done.outcome] += 1
        if done.outcome in FAULTS or args.only:
            print(f"case {done.number}, {done.kind}: {done.outcome}\n{done.detail}", flush=True)
    for (kind, outcome), count in sorted(counts.items()):
        print(f"{count:5d} {kind}: {outcome}")
    total = Counter()
    for (_, outcome), count in counts.items():
        total[outcome] += count
    print(", ".join(f"{outcome} {total[outcome]}" for outcome in ("result", "sentence", *FAULTS)))
    return int(any(total[fault] for fault in FAULTS))


if __name__ == "__main__":
    sys.exit(main())
