"""From a model and events to what is sent: one circuit in the machine's gates, a row of angles for each event, an estimate."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qad import __version__, persistence, pipeline
from qad.data.store import read
from qad.errors import InputError, did_you_mean
from qad.hardware.cost import Estimate, chunk_size, estimate
from qad.hardware.folder import FORMAT, READOUT, Folder
from qad.quantum import export, measured
from qad.quantum.backends import ibm, mitigation, refuse_credentials
from qad.quantum.backends import isa as compiled
from qad.quantum.backends.base import check_shots
from qad.quantum.backends.service import Service

MITIGATIONS = ("none", "readout")
#: The transpiler chooses qubits by their calibration at this level; of so many tries the least expected error is taken.
LEVEL, TRIES = 3, 4
MODEL_FILES = ("model.json", "model.safetensors")


@dataclass(frozen=True)
class Request:
    """What a submission is asked to do; two with the same record are the same.

    model, data   SHA-256 of the model's files and fingerprint of the sample
    events        how many, from the sample's first
    """

    model: str
    data: str
    events: int
    backend: str
    shots: int
    seed: int
    mode: str
    mitigation: str
    chunk: int
    options: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """Everything that a submission needs, worked out and not yet written."""

    request: Request
    isa: compiled.ISA
    angles: np.ndarray
    readout: list[Any]
    estimate: Estimate
    machine: Any
    model: Path
    data: Path


def request(model: Path, data: Path, backend: str, *, shots: int = 4096, chunk: int | None = None, mode: str = "batch",
            seed: int = 0, mitigation: str = "none", options: dict[str, Any] | None = None,
            events: int | None = None) -> tuple[Request, Any]:
    """What is asked for, checked, and its sample. Raises :class:`InputError`."""
    check_shots(shots)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise InputError(f"seed={seed!r}: expected a whole number from 0, below 2^32")
    if mitigation not in MITIGATIONS:
        raise InputError(did_you_mean(str(mitigation), MITIGATIONS, "mitigation"))
    refuse_credentials(options or {})
    if "mode" in (options or {}):
        raise InputError(f"mode={options['mode']} is no option of a job here: type  --mode {options['mode']}")
    size = chunk_size(ibm.RuntimeOptions.of({**(options or {}), "mode": mode}).executions(shots), chunk)
    sample = read(data)
    if not len(sample):
        raise InputError(f"{data} holds no events")
    n = len(sample) if events is None else events
    if not 1 <= n <= len(sample):
        raise InputError(f"events={events}: {data} holds {len(sample)}; expected 1 to {len(sample)}")
    return Request(model_digest(model), sample.fingerprint, n, backend, shots, seed, mode, mitigation, size,
                   dict(options or {})), sample[:n]


def make(asked: Request, sample: Any, model: Path, data: Path, service: Service,
         classes: dict[str, type] | None = None) -> Plan:
    """Transpile the model's circuit for the service's machine and work out angles and cost. Raises :class:`InputError`."""
    trained = persistence.load(model, classes)
    _, detector = pipeline.parts(trained)
    circuit, weights, latent = measured.read_out(detector)
    X = detector.inputs(detector._check(pipeline.represented(trained, sample), reset=False))
    exported = export.qiskit_circuit(circuit, weights, latent, example=X[:2])
    isa = compiled.transpiled(exported, service.machine, asked.seed, LEVEL, TRIES)
    readout = mitigation.calibration_circuits(isa, service.machine.operation_names) if asked.mitigation == "readout" else []
    options = ibm.RuntimeOptions.of({**asked.options, "mode": asked.mode})
    cost = estimate(isa, service.machine, asked.events, options.executions(asked.shots), asked.chunk, len(readout),
                    options.rep_delay, ibm.ignored(options, service.machine), asked.mode)
    return Plan(asked, isa, isa.angles(X), readout, cost, service.machine, model, data)


def write(plan: Plan, folder: Folder, max_seconds: float | None) -> dict[str, Any]:
    """The plan onto the disk, plan.json last; returns its record."""
    folder.write("circuit.qpy", compiled.to_qpy([plan.isa.circuit, *plan.readout]))
    folder.write_arrays("angles.npz", angles=plan.angles)
    folder.write_json("calibration.json", ibm.calibration(plan.isa.circuit, plan.machine))
    for name in MODEL_FILES:
        folder.write(f"model/{name}", (plan.model / name).read_bytes())
    record = {"format": FORMAT, "qad": __version__, "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
              "tag": _tag(plan.request), "data_file": plan.data.name, "request": asdict(plan.request),
              "read": len(plan.isa.read), "circuit": [compiled.digest(c) for c in (plan.isa.circuit, *plan.readout)],
              "estimate": asdict(plan.estimate), "max_seconds": max_seconds}
    folder.write_json("plan.json", record)
    return folder.plan() or record


def circuits(folder: Folder, record: dict[str, Any]) -> dict[str, Any]:
    """The circuits of a submission by the chunks they are for, ``""`` for all events. Raises :class:`InputError`."""
    path = folder.path / "circuit.qpy"
    try:
        found = compiled.from_qpy(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if [compiled.digest(c) for c in found] != record["circuit"]:
        raise InputError(f"{path} is not the circuit that was planned: its hash differs; copy the folder again")
    return dict(zip(("", *READOUT), found, strict=False))


def model_digest(model: Path) -> str:
    """SHA-256 of a model's files. Raises :class:`InputError` if it is none."""
    persistence.load_notes(model)
    found = hashlib.sha256()
    for name in MODEL_FILES:
        try:
            found.update((model / name).read_bytes())
        except OSError as error:
            raise InputError(f"{model / name} cannot be read: {error.strerror}") from None
    return found.hexdigest()


def same(record: dict[str, Any], asked: Request, folder: Path) -> None:
    """Raise :class:`InputError` unless the submission in ``folder`` is the one that is asked for."""
    planned = record["request"]
    differ = [f"{k} {_short(planned.get(k))} there, {_short(v)} asked for" for k, v in asdict(asked).items()
              if planned.get(k) != v]
    if differ:
        raise InputError(f"{folder} holds another submission ({'; '.join(differ)}): give another folder, or go on with this "
                         f"one by  qad hardware submit -o {folder}")


def _tag(asked: Request) -> str:
    """What the tags of all jobs begin with: never twice at a service; on a snapshot, whose shots it seeds, by what is asked."""
    if ibm.is_snapshot(asked.backend):
        return f"qad-{hashlib.sha256(json.dumps(asdict(asked), sort_keys=True).encode()).hexdigest()[:32]}"
    return f"qad-{uuid.uuid4().hex}"


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value)

