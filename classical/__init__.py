"""Classical detectors: one detector, one file. Importing this loads no quantum software."""

from classical.dense_autoencoder import DenseAutoencoder
from classical.feature import SingleFeature
from classical.kernel_pca import KernelPCA
from classical.mahalanobis import Mahalanobis
from classical.mode_distance import ModeDistance
from classical.pca import PCA
from classical.total import Total

__all__ = ["PCA", "DenseAutoencoder", "KernelPCA", "Mahalanobis", "ModeDistance", "SingleFeature", "Total"]
