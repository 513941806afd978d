"""The tables of docs/benchmarks/shots.md: what shots, a machine's noise and its mitigation cost the four-feature circuit.

    python docs/scripts/shots.py --data FOLDER              # AUC against shots, how many for which loss, estimates
    python docs/scripts/shots.py --data FOLDER --machines   # snapshots of machines, mitigated or not (the extra ibm)

Two trash qubits; events, selection and split of the study `qae2022`; all weights are zero, which is also where training ends
(docs/benchmarks/qae2022.md). No event trains anything here; test events are only scored.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import qad
from qad import representations
from qad.benchmark import load_study
from qad.benchmark.events import cut
from qad.metrics import auc, bootstrap_weights
from qad.metrics.intervals import bootstrap_auc
from qad.metrics.shots import auc_under_shots, auc_without_shots, shots_for
from qad.quantum import Circuit, ansatze, backends, encodings
from qad.quantum.backends.base import sampled
from qad.quantum.backends.isa import ISA
from qad.quantum.backends.mitigation import Mitigated

SHOTS = (10, 30, 100, 300, 1000, 3000, 5000, 10_000, 100_000)
MACHINES = {"fake_manila": 5, "fake_kolkata": 27, "fake_torino": 133}
#: Name, readout, noise factors, method.
MITIGATIONS = (("none", False, (1,), "linear"), ("readout", True, (1,), "linear"), ("zne", False, (1, 3, 5), "linear"),
               ("both", True, (1, 3, 5), "linear"), ("both, exponential", True, (1, 3, 5), "exponential"),
               ("both, Richardson", True, (1, 3, 5), "richardson"), ("both, 1 and 3", True, (1, 3), "linear"))
FEW_SHOTS = (500, 5000)
EXPERIMENTS, DRAWS, LATENT = 10, 300, 2


def events(data: Path) -> list[np.ndarray]:
    """Test events of background and signal as angles ``(n, 4)`` [rad]."""
    study, found = load_study("qae2022"), []
    steps = [representations.get(step.use, **step.params) for step in study.representations["angles"].steps]
    for name in ("ttbar", "heavy_higgs"):
        spec = study.samples[name]
        sample = cut(qad.read(data / spec.file), spec.cuts)
        X = qad.split(sample, {"train": spec.train, "test": spec.test}, study.split.seed)["test"]
        for step in steps:
            X = step.fit(X).transform(X)  # fixed bounds: nothing is learned
        found.append(X)
    return found


def table(header: list[str], rows: list[list[str]]) -> None:
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|", *("| " + " | ".join(row) + " |" for row in rows)]
    print("\n".join(lines), flush=True)


def of_shots(F: list[np.ndarray]) -> None:
    """AUC against shots, both read-outs."""
    exact, rows = auc(*(1 - f for f in F)), []
    print(f"\nExact AUC {exact:.4f}; mean fidelity {F[0].mean():.3f} of background, {F[1].mean():.3f} of signal\n")
    for shots in SHOTS:
        cells = [f"{shots:,}"]
        for readout in ("direct", "swap"):
            found = auc_under_shots(*F, shots, readout)
            cells += [f"{found.expected:.4f} ± {found.sd:.4f}", f"{found.expected - exact:+.4f}"]
        rows.append(cells)
    table(["shots", "AUC, direct", "minus exact", "AUC, SWAP test", "minus exact"], rows)
    print()
    rows = []
    for loss in (0.03, 0.01, 0.003, 0.001, 0.0003):
        few, more = (shots_for(*F, loss=loss, readout=readout) for readout in ("direct", "swap"))
        rows.append([f"{loss:g}", f"{few:,}", f"{more:,}", f"{more / few:.2f}"])
    table(["loss of AUC at most", "shots, direct", "shots, SWAP test", "ratio"], rows)
    print()
    rows = []
    for shots in (30, 100, 300, 1000):
        for readout in ("direct", "swap"):
            found = np.array([auc_without_shots(*measured(F, shots, readout, seed), shots, readout)
                              for seed in range(EXPERIMENTS)])
            off = (found - exact).mean(0)
            rows.append([f"{shots:,}", readout, f"{found[:, 2].mean():.4f}", f"{off[2]:+.4f}", f"{found[:, 0].mean():.4f}",
                         f"{off[0]:+.4f}", f"{found[:, 0].std(ddof=1):.4f}", f"{found[:, 1].mean():.4f}"])
    table(["shots", "readout", "AUC measured", "minus exact", "estimate", "minus exact", "its spread from shots", "its error"],
          rows)


def measured(F: list[np.ndarray], shots: int, readout: str, seed: int) -> list[np.ndarray]:
    """Fidelities from shots."""
    rng = np.random.default_rng(seed)
    if readout == "direct":
        return [rng.binomial(shots, np.clip(f, 0, 1)) / shots for f in F]
    return [2 * rng.binomial(shots, np.clip((1 + f) / 2, 0, 1)) / shots - 1 for f in F]


class Recorded:
    """A machine that simulates each circuit once and draws all shots from its exact distribution."""

    def __init__(self, machine: Any, X: np.ndarray) -> None:
        self.machine, self.isa, self.X, self.known = machine, machine.isa, X, {}

    def run(self, isa: ISA, X: np.ndarray, weights: Any = None, shots: int | None = None, seed: int = 0) -> np.ndarray:
        key = isa.two_qubit_gates  # tells the folded ones apart
        if key not in self.known:
            self.known[key] = self.machine.run(isa, self.X)
        return sampled(self.known[key], shots, seed)

    def run_circuits(self, circuits: list[Any], shots: int | None = None, seed: int = 0) -> np.ndarray:
        if "calibration" not in self.known:
            self.known["calibration"] = self.machine.run_circuits(circuits)
        return sampled(self.known["calibration"], shots, seed)


def of_machines(X: list[np.ndarray], circuit: Circuit) -> None:
    """AUC and fidelities on simulated machines."""
    both, n, weights = np.concatenate(X), len(X[0]), np.zeros(circuit.shape)
    chance = [bootstrap_weights(len(x), DRAWS, seed) for seed, x in enumerate(X)]
    F = backends.get("exact").compile(circuit, LATENT, weights).probabilities(both)[:, 0]
    exact, drawn = auc(1 - F[:n], 1 - F[n:]), bootstrap_auc(1 - F[:n], 1 - F[n:], *chance)
    for name, qubits in MACHINES.items():
        start = time.perf_counter()
        machine = backends.get("aer", noise=name, optimization_level=3, tries=4).compile(circuit, LATENT, weights)
        recorded, rows = Recorded(machine, both), []
        for label, readout, factors, method in MITIGATIONS:
            run = Mitigated(recorded, readout, factors, method)
            f = run.probabilities(both)[:, 0]
            error = np.std(bootstrap_auc(1 - f[:n], 1 - f[n:], *chance) - drawn, ddof=1)
            cells = [label, f"{auc(1 - f[:n], 1 - f[n:]) - exact:+.4f} ± {error:.4f}", f"{(f - F)[:n].mean():+.4f}",
                     f"{np.sqrt(((f - F) ** 2).mean()):.4f}"]
            for shots in FEW_SHOTS:
                found = [run.probabilities(both, shots=shots, seed=seed)[:, 0] for seed in range(EXPERIMENTS)]
                off = [auc(1 - g[:n], 1 - g[n:]) - exact for g in found]
                cells += [f"{np.mean(off):+.4f} ± {np.std(off, ddof=1):.4f}", f"{np.sqrt(np.mean((found - F) ** 2)):.4f}"]
            rows.append(cells)
        print(f"\n{name}, {qubits} qubits: {machine.two_qubit_gates} two-qubit gates, qubits {machine.layout}; exact AUC "
              f"{exact:.4f}; {time.perf_counter() - start:.0f} s\n")
        table(["mitigation", "AUC minus exact, no shot noise", "F of tt̄ off by", "r.m.s. error of F",
               *(text for n in FEW_SHOTS for text in (f"AUC minus exact, {n:,} shots", "r.m.s. error of F"))], rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--machines", action="store_true")
    arguments = parser.parse_args()
    X = events(arguments.data)
    function, shape = ansatze.get("all-pairs", 4, LATENT)
    circuit = Circuit(encodings.angle, function, shape, 4)
    if arguments.machines:
        of_machines(X, circuit)
    else:
        exact = backends.get("exact").compile(circuit, LATENT, np.zeros(shape))
        of_shots([exact.probabilities(x)[:, 0] for x in X])
