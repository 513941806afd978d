"""The one contract of every detector: ``fit`` on background, ``anomaly_score`` with higher = more anomalous."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from qad import registry
from qad.data.sample import Sample
from qad.errors import InputError
from qad.persistence import Persistent

#: What a detector can take, and the shape it means.
SHAPES = {
    "tabular": "(n, features)",
    "particles": "(n, particles, columns)",
    "image": "(n, pixels, pixels)",
    "graph": "(n, nodes, columns)",
    "objects": "(n, objects, columns)",
}
KINDS = ("quantum", "classical", "control", "weak", "supervised")
#: Kinds that are told labels, and marked as such wherever they stand.
LABELLED = ("weak", "supervised")


class Detector(OutlierMixin, BaseEstimator, Persistent):  # type: ignore[misc]  # scikit-learn has no types
    """An outlier detector in scikit-learn's sense. A subclass sets ``takes`` and ``kind`` and writes ``_fit``, ``_score``.

    One of kind "weak" or "supervised" writes ``_fit_labelled`` in the place of ``_fit``.

    ``anomaly_score(X) -> (n,)`` is the score of this field, higher = more anomalous. From it follow, in scikit-learn's
    sign convention, ``score_samples = -anomaly_score``, ``decision_function = score_samples - offset_`` and
    ``predict`` (-1 outlier, +1 inlier); ``offset_`` keeps 99 % of the training events as inliers.

    >>> import numpy as np
    >>> class Distance(Detector):
    ...     def _fit(self, X, validation):
    ...         self.middle_ = X.mean(0)
    ...     def _score(self, X):
    ...         return np.abs(X - self.middle_).sum(1)
    ...
    >>> found = Distance().fit([[0.0, 0.0], [1.0, 1.0]])
    >>> found.anomaly_score([[0.5, 0.5], [2.0, 2.0]])
    array([0., 3.])
    """

    takes: str = "tabular"
    kind: str = "classical"
    #: "quantum" if the scores come from a circuit, controls included.
    family: str = "classical"
    #: False where more training cannot change the scores (the contract then does not ask to beat the untrained model).
    learns: bool = True
    #: True where ``fit`` takes systematic twins of its events; such a detector writes ``_fit_twins`` in the place of ``_fit``.
    uses_twins: bool = False
    #: Training events, the first ones, that ``offset_`` is read from.
    most_for_offset: int = 20_000
    #: Told the epochs done and planned while it is fitted; set on an instance.
    progress: Callable[[int, int], None] | None = None

    @property
    def resumable(self) -> bool:
        """Whether a killed training can go on from a file named by its setting ``checkpoint``."""
        return "checkpoint" in self.get_params()

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        raise NotImplementedError

    def _fit_labelled(self, X: np.ndarray, y: np.ndarray) -> None:
        raise NotImplementedError

    def _fit_twins(self, X: np.ndarray, validation: np.ndarray | None, twins: dict[str, np.ndarray]) -> None:
        raise NotImplementedError

    def _score(self, X: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def fit(self, X: ArrayLike, y: Any = None, *, validation: ArrayLike | None = None,
            twins: Mapping[str, ArrayLike] | None = None) -> Detector:
        """Fit on background events ``X`` of the shape ``takes`` names; ``y`` is ignored.

        ``validation``: background events for early stopping, never labels. A weakly or fully supervised detector is told
        ``y``, 0 for background (weak: the reference) and 1 for signal (weak: the data); it holds back events of its own and
        uses no ``validation``. ``twins``, for detectors with ``uses_twins``: name of a variation to the events of ``X``, in the
        same order, with a systematic changed (:mod:`qad.data.systematics`). Raises :class:`InputError` or ValueError.
        """
        events = self._check(X, reset=True)
        changed = self._twins(twins, events)
        if self.kind in LABELLED:
            y = self._labels(y, len(events))
            self._fit_labelled(events, y)
            events = events[y == 0]
        else:
            held = None if validation is None else self._check(validation, reset=False)
            if self.uses_twins:
                self._fit_twins(events, held, changed)
            else:
                self._fit(events, held)
        self.offset_ = float(np.quantile(-self._score(events[: self.most_for_offset]), 0.01))
        return self

    def _labels(self, y: Any, n: int) -> np.ndarray:
        me, wanted = type(self).__name__, "0 for background (weak: the reference), 1 for signal (weak: the data)"
        if y is None:
            raise InputError(f"{me} is told labels: fit(X, y) needs y, {wanted}")
        y = np.asarray(y)
        if y.shape != (n,) or y.dtype.kind not in "biuf" or set(np.unique(y)) != {0, 1}:
            raise InputError(f"{me}: expected y of shape ({n},), {wanted}, with both present; got shape {y.shape} with values "
                             f"{', '.join(map(str, np.unique(y)[:5]))}")
        return np.asarray(y, dtype=np.int8)

    def _twins(self, twins: Mapping[str, ArrayLike] | None, X: np.ndarray) -> dict[str, np.ndarray]:
        me = type(self).__name__
        if twins is None:
            return {}
        if not self.uses_twins:
            raise InputError(f"{me} makes no use of systematic twins: leave twins out, or take a detector with "
                             "uses_twins = True")
        if not isinstance(twins, Mapping):
            raise InputError(f"{me}: expected twins as a mapping from names to arrays, got {type(twins).__name__}")
        found = {}
        for name, given in twins.items():
            twin = np.asarray(given)
            if twin.shape != X.shape or twin.dtype.kind not in "fiu":
                raise InputError(f"{me}: expected twins['{name}'] as numbers of shape {X.shape}, the events of X in the same "
                                 f"order; got {twin.dtype} {twin.shape}")
            if not np.isfinite(twin).all():
                bad = int((~np.isfinite(twin).reshape(len(twin), -1).all(1)).sum())
                raise InputError(f"{me}: {bad} of {len(twin)} events of twins['{name}'] contain NaN or infinity; leave them "
                                 "out of X and of all twins")
            found[str(name)] = twin
        return found

    def anomaly_score(self, X: ArrayLike) -> np.ndarray:
        """Anomaly score of each event, shape ``(n,)``, float64, higher = more anomalous."""
        check_is_fitted(self)
        X = self._check(X, reset=False)
        score = np.asarray(self._score(X), dtype=np.float64)
        if score.shape != (len(X),):
            raise InputError(f"{type(self).__name__} gave scores of shape {score.shape} for {len(X)} events; "
                             "expected one for each")
        if not np.isfinite(score).all():
            bad = int((~np.isfinite(score)).sum())
            raise InputError(f"{type(self).__name__}: {bad} of {len(score)} scores are not finite: look for extreme values in "
                             "these events")
        return score

    def fit_predict(self, X: ArrayLike, y: Any = None, **kwargs: Any) -> np.ndarray:
        """``fit(X, y).predict(X)``; scikit-learn's own would not hand ``y`` over."""
        return self.fit(X, y, **kwargs).predict(X)

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """``-anomaly_score(X)``: scikit-learn's convention, lower = more anomalous."""
        return -self.anomaly_score(X)

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """``score_samples(X) - offset_``: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> np.ndarray:
        """-1 for the events more anomalous than 99 % of the training events, +1 for the others."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _check(self, X: ArrayLike, *, reset: bool) -> np.ndarray:
        if self.takes == "tabular":
            return self._table(X, reset)
        X = np.empty(0, dtype=object) if isinstance(X, Sample) else np.asarray(X)
        me = type(self).__name__
        if X.dtype == object:
            raise InputError(f"{me} takes {self.takes}, numbers of shape {SHAPES[self.takes]}; {ARRAY}")
        if X.ndim != 3 or X.dtype.kind not in "fiu":
            raise InputError(f"{me} takes {self.takes}, numbers of shape {SHAPES[self.takes]}; got {X.dtype} {X.shape}")
        if len(X) < (2 if reset else 1):
            raise InputError(f"{me} needs at least {2 if reset else 1} events; got {len(X)}")
        if not np.isfinite(X).all():
            bad = int((~np.isfinite(X).reshape(len(X), -1).all(1)).sum())
            raise InputError(f"{me}: {bad} of {len(X)} events contain NaN or infinity; remove or impute them first")
        if reset:
            self.shape_in_ = list(X.shape[1:])
        elif list(X.shape[1:]) != list(self.shape_in_):
            raise InputError(f"{me} was fitted on events of shape {tuple(self.shape_in_)}; got {X.shape[1:]}")
        return X

    def _table(self, X: Any, reset: bool) -> np.ndarray:
        """scikit-learn's check of a table, its errors as one sentence that says what to do."""
        me = type(self).__name__
        if isinstance(X, Sample):
            raise InputError(f"{me} takes a table (n, features); {ARRAY}")
        try:
            least = 2 if reset else 1
            return np.asarray(validate_data(self, X, reset=reset, dtype=[np.float64, np.float32], ensure_min_samples=least))
        except ValueError as error:
            said, wide = " ".join(str(error).split()), np.ndim(X) == 2
            if "could not convert" in said:
                raise InputError(f"{me} takes numbers; {said}: leave columns of words out, or encode them") from error
            if ("NaN" in said or "infinity" in said) and wide:
                finite = np.atleast_1d(np.isfinite(np.asarray(X, dtype=np.float64)).all(1))
                raise InputError(f"{me}: {int((~finite).sum())} of {len(finite)} events contain NaN or infinity; remove or "
                                 "impute them first") from error
            if "Reshape your data" in said:
                raise InputError(f"{me} takes a table (n, features); got shape {np.shape(X)}. Reshape your data: one event is "
                                 "X[None], one feature X[:, None]") from error
            if "is expecting" in said or "feature names" in said:
                raise InputError(f"{said.rstrip('.')}; give the columns it was fitted on, in their order") from error
            raise


#: What to type where events come in the place of an array.
ARRAY = ("a Sample becomes an array by a representation in front: "
         "make_pipeline(qad.representations.get('substructure'), detector).fit(sample)")


def find(name: str) -> type[Detector]:
    """The detector class registered as ``name`` (or ``module:Class``). Nothing but a :class:`Detector` is accepted."""
    cls = registry.find(registry.DETECTORS, name)
    if not (isinstance(cls, type) and issubclass(cls, Detector)):
        raise InputError(f"'{name}' is no detector: expected a subclass of qad.detector.Detector")
    if cls.takes not in SHAPES or cls.kind not in KINDS:
        raise InputError(f"detector '{name}' declares takes='{cls.takes}', kind='{cls.kind}'; expected one of "
                         f"{', '.join(SHAPES)} and one of {', '.join(KINDS)}")
    return cls


def get(name: str, **params: Any) -> Detector:
    """The detector registered as ``name`` (or ``module:Class``), constructed with ``params``.

    >>> get("pca", n_components=2)
    PCA(n_components=2)
    """
    made: Detector = registry.construct("detector", name, find(name), params)
    return made


def names() -> list[str]:
    """Names of all registered detectors."""
    return registry.names(registry.DETECTORS)
