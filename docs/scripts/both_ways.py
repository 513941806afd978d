"""The README's picture: AUC in one direction against AUC in the other, a point for each detector of a study.

    python docs/scripts/both_ways.py runs/quick -o docs/both_ways.png
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure

#: Okabe and Ito's colours, and a marker for each kind.
STYLES = {"control": ("#8a8a8a", "o", 26, "control"), "classical": ("#0072b2", "s", 42, "classical detector"),
          "quantum": ("#d55e00", "D", 60, "quantum detector")}
#: What is named, how it is called, and where its name begins or ends: (AUC, AUC, alignment).
NAMED = {
    ("quantum-autoencoder", "constituents"): ("quantum autoencoder", 0.80, 0.165, "right"),
    ("quantum-untrained", "constituents"): ("the same circuit with all weights zero", 0.80, 0.105, "right"),
    ("dense-autoencoder", "constituents"): ("autoencoder, particles", 0.80, 0.045, "right"),
    ("quantum-random", "constituents"): ("circuit with random weights", 0.47, 0.42, "right"),
    ("dense-autoencoder", "substructure"): ("autoencoder, observables", 0.60, 0.80, "left"),
    ("kernel-pca", "substructure"): ("kernel PCA, observables", 0.78, 1.005, "right"),
    ("mass-high", "substructure"): ("jet mass", 0.865, 0.285, "right"),
    ("tau32-rare", "substructure"): ("τ32, far from the usual", 1.0, 0.72, "right"),
    ("tau32-high", "substructure"): ("τ32", 0.03, 0.86, "left"),
}


def points(folder: Path) -> dict[tuple[str, str, str], tuple[float, float]]:
    """Mean AUC over the seeds in both directions, by detector, representation and kind."""
    found: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with open(folder / "results.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[row["detector"], row["representation"], row["kind"]][row["train"]].append(float(row["auc"]))
    return {key: tuple(sum(v) / len(v) for v in (aucs["qcd"], aucs["top"])) for key, aucs in found.items()}


def draw(folder: Path, out: Path) -> None:
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    ax = figure.subplots()
    ax.set(xlim=(0, 1.02), ylim=(0, 1.04))
    ax.axhspan(0.5, 1.04, xmin=0.5 / 1.02, color="#009e73", alpha=0.10, linewidth=0)
    ax.plot([0.5, 0.5], [0, 1.04], color="#cccccc", linewidth=0.8, zorder=1)
    ax.plot([0, 1.02], [0.5, 0.5], color="#cccccc", linewidth=0.8, zorder=1)
    found = points(folder)
    for kind, (colour, marker, size, label) in STYLES.items():
        here = [p for (_, _, k), p in found.items() if k == kind]
        ax.scatter(*zip(*here, strict=True), s=size, color=colour, marker=marker, label=label, linewidth=0.6, edgecolor="white",
                   zorder=3 + list(STYLES).index(kind))
    for (detector, representation, kind), p in found.items():
        if (detector, representation) in NAMED:
            name, x, y, side = NAMED[detector, representation]
            ax.annotate(name, p, (x, y), ha=side, va="center", fontsize=9.5, zorder=4,
                        color="#555555" if kind == "control" else STYLES[kind][0],
                        fontweight="bold" if kind == "quantum" else "normal",
                        arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.7, "shrinkA": 2, "shrinkB": 4})
    for text, x, y, side in (("works both ways", 1.0, 0.535, "right"),
                             ("measures complexity: finds tops only", 1.0, 0.465, "right"),
                             ("finds QCD only", 0.02, 0.535, "left")):
        ax.text(x, y, text, ha=side, va="center", fontsize=9, color="#00704f" if "both" in text else "#777777", style="italic")
    ax.set_xlabel("AUC: trained on QCD jets, looking for tops")
    ax.set_ylabel("AUC: trained on tops, looking for QCD jets")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9.5, loc="lower left", bbox_to_anchor=(0.0, 0.02))
    figure.savefig(out, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    draw(given.folder, given.out)
