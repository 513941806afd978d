"""Where does natural gradient help? Steps and wall time to a fixed loss, each optimiser with its step size tuned equally.

    python docs/scripts/natural_gradient.py            # about a quarter of an hour on 2 cores; simulates 5,000 QCD jets first
    python docs/scripts/natural_gradient.py --report   # table and picture again, from docs/benchmarks/natural_gradient.json

Tuning: every step size of every optimiser from the same three random starts. From each start some run gets lowest; the target
is 1.25 × the highest of these three losses, so that it can be reached. The step size that gets there in the fewest steps
(median) races. Race: ten other starts, the same for all. The damping, 0.01, was not tuned. A finished circuit is not run again.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

import qad
from qad import representations
from qad.persistence import atomic_write
from qad.quantum import Circuit, Metric, ansatze, encodings, engine, optimizers

HERE = Path(__file__).parents[1] / "benchmarks"
STEPS, TUNING, RACING = 200, range(100, 103), range(10)
STEP_SIZES = {
    "natural-gradient": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "qbang": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
    "adam": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "gradient-descent": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
}
OPTIONS = {"natural-gradient": {"damping": 1e-2}, "qbang": {"damping": 1e-2}}
#: Jets as particles, or the centred features that the representation ``angles`` gives.
CIRCUITS = {
    "6 particles, strongly entangling × 3": ("particles", 6, "strongly-entangling", 3, 2),
    "4 particles, strongly entangling × 3": ("particles", 4, "strongly-entangling", 3, 1),
    "6 particles, brick wall × 3": ("particles", 6, "brick-wall", 3, 2),
    "4 features, strongly entangling × 3": ("features", 4, "strongly-entangling", 3, 1),
    "6 particles, published 1P1Q": ("particles", 6, "1p1q", None, 2),
}


def problem(jets: qad.Sample, sees: str, n: int, ansatz: str, layers: int | None, latent: int) -> tuple[Circuit, torch.Tensor]:
    """The circuit and the encoded inputs."""
    if sees == "particles":
        X, encoding = representations.get("constituents", n_particles=n).transform(jets), encodings.one_particle_one_qubit
    else:
        chain = [representations.get("substructure", features=["mass", "multiplicity", "tau21", "width"][:n]),
                 representations.get("angles")]
        X, encoding = jets, encodings.angle
        for step in chain:
            X = step.fit(X).transform(X)
    function, shape = ansatze.get(ansatz, n, latent, layers)
    return Circuit(encoding, function, shape, n), torch.as_tensor(X, dtype=torch.float64)


def descend(circuit: Circuit, X: torch.Tensor, mean, latent: int, name: str, step_size: float, seed: int) -> dict[str, list]:
    """Losses before each step, and seconds since the start."""
    weights = torch.tensor(np.random.default_rng(seed).uniform(-np.pi, np.pi, circuit.shape), requires_grad=True)
    metric = Metric(circuit, X, weights, most=500)
    optimizer = optimizers.build(name, weights, [], step_size, metric, None, **OPTIONS.get(name, {}))
    losses, clock, start = [], [], time.perf_counter()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = engine.infidelity(circuit.rows(weights, latent), mean)
        loss.backward()
        return loss.detach()

    for _ in range(STEPS):
        losses.append(float(optimizer.step(closure)))
        clock.append(time.perf_counter() - start)
    return {"loss": losses, "seconds": clock}


def reached(run: dict[str, list], target: float) -> int | None:
    """The first step whose loss is at the target, or None."""
    return next((i for i, loss in enumerate(run["loss"]) if loss <= target), None)


def compete(jets: qad.Sample, sees: str, n: int, ansatz: str, layers: int | None, latent: int) -> dict:
    """Tune and race on one circuit."""
    circuit, X = problem(jets, sees, n, ansatz, layers, latent)
    mean = circuit.mean_state(X)
    run = partial(descend, circuit, X, mean, latent)
    tuning = {name: {size: [run(name, size, seed) for seed in TUNING] for size in sizes} for name, sizes in STEP_SIZES.items()}
    lowest = [min(min(runs[i]["loss"]) for sizes in tuning.values() for runs in sizes.values()) for i in range(len(TUNING))]
    target = 1.25 * max(lowest)

    def merit(runs: list) -> tuple[float, float]:
        return (float(np.median([STEPS if (k := reached(r, target)) is None else k for r in runs])),
                float(np.median([min(r["loss"]) for r in runs])))

    best = {name: min(sizes, key=lambda s, sizes=sizes: merit(sizes[s])) for name, sizes in tuning.items()}
    races: dict[str, list] = {name: [] for name in STEP_SIZES}
    for seed in RACING:  # in turn: the machine's moods fall on all
        for name in STEP_SIZES:
            races[name].append(run(name, best[name], seed))
    return {"target": target, "ceiling": 1 - mean.ceiling(latent)[0], "parameters": int(np.prod(circuit.shape)),
            "step_sizes": best, "races": races,
            "edges": [name for name, size in best.items() if size in (STEP_SIZES[name][0], STEP_SIZES[name][-1])]}


def table(found: dict[str, dict]) -> str:
    """Markdown, a table a circuit. A start that fails counts with all its steps and seconds; ratios are paired by start."""
    lines = []
    for circuit, result in found.items():
        races = result["races"]
        near, far = result["target"], 1.6 * result["target"]  # 1.25 and 2 times the loss that the tuning reached
        lines += [f"**{circuit}**: {result['parameters']} weights; targets {near:.3g} and {far:.3g}; ceiling "
                  f"{result['ceiling']:.3g}", "",
                  "| optimiser | step size | reach it | steps | ÷ natural gradient's | seconds | ÷ natural gradient's "
                  "| steps to the easier target | loss after 200 |", "|---|---|---|---|---|---|---|---|---|"]
        base = [cost(r, near) for r in races["natural-gradient"]]
        for name, runs in races.items():
            costs = [cost(r, near) for r in runs]
            steps, seconds = ([c[i] for c in costs] for i in (0, 1))
            more, longer = ([c[i] / b[i] for c, b in zip(costs, base, strict=True)] for i in (0, 1))
            lines.append(
                f"| {name} | {result['step_sizes'][name]:g}{' (edge)' if name in result['edges'] else ''} "
                f"| {sum(reached(r, near) is not None for r in runs)} of {len(runs)} "
                f"| {_spread(steps, 0)} | {_spread(more, 1)} | {_spread(seconds, 2)} | {_spread(longer, 1)} "
                f"| {_spread([cost(r, far)[0] for r in runs], 0)} | {_spread([min(r['loss']) for r in runs], 4)} |")
        lines.append("")
    return "\n".join(lines)


def cost(run: dict[str, list], target: float) -> tuple[int, float]:
    """Steps and seconds to the target; of a run that never gets there, all."""
    k = reached(run, target)
    return (len(run["loss"]), run["seconds"][-1]) if k is None else (k + 1, run["seconds"][k])


def _spread(values: list, digits: int) -> str:
    """Median and quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", action="store_true", help="only read docs/benchmarks/natural_gradient.json")
    parser.add_argument("--jets", default="data/natural-gradient-qcd.h5", help="simulated where it is not there")
    options = parser.parse_args()
    out = HERE / "natural_gradient.json"
    found = json.loads(out.read_text()) if out.exists() else {}
    torch.set_num_threads(1)  # matrices of 64 × 64: threads would wait for each other
    if not options.report:
        Path(options.jets).parent.mkdir(parents=True, exist_ok=True)
        jets = qad.read(qad.simulate_jets("qcd", 5000, seed=1, out=options.jets))
        for name, settings in CIRCUITS.items():
            if name not in found:
                start = time.perf_counter()
                found[name] = compete(jets, *settings)
                atomic_write(out, json.dumps(_rounded(found)))
                print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    print(table(found))
    from qad.report.plots import races

    races(found, HERE / "natural_gradient.png")


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
