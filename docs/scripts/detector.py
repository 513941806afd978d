"""The table of docs/reference/detector.md: the same events without a detector, as towers and as energy flow.

    python docs/scripts/detector.py                   # a minute of processor time
    python docs/scripts/detector.py --events 500      # quicker, and rougher
"""

import argparse
import time

import numpy as np

from qad.data.kinematics import delta_r
from qad.simulation import JetSelection, Response
from qad.simulation.cards import load_card
from qad.simulation.cluster import cluster
from qad.simulation.generate import Generator
from qad.simulation.record import Record
from qad.simulation.respond import respond

SETTINGS = [Response(), *(Response(mode, card) for card in ("cms", "atlas", "cms-phase2") for mode in ("towers", "eflow")),
            Response("eflow", "cms", pile_up=20), Response("eflow", "cms", pile_up=20, charged_subtraction=True)]


def shortest(values, share):
    """Shortest interval that holds this ``share`` of the values: its ends."""
    values = np.sort(values)
    k = max(1, int(share * len(values)))
    i = np.argmin(values[k - 1:] - values[: len(values) - k + 1])
    return values[i], values[i + k - 1]


def leading(seen):
    """The hardest jet of each event, where it has 400 GeV: events, momenta; and the seconds that FastJet took."""
    begin = time.process_time()
    jets = cluster(seen.p4, seen.counts, 0.8, 400.0)
    spent = time.process_time() - begin
    event, first = np.unique(jets.event, return_index=True)
    return event, jets.momentum[first], spent


def scale(seen, truth):
    """pT of the leading jet over that of the same jet of particles (ΔR < 0.4): mean and RMS."""
    _, mine, theirs = np.intersect1d(seen[0], truth[0], return_indices=True)
    a, b = seen[1][mine], truth[1][theirs]
    same = delta_r(a, b) < 0.4
    ratio = (np.hypot(a[:, 0], a[:, 1]) / np.hypot(b[:, 0], b[:, 1]))[same]
    return f"{ratio.mean():.3f} ± {ratio.std():.3f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2000)
    events = parser.parse_args().events
    record, generation = {}, {}
    for process in ("top", "qcd"):
        generator = Generator(load_card(process), 3)
        begin = time.process_time()
        record[process] = Record.of(generator.events(events))
        generation[process] = (time.process_time() - begin) / events
    print(f"Pythia: {1e3 * generation['qcd']:.2f} ms of processor time per QCD event\n")
    truth = leading(respond(record["qcd"], Response(), 1))
    print("| detector | top jets | their mass, shortest half [GeV] | QCD jets: mass, median [GeV] | constituents "
          "| pT over particles' | missing px, RMS [GeV] | response [ms] | FastJet [ms] |")
    print("|---|---|---|---|---|---|---|---|---|")
    for response in SETTINGS:
        cells = []
        for process in ("top", "qcd"):
            respond(record[process], response, 1, 14_000.0)  # builds the pool of minimum-bias events
            begin = time.process_time()
            seen = respond(record[process], response, 1, 14_000.0)
            spent = (time.process_time() - begin) / events
            jets = JetSelection().select(record[process], seen, load_card(process), 0, lambda name: None)
            if process == "top":
                low, high = shortest(jets.extras["jet_mass"], 0.5)
                cells += [f"{len(jets):,}", f"{low:.0f} to {high:.0f}"]
        hardest = leading(seen)
        number = jets.extras["n_constituents"]
        cells += [f"{np.median(jets.extras['jet_mass']):.0f}",
                  f"{np.median(number):.0f} ({np.percentile(number, 5):.0f} to {np.percentile(number, 95):.0f})",
                  scale(hardest, truth), f"{seen.missing.std():.1f}", f"{1e3 * spent:.2f}", f"{1e3 * hardest[2] / events:.2f}"]
        name = "none" if response.mode == "particle" else f"{response.card}, {response.mode}"
        name += f", pile-up {response.pile_up:g}" if response.pile_up else ""
        name += ", charged subtracted" if response.charged_subtraction else ""
        print("|", " | ".join([name, *cells]), "|", flush=True)


if __name__ == "__main__":
    main()
