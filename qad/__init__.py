"""Quantum autoencoders for anomaly detection at the LHC, judged beside the best classical detectors.

``import qad`` is instant: each name below is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from qad import benchmark, data, detector, hardware, metrics, quantum, report, representations, simulation
    from qad.data.sample import Sample
    from qad.data.splits import split
    from qad.data.store import read
    from qad.persistence import load, save
    from qad.simulation.simulate import simulate_dijets, simulate_events, simulate_jets, simulate_level1

__version__ = "0.1.0"

_PLACES = {
    "Sample": "qad.data.sample",
    "read": "qad.data.store",
    "split": "qad.data.splits",
    "simulate_jets": "qad.simulation.simulate",
    "simulate_events": "qad.simulation.simulate",
    "simulate_level1": "qad.simulation.simulate",
    "simulate_dijets": "qad.simulation.simulate",
    "save": "qad.persistence",
    "load": "qad.persistence",
}
_MODULES = ("data", "metrics", "detector", "representations", "simulation", "quantum", "hardware", "benchmark", "report")
__all__ = ["Sample", "__version__", "benchmark", "data", "detector", "hardware", "load", "metrics", "quantum", "read", "report",
           "representations", "save", "simulate_dijets", "simulate_events", "simulate_jets", "simulate_level1", "simulation",
           "split"]


if not TYPE_CHECKING:  # a checker would take any name for given

    def __getattr__(name: str) -> Any:
        if name in _PLACES:
            return getattr(import_module(_PLACES[name]), name)
        if name in _MODULES:
            return import_module(f"qad.{name}")
        raise AttributeError(f"module 'qad' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
