#!/bin/sh
# Make or refresh .venv-peers from its locks with hashes, with the Python of .venv.
#
# The stamp is written last and holds the checksum of what went in: an unfinished environment counts
# as none and is made anew, a changed lock too.
set -eu

cd "$(dirname "$0")/../../.."
venv=.venv-peers
stamp=$venv/.complete
lock=requirements/peers.lock
torch=requirements/peers-torch.lock

checksum() { cat "$lock" "$torch" tests/bench/peers/environment.sh | cksum; }
say() { printf '%s\n' "$*" >&2; }

if [ "$(cat $stamp 2>/dev/null || true)" = "$(checksum)" ]; then exit 0; fi

rm -rf $venv
.venv/bin/python -m venv $venv
pip="$venv/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes"
say "Installing $(grep -c '==' $lock) packages of $lock into $venv (about 4 GB on disk)"
$pip -r $lock
# Indexes for everything hold PyTorch with CUDA alone, so a build for the CPU comes from PyTorch's
# own, unless pip's settings know one. Its dependencies are in the first lock.
$pip --no-deps -r $torch 2>/dev/null ||
    $pip --no-deps --index-url https://download.pytorch.org/whl/cpu -r $torch

checksum > $stamp
say "The peers' environment is ready: make bench"
