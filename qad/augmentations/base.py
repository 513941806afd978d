"""What every augmentation shares."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from qad.errors import InputError


@dataclass(frozen=True)
class Augmentation:
    """A random change of a batch: ``augmentation(x, generator)`` gives a new tensor of the same shape, ``x`` stays as it is.

    ``x`` is float ``(B, P, 3)`` = pT [GeV], η, φ [rad] of particles (of objects in their slots), absent ones zero. All is
    vectorised over the batch and runs where ``x`` lies; random numbers come from ``generator``, of the same device. Of
    ``kind`` "positive": a view of the same physics. Of ``kind`` "anomalous": physics that background has not. A ``symmetry``
    changes both views of an event, another positive one only the second.
    """

    kind = "positive"
    symmetry = False

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        raise NotImplementedError


def uniform(x: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Numbers between 0 and 1 of ``shape``, of the type and on the device of ``x``."""
    return torch.rand(shape, generator=generator, device=x.device, dtype=x.dtype)


def normal(x: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Normal numbers of ``shape``, of the type and on the device of ``x``."""
    return torch.randn(shape, generator=generator, device=x.device, dtype=x.dtype)


def present(x: torch.Tensor) -> torch.Tensor:
    """Which particles are there, bool ``(B, P)``."""
    return x[..., 0] > 0


#: What has to be above zero, by name of the field.
_POSITIVE = ("width", "strength", "clip", "rounds", "beta", "prongs", "reach", "radius")


def check(augmentation: Augmentation) -> None:
    """Raise :class:`InputError` for settings that cannot be."""
    for name, value in vars(augmentation).items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in _POSITIVE and (not number or not 0 < value < float("inf")):
            raise InputError(f"{type(augmentation).__name__}: {name}={value!r}: expected a number above 0")
        if name in ("rounds", "prongs") and not isinstance(value, int):
            raise InputError(f"{type(augmentation).__name__}: {name}={value!r}: expected a whole number")
        if name == "as_published" and not isinstance(value, bool):
            raise InputError(f"{type(augmentation).__name__}: as_published={value!r}: expected true or false")
        if name == "share" and (not number or not 0 < value < 1):
            raise InputError(f"{type(augmentation).__name__}: share={value!r}: expected a number between 0 and 1")
