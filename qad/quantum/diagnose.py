"""What limits a trained quantum autoencoder: the encoding, the ansatz, or the training?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from qad.errors import InputError
from qad.quantum import ansatze, diagnostics, encodings, engine
from qad.quantum.autoencoder import QuantumAutoencoder
from qad.quantum.circuit import Circuit
from qad.quantum.geometry import metric_tensor
from qad.quantum.mean_state import MeanState
from qad.quantum.moments import through

#: The stabiliser entropy sums 4^n Pauli words for each event.
MOST_QUBITS_OF_MAGIC = 10


def diagnose(model: QuantumAutoencoder, X: np.ndarray, events: int = 500, draws: int = 32, seed: int = 0,
             progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Loss beside its ceiling, effective and dead weights, spectrum of ρ̄, gradient variance, entanglement, magic.

    X         background events as the detector takes them; the first ``events`` are looked at
    draws     random weights for each gradient variance, which takes most of the time
    progress  told the variances done and to do

    Raises :class:`InputError` if ``model`` is no fitted quantum autoencoder or X does not suit it.
    """
    if not isinstance(model, QuantumAutoencoder):
        raise InputError(f"{type(model).__name__} is no quantum autoencoder: there is no circuit to look at")
    if getattr(model, "_ideal", False):
        raise InputError("this model is the optimum itself, top eigenvectors and no circuit: there is nothing to diagnose; "
                         "fit with unitary='circuit' to look at a circuit")
    x = torch.as_tensor(model.inputs(model._check(X[:events], reset=False)), dtype=torch.float64)
    circuit = model.circuit()
    n, latent = circuit.n_qubits, model.latent
    weights = torch.as_tensor(model.weights_, dtype=torch.float64)
    psi = circuit.states(x)
    mean = MeanState.of_states(psi)
    spectrum = diagnostics.spectrum(mean)
    asked = model._objective(circuit, x)  # ρ̄, or ρ̄ - λσ
    loss = {
        "here": float(engine.infidelity(model.rows().cpu().to(psi.dtype), asked)),
        "weights zero": float(engine.infidelity(circuit.rows(torch.zeros_like(weights), latent), asked)),
        "ceiling": 1 - asked.ceiling(latent)[0],
    }
    random = [torch.as_tensor(np.random.default_rng([seed, i]).uniform(-np.pi, np.pi, circuit.shape)) for i in range(8)]
    loss["random weights"] = float(np.mean([float(engine.infidelity(circuit.rows(w, latent), asked)) for w in random]))
    few = psi[: min(len(psi), 50)]
    after = {"encoded": few, "trained": _through(circuit, weights, few), "random weights": _through(circuit, random[0], few)}
    return {
        "events": len(x), "qubits": n, "latent": latent, "trained_loss": model.diagnostics_["loss"], "loss": loss,
        "parameters": model.parameters_, "effective_parameters": model.effective_parameters_,
        "metric_rank": diagnostics.effective_dimension(metric_tensor(circuit.program, weights, psi, mean=mean)),
        "dead": list(model.dead_),
        "spectrum": {"eigenvalues": [float(v) for v in spectrum.eigenvalues[:16]], "purity": float(spectrum.purity),
                     "entropy": float(spectrum.entropy)},
        "entanglement": {k: float(diagnostics.meyer_wallach(v).mean()) for k, v in after.items()},
        "magic": {k: float(diagnostics.magic(v).mean()) for k, v in after.items()} if n <= MOST_QUBITS_OF_MAGIC else {},
        "gradient_variance": _variances(model, circuit, x, draws, seed, progress or (lambda done, total: None)),
        "verdict": _verdict(loss, model),
    }


def _through(circuit: Circuit, weights: torch.Tensor, psi: torch.Tensor) -> torch.Tensor:
    program = circuit.program.to(psi.device, psi.real.dtype)
    return through(program, program.angles(weights), psi)


def _variances(model: QuantumAutoencoder, circuit: Circuit, x: torch.Tensor, draws: int, seed: int,
               progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Over random weights, against qubits (the first particles or features of the same events) and against depth."""
    found: dict[str, Any] = {"qubits": {}, "layers": {}}
    encoding = encodings.get(model.encoding)
    by_qubits = isinstance(model.encoding, str) and model.shape is None and not model.train_encoding
    sizes = range(2, circuit.n_qubits + 1) if by_qubits else range(0)
    depths = (1, 2, 4, 8) if model.shape is None else ()
    total = len(sizes) + len(depths)
    progress(0, total)
    for done, k in enumerate(sizes, 1):
        columns = max((c for c in range(1, x.shape[1] + 1) if _qubits(encoding, c, x) == k), default=None)
        if columns is not None:
            found["qubits"][k] = _variance(model, circuit, x[:, :columns], k, model.layers, draws, seed)
        progress(done, total)
    values = [v for v in found["qubits"].values() if v > 0]
    if len(values) > 1:
        found["slope_per_qubit"] = diagnostics.slope([k for k, v in found["qubits"].items() if v > 0], values)
    for done, layers in enumerate(depths, len(sizes) + 1):
        try:
            found["layers"][layers] = _variance(model, circuit, x, circuit.n_qubits, layers, draws, seed)
        except InputError:  # an ansatz of one layer
            break
        progress(done, total)
    return found


def _qubits(encoding: encodings.Encoding, columns: int, x: torch.Tensor) -> int:
    try:
        return encoding.qubits((columns, *x.shape[2:]))
    except InputError:
        return 0


def _variance(model: QuantumAutoencoder, circuit: Circuit, x: torch.Tensor, n: int, layers: int | None, draws: int,
              seed: int) -> float:
    latent = min(model.latent, n - 1)
    function, shape = ansatze.get(model.ansatz, n, latent, layers, model.shape)
    part = Circuit(circuit.encoding, function, shape, n)
    return diagnostics.gradient_variance(part.program, part.mean_state(x), latent, draws, seed)


def _verdict(loss: dict[str, float], model: QuantumAutoencoder) -> str:
    """One sentence: what would have to change for a lower loss."""
    here, zero, least = loss["here"], loss["weights zero"], loss["ceiling"]
    above = here - least
    if above <= 0.05 * max(least, 1e-9):
        return "The loss is at its ceiling: only another encoding or more latent qubits can lower it, not training."
    if model.learns and here >= zero - 0.01 * above:
        return (f"Training did not beat weights of zero; a unitary with a loss lower by {above:.3g} exists: a deeper ansatz, "
                "another start or another learning_rate may find it.")
    return f"A unitary with a loss lower by {above:.3g} exists: the ansatz or its training limits this model, not the encoding."
