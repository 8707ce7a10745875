#!/bin/sh
# Install what a napari window needs on Debian and its like: Xvfb, OpenGL and the Qt libraries.
# Elsewhere, and where all of it is there already, this does nothing.
set -eu
packages="xvfb xauth libegl1 libgl1 libgl1-mesa-dri libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4
libxcb-keysyms1 libxcb-shape0 libxcb-xinerama0 libxcb-randr0 libxcb-render-util0 libdbus-1-3"
command -v apt-get >/dev/null 2>&1 || exit 0
# shellcheck disable=SC2086
dpkg -s $packages >/dev/null 2>&1 && exit 0
[ "$(id -u)" = 0 ] && as_root="" || as_root="sudo"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root apt-get install -y -qq $packages >/dev/null
