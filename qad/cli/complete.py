"""Names for the shell to complete. Nothing heavy is imported here: entry points and names of files only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
KINDS = ("jets", "events", "level1", "dijets")


def registered(group: str) -> Callable[[], list[str]]:
    """A completion with the names of an entry-point group, other packages' included."""
    def names() -> list[str]:
        from importlib.metadata import entry_points  # slow to load, and not needed for help

        return sorted({entry.name for entry in entry_points(group=group)})

    return names


detectors = registered("qad.detectors")
representations = registered("qad.representations")
backends = registered("qad.backends")


def formats() -> list[str]:
    """Public formats, and ``auto``."""
    return ["auto", *registered("qad.formats")()]


def studies() -> list[str]:
    """Studies that come with the package, and YAML files of the current folder."""
    own = [p.name for pattern in ("*.yaml", "*.yml") for p in Path().glob(pattern)]
    return sorted(p.stem for p in (PACKAGE / "benchmark" / "studies").glob("*.yaml")) + sorted(own)


def _cards() -> Iterable[tuple[str, str]]:
    for path in sorted((PACKAGE / "simulation" / "processes").glob("*.cmnd")):
        with open(path, encoding="utf-8") as lines:
            kind = next((line.partition(":")[2].strip() for line in lines if line.startswith("! kind:")), "")
        yield path.stem, kind


def processes(kind: str) -> Callable[[], list[str]]:
    """A completion with the processes of a ``kind`` of sample."""
    def names() -> list[str]:
        return [name for name, of in _cards() if of == kind] + ["background"] * (kind == "level1")

    return names


def kinds() -> list[str]:
    """Kinds of samples."""
    return list(KINDS)


def data_sets() -> list[str]:
    """Public data sets and their files."""
    table = json.loads((PACKAGE / "data" / "records.json").read_text(encoding="utf-8"))
    files = [f"{name}/{file['name'] or file.get('key') or file['record']}"
             for name, entry in table.items() if len(entry["files"]) > 1 for file in entry["files"]]
    return [*table, *files]


def variations() -> list[str]:
    """Systematic variations."""
    return ["jet-energy-resolution", "jet-energy-scale", "met-smearing"]


def snapshots() -> list[str]:
    """Snapshots of IBM machines, if the extra ``ibm`` is there: the names of its folders."""
    found = find_spec("qiskit_ibm_runtime")
    if found is None or found.origin is None:
        return []
    folders = (Path(found.origin).parent / "fake_provider" / "backends").glob("*/")
    return sorted(f"fake_{folder.name}" for folder in folders if (folder / f"conf_{folder.name}.json").exists())


def sections() -> list[str]:
    """What `qad speed` measures."""
    return ["training", "batch", "scoring", "size", "noise", "start"]


def cite() -> list[str]:
    """What can be cited by name."""
    return [*studies(), *detectors(), *representations()]
