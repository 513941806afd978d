"""Process cards: what Pythia is told. A card is a data file; a new process is a new ``.cmnd`` beside the others.

Header lines ``! key: value`` describe it (``title``, ``kind`` jets or events, ``label``, ``sqrt_s`` [GeV],
``resonance`` whose decay quarks a jet must contain, ``option NAME: default | unit | meaning``). ``{NAME}`` is filled from
the options and from the numbers that follow from them (``derived: hidden_valley``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from qad.errors import InputError, did_you_mean

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

    @property
    def sqrt_s(self) -> float:
        """Centre-of-mass energy [GeV]."""
        return float(self.header["sqrt_s"])

    @property
    def resonance(self) -> int | None:
        """PDG id of the resonance whose decay quarks a jet must contain, or None."""
        return int(self.header["resonance"]) if "resonance" in self.header else None

    @property
    def label(self) -> int:
        """0 for background, 1 for signal."""
        return int(self.header["label"])


def processes(kind: str | None = None) -> list[str]:
    """Names of all cards, or of those of one ``kind`` (``jets``, ``events``)."""
    found = sorted(f.name.removesuffix(".cmnd") for f in PROCESSES.iterdir() if f.name.endswith(".cmnd"))
    return [p for p in found if kind is None or _parse(p)[0]["kind"] == kind]


def card_options(process: str) -> dict[str, Option]:
    """The options a process takes."""
    return _parse(process)[1]


def _parse(process: str) -> tuple[dict[str, str], dict[str, Option], list[str]]:
    header: dict[str, str] = {}
    options: dict[str, Option] = {}
    body: list[str] = []
    for line in (PROCESSES / f"{process}.cmnd").read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"! option (\w+): ([^|]*)\|([^|]*)\|(.*)", line):
            options[match[1]] = Option(match[2].strip(), match[3].strip(), match[4].strip())
        elif not body and (match := re.fullmatch(r"! (\w+): (.*)", line)):
            header[match[1]] = match[2].strip()
        elif line.strip() and not line.startswith("!"):
            body.append(line.strip())
    return header, options, body


def load_card(process: str, kind: str | None = None, **options: Any) -> Card:
    """The card of ``process`` with its ``options`` filled. Raises :class:`InputError` for unknown names and values."""
    known = processes(kind)
    if process not in known:
        raise InputError(did_you_mean(process, known, "process"))
    header, declared, body = _parse(process)
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
    return Card(process, header, used, tuple(commands))


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


def heavy_higgs(options: Mapping[str, Any]) -> dict[str, float]:
    """The mass window of the heavy Higgs: 0.8 to 1.2 times its mass, so that the parton-density tail is cut."""
    m = options["m_h"]
    if not 400 <= m <= 4000:
        raise InputError(f"m_h: expected 400 to 4000 GeV (above the top-pair threshold), got {m:g}")
    return {"m_h_min": 0.8 * m, "m_h_max": 1.2 * m}


DERIVED: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "hidden_valley": hidden_valley,
    "heavy_higgs": heavy_higgs,
}
