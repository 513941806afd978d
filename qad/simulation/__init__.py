"""Pythia 8 → FastJet → Sample: one file per step. Needs the extra ``simulation``."""

from qad.simulation.cards import card_options, processes
from qad.simulation.events import EventSelection
from qad.simulation.jets import JetSelection
from qad.simulation.produce import Profile
from qad.simulation.respond import Response
from qad.simulation.simulate import catalogue, simulate, simulate_dijets, simulate_events, simulate_jets

__all__ = ["EventSelection", "JetSelection", "Profile", "Response", "card_options", "catalogue", "processes",
           "simulate", "simulate_dijets", "simulate_events", "simulate_jets"]
