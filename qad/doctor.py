"""Is everything installed, does it work, and what to type if not. Nothing is asked of the network but on demand."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution, entry_points, packages_distributions, requires, version
from pathlib import Path
from typing import Any

from qad import registry

DISTRIBUTION = "qad-hep"
GROUPS = (registry.DETECTORS, registry.REPRESENTATIONS, registry.ENCODINGS, registry.ANSATZE, registry.BACKENDS,
          registry.FORMATS)
#: What an extra is for; those of people who develop qad are left out.
EXTRAS = {"simulation": "to simulate jets and events", "hep": "to read and write ROOT and Parquet",
          "ibm": "for snapshots of IBM machines, and the machines"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    state   ok, note (fine as it is), absent (an extra that is not there), or wrong: qad does not work as it should
    do      what to type; empty where nothing is to be done
    """

    what: str
    state: str
    found: str
    do: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All findings; ``healthy`` if none is wrong."""

    findings: list[Finding]

    @property
    def healthy(self) -> bool:
        """Whether everything that qad needs is there and works."""
        return all(f.state != "wrong" for f in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"healthy": self.healthy, "findings": [asdict(f) for f in self.findings]}


def examine(online: bool = False) -> Diagnosis:
    """Look at the installation; ``online`` also asks IBM Quantum whether it accepts the saved account.

    Checks Python, packages, their versions and whether they can be imported, the machine, folders, an account, other packages'
    entry points, and one circuit against its closed form: P(0) = cos²(x/2) behind RX(x).
    """
    looks = {"packages": _packages, "imports": _imports, "machine": _machine, "folders": _folders,
             "other packages": _registered}
    found = [finding for what, look in looks.items() for finding in _carefully(what, look)]
    if all(f.state != "wrong" or f.what.startswith("extra") for f in found):  # the engine needs no extra
        found += [*_carefully("engine", _engine), *_carefully("IBM account", lambda: _account(online))]
    return Diagnosis(found)


def _carefully(what: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What ``look`` finds; if it raises, a finding that names the package that did, and how to mend it."""
    try:
        yield from look()
    except Exception as error:  # whatever is broken, this is the place that says so
        yield _broken(what, error)


