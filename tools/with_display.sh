#!/bin/sh
# Run a command that opens windows. On Debian and its like, what a napari window needs (Xvfb,
# OpenGL, the Qt libraries) is installed first, and the windows open in Xvfb, not on the screen.
set -eu
sh "$(dirname "$0")/apt_install.sh" xvfb xauth libegl1 libgl1 libgl1-mesa-dri libxkbcommon-x11-0 \
  libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxcb-xinerama0 libxcb-randr0 \
  libxcb-render-util0 libdbus-1-3
if command -v xvfb-run >/dev/null 2>&1; then
  exec xvfb-run -a -s "-screen 0 1600x1000x24" "$@"
fi
exec "$@"
