"""Qiskit Aer: a circuit on a simulated machine, exact or with shots, without noise or with that of a real one.

The circuit is transpiled once. Without noise Aer evolves the statevectors of all events as one table of parameter values. With
noise only the laid-out qubits are simulated, with Aer's noise model and the exact evolution of
:mod:`qad.quantum.backends.channels`: no trajectory is drawn, so the cost does not grow with the shots, which are drawn from the
distribution at the end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel

from qad.errors import InputError, did_you_mean
from qad.quantum.backends.base import Backend, Compiled, check_shots, check_weights, checked_events, groups_of, sampled
from qad.quantum.backends.channels import Noise, NoisyCircuit
from qad.quantum.backends.isa import ISA, read_out, transpiled
from qad.quantum.backends.noise import of_target, understood
from qad.quantum.circuit import Circuit
from qad.quantum.export import Exported, qiskit_circuit

#: A state of 12 qubits with noise has 17 million numbers.
MOST_NOISY_QUBITS = 12
#: Circuits that are kept ready.
MOST_READY = 4
#: Events that go through Aer together.
CHUNK = 4096
MITIGATIONS = ("none", "readout", "zne", "both")


class Aer(Backend):
    """Aer on this computer.

    noise               None; the name of a snapshot (``fake_manila``, ``fake_torino``, …: the extra ``ibm``); a Qiskit
                        ``BackendV2`` with error rates; an Aer ``NoiseModel``; or a dict of rates, see
                        :func:`qad.quantum.backends.noise.from_rates`
    optimization_level  of the transpiler, 0 to 3; from 2 on qubits are chosen by their error rates
    seed, tries         of the transpiler: the best of so many, see :func:`qad.quantum.backends.isa.transpiled`
    mitigation          ``none``, ``readout``, ``zne`` or ``both``: see :mod:`qad.quantum.backends.mitigation`
    """

    name = "aer"
    exact = True

    def __init__(self, noise: Any = None, optimization_level: int = 1, seed: int = 0, tries: int = 1,
                 mitigation: str = "none") -> None:
        if mitigation not in MITIGATIONS:
            raise InputError(did_you_mean(str(mitigation), MITIGATIONS, "mitigation"))
        if mitigation != "none" and noise is None:
            raise InputError(f"mitigation='{mitigation}' without noise: there is nothing to mitigate; give noise too")
        for name, value, least in (("seed", seed, 0), ("tries", tries, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name}={value!r}: expected a whole number from {least}")
        self.noise = understood(noise)
        self.optimization_level, self.seed, self.tries, self.mitigation = optimization_level, seed, tries, mitigation
        self.drawable = mitigation == "none"

    def compile(self, circuit: Circuit, latent: int, weights: Any = None, example: Any = None) -> Compiled:
        return self.on(qiskit_circuit(circuit, weights, latent, example=example), free=weights is None)

    def on(self, exported: Exported, free: bool = False) -> Compiled:
        """An exported circuit made ready; ``free``: its weights are parameters."""
        target = _ideal() if self.noise is None else self.noise
        if isinstance(target, NoiseModel):
            target = target.basis_gates
        machine = Machine(transpiled(exported, target, self.seed, self.optimization_level, self.tries, free), self.noise)
        if self.mitigation == "none":
            return machine
        from qad.quantum.backends.mitigation import Mitigated

        return Mitigated(machine, readout=self.mitigation != "zne", factors=(1,) if self.mitigation == "readout" else (1, 3, 5))


class Machine(Compiled):
    """A circuit compiled for a machine: ``isa``, and Aer's ``model`` of the noise of the laid-out qubits, or None."""

    def __init__(self, isa: ISA, noise: Any) -> None:
        self.isa, self.two_qubit_gates, self.depth = isa, isa.two_qubit_gates, isa.depth
        own = isinstance(noise, NoiseModel)  # its errors are numbered as the circuit's qubits
        self.layout = tuple(range(isa.circuit.num_qubits)) if own else isa.layout
        if noise is not None and len(self.layout) > MOST_NOISY_QUBITS:
            raise InputError(f"{len(self.layout)} qubits with noise: expected at most {MOST_NOISY_QUBITS}; take fewer, or "
                             "noise=None")
        self.model = noise if noise is None or own else of_target(noise.target, self.layout, isa.circuit)
        self._errors = None if self.model is None else Noise(self.model)
        self._bound: dict[tuple[int, bytes], tuple[ISA, ISA]] = {}
        self._ready: dict[int, tuple[QuantumCircuit, NoisyCircuit | QuantumCircuit]] = {}  # the latest: folded ones take turns

    def probabilities(self, X: Any, weights: Any = None, shots: int | None = None, seed: int = 0) -> np.ndarray:
        return self.run(self.isa, X, weights, shots, seed)

    def zeros(self, X: Any, weights: Any = None, shots: int | None = None, seed: int = 0) -> np.ndarray:
        check_shots(shots)
        p = np.clip(self._distribution(self.isa, X, weights, 1)[:, 0], 0, 1)
        return p if shots is None else np.random.default_rng(seed).binomial(shots, p) / shots

    def run(self, isa: ISA, X: Any, weights: Any = None, shots: int | None = None, seed: int = 0) -> np.ndarray:
        """As :meth:`probabilities`, for another circuit ``isa`` on the same qubits: a folded one, say."""
        check_shots(shots)
        return sampled(self._distribution(isa, X, weights), shots, seed)

    def _distribution(self, isa: ISA, X: Any, weights: Any, outcomes: int | None = None) -> np.ndarray:
        check_weights(weights, not isa.free)
        X = checked_events(X)
        if not isa.free or self.model is None:
            return self.exact(isa.circuit, isa.angles(X, weights), outcomes)
        p = np.empty((len(X), 2 ** len(isa.read) if outcomes is None else outcomes))
        for one, where in groups_of(weights, isa.exported.source, len(X)):  # what follows the events' gates is theirs together
            bound = self._with(isa, one)
            p[where] = self.exact(bound.circuit, bound.angles(X[where]), outcomes)
        return p

    def _with(self, isa: ISA, weights: np.ndarray) -> ISA:
        key = id(isa), weights.tobytes()
        if key not in self._bound:
            while len(self._bound) >= MOST_READY:
                del self._bound[next(iter(self._bound))]
            self._bound[key] = isa, isa.bound(weights)
        return self._bound[key][1]

    def run_circuits(self, circuits: list[QuantumCircuit], shots: int | None = None, seed: int = 0) -> np.ndarray:
        """The distribution of each of some circuits without parameters on the same qubits, ``(circuits, 2^read)``."""
        p = [self.exact(c, np.empty((1, 0))) for c in circuits]
        return sampled(np.concatenate(p), shots, seed)

    def exact(self, circuit: QuantumCircuit, angles: np.ndarray, outcomes: int | None = None) -> np.ndarray:
        """The distribution of an ISA ``circuit`` for each row of ``angles``, or of its first ``outcomes`` alone."""
        angles = np.asarray(angles, dtype=np.float64)
        if angles.ndim != 2 or angles.shape[1] != len(circuit.parameters) or not np.isfinite(angles).all():
            raise InputError(f"angles of shape {angles.shape}: expected finite numbers [rad] of shape "
                             f"(events, {len(circuit.parameters)})")
        if id(circuit) not in self._ready:
            while len(self._ready) >= MOST_READY:
                del self._ready[next(iter(self._ready))]
            self._ready[id(circuit)] = circuit, self._made(circuit)
        ready = self._ready[id(circuit)][1]
        if isinstance(ready, NoisyCircuit):
            return ready.probabilities(angles, outcomes)
        parts = [_statevectors(ready, angles[i : i + CHUNK]) for i in range(0, len(angles), CHUNK)]
        return np.concatenate([np.empty((0, 2 ** len(read_out(circuit)))), *parts])[:, :outcomes]

    def _made(self, circuit: QuantumCircuit) -> NoisyCircuit | QuantumCircuit:
        """The laid-out qubits alone, numbered by their place."""
        place = {q: i for i, q in enumerate(self.layout)}
        small = QuantumCircuit(len(place))
        for step in circuit.data:
            if step.operation.name not in ("measure", "barrier"):
                small.append(step.operation, [place[circuit.find_bit(q).index] for q in step.qubits])
        read = [place[q] for q in read_out(circuit)]
        if self._errors is not None:
            return NoisyCircuit(small, self._errors, read)
        small.save_probabilities(read[::-1])
        return small


@lru_cache
def _ideal() -> AerSimulator:
    return AerSimulator()


def _statevectors(circuit: QuantumCircuit, angles: np.ndarray) -> np.ndarray:
    binds = [{p: angles[:, i].tolist() for i, p in enumerate(circuit.parameters)}] if circuit.parameters else None
    done = AerSimulator(method="statevector").run(circuit, shots=1, parameter_binds=binds).result()
    if not done.success:
        raise InputError(f"Aer could not simulate this circuit: {done.status}")
    p = np.array([result.data.probabilities for result in done.results])
    return np.broadcast_to(p, (len(angles), p.shape[1]))  # the transpiler may find that no angle matters
