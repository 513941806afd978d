"""Columns of events: what a detector is given, and what it is never given unasked."""

import numpy as np

from qad import representations
from qad.data import from_columns
from qad.pipeline import fit


def table(n=200):
    rng = np.random.default_rng(0)
    return from_columns({"m_jj [GeV]": rng.normal(3000, 300, n), "tau21": rng.uniform(0, 1, n),
                         "mass [GeV]": rng.normal(90, 9, n)})


def test_a_resonant_mass_is_no_input_unless_it_is_named():
    """A detector that sees it shapes the spectrum in which the bump is looked for."""
    sample = table()
    assert representations.get("event-features").fit(sample).feature_names_ == ["tau21", "mass"]
    assert representations.get("event-features", columns=["m_jj", "mass"]).fit(sample).transform(sample).shape == (200, 2)
    alone = from_columns({"m_jj": np.arange(5.0)})
    assert representations.get("event-features").fit(alone).feature_names_ == ["m_jj"]


def test_nor_through_fit():
    model = fit("mahalanobis", table())
    assert model[0].feature_names_ == ["tau21", "mass"] and model[-1].n_features_in_ == 2
