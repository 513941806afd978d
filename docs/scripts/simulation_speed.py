"""What clustering, detector response and writing add to the time of bare Pythia, process by process.

    python docs/scripts/simulation_speed.py                         # every process, one core
    python docs/scripts/simulation_speed.py qcd wprime_xy           # some
    python docs/scripts/simulation_speed.py qcd --workers 2         # and how much faster two workers are than one (wall clock)

Shares are of processor time, so that a busy machine blurs them little. Compiled kernels are warm.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from qad.data.store import SampleWriter, iter_chunks
from qad.simulation import cards, produce
from qad.simulation.produce import EVENTS_PER_CHUNK, KINDS, Job, job_of, make_sample


def shares(job: Job, chunks: int, folder: Path) -> tuple[dict[str, float], int]:
    """Processor seconds in Pythia, FastJet and our own code for ``chunks`` chunks, and how many entries they gave."""
    produce.make_chunk(job, 0, folder / "warm.h5")
    clock, kept = produce.Clock(time.process_time), 0
    with SampleWriter(folder / "whole.h5") as whole:
        for chunk in range(1, chunks + 1):
            kept += produce.make_chunk(job, chunk, folder / "part.h5", clock)[1]
            for sample in iter_chunks(folder / "part.h5"):  # as the parts of a sample are put together
                whole.append(sample)
            clock("ours")
    return clock.seconds, kept


def speed_up(job: Job, entries: int, workers: int, folder: Path) -> float:
    """Wall time of one worker over that of ``workers``, for the same ``entries``."""
    walls = []
    for n in (1, workers):
        start = time.perf_counter()
        make_sample(job, entries, folder / f"{n}.h5", workers=n, overwrite=True)
        walls.append(time.perf_counter() - start)
    return walls[0] / walls[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("process", nargs="*", help="processes; all where none is named")
    parser.add_argument("--chunks", type=int, default=2, help=f"chunks of {EVENTS_PER_CHUNK} events to measure on")
    parser.add_argument("--workers", type=int, default=0, help="also measure this many workers against one")
    parser.add_argument("--entries", type=int, default=2500, help="entries for that")
    given = parser.parse_args()
    print("| process | kind | bare Pythia [ms/event] | kept per event | FastJet | our own | together |"
          + (f" {given.workers} workers |" if given.workers else ""))
    print("|---|---|---|---|---|---|---|" + ("---|" if given.workers else ""))
    for process in given.process or cards.processes():
        kind = cards.load_card(process).header["kind"]
        if kind not in KINDS:
            continue
        job = job_of(kind, process, 1)
        with tempfile.TemporaryDirectory(prefix="qad-") as scratch:
            spent, kept = shares(job, given.chunks, Path(scratch))
            events = given.chunks * EVENTS_PER_CHUNK
            fastjet, ours = spent["fastjet"] / spent["pythia"], spent["ours"] / spent["pythia"]
            row = (f"| {process} | {kind} | {1e3 * spent['pythia'] / events:.2f} | {kept / events:.3f} "
                   f"| {100 * fastjet:.0f} % | {100 * ours:.0f} % | {100 * (fastjet + ours):.0f} % |")
            if given.workers:
                row += f" ×{speed_up(job, given.entries, given.workers, Path(scratch)):.2f} |"
        print(row, flush=True)


if __name__ == "__main__":
    main()
