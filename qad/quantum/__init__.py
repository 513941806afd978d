"""The quantum family: encodings, ansätze, the exact batched engine, natural gradient, autoencoders and their controls."""

from qad.quantum.autoencoder import QuantumAutoencoder
from qad.quantum.circuit import Circuit
from qad.quantum.controls import CeilingUnitary, RandomCircuit, UntrainedCircuit
from qad.quantum.feature_autoencoder import FeatureAutoencoder
from qad.quantum.geometry import Metric, Overlap, metric_tensor
from qad.quantum.mean_state import MeanState
from qad.quantum.optimizers import QNSPSA, NaturalGradient, QBang

__all__ = ["CeilingUnitary", "Circuit", "FeatureAutoencoder", "MeanState", "Metric", "NaturalGradient", "Overlap", "QBang",
           "QNSPSA", "QuantumAutoencoder", "RandomCircuit", "UntrainedCircuit", "metric_tensor"]
