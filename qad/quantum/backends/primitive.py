"""Qiskit Runtime's sampler, of any version, and the counts in its results: all that we use of it is in this file."""

from __future__ import annotations

import re
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qad.errors import require
from qad.quantum.backends.options import RuntimeOptions

#: A Sampler job may hold so many: rows of angles times shots (IBM's documentation, "Job limits").
MOST_EXECUTIONS = 10_000_000


def client_side() -> bool:
    """Whether Qiskit Runtime brings the sampler that twirls and decouples on this side (0.50), so that snapshots see it."""
    require("qiskit_ibm_runtime", "ibm")
    found = re.match(r"(\d+)\.(\d+)", version("qiskit-ibm-runtime"))
    return found is not None and (int(found[1]), int(found[2])) >= (0, 50)


def sampler(mode: Any, options: RuntimeOptions, tag: str, seed: int | None = None) -> Any:
    """Qiskit Runtime's sampler: the one of 0.50 and later, which runs on this side of the network, else SamplerV2.

    mode   a machine, a ``Batch`` or a ``Session``
    tag    by which the service knows the job
    seed   of a snapshot; None: a machine that is none
    """
    local, new = seed is not None, client_side()
    given: dict[str, Any] = {} if local else {"environment": {"job_tags": [tag]}}
    if new or not local:
        if options.dynamical_decoupling:
            given["dynamical_decoupling"] = {"enable": True, "sequence_type": options.dynamical_decoupling}
        if options.twirled:
            given["twirling"] = {"enable_gates": options.twirl_gates, "enable_measure": options.twirl_measure}
            if options.num_randomizations:
                given["twirling"]["num_randomizations"] = options.num_randomizations
    if local:
        given["simulator"] = {"seed_simulator": seed}
    else:
        if options.rep_delay is not None:
            given["execution"] = {"rep_delay": options.rep_delay}
        if options.max_execution_time:
            given["max_execution_time"] = options.max_execution_time
    if new:
        from qiskit_ibm_runtime.executor_sampler import Sampler

        return Sampler(mode=mode, options=given)
    from qiskit_ibm_runtime import SamplerV2

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The SamplerV2 class is deprecated", DeprecationWarning)
        return SamplerV2(mode=mode, options=given)


def pub(circuit: QuantumCircuit, angles: np.ndarray) -> tuple[Any, ...]:
    """What a sampler takes: a circuit, and a row of angles for each run of it."""
    return (circuit, angles) if circuit.num_parameters else (circuit,)


def counts(result: Any) -> np.ndarray:
    """Counts of the one circuit of a sampler's ``result``, ``(rows, 2^read)``, int64.

    Bit i of the register is bit i of the column. The shots come as bytes, the most significant first.
    """
    data = result[0].data
    bits = data["trash"] if "trash" in data else next(iter(data.values()))
    raw = bits.array.reshape(-1, *bits.array.shape[-2:])
    outcome = np.zeros(raw.shape[:2], dtype=np.int64)
    for byte in range(raw.shape[2]):
        outcome = outcome << 8 | raw[:, :, byte]
    rows, outcomes = len(raw), 2**bits.num_bits
    outcome += np.arange(rows)[:, None] * outcomes
    return np.bincount(outcome.ravel(), minlength=rows * outcomes).reshape(rows, outcomes).astype(np.int64)
