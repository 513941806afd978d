"""A million jets run in the memory that a hundred thousand take. The generator is replaced: it would take hours here."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from qad.data import SampleWriter
from qad.simulation import produce, simulate_jets
from tests.conftest import toy_jets

template = toy_jets(1000, 1, particles=128)

def make_chunk(job, chunk, path):
    with SampleWriter(path, meta=dict(template.meta)) as out:
        for turn in range(5):
            order = np.random.default_rng([chunk, turn]).permutation(len(template))
            out.append(template[order])
    return chunk, 5 * len(template), {"pythia": 1.0, "fastjet": 0.0, "ours": 0.0}

produce.make_chunk = make_chunk
simulate_jets("qcd", int(sys.argv[1]), out=sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak(n, path) -> float:
    """Peak memory [MiB] of a process that makes a sample of ``n`` jets."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(n), str(path)], capture_output=True, text=True, check=True)
    path.unlink()
    return float(done.stdout)


@pytest.mark.slow
def test_a_million_jets_in_constant_memory(tmp_path):
    pytest.importorskip("pythia8mc", reason="needs the extra 'simulation'")
    few, many = peak(100_000, tmp_path / "few.h5"), peak(1_000_000, tmp_path / "many.h5")
    assert many < few + 60, f"{few:.0f} MiB for 100,000 jets, {many:.0f} MiB for a million"
