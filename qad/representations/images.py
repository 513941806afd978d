"""Jet images."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from qad import settings
from qad.representations.base import Representation, particles_of
from qad.representations.constituents import centred, principal_frame


class Images(Representation):
    """Jet images ``(n, pixels, pixels)``: (pT fraction)^``power`` per pixel, |Δη|, |Δφ| < ``extent`` [rad].

    Centred, principal axis vertical, harder side positive (arXiv:1707.08966). The sum of the pT fractions is one before
    the power is taken; ``power=0.5`` is the root that makes soft radiation visible (arXiv:2202.00686). Then the image is
    smeared by a Gaussian of ``blur`` pixels, as before normalised autoencoders (arXiv:2206.14225): energies between two images
    then know that their pixels are neighbours.

    Raises :class:`InputError` for a blur below 0, or for anything but a sample of jets.
    """

    gives = "image"

    def __init__(self, pixels: int = 40, extent: float = 0.8, power: float = 1.0, blur: float = 0.0) -> None:
        self.pixels = pixels
        self.extent = extent
        self.power = power
        self.blur = blur

    def _transform(self, X: object) -> np.ndarray:
        settings.number("blur", self.blur)
        z, u, v = centred(particles_of(X, self))
        u, v = principal_frame(z, u, v)
        k = self.pixels
        row, column = (np.floor((a + self.extent) / (2 * self.extent) * k).astype(np.int64) for a in (v, u))
        inside = (row >= 0) & (row < k) & (column >= 0) & (column < k) & (z > 0)
        flat = (np.arange(len(z))[:, None] * k + row) * k + column
        image = np.bincount(flat[inside], z[inside], minlength=len(z) * k * k).reshape(-1, k, k)
        image /= np.maximum(image.sum((1, 2), keepdims=True), 1e-12)
        image = (image**self.power).astype(np.float32)
        return gaussian_filter(image, (0, self.blur, self.blur), mode="constant") if self.blur else image
