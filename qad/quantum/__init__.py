"""The quantum family: encodings, ansätze, the exact batched engine, natural gradient, autoencoders and their controls."""

from qad.quantum.autoencoder import QuantumAutoencoder
from qad.quantum.circuit import Circuit
from qad.quantum.contrastive import ContrastiveAutoencoder
from qad.quantum.controls import CeilingUnitary, RandomCircuit, UntrainedCircuit
from qad.quantum.feature_autoencoder import FeatureAutoencoder
from qad.quantum.geometry import Metric, Overlap, metric_tensor
from qad.quantum.hybrid import HybridAutoencoder
from qad.quantum.kernel_machine import QuantumKMeans, QuantumOneClassSVM
from qad.quantum.mean_state import MeanState
from qad.quantum.measured_autoencoder import MeasuredAutoencoder, MeasuredFeatures
from qad.quantum.normalised import NormalisedAutoencoder
from qad.quantum.optimizers import QNSPSA, NaturalGradient, QBang

__all__ = ["CeilingUnitary", "Circuit", "ContrastiveAutoencoder", "FeatureAutoencoder", "HybridAutoencoder", "MeanState",
           "MeasuredAutoencoder", "MeasuredFeatures", "Metric", "NaturalGradient", "NormalisedAutoencoder", "Overlap", "QBang",
           "QNSPSA", "QuantumAutoencoder", "QuantumKMeans", "QuantumOneClassSVM", "RandomCircuit", "UntrainedCircuit",
           "metric_tensor"]
