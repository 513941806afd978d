import pytest
import yaml

from qad.benchmark import load_study, run_study
from tests.conftest import toy_jets

STUDY = {
    "name": "toys",
    "title": "Toy jets",
    "split": {"train": 300, "test": 200, "validation": 0.1, "seed": 0},
    "train": ["qcd", "top"],
    "representations": {
        "constituents": {"steps": [{"use": "constituents", "n_particles": 4}],
                         "tabular": [{"use": "pt-weighted"}, {"use": "flatten"}, {"use": "standardise"}]},
        "substructure": {"steps": [{"use": "substructure", "features": ["mass", "multiplicity", "width"]},
                                   {"use": "standardise"}]},
    },
    "detectors": [
        {"use": "quantum-autoencoder", "params": {"latent": 1, "epochs": 40}},
        {"use": "quantum-untrained", "params": {"latent": 1}, "representations": ["constituents"]},
        {"use": "quantum-ceiling", "params": {"latent": 1}, "representations": ["constituents"]},
        {"use": "dense-autoencoder", "params": {"epochs": 3}, "representations": ["substructure"]},
        {"use": "mahalanobis"},
        {"use": "feature", "name": "mass-high", "representations": ["substructure"]},
    ],
    "seeds": [0, 1],
}


@pytest.fixture(scope="session")
def toy_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    toy_jets(520, 21).save(folder / "qcd.h5")
    toy_jets(520, 22, prongs=3).save(folder / "top.h5")
    return {"qcd": {"file": str(folder / "qcd.h5")}, "top": {"file": str(folder / "top.h5")}}


@pytest.fixture(scope="session")
def write_study(tmp_path_factory, toy_files):
    def write(**changes):
        path = tmp_path_factory.mktemp("study") / "toys.yaml"
        path.write_text(yaml.safe_dump({**STUDY, "samples": toy_files, **changes}))
        return path
    return write


@pytest.fixture(scope="session")
def finished(tmp_path_factory, write_study):
    """The runs of the toy study."""
    return run_study(load_study(write_study()), tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("data"))
