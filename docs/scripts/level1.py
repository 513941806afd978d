"""Where the figures of docs/reference/level1.md come from: what passes the filter, how fast, weights, cross-sections.

    python docs/scripts/level1.py                        # every process: some five minutes of one core
    python docs/scripts/level1.py level1_w level1_qcd    # some

Processor time, detector at particle level. Errors are one standard deviation of counting.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from qad.simulation.cards import Card, load_card
from qad.simulation.generate import Generator
from qad.simulation.level1 import Level1Selection
from qad.simulation.mixture import PUBLISHED, QCD, QCD_SHARE
from qad.simulation.record import Record
from qad.simulation.respond import Response, respond

#: Thousands of events of each process, so that some hundred pass, of h± → τν some sixty.
THOUSANDS = {"level1_w": 3, "level1_qcd": 9, "level1_z": 3, "level1_ttbar": 3, "a_4l": 1, "lq_btau": 1, "lq_bnu": 3,
             "h0_tautau": 2, "hplus_taunu": 8, "hplus_top": 1}
PB = 1e9  # Pythia counts in mb


def heavy_pair_made(record: Record) -> np.ndarray:
    """Whether the hard process of each event makes a charm or bottom pair of lighter partons, ``(n,)``."""
    incoming, outgoing = (np.abs(record.pdg_id[record.start[:-1, None] + rows]) for rows in ([3, 4], [5, 6]))
    return np.isin(outgoing, (4, 5)).all(1) & ~np.isin(incoming, (4, 5)).any(1)


def cross_section(generator: Generator, passed: float) -> float:
    """Cross-section [pb] of the events that pass, whose weights add up to ``passed``.

    A veto hides the events it refuses, so the mean weight and the cross-section of all are taken from hard processes alone.
    """
    card = generator.card
    hard = Generator(Card(card.process, {k: v for k, v in card.header.items() if k != "hook"}, card.options,
                          (*card.commands, "PartonLevel:all = off")), 2)
    mean = np.mean(hard.events(20_000)["info"].weights[:, 0])
    return hard.pythia.infoPython().sigmaGen() * PB * passed / (generator.pythia.infoPython().nSelected() * mean)


def measure(process: str, thousands: int) -> None:
    """Print the row of a process; of QCD also what its weights are like."""
    card, selection = load_card(process, "level1"), Level1Selection()
    generator = Generator(card, 1)
    weights, isolated, made, seconds = [], [], [], 0.0
    for batch in range(thousands):
        start = time.process_time()
        record = Record.of(generator.events(1000))
        sample = selection.select(record, respond(record, Response(), batch), card, 0, lambda name: None)
        seconds += time.process_time() - start
        leptons = sample.particles[:, 1:9, 0].argmax(1)
        weights.append(sample.weight.astype(float))
        isolated.append(sample.particle_extras["isolation"][np.arange(len(sample)), 1 + leptons] < 0.25)
        if process == QCD:
            made.append(heavy_pair_made(record)[sample.extras["event"]])
    w = np.concatenate(weights)
    n, share = len(w), len(w) / (1000 * thousands)
    effective = w.sum() ** 2 / (w**2).sum() / n
    sigma = f"{cross_section(generator, w.sum()):.3g}" if process in PUBLISHED else ""
    print(f"| {process} | {1000 * thousands} | {share:.3f} ± {np.sqrt(share * (1 - share) / thousands / 1000):.3f} "
          f"| {n / seconds:.1f} | {sigma} |", flush=True)
    if process == QCD:
        pairs, low = np.concatenate(made), w > (50 / 30) ** 2  # the weight is (50 GeV / pTHat)^2
        print(f"  {n} events of {process}, {seconds:.0f} s: {n * effective:.0f} effective, largest weight "
              f"{w.max() / w.mean():.1f} times the mean; "
              f"pTHat < 30 GeV has {100 * w[low].sum() / w.sum():.0f} % of the weight ({low.sum()} events); "
              f"pair creation {100 * w[pairs].sum() / w.sum():.0f} % ({pairs.sum()} events); "
              f"hardest lepton isolated in {np.concatenate(isolated).sum()}")
        for qcd_share in (QCD_SHARE, PUBLISHED[QCD]):
            rest = (1 - PUBLISHED[QCD]) ** 2 / (1 - qcd_share)
            kept = 1 / (rest + PUBLISHED[QCD] ** 2 / qcd_share / effective)
            print(f"  so a mixture of 10,000 with qcd_share={qcd_share:g} is worth {10_000 * kept:.0f} effective events")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("process", nargs="*", help="processes; all where none is named")
    print("| process | simulated | pass the filter | events/s and core | σ of what passes [pb] |\n|---|---|---|---|---|")
    for process in parser.parse_args().process or THOUSANDS:
        measure(process, THOUSANDS[process])


if __name__ == "__main__":
    main()
