#!/usr/bin/env bash
# Every measurement that needs a GPU, in one command of less than 8 minutes.
#   experiments/benchmarks/cuda.sh [--dry] [--upstream DIR] [--out FOLDER]
# Writes cuda.json and cuda_loss.json, with tables beside them as .md, into FOLDER
# (experiments/results/speed). DIR is a checkout of swz30/Restormer. --dry: tiny, on a CPU.
# PYTHON=... chooses the interpreter.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$(command -v "$python")" ] || python=python3
out=$root/experiments/results/speed
dry=() upstream=() loss=(--device cuda --batch 8 --rounds 10)
while [ $# -gt 0 ]; do
    case $1 in
        --dry) dry=(--dry --rounds 1) loss=(--device cpu --side 32 --rounds 1) ;;
        --upstream) upstream=(--upstream "${2:?expected a folder after --upstream}"); shift ;;
        --out) out=${2:?expected a folder after --out}; shift ;;
        *) echo "expected --dry, --upstream DIR or --out FOLDER, got $1" >&2; exit 2 ;;
    esac
    shift
done
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
mkdir -p "$out"
timeout 360 "$python" "$here/gpu.py" "${dry[@]}" "${upstream[@]}" --out "$out/cuda.json"
timeout 110 "$python" "$here/loss_speed.py" "${loss[@]}" --out "$out/cuda_loss.json"
