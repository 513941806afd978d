"""Runs → records → tables, pictures, words, one self-contained page. Metrics are recomputed from raw scores here."""

from qad.report.page import write_report

__all__ = ["write_report"]
