#!/bin/sh
# Make a GPU worker's environment in .venv, on top of the server's. Usage: make gpu
# (PYTHON=… names the Python to use; GPU_CUDA=12.8 speaks for a driver that is not here.)
set -eu

cd "$(dirname "$0")/.."

# What the machine lacks is said before gigabytes are fetched.
python=$(sh deploy/environment.sh python)
compiler=$("$python" -m deploy.gpu_choice)

sh deploy/environment.sh server
exec .venv/bin/python -m deploy.gpu_environment "$compiler"
