"""The level-1 background: published shares by weight, the same bits always, nothing lost or done twice."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

pytest.importorskip("pythia8mc", reason="needs the extra 'simulation'")
from qad.data import Sample, read
from qad.errors import InputError
from qad.simulation import mixture, produce
from qad.simulation.level1 import SLOTS
from qad.simulation.mixture import PUBLISHED, QCD, merge, simulate_level1, simulated_counts

#: Chunks of 40 events and a selection that half of the events pass: quick, and QCD still rare.
QUICK = {"qcd_share": 0.1, "selection": {"trigger_pt": 20.0}}


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(produce, "EVENTS_PER_CHUNK", 40)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(produce, "EVENTS_PER_CHUNK", 40)
        path = tmp_path_factory.mktemp("mixture") / "background.h5"
        told = []
        simulate_level1("background", 20, seed=3, out=path, progress=lambda done, n: told.append((done, n)), **QUICK)
        return path, told


def test_published_shares_add_up():
    assert sum(PUBLISHED.values()) == pytest.approx(1)


@pytest.mark.parametrize("n", [4, 7, 100, 9_999, 2_000_000])
@pytest.mark.parametrize("share", [0.001, 0.05, 0.338, 0.9])
def test_counts(n, share):
    counts = simulated_counts(n, share)
    assert list(counts) == list(PUBLISHED) and sum(counts.values()) == n and min(counts.values()) >= 1
    if n > 5000:
        assert counts[QCD] / n == pytest.approx(share, abs=1.5 / n)
        assert counts["level1_w"] / counts["level1_z"] == pytest.approx(0.592 / 0.067, rel=0.05)
    if n > 5000 and share == PUBLISHED[QCD]:
        assert all(abs(counts[p] / n - PUBLISHED[p]) < 1.5 / n for p in counts)


def test_weights_impose_the_published_shares(reference):
    sample = read(reference[0])
    assert len(sample) == 20 and (sample.label == 0).all()
    counts = simulated_counts(20, 0.1)
    weights = sample.weight.astype(float)
    assert weights.mean() == pytest.approx(1, abs=1e-6)
    for process, published in PUBLISHED.items():
        mine = sample.process == process
        part = sample.meta["components"][process]
        assert mine.sum() == part["n"] == counts[process] and part["simulated_share"] == pytest.approx(counts[process] / 20)
        assert weights[mine].sum() / 20 == pytest.approx(published, abs=1e-6) == part["imposed_share"]
        assert weights[mine].mean() == pytest.approx(part["mean_weight"], rel=1e-5) and part["seed"] == 3
        measured = sample.meta["measured"]["components"][process]
        assert measured["largest_weight"] == pytest.approx(weights[mine].max(), rel=1e-5)
        assert measured["effective_events"] == pytest.approx(weights[mine].sum() ** 2 / (weights[mine] ** 2).sum(), rel=1e-4)
        if process != QCD:
            assert np.ptp(weights[mine]) == 0
    assert sample.meta["measured"]["effective_events"] == pytest.approx(400 / (weights**2).sum(), rel=1e-4)
    assert np.ptp(weights[sample.process == QCD]) > 0  # Pythia's own weights are inside
    assert "HardQCD:all = on" in sample.meta["components"][QCD]["card"] and sample.meta["slots"] == list(SLOTS)
    assert sample.meta["components"][QCD]["heavy_flavour_veto"] == {"shower_scale_GeV": 5.0, "quark_pt_GeV": 20.0}
    assert sample.meta["components"][QCD]["pt_hat"]["bias_power"] == 2
    assert (sample.extras["event"] == np.arange(20)).all() and sample.meta["selection"]["trigger_pt"] == 20


def test_progress_counts_to_the_end(reference):
    done = [d for d, _ in reference[1]]
    assert done == sorted(done) and done[-1] == 20 and {n for _, n in reference[1]} == {20}


def test_any_number_of_workers_gives_the_same_file(reference, tmp_path, small_chunks):
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:  # fork: the workers know the small chunks
        simulate_level1("background", 20, seed=3, out=tmp_path / "two.h5", executor=pool, workers=2, **QUICK)
    assert (tmp_path / "two.h5").read_bytes() == reference[0].read_bytes()
    assert [f.name for f in tmp_path.iterdir()] == ["two.h5"]


def test_a_stopped_run_goes_on_where_it_was(reference, tmp_path, small_chunks, monkeypatch):
    out, made = tmp_path / "stopped.h5", []
    real = produce.make_chunk

    def chunk(job, number, path):
        if job.card.process == QCD and number == 1 and not made[-1:] == ["again"]:
            raise KeyboardInterrupt
        return real(job, number, path)

    monkeypatch.setattr(produce, "make_chunk", chunk)
    with pytest.raises(KeyboardInterrupt):
        simulate_level1("background", 20, seed=3, out=out, **QUICK)
    assert not out.exists() and list(tmp_path.glob("stopped.h5.components-*/level1_w.h5"))

    def watched(job, number, path):
        made.append((job.card.process, number))
        return real(job, number, path)

    monkeypatch.setattr(produce, "make_chunk", watched)
    simulate_level1("background", 20, seed=3, out=out, **QUICK)
    assert (QCD, 0) not in made and not any(p == "level1_w" for p, _ in made)  # these were there
    assert out.read_bytes() == reference[0].read_bytes()


def test_what_stands_there_is_kept(reference, small_chunks, monkeypatch):
    before = reference[0].stat().st_mtime_ns
    monkeypatch.setattr(produce, "make_chunk", None)  # nothing is simulated
    assert simulate_level1("background", 20, seed=3, out=reference[0], **QUICK) == reference[0]
    with pytest.raises(InputError, match="--overwrite"):
        simulate_level1("background", 20, seed=4, out=reference[0], **QUICK)
    with pytest.raises(InputError, match="--overwrite"):
        simulate_level1("background", 20, seed=3, out=reference[0], **{**QUICK, "qcd_share": 0.2})
    assert reference[0].stat().st_mtime_ns == before


def toy_components(folder, counts):
    """Components whose events carry their own number in ``h_t``."""
    files = {}
    for i, (process, n) in enumerate(counts.items()):
        rng = np.random.default_rng(i)
        particles = np.zeros((n, len(SLOTS), 4))
        particles[:, 0, 0] = 1 + np.arange(n)
        weight = rng.uniform(0.1, 5, n) if process == QCD else np.ones(n)
        files[process] = folder / f"{process}.h5"
        Sample(particles, label=np.zeros(n), process=process, weight=weight, meta={"slots": list(SLOTS)},
               extras={"event": np.arange(n), "h_t": np.arange(n, dtype=np.float32)}).save(files[process])
    return files


@pytest.mark.parametrize("block", [7, 64, 10_000])
def test_merging_loses_and_doubles_nothing(tmp_path, monkeypatch, block):
    counts = simulated_counts(150, 0.2)
    files = toy_components(tmp_path, counts)
    monkeypatch.setattr(mixture, "BLOCK", block)
    merge(files, counts, 5, tmp_path / "all.h5", {})
    mixed = read(tmp_path / "all.h5")
    for process, n in counts.items():
        mine = mixed.process == process
        assert (mixed.extras["h_t"][mine] == np.arange(n)).all()  # every event once, in its own order
        whole = read(files[process]).weight
        np.testing.assert_allclose(mixed.weight[mine], whole * PUBLISHED[process] * 150 / whole.sum(), rtol=1e-5)
    assert (mixed.particles[:, 0, 0] == mixed.extras["h_t"] + 1).all()
    order = np.random.default_rng([5, 4]).permutation(np.repeat(np.arange(4), list(counts.values())))
    assert (mixed.process == np.array(list(counts))[order]).all()
    merge(files, counts, 6, tmp_path / "other.h5", {})
    assert (read(tmp_path / "other.h5").process != mixed.process).any()


@pytest.mark.parametrize(("n", "settings", "sentence"), [
    (3, {}, "at least 4 events"),
    (10, {"qcd_share": 0.0}, "qcd_share: expected a share between 0 and 1"),
    (10, {"qcd_share": 1.5}, "qcd_share: expected a share between 0 and 1"),
    (10, {"qcd_share": "much"}, "between 0 and 1, such as 0.05; got much"),
    (10, {"qcd_share": float("nan")}, "qcd_share: expected a share between 0 and 1"),
    (10, {"m_a": 50}, "no option 'm_a'"),
    (10, {"workers": 0}, "one worker"),
])
def test_what_cannot_be_is_one_sentence(n, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        simulate_level1("background", n, **settings)


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose a folder you can write to"):
        simulate_level1("background", 10, out=tmp_path / "file" / "a.h5")
