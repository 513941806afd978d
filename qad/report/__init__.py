"""Runs → records → tables, pictures, words, one self-contained page. Metrics are recomputed from raw scores here."""

from qad.report.latex import as_latex
from qad.report.markdown import as_markdown
from qad.report.page import write_report

__all__ = ["as_latex", "as_markdown", "write_report"]
