"""What to compare (study), running it (runner), and what came out (runs)."""

from qad.benchmark.runner import run_study
from qad.benchmark.runs import Run, read_runs
from qad.benchmark.study import Study, load_study, studies

__all__ = ["Run", "Study", "load_study", "read_runs", "run_study", "studies"]
