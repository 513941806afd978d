"""Process cards: what Pythia is told. A card is a data file; a new process is a new ``.cmnd`` beside the others.

Header lines ``! key: value`` describe it (``title``, ``kind``, ``label``, ``sqrt_s`` [GeV], ``resonance`` whose decay a jet
must contain, ``products`` of that decay that count (PDG ids; quarks unless said otherwise), ``leptons`` it must have,
``particle_extras`` kept beside the PDG id, ``cut NAME: value`` where its selection is not the usual one,
``option NAME: default | unit | meaning``). ``{NAME}`` is filled from the options and from the numbers that follow from them
(``derived: hidden_valley``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from qad.errors import InputError, did_you_mean

QUARKS = (1, 2, 3, 4, 5, 6)
PARTICLE_EXTRAS = {"pdg_id": "int32", "charge": "int8"}
PROCESSES = resources.files("qad.simulation") / "processes"


@dataclass(frozen=True)
class Option:
    """One number a card can be given."""

    default: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class Card:
    """A process with its options filled: ``commands`` go to Pythia line by line."""

    process: str
    header: Mapping[str, str]
    options: Mapping[str, float | str]
    commands: tuple[str, ...]
    cuts: Mapping[str, float] = field(default_factory=dict)  # fields of the selection that differ from the usual ones

    @property
    def sqrt_s(self) -> float:
        """Centre-of-mass energy [GeV]."""
        return float(self.header["sqrt_s"])

    @property
    def resonance(self) -> int | None:
        """PDG id of the resonance whose decay quarks a jet must contain, or None."""
        return int(self.header["resonance"]) if "resonance" in self.header else None

    @property
    def products(self) -> tuple[int, ...]:
        """\\|PDG ids\\| of the decay products of the resonance that a jet must contain."""
        return tuple(int(p) for p in self.header["products"].split()) if "products" in self.header else QUARKS

    @property
    def leptons(self) -> int | None:
        """How many charged leptons the decay of the resonance must have, or None for any number."""
        return int(self.header["leptons"]) if "leptons" in self.header else None

    @property
    def particle_extras(self) -> dict[str, str]:
        """Columns kept for each particle, with their types."""
        return {name: PARTICLE_EXTRAS[name] for name in ("pdg_id", *self.header.get("particle_extras", "").split())}

    @property
    def label(self) -> int:
        """0 for background, 1 for signal."""
        return int(self.header["label"])


def processes(kind: str | None = None) -> list[str]:
    """Names of all cards, or of those of one ``kind`` (``jets``, ``events``)."""
    found = sorted(f.name.removesuffix(".cmnd") for f in PROCESSES.iterdir() if f.name.endswith(".cmnd"))
    return [p for p in found if kind is None or _parse(p)[0]["kind"] == kind]


def title(process: str) -> str:
    """What a process is, in a few words."""
    return _parse(process)[0]["title"]


def card_options(process: str) -> dict[str, Option]:
    """The options a process takes."""
    return _parse(process)[1]


def _parse(process: str) -> tuple[dict[str, str], dict[str, Option], dict[str, float], list[str]]:
    header: dict[str, str] = {}
    options: dict[str, Option] = {}
    cuts: dict[str, float] = {}
    body: list[str] = []
    for line in (PROCESSES / f"{process}.cmnd").read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"! option (\w+): ([^|]*)\|([^|]*)\|(.*)", line):
            options[match[1]] = Option(match[2].strip(), match[3].strip(), match[4].strip())
        elif match := re.fullmatch(r"! cut (\w+): (.*)", line):
            cuts[match[1]] = float(match[2])
        elif not body and (match := re.fullmatch(r"! (\w+): (.*)", line)):
            header[match[1]] = match[2].strip()
        elif line.strip() and not line.startswith("!"):
            body.append(line.strip())
    return header, options, cuts, body


def load_card(process: str, kind: str | None = None, **options: Any) -> Card:
    """The card of ``process`` with its ``options`` filled. Raises :class:`InputError` for unknown names and values."""
    known = processes(kind)
    if process not in known:
        if kind is not None and process in processes():
            other = _parse(process)[0]["kind"]
            raise InputError(f"'{process}' is a process of kind {other}, not {kind}: type  qad simulate {other} --process "
                             f"{process}")
        raise InputError(did_you_mean(process, known, "process"))
    header, declared, cuts, body = _parse(process)
    for name in options:
        if name not in declared:
            takes = ", ".join(declared) or "no options"
            raise InputError(f"process '{process}' has no option '{name}'; it takes {takes}")
    values: dict[str, float | str] = {}
    for name, option in declared.items():
        given = options.get(name)
        value = option.default if given is None else given
        if value != "auto":
            try:
                value = float(value)
                if not math.isfinite(value):
                    raise ValueError
            except (TypeError, ValueError):
                raise InputError(f"option '{name}' of '{process}': expected a number, got '{value}'") from None
        values[name] = value
    filled: dict[str, Any] = dict(values)
    if "derived" in header:
        filled |= DERIVED[header["derived"]](values)
    commands: list[str] = []
    for line in body:
        text = re.sub(r"\{(\w+)\}", lambda m: _written(filled[m[1]]), line)
        commands += text.split("\n")
    used = {k: filled[k] for k in values}
    return Card(process, header, used, tuple(commands), cuts)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.10g}"


def hidden_valley(options: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers that follow from the semi-visible jet options, after the CMS settings (arXiv:1707.05326, 2112.11125).

    Dark quark mass m_dark/2, shower cut-off 1.1 Lambda; dark pseudoscalars decay by mass insertion, branching fractions
    proportional to the squared running quark mass m_q(m_dark)^2; dark vectors decay to all open flavours alike.
    """
    from qad.simulation.generate import running_mass

    m_zprime, m_dark, r_inv = options["m_zprime"], options["m_dark"], options["r_inv"]
    if not 0 <= r_inv < 1:
        raise InputError(f"r_inv is a fraction of dark mesons: expected 0 <= r_inv < 1, got {r_inv:g}")
    if not 1 <= m_dark < m_zprime / 4:
        raise InputError(f"m_dark: expected 1 GeV <= m_dark < m_zprime/4 = {m_zprime / 4:g} GeV, got {m_dark:g}")
    lambda_dark = 3.2 * m_dark**0.8 if options["lambda_dark"] == "auto" else options["lambda_dark"]
    threshold = {1: 0.01, 2: 0.01, 3: 0.2, 4: 3.0, 5: 9.6}  # twice the constituent-level masses that Pythia decays into
    open_flavours = [q for q, m in threshold.items() if m < m_dark]
    heavy = [q for q in open_flavours if q >= 3] or open_flavours
    squared = {q: running_mass(q, m_dark) ** 2 for q in heavy}
    total = sum(squared.values())

    def lines(meson: int, dark_matter: int, shares: Mapping[int, float]) -> list[str]:
        out = [f"{meson}:oneChannel = 1 {r_inv:.6g} 0 {dark_matter} -{dark_matter}"]
        return out + [f"{meson}:addChannel = 1 {(1 - r_inv) * s:.6g} 91 {q} -{q}" for q, s in shares.items()]

    mass_insertion = {q: squared[q] / total for q in sorted(heavy, reverse=True)}
    democratic = {q: 1 / len(open_flavours) for q in open_flavours}
    return {
        "m_zprime_min": m_zprime - 1,
        "m_zprime_max": m_zprime + 1,
        "m_dark_quark": m_dark / 2,
        "lambda_dark": lambda_dark,
        "pt_min_fsr": 1.1 * lambda_dark,
        "pseudoscalar_decays": "\n".join(lines(4900111, 51, mass_insertion) + lines(4900211, 51, mass_insertion)),
        "vector_decays": "\n".join(lines(4900113, 53, democratic) + lines(4900213, 53, democratic)),
    }


