"""What evaluates a circuit: probabilities of the qubits read out for a batch of events, with shots, seed and noise.

Every backend is a :class:`~qad.quantum.backends.base.Backend` in a file of its own, found by name::

    backends.get("aer", noise="fake_torino").compile(circuit, latent, weights).probabilities(X, shots=4096)

Exact ones agree with a dense-matrix reference to 1e-6, sampled ones within five standard errors; the first qubit read out is
the most significant bit. Vendor packages are imported inside these modules only.

What to use when
    ``exact``       our engine: training, and the truth for all the others
    ``pennylane``   any PennyLane device, yours too
    ``aer``         Qiskit Aer on this computer: exact, with shots, with the noise of a machine
    ``ibm``         an IBM machine, or a snapshot of one in local testing mode, through Qiskit Runtime
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from qad import registry
from qad.errors import InputError, did_you_mean
from qad.quantum.backends.base import Backend, Compiled

__all__ = ["Backend", "Compiled", "get", "names"]


#: Words in the name of an option that would hold a credential.
SECRET = ("token", "key", "secret", "password", "credential")


def refuse_credentials(options: Iterable[str]) -> None:
    """Raise :class:`InputError` for an option that would hold a credential: models and folders of jobs keep their options."""
    for option in options:
        if any(word in option.lower() for word in SECRET):
            raise InputError(f"option '{option}' looks like a credential, and a model or a submission keeps none: leave it to "
                             "the vendor's saved account (QiskitRuntimeService.save_account) or the environment")


def names() -> list[str]:
    """Names of all backends, other packages' included."""
    return registry.names(registry.BACKENDS)


def get(name: str, **options: Any) -> Backend:
    """The backend ``name`` with its ``options``. Raises :class:`InputError` for a name or option it does not know."""
    if name.startswith(("fake_", "ibm_")) and name not in names():
        raise InputError(f"'{name}' is a machine: type  --backend aer --noise {name}  to simulate a snapshot, or  "
                         f"--backend ibm --option machine={name}")
    cls = registry.find(registry.BACKENDS, name)
    refuse_credentials(options)
    known = {k: p for k, p in inspect.signature(cls).parameters.items() if p.kind is not p.VAR_KEYWORD}
    if len(known) == len(inspect.signature(cls).parameters) and (unknown := options.keys() - known):
        raise InputError(f"backend '{name}': {did_you_mean(min(unknown), known, 'option')}")
    return cls(**options)
