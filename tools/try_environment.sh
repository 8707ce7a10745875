#!/bin/sh
# Run the tests in an environment that users may have: sh tools/try_environment.sh LEG
#
#   lowest         the lowest versions that pyproject.toml allows: engine
#   no-qt          the base, without extras: engine
#   oldest-napari  the lowest napari that it allows: window
#   newest-napari  the newest napari, also a release candidate: window
#
# UV_OVERRIDE may name a file with another torch than that of PyPI (UV_FIND_LINKS a folder of it).
set -eu
cd "$(dirname "$0")/.."
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$venv/uv" uv
uv="$venv/uv/bin/uv"
"$uv" venv --quiet "$venv/env"
install() { "$uv" pip install --quiet --python "$venv/env/bin/python" "$@"; }
tests="hypothesis pytest shapely"
extras="cluster,fast,formats,track,train"
napari=$(sed -n 's/^napari = .*"napari>=\([0-9.]*\)".*/\1/p' pyproject.toml)

case $1 in
lowest) install --resolution lowest-direct -e ".[napari,$extras]" && install $tests ;;
no-qt) install -e . $tests ;;
oldest-napari) install -e ".[napari,$extras]" "napari==$napari" PyQt6 pytest-qt $tests ;;
newest-napari) install --prerelease allow -e ".[napari,$extras]" napari PyQt6 pytest-qt $tests ;;
*) echo "one of lowest, no-qt, oldest-napari, newest-napari" >&2 && exit 2 ;;
esac

case $1 in
*-napari) QT_QPA_PLATFORM=offscreen PYTEST_QT_API=pyqt6 QT_API=pyqt6 "$venv/env/bin/python" -m pytest tests/widgets ;;
*) "$venv/env/bin/python" -m pytest tests/core tests/engine ;;
esac
