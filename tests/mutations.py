"""Damage of files, made again by the same random generator: bytes, JSON, XML, CSV, folders."""

import csv
import io
import json
import math
import os
import re
import socket
from copy import deepcopy

# What programs, disks and people put in the place of a number or a text.
VALUES = [
    None, True, -1, 0, 1, 3, 255, 2**31, 2**32 - 1, 2**63, 10**12, 10**30, 0.5, -1e308,
    math.nan, math.inf, "", "0", "x", "-", "..", "../../x", "/", "a\x1b[31mb\r\nc", "\ud800",
    "é" * 300, [], [0], [None], {}, {"a": 1}, [[[[]]]], "nan", "1e999", "2" * 5000, "true",
]  # fmt: skip
WORDS = [0, 1, 2, 3, 0x7F, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def pick(rng, options):
    """Return one of some options."""
    return options[int(rng.integers(len(options)))]


def mutate_bytes(rng, data):
    """Return bytes with one to four damages."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.random() * len(data))
        # headers are short, and matter most
        at = at if rng.random() < 0.5 else min(at, int(rng.integers(1, 512)))
        end = at + int(rng.integers(1, 64))
        kind = int(rng.integers(8))
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at:end] = bytes(len(data[at:end]))
        elif kind == 2:
            data[at:end] = b"\xff" * len(data[at:end])
        elif kind == 3:
            data[at:at] = data[at:end]
        elif kind == 4:
            del data[at:end]
        elif kind == 5:
            data[at:end] = rng.bytes(len(data[at:end]))
        elif kind == 6 and at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
        else:
            size = pick(rng, (2, 4))
            word = pick(rng, WORDS) & (256**size - 1)
            data[at : at + size] = word.to_bytes(size, pick(rng, ("little", "big")))
    return bytes(data)


def mutate_tags(rng, data):
    """Return a TIFF of little endian with other values in its list of tags."""
    data = bytearray(data)
    at = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[at : at + 2], "little")
    for _ in range(int(rng.integers(1, 4))):
        entry = at + 2 + 12 * int(rng.integers(max(count, 1)))
        part, size = pick(rng, ((0, 2), (2, 2), (4, 4), (8, 4)))
        word = pick(rng, WORDS) & (256**size - 1)
        data[entry + part : entry + part + size] = word.to_bytes(size, "little")
    return bytes(data)


def mutate_json(rng, text, can_break=True):
    """Return JSON of which some values are others, missing or nested too deeply to be read."""
    content = json.loads(text)
    for _ in range(int(rng.integers(1, 4))):
        places = list(_places(content))
        if not places or rng.random() < 0.04:
            content = deepcopy(pick(rng, VALUES))
            break
        holder, key = pick(rng, places)
        if rng.random() < 0.2:
            del holder[key]
        else:
            holder[key] = deepcopy(pick(rng, VALUES))  # or a change of it would change VALUES
    text = json.dumps(content)
    if can_break and rng.random() < 0.08:
        return re.sub(r"\[\]|\{\}|0", "[" * 100_000, text, count=1)
    return text


def _places(content):
    """Yield each list or dict, with each of its keys."""
    keys = content if isinstance(content, dict) else range(len(content))
    for key in list(keys):
        yield content, key
        if isinstance(content[key], dict | list):
            yield from _places(content[key])


def mutate_xml(rng, text):
    """Return XML of which some attributes, numbers or tags are others."""
    for _ in range(int(rng.integers(1, 4))):
        found = list(re.finditer(r'="[^"]*"|<\w+', text))
        one = pick(rng, found)
        value = re.sub(r'[<&"\x00-\x1f\ud800]', "", str(pick(rng, VALUES)))
        new = f'="{value}"' if one[0].startswith("=") else pick(rng, ("<Odd", "<OME", "<a" * 3000))
        text = text[: one.start()] + new + text[one.end() :]
    return text


def mutate_csv(rng, text):
    """Return a table with other cells, columns or rows."""
    rows = list(csv.reader(io.StringIO(text)))
    for _ in range(int(rng.integers(1, 4))):
        row = pick(rng, rows) if rows else []
        at = int(rng.integers(len(row))) if row else 0
        kind = int(rng.integers(6))
        if kind == 0 and row:
            del row[at]
        elif kind == 1:
            row.insert(at, str(pick(rng, VALUES)))
        elif kind == 2 and rows:
            del rows[int(rng.integers(len(rows)))]
        elif kind == 3 and rows:
            rows += [list(row)] * 2
        elif row:
            row[at] = str(pick(rng, VALUES))
    made = io.StringIO()
    csv.writer(made).writerows(rows)
    encoding = pick(rng, ("utf-8", "utf-8", "utf-16", "cp1252"))
    return made.getvalue().encode(encoding, "replace")


def replace_entry(rng, path):
    """Put what is no file in place of one: a pipe, a socket, a link to itself, a folder."""
    if path.is_file():
        path.unlink()
    kind = int(rng.integers(6))
    if kind == 1 and len(path.name) > 100:  # the path of a socket must be short
        kind = 0
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        here = os.getcwd()
        os.chdir(path.parent)
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
        finally:
            os.chdir(here)
    elif kind == 2:
        path.symlink_to(path.name)
    elif kind == 3:
        path.symlink_to("nowhere")
    elif kind == 4:
        path.mkdir()
    else:
        path.touch()