def _broken(what: str, error: Exception) -> Finding:
    """The package that ``error`` comes from, the one that is not there or the last in the trace, and how to mend it."""
    said, owners = f"{type(error).__name__}: {_line(error)}", packages_distributions()
    missing = str(getattr(error, "name", None) or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and missing and missing not in owners:
        return Finding(what, "wrong", said, f"pip install --upgrade {missing}")
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        name, file = str(frame.f_globals.get("__name__")).partition(".")[0], Path(frame.f_code.co_filename)
        if name in ("qad", "classical") or name not in owners:
            continue
        package = owners[name][0]
        if file.is_file() and not file.is_relative_to(str(distribution(package).locate_file(""))):
            return Finding(what, "wrong", f"{said}, in {file}, which stands before the installed {package}",
                           f"rename or remove {file}")
        return Finding(what, "wrong", f"{package} fails with {said}", f"pip install --upgrade --force-reinstall {package}")
    return Finding(what, "wrong", said, f"pip install --upgrade --force-reinstall {DISTRIBUTION}")


def _packages() -> Iterator[Finding]:
    from packaging.requirements import Requirement
    from packaging.version import Version

    try:
        wanted = [Requirement(line) for line in requires(DISTRIBUTION) or []]
    except PackageNotFoundError:
        yield Finding("qad", "wrong", "runs from a folder of sources that is not installed: its names are not registered",
                      "pip install -e .   in the folder that holds pyproject.toml")
        return
    import qad

    yield Finding("qad", "ok", f"{qad.__version__}, Python {platform.python_version()}, {Path(qad.__file__).parent}")
    of = {extra: [r for r in wanted if (r.marker.evaluate({"extra": extra}) and not r.marker.evaluate({"extra": ""})
                                        if r.marker else not extra)] for extra in ("", *EXTRAS)}
    for extra, asked in of.items():
        stands = {r: _version(r.name) for r in asked}
        problems = [f"{r.name} is missing" if have is None else f"{r.name} is {have}, expected {r.specifier}"
                    for r, have in stands.items() if have is None or not r.specifier.contains(Version(have), prereleases=True)]
        name = f"extra {extra}" if extra else "packages"
        # without --upgrade: what is installed, from a checkout too, stays, and only what is missing or old comes
        line = f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install {DISTRIBUTION}"
        if not problems:
            yield Finding(name, "ok", ", ".join(f"{r.name} {have}" for r, have in stands.items()))
        elif extra and all(have is None for r, have in stands.items() if r.name in _alone(extra, of)):
            yield Finding(name, "absent", EXTRAS[extra], line)
        else:
            yield Finding(name, "wrong", "; ".join(problems), line)


def _alone(extra: str, of: Mapping[str, Iterable[Any]]) -> set[str]:
    """Packages that no other extra brings: whether these are there tells whether the extra was asked for."""
    return {r.name for r in of[extra]} - {r.name for other in of if other != extra for r in of[other]}


def _imports() -> Iterator[Finding]:
    """Whether every package that qad needs can be imported. A cause is told once; torch stands with the machine."""
    try:
        lines = [line for line in requires(DISTRIBUTION) or [] if ";" not in line]
    except PackageNotFoundError:  # said before
        return
    needed = {re.split(r"[^\w.-]", line)[0].lower() for line in lines} - {"torch"}
    modules: dict[str, list[str]] = {}
    for module, packages in packages_distributions().items():
        for package in packages:
            if package.lower() in needed and not module.startswith("_"):
                modules.setdefault(package.lower(), []).append(module)
    told: set[str] = set()
    for package, names in sorted(modules.items()):
        try:
            with warnings.catch_warnings(action="ignore"):
                importlib.import_module(next((n for n in names if n.lower() == package.replace("-", "_")), names[0]))
        except Exception as error:  # a broken package may raise anything
            finding = _broken(package, error)
            if finding.do not in told:
                yield finding
            told.add(finding.do)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB of memory"
    except (ValueError, OSError, AttributeError):
        memory = ""
    yield Finding("machine", "ok", f"{cores} cores{memory}")
    try:
        import torch
    except Exception as error:  # an OSError where one of its libraries is not there
        yield Finding("torch", "wrong", f"cannot be imported: {_line(error)}", "pip install --force-reinstall torch")
        return
    if torch.cuda.is_available():
        size = torch.cuda.get_device_properties(0).total_memory / 1e9
        yield Finding("GPU", "ok", f"{torch.cuda.get_device_name()}, {size:.0f} GB; use it with  -p device=cuda")
    elif shutil.which("nvidia-smi"):
        yield Finding("GPU", "note", "there is one, and this torch cannot use it; everything runs on the CPU",
                      "install the torch for your CUDA: https://pytorch.org/get-started/locally")
    else:
        yield Finding("GPU", "note", "none: everything runs on the CPU")


def _folders() -> Iterator[Finding]:
    from qad.data.records import places

    for what, folder in (("data folder", places()[0]), ("this folder", Path())):
        there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                free = shutil.disk_usage(there).free / 1e9
        except OSError as error:
            yield Finding(what, "note", f"{folder.absolute()} cannot be written to: {error.strerror}",
                          "export QAD_DATA=FOLDER" if what == "data folder" else "cd to a folder that you can write to")
        else:
            yield Finding(what, "ok", f"{folder.absolute()}, {free:.0f} GB free")


def _registered() -> Iterator[Finding]:
    for group in GROUPS:
        for entry in sorted(entry_points(group=group), key=lambda e: e.name):
            owner = entry.dist.name if entry.dist else "an unknown package"
            if owner == DISTRIBUTION:
                continue
            what = f"{group.removeprefix('qad.').removesuffix('s')} {entry.name}"
            try:
                registry.find(group, entry.name)
            except Exception as error:  # another package may raise anything
                yield Finding(what, "note", f"of {owner} does not load: {_line(error)}",
                              f"pip install --upgrade {owner}, or  pip uninstall {owner}")
            else:
                yield Finding(what, "ok", f"of {owner}")


def _engine() -> Iterator[Finding]:
    import numpy as np

    backends = importlib.import_module("qad.quantum.backends")
    circuit = importlib.import_module("qad.quantum.circuit").Circuit
    encoding = importlib.import_module("qad.quantum.encodings").get("angle")
    rotations = importlib.import_module("qad.quantum.ansatze").get("product", 2, 1)
    x = np.linspace(0, np.pi, 7)[:, None] * np.ones(2)
    found = backends.get("exact").compile(circuit(encoding.function, *rotations, 2, (2,)), 1, np.zeros(2)).probabilities(x)
    off = float(np.abs(found[:, 0] - np.cos(x[:, 1] / 2) ** 2).max())
    if off > 1e-9:
        yield Finding("engine", "wrong", f"P(0) behind RX(x) is off cos²(x/2) by {off:.1e}",
                      f"pip install --upgrade --force-reinstall {DISTRIBUTION}")
    else:
        yield Finding("engine", "ok", f"P(0) behind RX(x) is cos²(x/2) to {max(off, 1e-17):.0e}")


def _account(online: bool) -> Iterator[Finding]:
    from qad.quantum.backends import account

    where = account.present()
    if where is None:
        yield Finding("IBM account", "note", "none: snapshots such as fake_torino need none", account.SAVE)
    elif not online:
        yield Finding("IBM account", "ok", f"in {where}; not asked whether it is accepted (--online)")
    else:
        yield _asked(where)


def _asked(where: str) -> Finding:
    from qad.errors import MissingExtra
    from qad.quantum.backends import runtime
    from qad.quantum.backends.service import ServiceError

    try:
        machines = runtime.machines()
    except (ServiceError, MissingExtra) as error:
        return Finding("IBM account", "note", f"in {where}; {error}")
    return Finding("IBM account", "ok", f"in {where}, accepted; machines: {', '.join(machines) or 'none'}")
