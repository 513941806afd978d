"""The tables of docs/benchmarks/one_particle_one_qubit.md, from runs.

    qad benchmark one-particle-one-qubit
    python docs/scripts/one_particle_one_qubit.py runs/one-particle-one-qubit
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from qad import load
from qad.report.tables import Summary, read_rows, summarise

#: AUC of arXiv:2502.17301 on JetClass, ten particles: signal → (quantum, classical); top → what was left out.
PUBLISHED = {"top": (0.872, 0.858), "w": (0.715, 0.671), "higgs_bb": (0.774, 0.739)}
ABLATION = {"full": 0.872, "without_phi": 0.825, "without_pt": 0.823, "without_eta": 0.827}
SHOWN = (("quantum-autoencoder", "full"), ("quantum-trained-scale", "full"), ("quantum-untrained", "full"),
         ("quantum-random", "full"), ("quantum-ceiling", "full"), ("dense-autoencoder", "full"), ("hybrid-autoencoder", "full"),
         ("hybrid-frozen", "full"), ("hybrid-without-circuit", "full"))


def told(s: Summary) -> str:
    """Mean AUC ± s.d. over seeds [68 % bootstrap interval over test events]."""
    return f"{s.mean['auc']:.3f} ± {s.sd['auc']:.3f} [{s.interval[0]:.3f}, {s.interval[1]:.3f}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def tables(runs: Path) -> Iterator[str]:
    """Every table of the page. Raises :class:`InputError` where there are no runs."""
    _, rows, missing = read_rows(runs)
    if missing:
        yield f"{missing} models are missing."
    found = {(s.train, s.signal, s.detector, s.representation): s for s in summarise(rows)}
    trains = list(dict.fromkeys(train for train, *_ in found))
    controls = {key[2:] for key, s in found.items() if s.kind == "control" and s.family == "classical" and key[2:] not in SHOWN}

    yield "Trained on QCD, beside the published numbers:\n"
    yield table(["signal", "published, quantum", "ours, quantum", "published, classical", "ours, classical"],
                [[t, f"{PUBLISHED[t][0]:.3f}", told(found["qcd", t, "quantum-autoencoder", "full"]), f"{PUBLISHED[t][1]:.3f}",
                  told(found["qcd", t, "dense-autoencoder", "full"])] for t in PUBLISHED])

    yield "Ablation, QCD → top:\n"
    yield table(["inputs", "published, quantum", "ours, quantum", "untrained", "classical autoencoder"],
                [[r, f"{ABLATION[r]:.3f}", *(told(found["qcd", "top", d, r]) for d in
                  ("quantum-autoencoder", "quantum-untrained", "dense-autoencoder"))] for r in ABLATION])

    for train in trains:
        signals = [t for t in trains if t != train]
        best = {t: max((found[train, t, *c] for c in controls), key=lambda s: s.mean["auc"]) for t in signals}
        yield f"Trained on {train}:\n"
        yield table(["detector", *signals], [
            *([d, *(told(found[train, t, d, r]) for t in signals)] for d, r in SHOWN),
            ["best classical control", *(f"{told(best[t])} {best[t].name}" for t in signals)]])

    yield "What is trained, and at which cost (mean over seeds; trained on QCD):\n"
    lines = []
    for d, r in SHOWN:
        runs_ = [x.run for x in found["qcd", "top", d, r].rows]
        losses = [x.record["diagnostics"].get("loss", x.record["diagnostics"].get("mean_squared_error")) for x in runs_]
        mean = [np.mean([x.record[k] for x in runs_]) for k in ("fit_seconds", "events_per_second")]
        lines.append([d, str(runs_[0].record["parameters"]), str(runs_[0].record["effective_parameters"] or ""),
                      "" if None in losses else f"{np.mean(losses):.5f}", f"{mean[0]:.1f}", f"{mean[1]:,.0f}"])
    yield table(["detector", "parameters", "effective", "infidelity, or squared error of a hybrid", "fit [s]", "events/s"],
                lines)

    yield "The encoding's scale f = 1 + 2π·sigmoid(w), trained from 7.268:\n"
    yield table(["trained on", "f of each seed"], [[t, ", ".join(f"{scale(x.run.path):.3f}" for x in
                found[t, next(u for u in trains if u != t), "quantum-trained-scale", "full"].rows)] for t in trains])


def scale(run: Path) -> float:
    """The trained scale of a run's model."""
    w = float(load(run / "model").steps[-1][1].encoding_weights_)
    return 1 + 2 * np.pi / (1 + np.exp(-w))


if __name__ == "__main__":
    for part in tables(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/one-particle-one-qubit")):
        print(part)
