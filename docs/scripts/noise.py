"""The tables of docs/benchmarks/noise.md: AUC of every way to measure a circuit, and paired difference to the exact engine.

    python docs/scripts/noise.py runs/noise runs/noise-jets       # after  qad report  of each, which writes results.csv
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

MACHINES = {"manila": "fake_manila, 5 qubits", "kolkata": "fake_kolkata, 27 qubits", "torino": "fake_torino, 133 qubits"}
WAYS = [("", "no shot noise"), ("-5000-shots", "5,000 shots"), ("-5000-shots-readout", "readout"), ("-5000-shots-zne", "zne"),
        ("-5000-shots-both", "both")]


def read(folder: Path) -> dict[str, dict[tuple[str, str], dict[int, float]]]:
    """AUC by detector, (background, signal) and seed."""
    found: dict[str, dict[tuple[str, str], dict[int, float]]] = {}
    with open(folder / "results.csv", newline="") as file:
        for row in csv.DictReader(file):
            if row["auc"]:
                at = found.setdefault(row["detector"], {}).setdefault((row["train"], row["signal"]), {})
                at.setdefault(int(row["seed"]), float(row["auc"]))  # the first representation
    return found


def cell(aucs: dict[int, float] | None, exact: dict[int, float]) -> str:
    """AUC (difference to exact ± its spread over seeds)."""
    if not aucs:
        return "–"
    seeds = sorted(aucs.keys() & exact.keys())
    difference = np.array([aucs[s] - exact[s] for s in seeds])
    spread = difference.std(ddof=1) if len(seeds) > 1 else float("nan")
    return f"{np.mean(list(aucs.values())):.4f} ({difference.mean():+.4f} ± {spread:.4f})"


def table(rows: list[list[str]]) -> str:
    """Markdown; the first row is the head."""
    return "\n".join("| " + " | ".join(r) + " |" + ("\n" + "|---" * len(r) + "|" if i == 0 else "") for i, r in enumerate(rows))


def main(folders: list[str]) -> None:
    """Print the tables of each study."""
    for folder in map(Path, folders):
        found = read(folder)
        for task in found["exact"]:
            exact = found["exact"][task]
            get = {name: by.get(task) for name, by in found.items()}
            mean = {name: np.mean(list(aucs.values())) for name, aucs in get.items() if aucs}
            print(f"\n**{folder.name}, {task[0]} → {task[1]}**: exact {mean['exact']:.4f}; controls "
                  + ", ".join(f"{name} {mean[name]:.4f}" for name in ("untrained", "random", "ceiling")) + ".\n")
            shots = {n: get[f"{n}-shots"] for n in (100, 500, 1000, 5000, 10_000, 100_000) if f"{n}-shots" in get}
            head, aucs = [f"{n:,}" for n in shots], [cell(one, exact) for one in shots.values()]
            print(table([["shots", *head], ["AUC", *aucs]]) + "\n")
            rows = [[machine, *(cell(get.get(name + way), exact) for way, _ in WAYS)]
                    for name, machine in MACHINES.items() if name in get]
            print(table([["machine", *(title for _, title in WAYS)], *rows]) + "\n")
            trained = [name for name in get if name.startswith("torino-t") or name == "torino-random"]
            print(table([["on fake_torino, 5,000 shots", "AUC"], ["trained exactly", cell(get["torino-5000-shots"], exact)],
                         *([name.removeprefix("torino-"), cell(get[name], exact)] for name in trained)]))


if __name__ == "__main__":
    main(sys.argv[1:])