def dark_photon(options: Mapping[str, Any]) -> dict[str, float]:
    """The mass window of the Z', and bounds within which the shower makes dark photons that decay to quarks."""
    m = options["m_zprime"]
    if not 0 < options["alpha_dark"] <= 1:
        raise InputError(f"alpha_dark is a coupling: expected 0 < alpha_dark <= 1, got {options['alpha_dark']:g}")
    _between(options, "m_zprime", 200, 6000, "a resonance that the LHC could make")
    _between(options, "m_photon", 1, m / 8, "it decays to quarks, and the shower must have room for several")
    _between(options, "m_quark", 0.1, m / 8, "the Z' decays to two dark quarks")
    return {"m_zprime_min": m - 1, "m_zprime_max": m + 1}


def heavy_higgs(options: Mapping[str, Any]) -> dict[str, float]:
    """The mass window of the heavy Higgs: 0.8 to 1.2 times its mass, so that the parton-density tail is cut."""
    m = options["m_h"]
    if not 400 <= m <= 4000:
        raise InputError(f"m_h: expected 400 to 4000 GeV (above the top-pair threshold), got {m:g}")
    return {"m_h_min": 0.8 * m, "m_h_max": 1.2 * m}


def _between(options: Mapping[str, Any], name: str, low: float, high: float, why: str) -> None:
    """One sentence if an option lies outside ``low`` to ``high`` [GeV]."""
    if not low <= options[name] <= high:
        raise InputError(f"{name}: expected {low:g} to {high:g} GeV ({why}), got {options[name]:g}")


