"""Scores from measured bit strings: of every kind of autoencoder, on a backend, from a file."""

import csv
import sys

import numpy as np
import pytest

from qad import cli, detector, pipeline, representations, save
from qad.data.sample import Sample
from qad.errors import InputError
from qad.quantum import backends, measured

KINDS = [("quantum-features", {"latent": 1, "epochs": 3}),
         ("quantum-features", {"latent": 1, "epochs": 3, "score_as": "log-fidelity"}),
         ("quantum-features-untrained", {"latent": 2}), ("quantum-contrastive", {}), ("quantum-contrastive", {"latent": 1}),
         ("quantum-contrastive", {"score_as": "relative-entropy"}),
         ("quantum-contrastive", {"score_as": "inverse", "latent": 1}),
         ("quantum-normalised", {"epochs": 3, "points": 256}), ("quantum-measured-features", {"epochs": 0})]


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).gamma(2, 1, (150, 3)) @ [[1, 0.5, 0], [0, 1, 0.5], [0, 0, 1]]


@pytest.mark.parametrize("name, params", KINDS)
def test_without_shots_it_is_the_detectors_own_score(X, name, params):
    model = detector.get(name, **params).fit(X)
    truth = 1 - model.fidelity(X) if name == "quantum-measured-features" else model.anomaly_score(X)
    for backend in ("exact", "pennylane", "aer"):
        found = measured.measure(model, X[:20], backends.get(backend))
        np.testing.assert_allclose(found.score, truth[:20], rtol=1e-6, atol=1e-8)
        assert not found.error.any()


@pytest.mark.parametrize("name, params", KINDS[:7])
def test_errors_are_the_spread_of_scores_measured_again(X, name, params):
    model = detector.get(name, **params).fit(X)
    instrument = measured.Instrument(model, backends.get("exact"))
    again = [instrument.score(X[:20], shots=400, seed=s) for s in range(300)]
    spread = np.std([m.score for m in again], axis=0)
    told = np.sqrt(np.mean([m.error**2 for m in again], axis=0))
    kept = spread > 1e-3
    np.testing.assert_allclose(told[kept], spread[kept], rtol=0.35)
    assert kept.sum() > 5


@pytest.mark.parametrize("mitigation", ["none", "readout", "zne", "both"])
@pytest.mark.parametrize("params", [{}, {"score_as": "mean-fidelity"}])
def test_the_error_of_mitigated_scores_is_their_spread(X, mitigation, params):
    model = detector.get("quantum-contrastive", rank=1.1, **params).fit(X)  # small scores: noise lifts them
    noise = {"error_2q": 2e-2, "readout": 0.03}
    instrument = measured.Instrument(model, backends.get("aer", noise=noise, mitigation=mitigation))
    again = [instrument.score(X[:30], shots=600, seed=s) for s in range(120)]
    ratio = np.std([m.score for m in again], axis=0) / np.sqrt(np.mean([m.error**2 for m in again], axis=0))
    assert np.median(ratio) == pytest.approx(1, rel=0.08)


def test_a_backend_without_exact_distribution_takes_shots_and_says_their_error(X):
    pytest.importorskip("qiskit_ibm_runtime", reason="needs the extra 'ibm'")
    model = detector.get("quantum-features", latent=1, epochs=1).fit(X)
    found = measured.measure(model, X[:5], backends.get("ibm", machine="fake_manila"))
    np.testing.assert_allclose(found.error, np.sqrt(found.score * (1 - found.score) / 4096), rtol=1e-9)
    assert (found.error > 0).all()


def test_a_swap_test_is_not_measured(X):
    with pytest.raises(InputError, match="expected readout='direct'"):
        measured.read_out(detector.get("quantum-features", latent=1, epochs=1, readout="swap", shots=10).fit(X))


def test_none_of_the_shots():
    """-log 0 is infinite: less than half a shot is what is known."""
    class Log:
        score_as = "log-fidelity"

    found = measured.scores(Log(), np.array([[0.0, 1.0], [0.25, 0.75]]), shots=100)
    np.testing.assert_allclose(found.score, [np.log(200), np.log(4)])


def test_what_has_no_bit_strings_says_so(X):
    for name in ("pca", "hybrid-autoencoder", "quantum-kmeans"):
        params = {"epochs": 1} if name == "hybrid-autoencoder" else {}
        with pytest.raises(InputError, match="is not read from one circuit's bit strings: expected a quantum autoencoder"):
            measured.read_out(detector.get(name, **params).fit(X))
    with pytest.raises(InputError, match="there is nothing to export"):
        measured.read_out(detector.get("quantum-features-ceiling", latent=1).fit(X))


@pytest.fixture(scope="module")
def files(tmp_path_factory, X):
    folder = tmp_path_factory.mktemp("measured")
    sample = Sample(particles=np.zeros((150, 1, 4), np.float32), label=np.zeros(150, np.int8),
                    process=np.full(150, "ttbar"), features=X.astype(np.float32), feature_names=("a", "b", "c"))
    sample.save(folder / "events.h5")
    chain = [representations.get("event-features", columns=["a", "b", "c"])]
    save(pipeline.fit("quantum-features", sample, chain, latent=1, epochs=3), folder / "model")
    return folder


def qad(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["qad", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()
    return end.value.code, said.out, said.err


def test_score_on_a_backend(files, monkeypatch, capsys):
    model, events = files / "model", files / "events.h5"
    assert qad(monkeypatch, capsys, "score", model, events, "-o", files / "own.csv")[0] == 0
    code, said, _ = qad(monkeypatch, capsys, "score", model, events, "-o", files / "noisy.csv", "--backend", "aer", "--noise",
                        "error_2q=1e-2,readout=0.02", "--shots", 5000, "--seed", 3)
    assert code == 0 and "150 scores" in said
    own, noisy = ([*csv.DictReader((files / name).read_text().splitlines())] for name in ("own.csv", "noisy.csv"))
    assert set(own[0]) == {"event", "score"} and set(noisy[0]) == {"event", "score", "error"}
    a, b = (np.array([float(row["score"]) for row in rows]) for rows in (own, noisy))
    assert 0.001 < abs(a - b).mean() < 0.1 and np.corrcoef(a, b)[0, 1] > 0.9
    errors = [float(row["error"]) for row in noisy]
    np.testing.assert_allclose(errors, np.sqrt(b * (1 - b) / 5000), atol=1e-12)
    assert qad(monkeypatch, capsys, "score", model, events, "-o", files / "again.csv", "--backend", "aer", "--noise",
               "error_2q=1e-2,readout=0.02", "--shots", 5000, "--seed", 3)[0] == 0
    assert (files / "again.csv").read_bytes() == (files / "noisy.csv").read_bytes()


@pytest.mark.parametrize("words, sentence", [
    (("--shots", "100"), "go with --backend: type  --backend aer"),
    (("--backend", "air"), "did you mean 'aer'"),
    (("--backend", "aer", "--option", "shot=3"), "backend 'aer': unknown option 'shot'"),
    (("--backend", "aer", "--noise", "error_3q=1"), "expected numbers for some of t1, t2, error_1q"),
])
def test_mistakes(files, monkeypatch, capsys, words, sentence):
    code, _, said = qad(monkeypatch, capsys, "score", files / "model", files / "events.h5", "-o", files / "x.csv", *words)
    assert code == 2 and sentence in said and not (files / "x.csv").exists()
