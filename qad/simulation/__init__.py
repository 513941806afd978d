"""Pythia 8 → detector → FastJet → Sample: one file per step. Needs the extra ``simulation``."""

from qad.simulation.cards import card_options, processes
from qad.simulation.dijets import DijetSelection, cluster_file, dijets_of
from qad.simulation.events import EventSelection
from qad.simulation.jets import JetSelection
from qad.simulation.level1 import Level1Selection
from qad.simulation.produce import Profile
from qad.simulation.respond import Response
from qad.simulation.simulate import (
    catalogue,
    file_name,
    response_of,
    simulate,
    simulate_dijets,
    simulate_events,
    simulate_jets,
    simulate_level1,
)

__all__ = ["DijetSelection", "EventSelection", "JetSelection", "Level1Selection", "Profile", "Response", "card_options",
           "catalogue", "cluster_file", "dijets_of", "file_name", "processes", "response_of", "simulate", "simulate_dijets",
           "simulate_events", "simulate_jets", "simulate_level1"]
