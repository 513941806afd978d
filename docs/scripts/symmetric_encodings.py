"""Do encodings that entangle pairs of features see what a product encoding cannot? On the pair that was seen before.

    python docs/scripts/symmetric_encodings.py qcd.h5 top.h5
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pennylane as qml

from qad import detector, read, representations
from qad.metrics import auc
from qad.quantum.encodings import angle_y

INPUTS = {
    "lund": [("substructure", {"features": ["e2", "soft_drop_mass", "kt1", "kt2", "tau32"]}), ("power", {"exponent": 0.5})],
    "seven": [("substructure", {"features": ["mass", "multiplicity", "width", "ptd", "tau21", "tau32", "soft_drop_mass"]}),
              ("power", {"exponent": 0.5})],
    "particles": [("girth-shares", {"n_particles": 8}), ("power", {"exponent": 0.25})],
}
TRAIN, TEST = 2500, 3000


def zz(x: Any, wires: Any) -> None:
    """Phases by products of neighbours' deviations, seen through a rotation after them."""
    angle_y(x, wires)
    for q in range(len(wires) - 1):
        qml.IsingZZ((x[..., q] - np.pi / 2) * (x[..., q + 1] - np.pi / 2), wires=[wires[q], wires[q + 1]])
    for q, wire in enumerate(wires):
        qml.RX(x[..., q] - np.pi / 2, wires=wire)


def pairs(x: Any, wires: Any) -> None:
    """The second qubit of each pair is turned by the pair's sum where the first is 1."""
    angle_y(x, wires)
    for q in range(0, len(wires) - 1, 2):
        qml.CRY(x[..., q] + x[..., q + 1] - np.pi, wires=[wires[q], wires[q + 1]])


def ring(x: Any, wires: Any) -> None:
    """A ring of CNOTs between two layers."""
    angle_y(x, wires)
    for q in range(len(wires)):
        qml.CNOT(wires=[wires[q], wires[(q + 1) % len(wires)]])
    for q, wire in enumerate(wires):
        qml.RY(x[..., q] - np.pi / 2, wires=wire)


def differences(x: Any, wires: Any) -> None:
    """Neighbours are entangled by their difference."""
    angle_y(x, wires)
    for q in range(len(wires) - 1):
        qml.IsingYY(x[..., q] - x[..., q + 1], wires=[wires[q], wires[q + 1]])


def main(qcd: str, top: str) -> None:
    """Print AUC both ways for every encoding, contrast and kind of inputs."""
    encodings: list[Callable[..., None]] = [angle_y, zz, pairs, ring, differences]
    print("| inputs | encoding | λ | QCD → top | top → QCD |\n|---|---|---|---|---|")
    for name, steps in INPUTS.items():
        tables = [read(file)[: TRAIN + TEST] for file in (qcd, top)]
        for use, params in steps:
            step = representations.get(use, **params).fit(None)
            tables = [step.transform(t) for t in tables]
        for encoding in encodings:
            for contrast in (0.0, 0.5, 0.9):
                cells = []
                for background, signal in (tables, tables[::-1]):
                    model = detector.get("quantum-contrastive", encoding=encoding, contrast=contrast, reference="shuffled")
                    model.fit(background[:TRAIN])
                    cells.append(auc(*(model.anomaly_score(t[TRAIN:]) for t in (background, signal))))
                print(f"| {name} | {encoding.__name__} | {contrast} | {cells[0]:.4f} | {cells[1]:.4f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
