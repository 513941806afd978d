"""The contract of a detector, as a check that a package of one's own can run in its tests."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from qad.detector import KINDS, LABELLED, SHAPES, Detector
from qad.errors import InputError
from qad.persistence import load, save


def check_detector(detector: Detector, background: ArrayLike, y: ArrayLike | None = None) -> None:
    """Hold an unfitted ``detector`` to what every table of a study takes for granted. Raises :class:`InputError`.

    background  events of the shape ``detector.takes`` names, at least 20
    y           0 and 1 for each event, for a weak or supervised detector only

    Checked: ``kind`` and ``takes``; ``fit`` changes neither settings nor events; scores are finite float64 ``(n,)``, more than
    one, the same event by event as in one batch, the same from the same seed, the same after save and load; NaN is refused.

    >>> import numpy as np
    >>> from qad.detector import get
    >>> check_detector(get("pca", n_components=1), np.random.default_rng(0).normal(size=(50, 3)))
    """
    X, name = np.asarray(background), type(detector).__name__

    def hold(kept: bool, expected: str, came: object) -> None:
        if not kept:
            raise InputError(f"{name} breaks the contract of detectors: expected {expected}; got {came}")

    hold(isinstance(detector, Detector), "a subclass of qad.detector.Detector", type(detector).__mro__[1].__name__)
    hold(detector.kind in KINDS, f"kind among {', '.join(KINDS)}", repr(detector.kind))
    hold(detector.takes in SHAPES, f"takes among {', '.join(SHAPES)}", repr(detector.takes))
    hold(len(X) >= 20, "at least 20 events to check it on", len(X))
    told = None if detector.kind not in LABELLED else y
    settings, before = str(detector.get_params()), X.copy()
    first = clone(detector).fit(X, told)
    hold(str(first.get_params()) == settings, f"fit to leave the settings as they were, {settings}", first.get_params())
    hold(np.array_equal(X, before, equal_nan=True), "fit to leave the events as they were", "changed events")
    score = first.anomaly_score(X)
    hold(score.shape == (len(X),) and score.dtype == np.float64, f"float64 scores of shape ({len(X)},)",
         f"{score.dtype} {score.shape}")
    hold(bool(np.isfinite(score).all()), "finite scores", f"{int((~np.isfinite(score)).sum())} that are not")
    hold(len(np.unique(score)) > 1, "scores that tell events apart", "the same score for all")
    hold(np.allclose(np.concatenate([first.anomaly_score(X[i:i + 1]) for i in range(10)]), score[:10], atol=1e-9, rtol=1e-7),
         "an event's score to be its own", "scores that depend on the other events of a batch")
    hold(np.array_equal(clone(detector).fit(X, told).anomaly_score(X), score), "the same scores from the same seed", "others")
    with tempfile.TemporaryDirectory() as folder:
        save(first, Path(folder) / "model")
        cls = type(detector)
        back = load(Path(folder) / "model", {f"{cls.__module__}:{cls.__qualname__}": cls})
    hold(np.array_equal(back.anomaly_score(X), score), "the same scores after save and load", "others")
    spoiled = X[:20].astype(np.float64)
    spoiled[3] = np.nan
    try:
        first.anomaly_score(spoiled)
    except ValueError:
        return
    hold(False, "NaN to be refused with a sentence", "scores")
