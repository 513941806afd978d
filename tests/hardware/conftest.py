"""A small trained model, some events, a machine."""

import numpy as np
import pytest

from qad import pipeline
from qad.data import Sample
from qad.persistence import save
from tests.hardware.double import Double

pytest.importorskip("qiskit_ibm_runtime", reason="needs the extra 'ibm'")


def features(n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) @ [[1, 0.5, 0], [0, 1, 0.3], [0, 0, 1]]
    return Sample(particles=np.zeros((n, 1, 4)), features=x, feature_names=("a", "b", "c"), feature_units=("GeV", "GeV", ""),
                  label=np.zeros(n), process="toy", meta={"seed": seed})


@pytest.fixture(scope="session")
def machine():
    from qiskit_ibm_runtime.fake_provider import FakeManilaV2

    return FakeManilaV2()


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Folder with model/ and events.h5, 40 events."""
    folder = tmp_path_factory.mktemp("trained")
    model = pipeline.fit("quantum-features", features(200), latent=1, ansatz="strongly-entangling", layers=1, epochs=5)
    save(model, folder / "model")
    features(40, 1).save(folder / "events.h5")
    return folder


@pytest.fixture
def double(tmp_path, machine):
    return Double(tmp_path / "service", machine)
