"""Same bits with any number of workers, resumed after a kill, nothing lost on a full disk."""

import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("pythia8mc", reason="needs the extra 'simulation'")
from qad.data import read
from qad.errors import InputError
from qad.simulation import JetSelection, Profile, produce, simulate_jets


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(produce, "EVENTS_PER_CHUNK", 100)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "qcd.h5"
    profile = Profile()
    simulate_jets("qcd", 500, seed=5, out=path, profile=profile)
    return path, profile


def test_most_of_the_time_is_pythia_and_fastjet(reference):
    _, profile = reference
    # a ratio within one run; the issue asks for 0.85
    assert profile.external_share > 0.85, str(profile)


def test_two_workers_give_the_same_file(tmp_path, reference):
    simulate_jets("qcd", 500, seed=5, out=tmp_path / "two.h5", workers=2)
    assert (tmp_path / "two.h5").read_bytes() == reference[0].read_bytes()
    assert os.listdir(tmp_path) == ["two.h5"]


def test_a_longer_sample_begins_with_the_shorter(small_chunks):
    a, b = simulate_jets("qcd", 20, seed=2), simulate_jets("qcd", 45, seed=2)
    assert b[:20].fingerprint == a.fingerprint
    assert len(np.unique(b.extras["event"])) > 20
    assert simulate_jets("qcd", 20, seed=3).fingerprint != a.fingerprint


def test_killed_and_resumed_gives_the_same_file(tmp_path, reference):
    out = tmp_path / "killed.h5"
    command = [sys.executable, "-m", "qad", "simulate", "jets", "--process", "qcd", "-n", "500", "--seed", "5",
               "--workers", "1", "-o", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("killed.h5.parts-*/[0-9]*.h5")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    kept = len(list(tmp_path.glob("killed.h5.parts-*/[0-9]*.h5")))
    profile = Profile()
    made = []
    simulate_jets("qcd", 500, seed=5, out=out, profile=profile, progress=lambda done, n: made.append(done))
    assert kept >= 1 and made[0] > 0  # it did not start from nothing
    assert out.read_bytes() == reference[0].read_bytes()


def test_an_existing_sample_is_kept(tmp_path, small_chunks):
    out = tmp_path / "a.h5"
    simulate_jets("qcd", 5, seed=1, out=out)
    before = out.stat().st_mtime_ns
    simulate_jets("qcd", 5, seed=1, out=out)
    assert out.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="--overwrite"):
        simulate_jets("qcd", 5, seed=2, out=out)
    assert out.stat().st_mtime_ns == before
    simulate_jets("qcd", 5, seed=2, out=out, overwrite=True)
    assert read(out).meta["seed"] == 2


def test_a_damaged_part_is_made_again(tmp_path, small_chunks):
    job = produce.Job(produce.load_card("qcd"), 1, JetSelection())
    folder = tmp_path / f"a.h5.parts-{job.digest()}"
    folder.mkdir()
    (folder / "000000.h5").write_bytes(b"not HDF5")
    simulate_jets("qcd", 10, seed=1, out=tmp_path / "a.h5")
    assert read(tmp_path / "a.h5").fingerprint == simulate_jets("qcd", 10, seed=1).fingerprint


def test_a_full_disk_half_way_is_one_sentence_and_loses_nothing(tmp_path):
    """The file size limit stands for a full disk: writing fails in the middle of a file."""
    out = tmp_path / "a.h5"
    code = ("import resource, sys; from qad.simulation import produce, simulate_jets; produce.EVENTS_PER_CHUNK = 100\n"
            "from qad.errors import InputError\n"
            "simulate_jets('qcd', 30, seed=1, out=sys.argv[1])\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))\n"
            "try: simulate_jets('qcd', 60, seed=1, out=sys.argv[1], overwrite=True)\n"
            "except InputError as error: print(error)\n")
    done = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, text=True, check=True)
    assert "file size limit is reached" in done.stdout and done.stdout.count("\n") == 1
    assert len(read(out)) == 30  # what stood there before still does
    assert not [p for p in tmp_path.rglob("*.tmp")]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 3000


def test_nothing_passes_is_one_sentence(small_chunks):
    with pytest.raises(InputError, match="none of 2,000 events"):
        simulate_jets("qcd", 5, selection=JetSelection(eta_max=0.001))


def test_missing_extra_names_the_line_to_type(monkeypatch):
    from qad.errors import MissingExtra

    monkeypatch.setitem(sys.modules, "fastjet", None)
    with pytest.raises(MissingExtra, match=r"pip install 'qad-hep\[simulation\]'"):
        simulate_jets("qcd", 5)


def test_giving_up_does_not_hang_on_the_number_of_workers(tmp_path, monkeypatch):
    """The first chunk is slow and has all the entries there are; the others are done before it, and empty."""
    from concurrent.futures import ThreadPoolExecutor

    from tests.conftest import toy_jets

    def chunks_of(first):
        def make_chunk(job, chunk, path):
            sample = toy_jets(5, 1)[: 0 if chunk else first]
            time.sleep(0 if chunk else 0.5)
            sample.save(path)
            return chunk, len(sample), {"pythia": 1.0, "fastjet": 0.0, "ours": 0.0}

        return make_chunk

    with ThreadPoolExecutor(4) as pool:
        monkeypatch.setattr(produce, "make_chunk", chunks_of(5))
        simulate_jets("qcd", 5, out=tmp_path / "a.h5", workers=4, executor=pool)
        monkeypatch.setattr(produce, "make_chunk", chunks_of(0))
        with pytest.raises(InputError, match=r"none of 20,000 events .* passes"):
            simulate_jets("qcd", 5, out=tmp_path / "b.h5", workers=4, executor=pool)


@pytest.mark.parametrize(("cuts", "sentence"), [({"radius": 0.0}, "from 0.001"), ({"max_particles": -1}, "from 1"),
                                                ({"pt_min": float("nan")}, "from 0"), ({"leading": 0}, "from 1"),
                                                ({"pt_min": 700.0}, "not below pt_max=650"),
                                                ({"pt_min": 300.0}, "add  --pt-hat-min 214"),
                                                ({"pt_max": 1500.0}, "add  --pt-hat-max 2250")])
def test_impossible_cuts_are_refused_before_anything_runs(cuts, sentence):
    with pytest.raises(InputError, match=sentence):
        simulate_jets("qcd", 5, selection=cuts)


def test_a_window_of_ones_own_with_a_generator_to_match():
    job = produce.job_of("jets", "qcd", 1, {"pt_min": 300.0, "pt_max": 400.0}, pt_hat_min=200, pt_hat_max=800)
    assert "PhaseSpace:pTHatMin = 200" in job.card.commands and job.selection.pt_min == 300
    with pytest.raises(InputError, match="choose another window"):
        produce.job_of("jets", "qcd_aachen", 1, {"pt_min": 50.0})


def test_a_process_of_another_kind_is_told_where_it_belongs():
    with pytest.raises(InputError, match="qad simulate dijets --process wprime_xy"):
        simulate_jets("wprime_xy", 5)


def test_a_script_without_a_guard_is_told_what_it_needs(tmp_path):
    """Workers import the script that started them; without a guard each would begin with the simulation."""
    (tmp_path / "script.py").write_text("import qad\nqad.simulate_jets('qcd', 5, seed=1, workers=2)\n")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode and "needs  if __name__ == '__main__':  around the call" in done.stderr.splitlines()[-1]
