#!/bin/sh
# Images that every cluster of the tests needs: base-images.sh FOLDER
set -eu
out=$1
scripts=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cc -Os -static -s -Wall -Wextra -Werror -o "$work/pause" "$scripts/pause.c"
"$scripts/image.py" "$out/pause.tar" weir.test/pause:e2e --user 65535:65535 \
    --entrypoint /pause /pause="$work/pause"