def _window(options: Mapping[str, Any], name: str, half: float) -> dict[str, float]:
    """``NAME_min``, ``NAME_max``: 1 ∓ ``half`` times the mass [GeV]."""
    m = options[name]
    return {f"{name}_min": (1 - half) * m, f"{name}_max": (1 + half) * m}


def qcd_dijets(options: Mapping[str, Any]) -> dict[str, float]:
    """Only bounds."""
    _between(options, "pt_hat_min", 20, 3000, "the collision energy is 13 TeV")
    return {}


def resonance(heavy: str, half: float = 0.2, natural: tuple[str, ...] = (),
              **daughters: tuple[float, float, str]) -> Callable[[Mapping[str, Any]], dict[str, float]]:
    """Mass windows and widths for a narrow resonance ``heavy`` and its daughters, with bounds on the masses.

    heavy      option with its mass: width 1 %, window 1 ∓ ``half`` around it
    natural    daughters that are a re-massed Z in two quarks: Pythia works out their width, 2 to 3 %, and takes no other
    daughters  option: (least mass [GeV], mass of its partner [GeV], why not less); width 0.5 %, window 20 %
    """

    def derive(options: Mapping[str, Any]) -> dict[str, float]:
        _between(options, heavy, 500, 10_000, "a resonance that the LHC could make")
        filled = _window(options, heavy, half) | {f"{heavy}_width": 0.01 * options[heavy]}
        for name, (least, partner, why) in daughters.items():
            most = options[heavy] - partner if partner else options[heavy] / 2
            _between(options, name, least, 0.8 * most, f"{why}, and {heavy} must be able to decay to it")
            filled |= _window(options, name, 0.2)
            if name not in natural:
                filled[f"{name}_width"] = 0.005 * options[name]
        return filled

    return derive


#: Least mass of a daughter, no partner, and why not less.
TO_QUARKS = (20, 0, "it decays to quarks")
DERIVED: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "hidden_valley": hidden_valley,
    "dark_photon": dark_photon,
    "heavy_higgs": heavy_higgs,
    "qcd_dijets": qcd_dijets,
    # the window of 10 % around the W' is that with which the LHC Olympics peak was checked
    "wprime_xy": resonance("m_wprime", 0.1, natural=("m_y",), m_x=TO_QUARKS, m_y=TO_QUARKS),
    "wprime_xy_qqq": resonance("m_wprime", 0.1, m_x=TO_QUARKS, m_y=TO_QUARKS),
    "x_yy": resonance("m_x", natural=("m_y",), m_y=TO_QUARKS, m_yprime=TO_QUARKS),
    "qstar_qw": resonance("m_qstar", m_w=TO_QUARKS),
    "wkk_wr": resonance("m_wkk", m_r=(165, 100, "it decays to two W")),
    "wprime_bt": resonance("m_wprime", m_b=(100, 200, "it decays to b Z")),
    "zprime_tt": resonance("m_zprime", m_t=(270, 0, "it decays to t Z")),
    "y_hh": resonance("m_y", m_h=(350, 0, "it decays to two tops")),
}
