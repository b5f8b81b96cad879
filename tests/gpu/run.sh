#!/bin/sh
# The whole back end "cuda" on this machine's card: problems, networks, memory checks, benchmarks. One call of less than
# ten minutes; needs no network and installs nothing. `sh tests/gpu/run.sh --help` says what it takes.
set -eu
repository=$(cd "$(dirname "$0")/../.." && pwd)
links=$(mktemp -d)
trap 'rm -rf "$links"' EXIT
ln -s "$repository" "$links/wavetile"  # whatever the checkout's folder is called
mkdir "$links/tests"                   # and whoever else's tests are installed as "tests"
printf '__path__ = ["%s/tests"]\n' "$repository" >"$links/tests/__init__.py"
if [ ! -w "${HOME:-/nowhere}" ]; then  # where CuPy and wavetile keep what they have compiled
    export CUPY_CACHE_DIR="${CUPY_CACHE_DIR:-$links/cupy}" WAVETILE_CACHE="${WAVETILE_CACHE:-$links/wavetile-cache}"
fi
cd "$repository"
PYTHONPATH="$links${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 "${PYTHON:-python3}" -m tests.gpu.suite "$@"
