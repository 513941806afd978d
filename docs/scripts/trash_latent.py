"""The tables of docs/benchmarks/trash_latent.md: AUC from the runs, and how often a training sample turns the score over.

    qad benchmark trash-latent --data FOLDER ; qad benchmark trash-latent-jets   # first: the runs
    python docs/scripts/trash_latent.py           # the tables, the flips from docs/benchmarks/trash_latent.json
    python docs/scripts/trash_latent.py --flips   # the flips again: minutes on 2 cores

Flips: ansatz all-pairs on six features without MET, many training samples of ttbar events, each drawn from 25,000 (those of
one size overlap), each trained from its own start uniform in [-π, π]. z is qad.quantum.orientation's, from the training
events alone; AUC is against heavy Higgs bosons, on 15,000 other ttbar events.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import qad
from qad import representations
from qad.benchmark import load_study
from qad.benchmark.events import cut
from qad.metrics import auc
from qad.persistence import atomic_write
from qad.quantum import Circuit, ansatze, encodings, engine
from qad.quantum.orientation import SURE, direction
from qad.report.markdown import as_markdown

HERE = Path(__file__).parents[1] / "benchmarks"
SAMPLES = {100: 40, 300: 30, 1000: 30, 10_000: 10}
TRASH = (1, 2)
STEPS = 60


def angles(data: Path, sample: str) -> torch.Tensor:
    """All events of a sample that the study's cuts leave, ``(n, 6)`` [rad]."""
    study = load_study("trash-latent")
    X = cut(qad.read(data / study.samples[sample].file), study.samples[sample].cuts)
    for step in study.representations["six"].steps:
        X = representations.get(step.use, **step.params).fit(X).transform(X)
    return torch.as_tensor(X)


def train(circuit: Circuit, X: torch.Tensor, latent: int, seed: int) -> torch.Tensor:
    """Adam on the full batch."""
    mean = circuit.mean_state(X)
    weights = torch.tensor(np.random.default_rng(seed).uniform(-np.pi, np.pi, circuit.shape), requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=0.3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        engine.infidelity(circuit.rows(weights, latent), mean).backward()
        optimizer.step()
    return weights.detach()


def flips(data: Path) -> dict:
    """z and AUC of every training."""
    background, signal = angles(data, "ttbar"), angles(data, "heavy_higgs")
    background = background[np.random.default_rng(0).permutation(len(background))]
    test, pool = background[:15_000], background[15_000:]
    product = torch.cos(pool[:, -1]) * torch.cos(pool[:, -2])
    error = float(product.std() / len(product) ** 0.5)
    found: dict = {"mean_product": float(product.mean()), "error": error, "trainings": []}
    for trash in TRASH:
        function, shape = ansatze.get("all-pairs", 6, 6 - trash)
        circuit = Circuit(encodings.angle, function, shape, 6)
        states = circuit.states(test), circuit.states(signal)
        for events, samples in SAMPLES.items():
            for k in range(samples):
                X = pool[np.random.default_rng([events, k]).permutation(len(pool))[:events]]
                weights = train(circuit, X, 6 - trash, k)
                rows = circuit.rows(weights, 6 - trash)
                scores = [(1 - engine.fidelities(rows, psi)).numpy() for psi in states]
                way = direction(circuit, weights, X, 6 - trash)
                found["trainings"].append({"trash": trash, "events": events, "seed": k, "auc": auc(*scores), "z": way.z,
                                           "difference": way.difference, "rival": way.rival})
    return found


def flip_table(found: dict) -> str:
    """A row for each number of trash qubits and training events."""
    columns = ["trash qubits", "training events", "trainings", "AUC above ½", "their AUC", "AUC below ½", "their AUC",
               "median z", f"warned (z < {SURE:g})", "AUC of the others"]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for trash, events in dict.fromkeys((t["trash"], t["events"]) for t in found["trainings"]):
        these = [t for t in found["trainings"] if (t["trash"], t["events"]) == (trash, events)]
        above, below = ([t["auc"] for t in these if (t["auc"] > 0.5) is side] for side in (True, False))
        sure = sorted({f"{t['auc']:.3f}" for t in these if t["z"] >= SURE})

        def span(values: list[float]) -> str:
            return "–" if not values else " to ".join(dict.fromkeys((f"{min(values):.3f}", f"{max(values):.3f}")))

        lines.append(f"| {trash} | {events:,} | {len(these)} | {len(above)} | {span(above)} | {len(below)} | {span(below)} | "
                     f"{np.median([t['z'] for t in these]):.1f} | {sum(t['z'] < SURE for t in these)} | "
                     f"{', '.join(sure) or '–'} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--flips", action="store_true")
    arguments = parser.parse_args()
    kept = HERE / "trash_latent.json"
    if arguments.flips:
        torch.set_num_threads(1)
        atomic_write(kept, json.dumps(flips(arguments.data), indent=1))
    if kept.exists():
        result = json.loads(kept.read_text())
        print(f"mean of cos(b2pt) cos(theta_bb): {result['mean_product']:.4f} ± {result['error']:.4f}\n")
        print(flip_table(result), "\n")
    for study in ("trash-latent", "trash-latent-jets"):
        if (arguments.runs / study).exists():
            print(f"{study}\n\n{as_markdown(arguments.runs / study)}\n")
