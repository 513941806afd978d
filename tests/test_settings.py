"""Settings that cannot be, of every detector that is trained: one sentence, no TypeError."""

import numpy as np
import pytest

from qad import detector, settings
from qad.errors import InputError

X = np.random.default_rng(0).normal(size=(40, 3))


@pytest.mark.parametrize(("name", "given"), [
    ("flow", {"hidden": [64, "a"]}), ("flow", {"hidden": [64.5]}), ("flow", {"hidden": []}), ("flow", {"bound": "wide"}),
    ("flow", {"smear": None}), ("dense-autoencoder", {"hidden": [32, True]}), ("dense-autoencoder", {"hidden": "deep"}),
    ("dense-autoencoder", {"kl_weight": "much"}), ("dense-autoencoder", {"kl_weight": np.inf}),
    ("deep-svdd", {"hidden": ["a"]}), ("deep-svdd", {"weight_decay": "x"}), ("variational-autoencoder", {"hidden": [1.5]}),
    ("variational-autoencoder", {"density": "fast"}), ("variational-autoencoder", {"density": {"epoch": 1}}),
    ("gaussian-mixture-vae", {"balance": "x"}), ("dirichlet-vae", {"hidden": [2, "x"]}),
    ("adversarial-autoencoder", {"adversary": ["x"]}), ("adversarial-autoencoder", {"alpha": -1}),
    ("boosted-trees", {"learning_rate": "x"}), ("boosted-trees", {"l2_regularization": -1.0}),
    ("boosted-trees", {"validation_fraction": "x"}), ("boosted-trees", {"balanced": "maybe"}),
])
def test_one_sentence(name, given):
    with pytest.raises(InputError, match=r"expected|has no parameter"):
        detector.get(name, **given).fit(X, np.arange(40) % 2)


def test_what_can_be_is_let_through():
    settings.whole("n", np.int64(3), 1)
    settings.number("x", np.float32(0))
    settings.share("s", 0)
    settings.flag("f", np.bool(True))
    settings.sizes("h", np.array([3, 2]))
    settings.sizes("h", ())
    for wrong in (True, 1.0, "1", None, 0):
        with pytest.raises(InputError, match="expected a whole number from 1"):
            settings.whole("n", wrong, 1)
    with pytest.raises(InputError, match=r"x=0: expected a number above 0"):
        settings.number("x", 0, above=True)
    with pytest.raises(InputError, match=r"such as \[7\]"):
        settings.sizes("h", (), "[7]", empty=False)


@pytest.mark.parametrize("name", ["flow", "dense-autoencoder"])
def test_what_is_not_fitted_is_not_saved(name, tmp_path):
    from qad import load, save

    with pytest.raises(ValueError, match="not fitted"):
        save(detector.get(name), tmp_path / "m")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="holds no model"):
        load(tmp_path / "file")
