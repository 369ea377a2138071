#!/bin/sh
# Make or refresh the environment in .venv from a lock with hashes.
# Usage: sh deploy/environment.sh server|dev      (PYTHON=… names the Python to use)
#        sh deploy/environment.sh python          prints which Python that would be
#
# The stamp is written last and holds the checksum of what went in, so a second run is instant, a
# changed lock is installed over the old one, and an interrupted set-up is redone from nothing.
set -eu

cd "$(dirname "$0")/.."
profile=${1:?usage: environment.sh server|dev}
lock=requirements/$profile.lock
venv=.venv
stamps=$venv/.labpool
unfinished=.venv.unfinished

say() { printf '%s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }

checksum() { cat "requirements/$1.lock" pyproject.toml deploy/environment.sh | cksum; }

current() { [ "$(cat "$stamps/$1" 2>/dev/null || true)" = "$(checksum "$1")" ]; }

works() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; }

find_python() {
    seen=
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        path=$(command -v "$candidate" 2>/dev/null) || continue
        if works "$path"; then printf '%s\n' "$path"; return; fi
        version=$("$path" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || continue
        seen="$seen $candidate is $version;"
    done
    say "labpool needs Python 3.11, 3.12 or 3.13 and found none (${seen:- no python3 on PATH;}" \
        "TensorFlow has wheels for these)."
    say "Install one (Debian, Ubuntu: sudo apt install python3 python3-venv) and run make again,"
    fail "or name yours: make setup PYTHON=/path/to/python3.12"
}

make_venv() {
    python=$(find_python)
    "$python" -c 'import venv, ensurepip' 2>/dev/null || fail \
        "$python has no venv module. On Debian or Ubuntu: sudo apt install python3-venv" \
        "(or python3.12-venv for a Python 3.12), then run make again."
    say "Making $venv with $("$python" --version) ($python)"
    rm -rf "$venv"
    "$python" -m venv "$venv" || fail "$python could not make $PWD/$venv (see above)."
}

if [ "$profile" = python ]; then find_python; exit 0; fi

if [ ! -e $unfinished ] && [ -x $venv/bin/python ] && works $venv/bin/python; then
    if current "$profile"; then exit 0; fi
    # The development environment holds everything of the server's.
    if [ "$profile" = server ] && current dev; then exit 0; fi
fi

(: > $unfinished.test) 2>/dev/null || fail \
    "$PWD cannot be written to, and the environment goes there. Use a checkout of your own."
rm -f $unfinished.test

if [ -e $unfinished ]; then
    say "An earlier set-up was interrupted; starting afresh."
    rm -rf $venv
fi
: > $unfinished
if ! { [ -x $venv/bin/python ] && works $venv/bin/python; }; then make_venv; fi

say "Installing $(grep -c '==' "$lock") packages of $lock (about 2 GB on disk; some minutes on a slow line)"
pip="$venv/bin/python -m pip --disable-pip-version-check"
if ! $pip install --quiet --require-hashes -r "$lock"; then
    say "pip could not install $lock; its reason stands above."
    say "Look at the network, the package index in pip's settings, and the free disk space (df -h .),"
    fail "then run make again."
fi
# setuptools is in the lock, so this needs no network. .venv/bin/labpool then runs the checkout.
$pip install --quiet --no-deps --no-build-isolation --no-index --editable . || fail \
    "pip could not install labpool itself; its reason stands above."

mkdir -p $stamps
checksum "$profile" > "$stamps/$profile"
rm -f $unfinished
say "The environment is ready: $venv/bin/labpool --help"
