"""The table of a study in LaTeX, with booktabs: what :mod:`qad.report.markdown` says, for a paper."""

from __future__ import annotations

import re
from pathlib import Path

from qad.report.markdown import Part, comparison
from qad.report.tables import Progress

#: Rows from which a table is set over several pages.
LONGEST = 40
SPECIAL = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
           "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "→": r"$\to$", "±": r"$\pm$", "–": "--",
           "ε_b": r"$\varepsilon_b$", "ε_s": r"$\varepsilon_s$", ">": r"$>$", "<": r"$<$", "τ": r"$\tau$"}
PATTERN = re.compile("|".join(map(re.escape, sorted(SPECIAL, key=len, reverse=True))))


def escape(text: str) -> str:
    """``text`` as LaTeX sets it: special characters escaped, ± and → as mathematics."""
    return PATTERN.sub(lambda found: SPECIAL[found[0]], text)


def as_latex(runs: str | Path, metric: str = "auc", train: str | None = None, progress: Progress | None = None) -> str:
    """The table of a study's ``metric`` for a paper (packages: booktabs, for more than forty rows longtable).

    Rows, errors and arguments are those of :func:`qad.report.as_markdown`; the caption has the verdict's headline and the
    commands. Raises :class:`~qad.errors.InputError`.
    """
    found = comparison(runs, metric, train, progress)
    command = f"qad report {runs} --format latex{found.options}"
    made = f"Made by \\texttt{{{escape(found.study)}}} and \\texttt{{{escape(command)}}}."
    longest = max(len(part.rows) for part in found.parts)
    needs = "% needs \\usepackage{booktabs}" + (", \\usepackage{longtable}" if longest > LONGEST else "")
    lines = [needs]
    for i, part in enumerate(found.parts):
        caption = f"{escape(found.caption)} {escape(found.headline)} {made}"
        lines += ["", *_table(part, caption, f"tab:{found.name}-{metric}" + (f"-{i + 1}" if len(found.parts) > 1 else ""))]
    return "\n".join(lines)


def _table(part: Part, caption: str, label: str) -> list[str]:
    heads = " & ".join(map(escape, part.heads)) + r" \\"
    columns = "l" + "".join("l" if head == "kind" else "r" for head in part.heads[1:])
    body: list[str] = []
    for i, (kind, cells) in enumerate(part.rows):
        if i and kind != part.rows[i - 1][0]:
            body.append(r"\midrule")
        body.append(" & ".join(map(escape, cells)) + r" \\")
    if len(part.rows) > LONGEST:
        return [rf"\begin{{longtable}}{{{columns}}}", rf"\caption{{{caption}}}\label{{{label}}}\\", r"\toprule", heads,
                r"\midrule", r"\endfirsthead", r"\toprule", heads, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot", *body,
                r"\end{longtable}"]
    return [r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{{columns}}}", r"\toprule", heads, r"\midrule", *body, r"\bottomrule", r"\end{tabular}",
            r"\end{table}"]
