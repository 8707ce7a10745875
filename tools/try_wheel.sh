#!/bin/sh
# Build the wheel, install it without extras, and do the main jobs: no napari, no Qt, no matplotlib.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$BIN/python" -m build --wheel --outdir "$place/dist" . >/dev/null
size=$(cat "$place"/dist/*.whl | wc -c)
[ "$size" -lt 15000000 ] || { echo "the wheel has $size bytes, over 15 MB" >&2; exit 1; }
"$BIN/twine" check --strict "$place"/dist/*.whl
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt \
  "$place"/dist/*.whl
cd "$place"
venv/bin/python - <<'END'
import importlib.util
import sys

heavy = ("napari", "npe2", "qtpy", "matplotlib")
found = [name for name in heavy if importlib.util.find_spec(name)]
sys.exit(f"the base installs {', '.join(found)}" if found else 0)
END
venv/bin/nuclei-unet demo --out demo
venv/bin/nuclei-unet models
mkdir images labels
cp "$(venv/bin/python -c 'import napari_nuclei_unet as n; print(n.__path__[0])')"/sample_images/fluorescence_small.png images
cp demo/fluorescence_small_labels.ome.tif labels
venv/bin/nuclei-unet measure labels/*.tif images/*.png --out nuclei.csv
venv/bin/nuclei-unet evaluate labels labels
venv/bin/nuclei-unet train images labels --from nuclei --epochs 1 --steps 2 --out own/own.safetensors
venv/bin/nuclei-unet segment images --model own/own.safetensors --out results
