"""The tables of docs/benchmarks/qae2022.md: AUC from the runs of the study, and how many steps each optimiser needs.

    qad benchmark qae2022 --data FOLDER   # first: the runs
    python docs/scripts/qae2022.py                        # the tables, optimisers from docs/benchmarks/qae2022.json
    python docs/scripts/qae2022.py --optimisers           # the optimisers again: minutes on 2 cores

Optimisers: the published circuit on 10,000 ttbar events, loss 1 - F of background alone; a step sees one event (published) or
all of them. Starts uniform in [0, π], as published. Done when the loss on all training events is within 0.005 of the lowest
that four runs of 750 full-batch steps of Adam found. Step sizes are tuned from three starts, eight for each optimiser, by the
median number of steps; five other starts race, with the tuned step size and with the published 0.01.
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
from qad.persistence import atomic_write
from qad.quantum import Circuit, Metric, ansatze, encodings, engine, optimizers
from qad.report.markdown import as_markdown

HERE = Path(__file__).parents[1] / "benchmarks"
NAMES = ("natural-gradient", "gradient-descent", "adam")
STEP_SIZES = {"natural-gradient": (0.01, 0.03, 0.06, 0.1, 0.2, 0.4, 0.7, 1.0),
              "gradient-descent": (0.1, 0.3, 1, 2, 4, 8, 12, 16),
              "adam": (0.003, 0.01, 0.03, 0.06, 0.1, 0.2, 0.4, 0.8)}
#: As published, but for a damping that a batch of one event can live with.
OPTIONS = {"natural-gradient": {"damping": 1e-3}}
PUBLISHED_STEP, NEAR, LONGEST = 0.01, 0.005, {"tuning": 400, "race": 4000}
TUNING, RACING = range(100, 103), range(5)
#: Events a step (None: all), latent qubits.
CASES = ((1, 1), (None, 1), (None, 2))


def events(data: Path) -> torch.Tensor:
    """The training events of the study, as angles ``(10000, 4)`` [rad]."""
    study = load_study("qae2022")
    spec = study.samples["ttbar"]
    sample = cut(qad.read(data / spec.file), spec.cuts)
    X = qad.split(sample, {"train": spec.train, "test": spec.test}, study.split.seed)["train"]
    for step in study.representations["angles"].steps:
        X = representations.get(step.use, **step.params).fit(X).transform(X)
    return torch.as_tensor(X)


class Race:
    """One circuit, one batch size."""

    def __init__(self, X: torch.Tensor, latent: int, batch: int | None) -> None:
        self.X, self.latent, self.batch = X, latent, batch
        function, shape = ansatze.get("all-pairs", X.shape[1], latent)
        self.circuit = Circuit(encodings.angle, function, shape, X.shape[1])
        self.mean = self.circuit.mean_state(X)
        self.optimum = 1.0

    def loss(self, weights: torch.Tensor, psi: torch.Tensor | None = None) -> torch.Tensor:
        rows = self.circuit.rows(weights, self.latent)
        return engine.infidelity(rows, self.mean) if psi is None else 1 - engine.fidelities(rows, psi).mean()

    def steps(self, name: str, step_size: float, seed: int, longest: int) -> int:
        """Steps until the loss on all events is near the optimum; ``longest`` if it never is."""
        rng = np.random.default_rng(seed)
        weights = torch.tensor(rng.uniform(0, np.pi, self.circuit.shape), requires_grad=True)
        order = rng.integers(0, len(self.X), longest)
        metric = Metric(self.circuit, self.X[:1], weights, "diag")
        if self.batch is None:
            metric = Metric(self.circuit, self.X, weights, "diag")
        for step in range(longest):
            few = None if self.batch is None else self.X[order[step : step + 1]]
            if few is not None and name == "natural-gradient":
                metric = Metric(self.circuit, few, weights, "diag")
            if step == 0:
                optimizer = optimizers.build(name, weights, [], step_size, metric, None, **OPTIONS.get(name, {}))
            elif few is not None and name == "natural-gradient":
                optimizer.metrics = [metric]
            with torch.no_grad():
                now = float(self.loss(weights))
            if now <= self.optimum + NEAR:
                return step
            optimizer.zero_grad()
            self.loss(weights, None if few is None else self.circuit.states(few)).backward()
            optimizer.step()
        return longest

    def settle(self) -> None:
        """The lowest loss, and the metric's diagonal there."""
        for seed in range(4):
            weights = torch.tensor(np.random.default_rng(seed).uniform(0, np.pi, self.circuit.shape), requires_grad=True)
            optimizer = torch.optim.Adam([weights], lr=0.05)
            for _ in range(750):
                optimizer.zero_grad()
                loss = self.loss(weights)
                loss.backward()
                optimizer.step()
            self.optimum = min(self.optimum, loss.item())
        self.diagonal = Metric(self.circuit, self.X, weights, "diag")().diagonal().tolist()


def compete(X: torch.Tensor, latent: int, batch: int | None) -> dict:
    """Tune, then race."""
    race = Race(X, latent, batch)
    race.settle()
    zero = torch.zeros(race.circuit.shape, dtype=torch.float64)
    found = {"trash": X.shape[1] - latent, "batch": batch, "optimum": race.optimum, "at_zero": float(race.loss(zero)),
             "metric": race.diagonal, "optimisers": {}}
    for name in NAMES:
        tuning = {size: float(np.median([race.steps(name, size, seed, LONGEST["tuning"]) for seed in TUNING]))
                  for size in STEP_SIZES[name]}
        best = min(tuning, key=tuning.get)
        found["optimisers"][name] = {
            "tuning": tuning, "step_size": best, "tuned": [race.steps(name, best, s, LONGEST["race"]) for s in RACING],
            "published": [race.steps(name, PUBLISHED_STEP, s, LONGEST["race"]) for s in RACING]}
        print(found["trash"], batch, name, found["optimisers"][name], flush=True)
    return found


def optimiser_table(found: list[dict]) -> str:
    lines = ["| trash qubits | events a step | optimiser | tuned step size | steps, tuned | steps, published step size 0.01 |",
             "|---|---|---|---|---|---|"]
    for result in found:
        for name, r in result["optimisers"].items():
            def shown(steps: list[int]) -> str:
                text = f"{np.median(steps):.0f} ({min(steps)}–{max(steps)})"
                return text.replace(str(LONGEST["race"]), f"> {LONGEST['race']}")
            lines.append(f"| {result['trash']} | {result['batch'] or 'all 10,000'} | {name} | {r['step_size']:g} | "
                         f"{shown(r['tuned'])} | {shown(r['published'])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/qae2022"))
    parser.add_argument("--optimisers", action="store_true")
    arguments = parser.parse_args()
    kept = HERE / "qae2022.json"
    if arguments.optimisers:
        torch.set_num_threads(1)
        X = events(arguments.data)
        atomic_write(kept, json.dumps([compete(X, latent, batch) for batch, latent in CASES], indent=1))
    if kept.exists():
        results = json.loads(kept.read_text())
        print(optimiser_table(results), "\n")
        for result in results:
            print(f"{result['trash']} trash: lowest loss {result['optimum']:.6f}, {result['at_zero']:.6f} at w = 0;",
                  f"metric {', '.join(f'{g:.4f}' for g in result['metric'])}")
    if arguments.runs.exists():
        print("", as_markdown(arguments.runs), as_markdown(arguments.runs, "rejection_05"), sep="\n\n")
