"""Any device of PennyLane, by its name: default.qubit, lightning.qubit, default.mixed, or one that a plugin brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pennylane as qml

from qad.errors import InputError
from qad.quantum.backends.base import Backend, Compiled, check_shots, check_weights, checked_events, groups_of
from qad.quantum.circuit import Circuit
from qad.quantum.export import checked, qnode, trash_qubits


class PennyLane(Backend):
    """A PennyLane device.

    device    its name
    options   what the device takes besides its wires, such as ``batch_obs=True`` of lightning.qubit
    """

    name = "pennylane"
    exact = True

    def __init__(self, device: str = "default.qubit", **options: Any) -> None:
        if taken := options.keys() & {"wires", "shots", "seed"}:
            raise InputError(f"{', '.join(sorted(taken))} of a PennyLane device: leave it out; shots and seed go with the "
                             "measurement, and wires follow from the circuit")
        self.device, self.options = device, options
        self._make(1, 0)

    def _make(self, wires: int, seed: int) -> Any:
        options = {"seed": seed, **self.options}
        for given in (options, self.options):  # not every device takes a seed
            try:
                return qml.device(self.device, wires=wires, **given)
            except (TypeError, qml.exceptions.DeviceError, ImportError, ValueError) as error:
                problem = error
        raise InputError(f"PennyLane cannot make the device '{self.device}'"
                         + (f" with {', '.join(self.options)}" if self.options else "") + f": {problem}")

    def compile(self, circuit: Circuit, latent: int, weights: Any = None, example: Any = None) -> Compiled:
        trash_qubits(circuit, latent)
        return _Device(self, circuit, latent, weights if weights is None else checked(circuit, weights))


@dataclass
class _Device(Compiled):
    backend: PennyLane
    circuit: Circuit
    latent: int
    weights: Any

    def probabilities(self, X: Any, weights: Any = None, shots: int | None = None, seed: int = 0) -> np.ndarray:
        check_weights(weights, self.weights is not None)
        check_shots(shots)
        device = self.backend._make(self.circuit.n_qubits, seed)
        X = checked_events(X)
        p = np.empty((len(X), 2 ** (self.circuit.n_qubits - self.latent)))
        for w, where in groups_of(self.weights if weights is None else weights, self.circuit, len(X)):
            if len(where):
                node = qnode(self.circuit, w, self.latent, device, None if shots is None else int(shots))
                try:
                    p[where] = np.asarray(node(X[where])).reshape(len(where), -1)
                except Exception as error:  # whatever a device makes of a circuit that it cannot run
                    raise InputError(f"PennyLane's {self.backend.device} cannot run this circuit on events of shape {X.shape}: "
                                     f"{' '.join(str(error).split())}") from error
        return p
