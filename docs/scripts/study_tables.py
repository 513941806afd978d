"""The tables of docs/benchmarks/jets.md, lhco.md, level1.md and systematics.md, from the results of their studies.

    python docs/scripts/study_tables.py runs/jets --directions qcd:top top:qcd qcd:w qcd:higgs_bb qcd:svj top:svj
    python docs/scripts/study_tables.py runs/lhco --directions background:signal --metrics auc max_sic
"""

import argparse
import csv
import math
from collections import defaultdict
from pathlib import Path

KINDS = ("quantum", "classical", "weak", "supervised", "control")
HEADS = {"auc": "AUC", "max_sic": "SIC", "rejection_03": "1/ε_b(0.3)", "rejection_05": "1/ε_b(0.5)",
         "tpr_1e2": "TPR(10⁻²)", "tpr_1e3": "TPR(10⁻³)", "tpr_1e5": "TPR(10⁻⁵)"}


def table(folder: Path, directions: list[str], metrics: list[str]) -> str:
    """Means over the seeds ± s.d.; for the largest SIC the smallest and largest of them; rows by kind, then first column."""
    cells: dict[tuple[str, str, str], dict[str, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    with open(folder / "results.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            cells[row["kind"], row["detector"], row["representation"]][f"{row['train']}:{row['signal']}"].append(row)
    columns = [(d, m) for m in metrics for d in directions]
    heads = [f"{HEADS[m]} {d.replace(':', ' → ')}" if len(directions) > 1 else HEADS[m] for d, m in columns]
    lines = ["| detector | sees | kind | " + " | ".join(heads) + " | epoch [s] |",
             "|---" * 3 + "|---:" * (len(columns) + 1) + "|"]

    def order(item):
        rows = next((item[1][d] for d in directions if d in item[1]), [])
        return KINDS.index(item[0][0]), -(mean(rows, metrics[0]) if rows else 0)

    for (kind, name, sees), rows in sorted(cells.items(), key=order):
        found = [cell(rows.get(d, []), m) for d, m in columns]
        if all(c == "–" for c in found):
            continue
        epochs = [float(r["seconds_per_epoch"]) for group in rows.values() for r in group if r["seconds_per_epoch"]]
        epoch = f"{sum(epochs) / len(epochs):.2g}" if epochs else "–"
        lines.append(f"| {name} | {sees} | {kind} | " + " | ".join(found) + f" | {epoch} |")
    return "\n".join(lines)


def mean(rows: list[dict[str, str]], metric: str) -> float:
    known = [float(r[metric]) for r in rows if r[metric]]
    return sum(known) / len(known) if known else math.nan


def cell(rows: list[dict[str, str]], metric: str) -> str:
    known = [float(r[metric]) for r in rows if r[metric]]
    if not rows:
        return "–"
    if len(known) < len(rows):
        return "too few events"
    middle = sum(known) / len(known)
    if metric == "max_sic":
        spread = f" ({min(known):.2f}–{max(known):.2f})" if len(known) > 1 and max(known) - min(known) > 0.005 else ""
        return f"{middle:.2f}{spread}"
    spread = math.sqrt(sum((x - middle) ** 2 for x in known) / (len(known) - 1)) if len(known) > 1 else 0.0
    digits = 3 if middle < 10 else 1
    return f"{middle:.{digits}f}" + (f" ± {spread:.{digits}f}" if spread >= 0.5 * 10**-digits else "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--directions", nargs="+", required=True)
    parser.add_argument("--metrics", nargs="+", default=["auc"], choices=HEADS)
    given = parser.parse_args()
    print(table(given.folder, given.directions, given.metrics))
