"""The tables of docs/benchmarks/quantum_kernel.md, from the runs of the study `quantum-kernel` and from jets.

    python docs/scripts/quantum_kernel.py runs/quantum-kernel                     # AUC, 1/ε_b, Δ_QC, cost
    python docs/scripts/quantum_kernel.py --concentration data/qcd-n10001-*.h5  # the kernel's variance against the qubits
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import qad
from qad import representations
from qad.benchmark import read_runs
from qad.metrics import rejection, rejection_ratio
from qad.quantum import encodings
from qad.quantum import fidelity_kernel as kernel
from qad.report.tables import Summary, rows_of, summarise

EFFICIENCIES = (0.4, 0.6, 0.8)  # as in arXiv:2301.10780
PAIRS = (("quantum-one-class-svm", "one-class-svm"), ("quantum-one-class-svm", "one-class-svm-narrow"),
         ("quantum-kmeans", "k-means"))
QUBITS, EVENTS = (2, 4, 6, 8, 10), 600


def rejections(s: Summary, efficiency: float) -> np.ndarray:
    """1/ε_b of each seed."""
    return np.array([rejection(row.curve, efficiency) for row in s.rows])


def spread(values: np.ndarray, digits: int) -> str:
    """mean ± s.d."""
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def table(header: list[str], rows: list[list[str]]) -> None:
    """Print markdown."""
    for row in (header, ["---"] * len(header), *rows):
        print("| " + " | ".join(row) + " |")
    print()


def of_runs(root: Path) -> None:
    """AUC and 1/ε_b of every detector; Δ_QC of each pair; what each costs."""
    found = summarise(rows_of(read_runs(root)))
    tasks = list(dict.fromkeys((s.train, s.signal) for s in found))
    names = list(dict.fromkeys((s.detector, s.representation, s.kind) for s in found))
    at = {(s.train, s.signal, s.detector, s.representation): s for s in found}
    print("Mean AUC over seeds ± s.d.\n")
    table(["detector", "sees", "kind", *(f"{a} → {b}" for a, b in tasks)],
          [[*name, *(spread(at[a, b, *name[:2]].auc, 3) for a, b in tasks)] for name in names])
    pairs = [(p, q, c) for p in tasks for q, c in ((at[*p, a, "latent"], at[*p, b, "latent"]) for a, b in PAIRS)]
    print("Pairs: AUC with the 68 % bootstrap interval over test events, and the paired difference\n")
    rows = []
    for (a, b), q, c in pairs:
        d = q.minus(c)
        intervals = (f"{s.mean['auc']:.3f} [{s.interval[0]:.3f}, {s.interval[1]:.3f}]" for s in (q, c))
        rows.append([f"{a} → {b}", q.detector, c.detector, *intervals, f"{d.value:+.3f} ± {d.error:.3f}"])
    table(["task", "quantum", "classical", "AUC quantum", "AUC classical", "difference"], rows)
    print("1/ε_b at ε_s, mean ± s.d. over seeds, and Δ_QC = (1/ε_b)_Q / (1/ε_b)_C\n")
    rows = []
    for (a, b), q, c in pairs:
        for e in EFFICIENCIES:
            mine, theirs = rejections(q, e), rejections(c, e)
            ratio = rejection_ratio(mine, theirs)
            rows.append([f"{a} → {b}", q.detector, c.detector, str(e), spread(mine, 2), spread(theirs, 2),
                         f"{ratio.value:.2f} ± {ratio.error:.2f}"])
    table(["task", "quantum", "classical", "ε_s", "1/ε_b quantum", "1/ε_b classical", "Δ_QC"], rows)
    rows = []
    for name in names:
        records = [row.run.record for s in found if (s.detector, s.representation, s.kind) == name for row in s.rows]
        rows.append([*name[:2], f"{np.mean([r['parameters'] or 0 for r in records]):,.0f}",
                     f"{np.median([r['fit_seconds'] for r in records]):.2f}",
                     f"{np.median([r['events_per_second'] for r in records]):,.0f}"])
    print("Cost: stored numbers, median seconds of `fit` and events scored a second\n")
    table(["detector", "sees", "parameters", "fit [s]", "events/s"], rows)


def concentration(file: Path) -> None:
    """Mean and variance of k(x, y) over pairs of background jets, and of random angles, on more and more qubits."""
    jets = qad.read(file)
    chain = [representations.get("constituents", n_particles=20), representations.get("flatten"),
             representations.get("standardise")]
    X = jets
    for step in chain:
        X = step.fit(X).transform(X)
    rows = []
    for n in QUBITS:
        embedding = representations.get("learned-latent", latent=2 * n, hidden=[64, 32]).fit(X[:4000])
        z = embedding.transform(X[4000 : 4000 + EVENTS])
        uniform = np.random.default_rng(0).uniform(0, np.pi, z.shape)
        cells = []
        for angles in (np.pi * (z + 1) / 2, uniform):
            K = kernel.gram(encodings.dense_kernel, torch.as_tensor(angles), None, n).numpy()
            apart = K[np.triu_indices(len(K), 1)]
            cells += [f"{apart.mean():.4f}", f"{apart.var():.1e}"]
        rows.append([str(n), str(2 * n), *cells, f"{1 / 2**n:.4f}"])
    print(f"k(x, y) over all pairs of {EVENTS} events\n")
    table(["qubits", "features", "mean, jets", "variance", "mean, random angles", "variance", "1/2ⁿ"], rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=Path, default=Path("runs/quantum-kernel"))
    parser.add_argument("--concentration", type=Path, metavar="FILE")
    given = parser.parse_args()
    concentration(given.concentration) if given.concentration else of_runs(given.runs)
