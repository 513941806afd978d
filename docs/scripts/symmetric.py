"""The tables of docs/benchmarks/symmetric.md, from the runs of the studies `symmetric` and `symmetric-few`.

    qad benchmark symmetric && qad benchmark symmetric-few
    python docs/scripts/symmetric.py runs/symmetric runs/symmetric-few
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from qad.report.tables import Summary, read_rows, summarise

#: Methods on equal inputs: densities, neighbours, trees, kernel PCA (of the same kernel: the ceiling), the mode, autoencoders.
EQUALS = ("kernel-density", "gaussian-mixture", "nearest-neighbours", "isolation-forest", "kernel-pca", "mode-distance",
          "quantum-contrastive-ceiling", "ceiling-", "dense-autoencoder")

INPUTS = ("lund", "usual", "particles")
#: Not by whom it is judged: the same detector in other dress, and what ρ̄ alone gives beside it.
OURS = ("contrastive-", "circuit-", "quantum-normalised", "mean-fidelity", "relative-entropy", "inverse")
#: Its classical twin, which shares the idea: shown, and compared with by itself.
TWIN = "contrastive-kernel-pca"

Table = dict[str, dict[tuple[str, str], Summary]]


def summaries_of(runs: str) -> list[Summary]:
    """Directions that begin or end in QCD."""
    return summarise([r for r in read_rows(runs)[1] if "qcd" in (r.run.train, r.signal)])


def of(summaries: list[Summary], inputs: str, ending: str = "") -> Table:
    """Detectors on one kind of inputs, those whose name ends in ``ending``."""
    found: Table = {}
    for s in summaries:
        if s.representation == inputs and s.detector.endswith(ending):
            found.setdefault(s.detector, {})[s.train, s.signal] = s
    return found


def is_ours(name: str) -> bool:
    """Whether ``name`` is a quantum detector that is no control."""
    return name.startswith(OURS) and not name.startswith(TWIN)


def row(cells: list[str]) -> str:
    """A line of a markdown table."""
    return "| " + " | ".join(cells) + " |"


def head(cells: list[str]) -> Iterator[str]:
    """The first two lines of a markdown table."""
    yield row(cells)
    yield row(["---"] * len(cells))


def both(table: Table) -> list[tuple[str, str]]:
    """Directions that begin or end in QCD, background first."""
    pairs = list(next(iter(table.values())))
    return [p for p in pairs if p[0] == "qcd"] + [p for p in pairs if p[1] == "qcd"]


def values(table: Table, pairs: list[tuple[str, str]]) -> Iterator[str]:
    """AUC of every detector in every direction, the worst of them first."""
    yield from head(["detector", "worst", *(f"{a} → {b}" for a, b in pairs)])
    ordered = sorted(table, key=lambda d: (not is_ours(d), -min(table[d][p].mean["auc"] for p in pairs)))
    for name in ordered:
        auc = [table[name][p].mean["auc"] for p in pairs]
        yield row([f"**{name}**" if is_ours(name) else name, f"{min(auc):.3f}", *(f"{a:.4f}" for a in auc)])


def told(a: Summary, b: Summary) -> str:
    """A paired difference: value ± error (s.d.)."""
    d = a.minus(b)
    if d.error != d.error:
        return f"{d.value:+.4f} (other test events)"
    return f"{d.value:+.4f} ± {d.error:.4f} ({d.z:+.1f})"


def against(table: Table, pairs: list[tuple[str, str]], mine: str) -> Iterator[str]:
    """``mine`` minus the best of the equals in each direction, minus its classical twin; and the best of everything else."""
    yield from head(["direction", f"AUC of {mine}", "best equal", "its AUC", "difference, paired (s.d.)", "minus the twin",
                     "best other control"])
    for pair in pairs:
        here = {d: s[pair] for d, s in table.items()}
        best, other = (max((s for d, s in here.items() if not is_ours(d) and not d.startswith(TWIN)
                            and d.startswith(EQUALS) is equal), key=lambda s: s.mean["auc"]) for equal in (True, False))
        me, twin = here[mine], max((s for d, s in here.items() if d.startswith(TWIN)), key=lambda s: s.mean["auc"])
        yield row([f"{pair[0]} → {pair[1]}", f"{me.mean['auc']:.4f}", best.detector, f"{best.mean['auc']:.4f}",
                   told(me, best), told(me, twin), f"{other.detector} {other.mean['auc']:.4f}"])


def worst(table: Table, pairs: list[tuple[str, str]]) -> Iterator[str]:
    """The best of each kind by its worst direction."""
    def least(name: str) -> float:
        return min(table[name][p].mean["auc"] for p in pairs)

    mine = max((d for d in table if d.startswith("contrastive-") and not d.startswith(TWIN)), key=least)
    others = sorted((d for d in table if not is_ours(d)), key=least, reverse=True)[:3]
    yield f"Worst direction: {mine} {least(mine):.4f}; of the others " + ", ".join(f"{d} {least(d):.4f}" for d in others) + "."


def show(title: str, table: Table, mine: str) -> None:
    """Print all that is known of one kind of inputs."""
    pairs = both(table)
    print(f"\n## {title}\n", *against(table, pairs, mine), "", *worst(table, pairs), "", *values(table, pairs), sep="\n")


def main(full: str, few: str | None = None) -> None:
    """Print every table."""
    summaries = summaries_of(full)
    for inputs in INPUTS:
        show(inputs, of(summaries, inputs), f"contrastive-{inputs}")
    if few is not None:
        summaries = summaries_of(few)
        for n in (30, 100, 300):
            table = of(summaries, "usual", f"-{n}")
            show(f"usual, {n} training events", table, f"contrastive-{n}")


if __name__ == "__main__":
    main(*sys.argv[1:])
