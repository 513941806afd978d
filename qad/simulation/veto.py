"""Hooks into Pythia that a card asks for by name (``! hook: heavy_flavour``): events are refused before they cost much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qad.errors import InputError, did_you_mean, require

#: Where in the shower a QCD event is looked at, and the charm or bottom quark that it must then hold [GeV].
HEAVY_FLAVOUR_SCALE = 5.0
HEAVY_FLAVOUR_PT = 20.0


def heavy_flavour() -> Any:
    """Refuse events without a charm or bottom quark of pT > 20 GeV when the shower has come down to 5 GeV.

    At that scale hard scattering, gluon splitting and multiple interactions have made the heavy quarks whose decays can
    give a lepton above 20 GeV; what is lost are later splittings and leptons of light hadrons (how much:
    docs/reference/level1.md).
    """
    pythia8mc = require("pythia8mc", "simulation")

    class HeavyFlavour(pythia8mc.UserHooks):
        def canVetoPT(self) -> bool:
            return True

        def scaleVetoPT(self) -> float:
            return HEAVY_FLAVOUR_SCALE

        def doVetoPT(self, position: int, event: Any) -> bool:
            # quarks of the last branchings stand last, so an event that is kept is seldom read to its beginning
            for i in reversed(range(event.size())):
                particle = event[i]
                if particle.idAbs() in (4, 5) and particle.isFinal() and particle.pT() > HEAVY_FLAVOUR_PT:
                    return False
            return True

    return HeavyFlavour()


HOOKS: dict[str, Callable[[], Any]] = {"heavy_flavour": heavy_flavour}


def user_hook(name: str) -> Any:
    """A new hook of this ``name``; the caller keeps it alive as long as Pythia. Raises :class:`InputError`."""
    if name not in HOOKS:
        raise InputError(did_you_mean(name, HOOKS, "hook"))
    return HOOKS[name]()
