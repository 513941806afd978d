"""A Sample as a ROOT tree ``events``, and back with every bit.

Branches: lists ``particle_pt``, ``_eta``, ``_phi``, ``_mass`` [GeV, rad] and ``particle_<extra>`` with their number
``nparticle``; ``label``, ``weight``, ``process`` (a code), ``feature_<name>``, ``extra_<name>``. The string ``qad``
beside the tree keeps names, units, processes and provenance as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from qad.data.formats import columns, uproot_files
from qad.data.formats.base import Events, Format
from qad.data.formats.whole import affordable, reading
from qad.data.sample import PARTICLE_COLUMNS, Sample
from qad.errors import InputError

TREE, PLAN = "events", "qad"


class Root(Format):
    """Any Sample as a flat ROOT tree, ``.root``."""

    name = "root"
    title = "a sample of qad as a ROOT tree"
    reference = "Brun, Rademakers, NIM A 389 (1997) 81"
    suffixes = (".root",)
    extra = "hep"

    def recognises(self, path: Path) -> bool:
        try:
            with uproot_files.tree(path, TREE) as tree, reading(path):
                return {"label", "weight", "process"} <= set(tree.names) and bool(columns.read_plan(tree.string(PLAN)))
        except InputError:
            return False

    @contextmanager
    def open(self, path: Path) -> Iterator[Events]:
        with uproot_files.tree(path, TREE) as tree:
            with reading(path):
                plan = columns.read_plan(tree.string(PLAN))
                processes = plan.get("processes")
                if not isinstance(processes, list) or not all(isinstance(p, str) for p in processes):
                    raise InputError("the names of its processes are damaged; copy the file again")
                affordable(path, tree.n * columns.row_bytes(plan))

            def read(start: int, stop: int) -> Sample:
                with reading(path):
                    fields = [*PARTICLE_COLUMNS, *(row[0] for row in plan["particle_extras"])] if plan["slots"] else []
                    counts, lists = tree.lists([f"particle_{k}" for k in fields], start, stop)
                    flat = ["label", "weight", "process", *(row[0] for row in plan["features"]),
                            *(row[0] for row in plan["extras"] if 0 not in row[3])]
                    found = tree.flat(flat, start, stop)
                    code = found["process"]
                    if code.ndim != 1 or code.dtype.kind != "i" or not ((code >= 0) & (code < len(processes))).all():
                        raise InputError("an event has a process without a name: the file is damaged; copy it again")
                    process = np.array(processes, dtype=np.str_)[code] if len(code) else np.zeros(0, np.str_)
                    lists = {k.removeprefix("particle_"): v for k, v in lists.items()}
                    return columns.put_together(plan, counts, lists, found, process)

            yield Events(tree.n, read)

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        """Every column of the sample. Raises :class:`InputError` for numbers of more than eight bytes."""
        plan: dict[str, Any] | None = None
        meta: Mapping[str, Any] = {}
        processes: list[str] = []
        with uproot_files.new_file(path) as file:
            for chunk in chunks:
                if plan is None:
                    plan, meta = columns.plan(chunk), chunk.meta
                if columns.plan(chunk) != plan:
                    raise InputError("chunks of one sample must have the same columns, types and shapes")
                counts, lists, flat = columns.taken_apart(chunk, plan)
                processes += [p for p in dict.fromkeys(chunk.process.tolist()) if p not in processes]
                flat["process"] = np.array([processes.index(p) for p in chunk.process.tolist()], dtype=np.int32)
                if plan["slots"]:
                    flat["particle"] = uproot_files.jagged(counts, lists)
                uproot_files.extend(file, TREE, flat)
            if plan is None:
                raise InputError(f"cannot write {path}: no events were given")
            file[PLAN] = columns.plan_text(plan, meta, processes=processes)
