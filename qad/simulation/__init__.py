"""Pythia 8 → FastJet → Sample: one file per step. Needs the extra ``simulation``."""

from qad.simulation.cards import card_options, processes
from qad.simulation.events import EventSelection
from qad.simulation.jets import JetSelection
from qad.simulation.produce import Profile, simulate_events, simulate_jets
from qad.simulation.respond import Response

__all__ = ["EventSelection", "JetSelection", "Profile", "Response", "card_options", "processes", "simulate_events",
           "simulate_jets"]
