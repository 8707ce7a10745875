#!/bin/sh
# Run a command that opens windows. On Debian and its like, what a napari window needs (Xvfb,
# OpenGL, the Qt libraries) is installed first, and the windows open in Xvfb, not on the screen.
set -eu
packages="xvfb xauth libegl1 libgl1 libgl1-mesa-dri libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4
libxcb-keysyms1 libxcb-shape0 libxcb-xinerama0 libxcb-randr0 libxcb-render-util0 libdbus-1-3"
# shellcheck disable=SC2086
if command -v apt-get >/dev/null 2>&1 && ! dpkg -s $packages >/dev/null 2>&1; then
  [ "$(id -u)" = 0 ] && as_root="" || as_root="sudo"
  export DEBIAN_FRONTEND=noninteractive
  $as_root apt-get update -qq
  $as_root apt-get install -y -qq $packages >/dev/null
fi
if command -v xvfb-run >/dev/null 2>&1; then
  exec xvfb-run -a -s "-screen 0 1600x1000x24" "$@"
fi
exec "$@"
