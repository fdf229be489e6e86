#!/bin/sh
# Install titans-dna at the versions of constraints.txt: recipe/install.sh PYTHON REQUIREMENT [CONSTRAINTS]
# REQUIREMENT is what pip takes: a wheel or a folder, with extras. Dockerfile, titans-dna.def and `make wheel` all run this.
set -eu
python=$1
requirement=$2
constraints=${3:-constraints.txt}

# torch comes first and alone: it is by far the largest, and everything else then resolves around it.
"$python" -m pip install --disable-pip-version-check --quiet --no-compile -c "$constraints" torch
"$python" -m pip install --disable-pip-version-check --quiet --no-compile -c "$constraints" "$requirement"
