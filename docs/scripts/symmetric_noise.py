"""What a machine's noise costs the contrastive quantum autoencoder: AUC with shots and on simulated machines, against exact.

    qad simulate jets --process qcd -n 15001 --seed 201 -o data/noise-qcd.h5
    qad simulate jets --process top -n 15001 --seed 202 -o data/noise-top.h5
    python docs/scripts/symmetric_noise.py data/noise-qcd.h5 data/noise-top.h5

Inputs and settings are those of the study `symmetric` on `lund`, five qubits. Each file is the background in turn. Errors are
those of the paired difference, from a bootstrap of the test collisions. Needs the extra `ibm` for the machines' error rates.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from qad import detector, read, representations
from qad.benchmark import load_study
from qad.data import split
from qad.metrics import auc, bootstrap_weights
from qad.metrics.intervals import bootstrap_auc
from qad.quantum import backends, measured
from qad.quantum.backends.base import sampled

DETECTORS = ("contrastive-lund", "circuit-lund", "circuit-populations-lund")
#: A name for the table, the noise, the transpiler's level: from 2 it chooses qubits by their error rates.
MACHINES = (("none", None, 1), ("FakeManilaV2", "fake_manila", 1), ("FakeTorino, qubits as numbered", "fake_torino", 1),
            ("FakeTorino, best qubits", "fake_torino", 2))
SHOTS = (None, 100, 1000, 4096)
TEST, DRAWS = 2000, 300


def chance(collisions: np.ndarray, seed: int) -> np.ndarray:
    """How often each event stands in each bootstrap replica; the jets of one collision go together."""
    _, number = np.unique(collisions, return_inverse=True)
    return bootstrap_weights(int(number.max()) + 1, DRAWS, seed)[:, number]


def direction(background: str, signal: str, parts: dict[str, dict[str, Any]], study: Any) -> list[list[str]]:
    """Rows of the table for one background."""
    X: dict[tuple[str, str], np.ndarray] = {(s, part): sample for s in parts for part, sample in parts[s].items()}
    for step in study.representations["lund"].steps:
        learned = representations.get(step.use, **step.params).fit(X[background, "train"])
        X = {key: learned.transform(x) for key, x in X.items()}
    drawn = [chance(parts[s]["test"].extras["event"], i) for i, s in enumerate((background, signal))]
    tests = np.concatenate([X[background, "test"], X[signal, "test"]])
    rows = []
    for spec in (d for d in study.detectors if d.label in DETECTORS):
        model = detector.get(spec.use, **spec.params).fit(X[background, "train"], validation=X[background, "validation"])
        exact = np.split(model.anomaly_score(tests), 2)
        for name, noise, level in MACHINES:
            start = time.perf_counter()
            machine = measured.Instrument(model, backends.get("aer", noise=noise, optimization_level=level)).compiled
            p = machine.probabilities(model.inputs(tests))
            seconds = time.perf_counter() - start
            cells = []
            for shots in SHOTS:
                found = np.split(measured.scores(model, sampled(p, shots)).score, 2)
                error = np.std(bootstrap_auc(*found, *drawn) - bootstrap_auc(*exact, *drawn), ddof=1)
                cells.append(f"{auc(*found) - auc(*exact):+.4f} ± {error:.4f}")
            rows.append([f"{background} → {signal}", spec.label.removesuffix("-lund"), f"{auc(*exact):.4f}", name,
                         str(machine.two_qubit_gates), str(machine.depth), *cells, f"{seconds:.1f}"])
            print("| " + " | ".join(rows[-1]) + " |", flush=True)
    return rows


def main(files: list[str]) -> None:
    """Print the table, and the largest loss."""
    study = load_study("symmetric")
    sizes = {"train": round(study.split.train * (1 - study.split.validation)),
             "validation": round(study.split.train * study.split.validation), "test": TEST}
    parts = {}
    for file in files:
        sample = read(file)
        parts[str(sample.process[0])] = split(sample, sizes, seed=study.split.seed)
    header = ["task", "detector", "AUC exact", "machine", "two-qubit gates", "depth",
              *("noise alone" if s is None else f"{s:,} shots" for s in SHOTS), "seconds"]
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    names = list(parts)
    rows = [row for a, b in (names, names[::-1]) for row in direction(a, b, parts, study)]
    for i in range(len(SHOTS)):
        worst = min(rows, key=lambda row: float(row[6 + i].split()[0]))
        print(f"\nLargest loss, {header[6 + i]}: {worst[6 + i]} ({worst[0]}, {worst[1]}, {worst[3]})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs=2, help="a sample of each process")
    main(parser.parse_args().files)
