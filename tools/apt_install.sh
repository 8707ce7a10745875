#!/bin/sh
# Install the named packages on Debian and its like, if one is missing; elsewhere do nothing.
set -eu
command -v apt-get >/dev/null 2>&1 || exit 0
dpkg -s "$@" >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ]; then as_root=""
elif command -v sudo >/dev/null 2>&1; then as_root="sudo"
else echo "As root, please: apt-get install $*" >&2; exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
$as_root apt-get install -y -qq "$@" >/dev/null
