#!/bin/sh
# Build the wheel, install it into a clean environment, and do the main job with it.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$BIN/python" -m build --wheel --outdir "$place/dist" . >/dev/null
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt \
  "$place"/dist/*.whl
cd "$place"
venv/bin/nuclei-unet demo --out demo
venv/bin/nuclei-unet models
venv/bin/npe2 validate napari-nuclei-unet
