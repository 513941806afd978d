"""The quantum family: encodings, ansätze, the exact batched engine, autoencoders and their controls."""

from qad.quantum.autoencoder import QuantumAutoencoder
from qad.quantum.controls import CeilingUnitary, RandomCircuit, UntrainedCircuit

__all__ = ["CeilingUnitary", "QuantumAutoencoder", "RandomCircuit", "UntrainedCircuit"]
