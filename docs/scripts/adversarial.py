"""The numbers of docs/benchmarks/adversarial.md: does an adversary make an autoencoder robust, and at what price?

    python docs/scripts/adversarial.py             # the tables, from docs/benchmarks/adversarial.json
    python docs/scripts/adversarial.py --measure   # trained and measured again: minutes on one core

tt̄ against heavy Higgs, the events of arXiv:2112.04958. Per seed 5,000 background events to train on and 1,000 to stop by,
drawn from 25,000; 15,000 others and all signal to test on. Nothing is chosen by signal or test events: all settings but
alpha are the detector's defaults, except a latent size of 2 for four columns and batches of 512 (for time).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import ks_2samp

import qad
from qad import detector, representations
from qad.benchmark import load_study
from qad.benchmark.events import cut
from qad.data import Sample
from qad.data.systematics import JetEnergyResolution, JetEnergyScale, MetSmearing
from qad.metrics import auc
from qad.persistence import atomic_write

HERE = Path(__file__).parents[1] / "benchmarks"
SEEDS, TEST, TRAIN, VALIDATION = range(5), 15_000, 5_000, 1_000
SETTINGS = {"latent": 2, "batch_size": 512}
ALPHAS = (0, 1, 10, 100)
#: Columns, and the variations of them. Small: the defaults of qad.data.systematics. Large: three to five times as much; the
#: adversary is taught by these. Detectors are judged under both.
INPUTS = {
    "met": {"columns": ["met", "b1pt", "lep1pt", "lep2pt"],
            "small": {"met": MetSmearing(sigma=10)}, "large": {"met": MetSmearing(sigma=30)}},
    # MET is left out: its table has no azimuth, so what a jet's energy does to it is not known
    "jets": {"columns": ["b1pt", "b2pt", "lep1pt", "lep2pt"],
             "small": {"scale": JetEnergyScale(0.02), "resolution": JetEnergyResolution(1.1)},
             "large": {"scale": JetEnergyScale(0.06), "resolution": JetEnergyResolution(1.5)}},
}


def variations(sample: Sample, systematics: dict, columns: list[str]) -> dict[str, np.ndarray]:
    """``(n, columns)`` of the nominal events and of every variation that changes them."""
    found = {"nominal": sample}
    for name, systematic in systematics.items():
        for way, twin in systematic.twins(sample, drop_stale=True).items():
            if way != "nominal" and not (systematic.one_sided and way == "down"):
                found[f"{name}-{way}"] = twin
    return {name: representations.get("event-features", columns=columns).fit(s).transform(s) for name, s in found.items()}


def events(data: Path, name: str, which: str) -> Sample:
    """The published events; with b-jets as objects where their energies are to change (no direction is known, nor needed)."""
    study = load_study("qae2022")
    sample = cut(qad.read(data / study.samples[name].file), study.samples[name].cuts)
    if which == "met":
        return sample
    jets = np.zeros((len(sample), 2, 4), dtype=np.float32)
    for k, column in enumerate(("b1pt", "b2pt")):
        jets[:, k, 0] = sample.feature(column)
    return replace(sample, particles=jets, meta={**sample.meta, "slots": ["b1", "b2"]})


def judge(fitted, background: dict[str, np.ndarray], signal: dict[str, np.ndarray]) -> dict:
    """Robustness and power of a fitted detector; ``signal`` moves with ``background``."""
    scores = {name: fitted.anomaly_score(x) for name, x in background.items()}
    nominal, found = scores.pop("nominal"), {}
    threshold = np.quantile(nominal, 0.99)
    signals = {name: fitted.anomaly_score(x) for name, x in signal.items()}
    for name, varied in scores.items():
        found[name] = {"shift": float((varied.mean() - nominal.mean()) / nominal.std()),
                       "ks": float(ks_2samp(nominal, varied).statistic), "background": float((varied > threshold).mean()),
                       "signal": float((signals[name] > threshold).mean())}
    return {"auc": auc(nominal, signals["nominal"]), "score": float(nominal.mean()),
            "signal": float((signals["nominal"] > threshold).mean()), "variations": found}


def measure(data: Path, seeds: Iterable[int] = SEEDS) -> list[dict]:
    """Every training: what it was, and what :func:`judge` says."""
    rows = []
    for which, given in INPUTS.items():
        samples = {name: events(data, name, which) for name in ("ttbar", "heavy_higgs")}
        order = np.random.default_rng(0).permutation(len(samples["ttbar"]))
        test, pool = order[:TEST], order[TEST:]
        varied = {size: [variations(samples[s], given[size], given["columns"]) for s in ("ttbar", "heavy_higgs")]
                  for size in ("small", "large")}
        for seed in seeds:
            chosen = np.random.default_rng([1, seed]).permutation(pool)[: TRAIN + VALIDATION]
            background = varied["large"][0]
            scale = representations.get("standardise").fit(background["nominal"][chosen[:TRAIN]])
            X = {v: scale.transform(x[chosen[:TRAIN]]) for v, x in background.items()}
            nominal, held = X.pop("nominal"), scale.transform(background["nominal"][chosen[TRAIN:]])
            common = {"random_state": seed, **SETTINGS}
            # alpha = 0 is the plain autoencoder, bit for bit
            models = {"alpha 0": detector.get("dense-autoencoder", **common).fit(nominal, validation=held)}
            for alpha in ALPHAS[1:]:
                model = detector.get("adversarial-autoencoder", alpha=alpha, **common)
                models[f"alpha {alpha}"] = model.fit(nominal, validation=held, twins=X)
            # as many steps as the others have at most
            model = detector.get("dense-autoencoder", **{**common, "epochs": 60 // (1 + len(X))})
            models["all variations"] = model.fit(np.concatenate([nominal, *X.values()]), validation=held)
            models["untrained"] = detector.get("dense-autoencoder", **{**common, "epochs": 0}).fit(nominal)
            models["pca"] = detector.get("pca", n_components=2).fit(nominal)
            models["mahalanobis"] = detector.get("mahalanobis").fit(nominal)
            for name, fitted in models.items():
                told = getattr(fitted, "diagnostics_", {})
                for size, (background, signal) in varied.items():
                    tests = {v: scale.transform(x[test]) for v, x in background.items()}
                    signals = {v: scale.transform(x) for v, x in signal.items()}
                    rows.append({"inputs": which, "size": size, "detector": name, "seed": seed,
                                 "systematics": told.get("systematics"), "epochs": told.get("history", {}).get("best_epoch"),
                                 **judge(fitted, tests, signals)})
            print(which, seed, f"{time.process_time():.0f} s", flush=True)
    return rows


def table(rows: list[dict], which: str, size: str) -> str:
    """A row for each detector: mean over the seeds, and for AUC and signal its s.d."""
    these = [r for r in rows if (r["inputs"], r["size"]) == (which, size)]
    names = list(these[0]["variations"])
    columns = ["detector", "AUC", "ε_s at ε_b = 1 %", *(f"{v}: {what}" for v in names for what in ("shift", "KS", "ε_b"))]
    columns.append("L_auto")
    lines = [f"| {' | '.join(columns)} |", "|---|" + "---:|" * (len(columns) - 1)]
    for name in (*(f"alpha {a}" for a in ALPHAS), "all variations", "untrained", "pca", "mahalanobis"):
        mine = [r for r in these if r["detector"] == name]

        def mean(of, mine=mine) -> str:
            values = np.array([of(r) for r in mine])
            return f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")

        cells = [mean(lambda r: r["auc"]), mean(lambda r: r["signal"])]
        for v in names:
            values = np.array([[r["variations"][v][k] for k in ("shift", "ks", "background")] for r in mine]).mean(0)
            cells += [f"{values[0]:+.3f}", f"{values[1]:.4f}", f"{100 * values[2]:.2f} %"]
        cells.append("–" if name == "mahalanobis" else f"{np.mean([r['score'] for r in mine]):.3f}")
        label = f"α = {name.split()[1]}" if name.startswith("alpha") else name
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--measure", action="store_true")
    arguments = parser.parse_args()
    kept = HERE / "adversarial.json"
    if arguments.measure:
        torch.set_num_threads(1)
        begun = time.process_time()
        rows = measure(arguments.data)
        atomic_write(kept, json.dumps({"rows": rows, "processor_seconds": time.process_time() - begun}, indent=1))
    result = json.loads(kept.read_text())
    for which in INPUTS:
        for size in ("small", "large"):
            print(f"{which}, {size}: {INPUTS[which][size]}\n\n{table(result['rows'], which, size)}\n")
    print(f"{len({r['seed'] for r in result['rows']})} seeds, {result['processor_seconds']:.0f} s of processor time")
