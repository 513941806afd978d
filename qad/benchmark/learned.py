"""Representations that take long to learn are learned once per study and kept, with a portrait of what they see.

``runs/<study>/_learned/<name>-<hash>/`` is a saved model (``qad.load`` reads it); ``model.json`` also says how long it took
and holds its portrait. The hash is of its settings, its source and the events that it learned from.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.manifold import TSNE

from qad import registry
from qad.benchmark.runs import digest
from qad.data.sample import Sample, concatenate
from qad.errors import InputError, WriteError
from qad.persistence import load, load_notes, save
from qad.representations import Representation
from qad.representations.substructure import Substructure

FOLDER = "_learned"
#: Jets of either number of prongs that are turned, events per process that are drawn, angles [rad].
PRONGS, DRAWN, ANGLES = 100, 150, np.linspace(0, 2 * np.pi, 25)


class Store:
    """Learned steps in the folder ``root`` of a study's runs; ``learning(name)`` gives what is told their epochs."""

    def __init__(self, root: Path | None, learning: Callable[[str], Callable[[int, int], None]]) -> None:
        self.root, self.learning = root, learning

    def fit(self, step: Representation, what: Any, key: Mapping[str, Any], tests: Mapping[str, Sample]) -> Representation:
        """``step`` fitted on ``what``, or as it was fitted before by the same ``key``; a portrait is drawn of ``tests``.

        A kill in between loses seconds, where the step has a checkpoint. Sets ``seconds_`` and ``folder_``.
        """
        if not step.learned or self.root is None:
            return step.fit(what)
        name = registry.registered_name(registry.REPRESENTATIONS, type(step)) or type(step).__name__
        folder = self.root / FOLDER / f"{name}-{digest({**key, 'code': registry.source_digest(type(step))})}"
        if (found := _kept(folder, step)) is not None:
            return found
        folder.parent.mkdir(parents=True, exist_ok=True)
        checkpoint = folder.with_name(f".{folder.name}.checkpoint")
        resumes = getattr(step, "checkpoint", "") is None
        if resumes:
            step.checkpoint = str(checkpoint)
        step.progress = self.learning(name)
        start = time.perf_counter()
        step.fit(what)
        history = getattr(step, "diagnostics_", {}).get("history", {})
        seconds = max(time.perf_counter() - start, float(sum(history.get("seconds", ()))))
        del step.progress
        if resumes:
            step.checkpoint = None
        if (found := _kept(folder, step)) is not None:  # another process was faster
            return found
        notes = {"seconds": seconds, "key": dict(key)}
        try:
            shutil.rmtree(folder, ignore_errors=True)  # damaged: it would have been found otherwise
            save(step, folder, **notes, portrait={})  # at once, as a portrait takes seconds
            save(step, folder, **notes, portrait=_portrait(step, tests))
            step.folder_ = f"{FOLDER}/{folder.name}"
        except WriteError:
            raise
        except (InputError, OSError):  # someone's own may not be savable: it is learned anew next time
            step.folder_ = None
        step.seconds_ = seconds
        return step


def _kept(folder: Path, step: Representation) -> Representation | None:
    """What stands in ``folder``, if it is whole."""
    try:
        notes = load_notes(folder)
        found: Representation = load(folder, {f"{type(step).__module__}:{type(step).__qualname__}": type(step)})
        found.seconds_, found.folder_ = notes["seconds"], f"{FOLDER}/{folder.name}"
    except (InputError, KeyError):
        return None
    return found


def _portrait(step: Representation, tests: Mapping[str, Sample]) -> dict[str, Any]:
    """A picture is not worth a training: where none can be drawn, there is none."""
    try:
        return portrait(step, tests)
    except Exception:  # someone's own may raise anything; what it learned is kept by now
        return {}


def portrait(step: Representation, tests: Mapping[str, Sample]) -> dict[str, Any]:
    """What an embedding of events sees: similarity against rotation, and two-dimensional neighbourhoods; {} if it cannot say.

    ``rotation``: for jets of two and of three prongs (events: for all of them) the mean and the standard deviation of
    s(z, z'), z' the same jet turned by each of ``angles`` [rad], and the mean with ``other`` jets in its place: where that is
    near 1 too, the embedding is blind, not invariant. Prongs by τ2/τ1 and τ3/τ2, without labels.
    ``neighbours``: t-SNE (scikit-learn, arXiv:2108.04253 shows such) of a few test events of every process.
    """
    if not hasattr(step, "turned_similarity"):
        return {}
    found: dict[str, Any] = {"angles": ANGLES.tolist(), "rotation": {}}
    for kind, sample in _prongs(list(tests.values())).items():
        s = step.turned_similarity(sample, ANGLES)
        other = step.similarity(sample, sample[np.roll(np.arange(len(sample)), 1)])
        found["rotation"][kind] = {"mean": s.mean(0).tolist(), "sd": s.std(0).tolist(), "events": len(s),
                                   "other": float(other.mean())}
    few: dict[str, Sample] = {}
    for sample in tests.values():
        for process in np.unique(sample.process):
            few.setdefault(str(process), sample[np.flatnonzero(sample.process == process)[:DRAWN]])
    z = np.concatenate([step.transform(sample) for sample in few.values()])
    if len(z) > 12:
        flat = TSNE(2, perplexity=min(30.0, (len(z) - 1) / 3), init="pca", random_state=0).fit_transform(z - z.mean(0))
        ends = np.cumsum([len(s) for s in few.values()])[:-1]
        found["neighbours"] = {name: part.round(3).tolist() for name, part in zip(few, np.split(flat, ends), strict=True)}
    return found


def _prongs(samples: Sequence[Sample]) -> dict[str, Sample]:
    """The jets with the lowest τ2/τ1, and those with the lowest τ3/τ2 among the others; of events some as they come."""
    if "slots" in samples[0].meta:
        return {"events": samples[0][:PRONGS]}
    bare = [Sample(particles=s[:2000].particles) for s in samples]  # whatever else each carries
    sample = concatenate(bare)
    tau21, tau32 = Substructure(["tau21", "tau32"]).transform(sample).T
    two = np.argsort(tau21, kind="stable")[:PRONGS]
    three = np.setdiff1d(np.argsort(tau32, kind="stable"), two, assume_unique=True)[:PRONGS]
    return {"two prongs": sample[two], "three prongs": sample[three]}
