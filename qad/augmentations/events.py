"""Augmentations of level-1 events (arXiv:2301.04660): what a detector or a symmetry changes, and what new physics would.

An event is ``(P, 3)`` = pT [GeV], η, φ [rad] of the objects in its ``slots``: missing transverse energy (η = 0), electrons,
muons, jets, each kind in descending pT, and so it is afterwards. Positive: ``azimuth``, ``smear-angles``,
``smear-energy``. Anomalous: more objects (``add-objects``, ``split-objects``), harder ones (``shift-met``, ``shift-pt``,
``shift-all``, or for each event one of these: ``shift``). Where the public code deviates from what the paper says of it,
``as_published=True`` does as the code does, in units of GeV and rad.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch

from qad import settings
from qad.augmentations.base import Augmentation, normal, present, uniform
from qad.errors import InputError

SLOTS = ("met",) + ("e",) * 4 + ("mu",) * 4 + ("jet",) * 10  # arXiv:2107.02157
ACCEPTANCE = {"e": 3.0, "mu": 2.1, "jet": 4.0}  # |η| of what is seen
THRESHOLD = {"e": 3.0, "mu": 3.0, "jet": 15.0}  # GeV
TRIGGER = 23.0  # GeV, of the hardest lepton


@dataclass(frozen=True)
class EventAugmentation(Augmentation):
    """An augmentation of events whose objects stand in ``slots``: a kind (met, e, mu, jet) for each, those of one kind side by
    side, as in ``Sample.meta["slots"]``.

    Raises :class:`InputError` for other slots, and for a batch that is not ``(B, len(slots), 3)``.
    """

    slots: tuple[str, ...] = SLOTS
    needs_met = False

    def __post_init__(self) -> None:
        slots = tuple(self.slots)
        object.__setattr__(self, "slots", slots)  # a list from a study
        unknown = [slot for slot in slots if slot not in ("met", *ACCEPTANCE)]
        if unknown or not slots:
            raise InputError(f"slots: expected kinds among met, e, mu, jet, such as those of `qad simulate level1`; got "
                             f"{unknown[0] if unknown else 'none'!r}")
        changes = sum(a != b for a, b in pairwise(slots))
        if changes + 1 != len(set(slots)) or slots.count("met") > 1:
            raise InputError(f"slots: expected those of one kind side by side and at most one 'met'; got {', '.join(slots)}")
        if self.needs_met and "met" not in slots:
            raise InputError(f"{type(self).__name__} changes the missing transverse energy; expected a slot 'met', got "
                             f"{', '.join(slots)}")

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        n = len(self.slots)
        if x.ndim != 3 or tuple(x.shape[1:]) != (n, 3):
            raise InputError(f"expected events (B, {n}, 3) = pT, eta, phi of the objects in {n} slots; got {tuple(x.shape)}: "
                             "give this augmentation slots=sample.meta['slots']")
        return self._change(x.clone(), generator)

    def _change(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """``x`` changed; it is a copy and may be written to."""
        raise NotImplementedError

    def of(self, name: str) -> slice:
        """The slots of one kind; none if it has none."""
        first = self.slots.index(name) if name in self.slots else 0
        return slice(first, first + self.slots.count(name))

    def ordered(self, x: torch.Tensor) -> torch.Tensor:
        """Events with every kind of object in descending pT, absent ones last."""
        for name in ACCEPTANCE:
            x[:, self.of(name)] = descending(x[:, self.of(name)])
        return x


def descending(objects: torch.Tensor) -> torch.Tensor:
    """Objects ``(B, K, 3)`` of one kind in descending pT."""
    order = objects[..., 0].argsort(dim=1, descending=True, stable=True)
    return objects.gather(1, order[..., None].expand(-1, -1, 3))


def wrapped(phi: torch.Tensor) -> torch.Tensor:
    """Azimuths into [-π, π] [rad]; those that are there keep their bits."""
    return phi - 2 * torch.pi * torch.round(phi / (2 * torch.pi))


def transverse(objects: torch.Tensor) -> torch.Tensor:
    """(px, py) [GeV] of objects ``(..., 3)``."""
    return objects[..., :1] * torch.stack([objects[..., 2].cos(), objects[..., 2].sin()], -1)


@dataclass(frozen=True)
class Azimuth(EventAugmentation):
    """φ → φ + α of all that is there, MET too, one α for each event, uniform in [0, 2π): a symmetry of the detector."""

    symmetry = True

    def _change(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        turned = wrapped(x[..., 2] + 2 * torch.pi * uniform(x, (len(x), 1), generator))
        x[..., 2] = torch.where(present(x), turned, x[..., 2])
        return x


@dataclass(frozen=True)
class SmearAngles(EventAugmentation):
    """η and φ of the visible objects displaced by normal numbers of width ``strength`` · A/(1 + exp((pT - B)/C)), A = 0.028,
    B = 25 GeV, C = 0.1 GeV: those softer than 25 GeV. What then lies outside the acceptance is lost; MET stays as it is.

    as_published  the public code wraps φ by π, which puts an object on the other side of the event, and leaves holes in the
                  slots where objects are lost
    """

    strength: float = 1.0
    as_published: bool = False

    def _change(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        limit = x.new_tensor([ACCEPTANCE.get(name, torch.inf) for name in self.slots])
        seen = present(x) & limit.isfinite()
        width = self.strength * 0.028 * torch.sigmoid((25.0 - x[..., 0]) / 0.1) * seen
        place = x[..., 1:] + width[..., None] * normal(x, (*x.shape[:2], 2), generator)
        eta, phi = place.unbind(-1)
        if self.as_published:
            phi = torch.where(phi > torch.pi, phi - torch.pi, torch.where(phi < -torch.pi, phi + torch.pi, phi))
        else:
            phi = wrapped(phi)
        x[..., 1:] = torch.where(seen[..., None], torch.stack([eta, phi], -1), x[..., 1:])
        x = x.masked_fill((seen & (eta.abs() > limit))[..., None], 0.0)
        return x if self.as_published else self.ordered(x)


@dataclass(frozen=True)
class SmearEnergy(EventAugmentation):
    """pT of the jets displaced by normal numbers of width ``strength`` · √(0.052 pT² + 1.502 pT) [GeV]; MET stays as it is.

    Paper and public code have these numbers; Delphes' hadronic calorimeter of CMS has 0.05² and 1.50² in their place.

    least         [GeV] jets that end below it are lost; the format itself begins at 15
    as_published  the public code leaves η and φ of lost jets in their slots, and jets in their former order
    """

    strength: float = 1.0
    least: float = 0.0
    as_published: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        settings.number("least", self.least)

    def _change(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        jets = x[:, self.of("jet")]  # a view
        pt = jets[..., 0]
        moved = pt + self.strength * (0.052 * pt.square() + 1.502 * pt).sqrt() * normal(x, tuple(pt.shape), generator)
        lost = moved <= self.least
        jets[..., 0] = moved.masked_fill(lost, 0.0)
        if self.as_published:
            return x
        jets.masked_fill_(lost[..., None], 0.0)
        return self.ordered(x)


@dataclass(frozen=True)
class AddObjects(EventAugmentation):
    """New electrons, muons and jets in free slots: of each kind a number uniform in 0 … free slots, pT uniform from the
    threshold (3 GeV, jets 15) to the hardest pT of the event, η uniform in the acceptance, φ uniform.

    MET takes the recoil: the vector sum of all transverse momenta stays.

    as_published  the public code leaves MET's φ as it was unless angles are given in units of π, so that the sum is not kept,
                  and puts the new objects behind the others, whatever their pT
    """

    as_published: bool = False
    kind = "anomalous"
    needs_met = True

    def _change(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        hardest = x[..., 0].amax(1, keepdim=True)
        met = x[:, self.slots.index("met")]  # a view
        recoil, more = torch.zeros_like(met[:, :2]), torch.zeros_like(met[:, 0], dtype=torch.bool)
        for name, limit in ACCEPTANCE.items():
            objects = x[:, self.of(name)]
            free = ~present(objects)
            number = (uniform(x, (len(x), 1), generator) * (free.sum(1, keepdim=True) + 1)).floor()
            new = free & (free.cumsum(1) <= number)
            pt, eta, phi = uniform(x, (*objects.shape[:2], 3), generator).unbind(-1)
            pt = THRESHOLD[name] + (hardest - THRESHOLD[name]).clamp(min=0) * pt
            made = torch.stack([pt, limit * (2 * eta - 1), torch.pi * (2 * phi - 1)], -1) * new[..., None]
            recoil -= transverse(made).sum(1)
            more |= new.any(1)
            x[:, self.of(name)] = torch.where(new[..., None], made, objects)
        px, py = (transverse(met) + recoil).unbind(-1)
        met[:, 0] = torch.where(more, torch.hypot(px, py), met[:, 0])
        if self.as_published:
            return x
        met[:, 2] = torch.where(more, torch.atan2(py, px), met[:, 2])
        return self.ordered(x)


@dataclass(frozen=True)
class SplitObjects(EventAugmentation):
    """Electrons, muons and jets split into collinear parts that fill free slots of their kind, at constant MET: the vector sum
    of every kind, and its scalar pT, stay.

    Of each kind a number of new parts uniform in 0 … as many as slots are free and as thresholds allow (3 GeV, jets 15; the
    hardest electron and the hardest muon keep a part of the trigger's 23 GeV), each taken from an object at random among all
    that could give it. What an object has above the thresholds of its parts is shared as Dirichlet(1, …, 1).

    as_published  see :func:`split_as_published`
    """

    as_published: bool = False
    kind = "anomalous"

    def _change(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        split = split_as_published if self.as_published else split_collinear
        for name, least in THRESHOLD.items():
            place = self.of(name)
            if place.stop > place.start:
                x[:, place] = split(x[:, place], least, 0.0 if name == "jet" else TRIGGER, generator)
        return x


def split_collinear(objects: torch.Tensor, least: float, lead: float, generator: torch.Generator) -> torch.Tensor:
    """Objects ``(B, K, 3)`` of one kind, some in several parts of at least ``least`` GeV, one of ``lead`` GeV if there was."""
    pt, there, k = objects[..., 0].contiguous(), present(objects), objects.shape[1]
    slot = torch.arange(k, device=pt.device)
    hardest = (slot == pt.argmax(1, keepdim=True)) & (pt >= lead)
    first = torch.where(hardest, max(lead, least), least).to(pt.dtype)  # GeV that the first part of an object has at least
    room = torch.floor((pt - first) / least).clamp(min=0) * there  # parts more that an object could have

    chance = slot < room[..., None]  # (B, K, K) one for each part that could be made
    key = uniform(pt, (len(pt), k * k), generator).masked_fill(~chance.flatten(1), 2.0)
    possible = torch.minimum(chance.sum((1, 2)), k - there.sum(1))
    number = (uniform(pt, (len(pt),), generator) * (possible + 1)).floor().long()[:, None]
    taken = key < key.sort(dim=1).values.gather(1, number)
    parts = taken.view(-1, k, k).sum(2) + there.long()  # (B, K)

    end = parts.cumsum(1)
    filled = slot < end[:, -1:]
    parent = torch.searchsorted(end, slot.expand(len(pt), k).contiguous(), right=True).clamp(max=k - 1)
    share = torch.empty_like(pt).exponential_(generator=generator) * filled
    share = share / torch.zeros_like(pt).scatter_add(1, parent, share).gather(1, parent).clamp(min=1e-30)
    above = (pt - first - (parts - 1) * least).clamp(min=0)
    begins = slot == (end - parts).gather(1, parent)
    made = torch.where(begins, first.gather(1, parent), least) + above.gather(1, parent) * share
    made = torch.where(parts.gather(1, parent) == 1, pt.gather(1, parent), made)  # what is not split keeps its bits
    place = objects[..., 1:].gather(1, parent[..., None].expand(-1, -1, 2))
    return descending(torch.cat([made[..., None], place], -1) * filled[..., None])


def split_as_published(objects: torch.Tensor, least: float, lead: float, generator: torch.Generator) -> torch.Tensor:
    """What the public code does with the objects ``(B, K, 3)`` of one kind, K slots, n of them taken.

    The number of new ones was to be at most the number of free slots, but that bound is the third argument of ``np.minimum``,
    its output. New ones stand in the last slots, each with the direction of its mirror image in the first, and where these
    overlap (n > K/2) both directions are added up. The pT of all together, not of each, is shared anew, and does not add up to
    what it was: an overlap loses a threshold, jets gain one, and leptons below ``lead`` are lifted above it.
    """
    pt, there, k = objects[..., 0], present(objects), objects.shape[1]
    n, total = there.sum(1), pt.sum(1)
    most = ((total - lead) / least - n).clamp(min=0).floor()
    new = torch.minimum((uniform(pt, (len(pt),), generator) * (most + 1)).floor(), n)
    above = (total - (lead - least) - least * (new + n)).clamp(min=0)
    taken = there | (torch.arange(k, 0, -1, device=pt.device) <= new[:, None])
    share = torch.empty_like(pt).exponential_(generator=generator) * (taken & (there | there.flip(1)))
    share = share / share.sum(1, keepdim=True).clamp(min=1e-30)
    made = (above[:, None] * share + least) * taken
    made[:, 0] += max(0.0, lead - least) * taken[:, 0]
    place = objects[..., 1:] + (objects[..., 1:] * taken[..., None]).flip(1)
    return torch.cat([made[..., None], place], -1)


@dataclass(frozen=True)
class _Factor(EventAugmentation):
    low: float = 1.0
    high: float = 5.0
    kind = "anomalous"
    whom = (False, True)  # whether MET, whether the visible objects

    def __post_init__(self) -> None:
        super().__post_init__()
        settings.number("low", self.low, above=True)
        settings.number("high", self.high, above=True)
        if self.low > self.high:
            raise InputError(f"{type(self).__name__}: expected low <= high; got low={self.low!r}, high={self.high!r}")

    def _change(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        factor = self.low + (self.high - self.low) * uniform(x, (len(x), 1), generator)
        chosen = torch.tensor([self.whom[name != "met"] for name in self.slots], device=x.device)
        x[..., 0] = torch.where(chosen, factor * x[..., 0], x[..., 0])
        return x


@dataclass(frozen=True)
class ShiftMet(_Factor):
    """MET times a number uniform in ``low`` … ``high``; the visible objects stay, so that the event no longer balances."""

    low: float = 0.5
    needs_met = True
    whom = (True, False)


@dataclass(frozen=True)
class ShiftPt(_Factor):
    """pT of all visible objects times one number uniform in ``low`` … ``high``; MET stays as it was, as in the public code."""


@dataclass(frozen=True)
class ShiftAll(_Factor):
    """pT of all objects and MET times one number uniform in ``low`` … ``high``: the event of a heavier particle."""

    whom = (True, True)


@dataclass(frozen=True)
class Shift(EventAugmentation):
    """For each event one of ``shift-met``, ``shift-pt`` and ``shift-all``, each as likely."""

    kind = "anomalous"
    needs_met = True

    def _change(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        which = (3 * uniform(x, (len(x),), generator)).long()
        shifted = torch.stack([one(slots=self.slots)(x, generator) for one in (ShiftMet, ShiftPt, ShiftAll)])
        return shifted[which, torch.arange(len(x), device=x.device)]


EVENTS: Mapping[str, type[Augmentation]] = {
    "azimuth": Azimuth, "smear-angles": SmearAngles, "smear-energy": SmearEnergy, "add-objects": AddObjects,
    "split-objects": SplitObjects, "shift-met": ShiftMet, "shift-pt": ShiftPt, "shift-all": ShiftAll, "shift": Shift,
}
