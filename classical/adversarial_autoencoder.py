"""An autoencoder whose scores an adversary cannot use to tell systematic variations apart (after arXiv:1905.10384)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from qad import networks, settings
from qad.errors import InputError
from qad.neural import NeuralDetector

#: The one variation of a detector that smears its events itself.
OWN = "smeared"
#: In at most so many bins of equal content, each of 25 events or more, is it counted how well variations can be told apart.
BINS, LEAST = 20, 25


class AdversarialAutoencoder(NeuralDetector):
    """Score = error of an autoencoder trained so that systematic variations leave its distribution as it is.

    Of k variations (0 the events themselves, 1 … their ``twins``) the adversary A is shown the score s alone::

        s(x) = (1/f) |x - D(E(x))|²,   L_auto = <s(x_0)>,   L_adv = -(1/k) Σ_v <log p_A(v | log s(x_v))>
        autoencoder: min L_auto - α L_adv,                  adversary: min L_adv

    as L = L_auto - α L_adv of arXiv:1905.10384. Of the paper the abstract and α = 100 were at hand, not the text: what its
    adversary is shown, and all sizes, are choices made here. One optimiser makes both steps: between autoencoder and adversary
    the gradient is reversed, times α. A sees s alone, for that is what a cut sees: where A can do no better than chance, every
    cut keeps the same background in all variations. log s is standardised with the moments of the batch. L_auto is that of the
    events themselves: with ``alpha=0`` this is ``dense-autoencoder``, bit for bit.

    **Early stopping.** L_auto - α L_adv is small too where the adversary has learnt nothing, so it cannot judge. Judged is
    L_auto + α I, with I the mutual information of variation and score, counted in bins: ln k - L_adv of the best adversary
    that there could be; 0 where the score tells nothing. L_auto is that of the background held back, and so is I where the
    detector smears its events itself; ``twins`` come with the training events, and I is that of the first 4,096 of them.

    Twins equal to the events themselves ("nominal", or "down" of a one-sided systematic) are left out. Without twins, events
    are smeared anew in every batch. Inputs should be standardised. Other settings as in :class:`qad.neural.NeuralDetector`.

    hidden, latent   sizes of the encoder's layers; the decoder mirrors them
    alpha            weight of the adversary, from 0
    adversary        sizes of its hidden layers
    smear            without twins: width of the Gaussian added to every column, in its standard deviations

    ``diagnostics_["systematics"]``, on the first 20,000 training events: ``adversary_accuracy`` and ``chance``;
    ``information`` I and ``most_information`` ln k [nats]; ``shift`` of each variation, the change of the mean score in
    standard deviations of the nominal score; ``source``, where the variations come from; ``left_out``. ``parameters_`` counts
    the autoencoder alone. Raises :class:`InputError` for settings out of range and for twins that all equal the events.
    """

    uses_twins = True
    whole = NeuralDetector.whole | {"latent": 1}

    def __init__(self, hidden: Sequence[int] = (32, 16), latent: int = 4, alpha: float = 100.0,
                 adversary: Sequence[int] = (32, 32), smear: float = 0.1, epochs: int = 60, learning_rate: float = 2e-3,
                 batch_size: int = 256, patience: int = 8, device: str = "auto", precision: str = "float32",
                 checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(epochs, learning_rate, batch_size, patience, device, precision, checkpoint, random_state)
        self.hidden = hidden
        self.latent = latent
        self.alpha = alpha
        self.adversary = adversary
        self.smear = smear

    def _check_settings(self) -> None:
        super()._check_settings()
        settings.sizes("hidden", self.hidden, "[32, 16]")
        settings.sizes("adversary", self.adversary, "[32, 32]")
        settings.number("alpha", self.alpha)
        settings.number("smear", self.smear, above=True)

    def _fit_twins(self, X: np.ndarray, validation: np.ndarray | None, twins: dict[str, np.ndarray]) -> None:
        self._check_settings()
        given = {name: twin for name, twin in twins.items() if not np.array_equal(twin, X)}
        if twins and not given:
            raise InputError(f"all twins ({', '.join(twins)}) equal the events themselves: there is nothing to be robust "
                             "against; give a variation that changes some column, or leave twins out")
        self.variations_ = list(given) or [OWN]
        data = tuple(self._tensors(x, torch.float32)[0] for x in (X, *given.values()))
        held = None if validation is None else self._tensors(validation, torch.float32)
        self._optimise(data, held, X, validation, *given.values())
        self.network_.shown = None
        self.parameters_ = networks.count(self.network_.autoencoder)
        some = tuple(self._tensors(x[: self.most_for_offset], torch.float64)[0] for x in (X, *given.values()))
        self.diagnostics_["systematics"] = {
            **self._told(some),
            "source": "twins" if given else f"own inputs smeared by {self.smear:g} standard deviations of each column",
            "left_out": [name for name in twins if name not in given]}

    def _network(self) -> nn.Module:
        sizes = [self.n_features_in_, *self.hidden, self.latent]
        network = _Opponents()
        network.autoencoder = networks.dense([*sizes, *sizes[-2::-1]], self.random_state)
        network.adversary = networks.dense([1, *self.adversary, 1 + len(self.variations_)], self.random_state)
        network.register_buffer("spread", torch.ones(self.n_features_in_))
        return network

    def _prepare(self, network: nn.Module, data: tuple[torch.Tensor, ...]) -> None:
        network.spread.copy_(self.smear * data[0].std(0))
        if len(data) > 1:
            network.shown = tuple(t[: self.chunk] for t in data)

    def _varied(self, network: nn.Module, X: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        noise = torch.randn(X.shape, generator=generator, dtype=torch.float32).to(X)
        return X + network.spread * noise

    def _loss(self, network: nn.Module, batch: Any, generator: torch.Generator) -> torch.Tensor:
        X, *twins = batch if isinstance(batch, tuple) else (batch,)
        output = network.autoencoder(X)
        auto = nn.functional.mse_loss(output, X)
        if not twins and network.shown is not None:  # background held back: its twins are not known
            with torch.no_grad():
                scores = torch.stack([self._event_scores(network, x) for x in network.shown])
            return auto + self.alpha * information(scores)
        twins = twins or [self._varied(network, X, generator)]
        # the nominal events alone: with alpha = 0 their gradient must be that of the plain autoencoder to the last bit
        varied = self._event_scores(network, torch.cat(twins)).reshape(len(twins), -1)
        scores = torch.cat([(output - X).square().mean(1)[None], varied])
        back = scores.detach() - self.alpha * (scores - scores.detach())  # the scores, their gradient reversed
        answers = network.adversary(_seen(back))
        truth = torch.arange(len(scores), device=scores.device).repeat_interleave(scores.shape[1])
        fooled = nn.functional.cross_entropy(answers, truth)
        return auto + self.alpha * information(scores.detach()) + (fooled - fooled.detach())

    def _event_scores(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return (network.autoencoder(batch) - batch).square().mean(1)

    def _told(self, data: tuple[torch.Tensor, ...]) -> dict[str, Any]:
        """What the scores of the variations tell at the end."""
        network, here = self.network_, next(self.network_.parameters()).device
        data = tuple(t.to(here) for t in data)
        if len(data) == 1:
            data += (self._varied(network, data[0], torch.Generator().manual_seed(self.random_state)),)
        with torch.no_grad():
            scores = torch.stack([self._event_scores(network, t) for t in data])
            answers = network.adversary(_seen(scores)).argmax(1).reshape(scores.shape)
        truth = torch.arange(len(scores), device=here)[:, None]
        shift = (scores[1:].mean(1) - scores[0].mean()) / scores[0].std().clamp_min(torch.finfo(scores.dtype).tiny)
        return {"adversary_accuracy": float((answers == truth).double().mean()), "chance": 1 / len(scores),
                "information": float(information(scores)), "most_information": math.log(len(scores)),
                "shift": dict(zip(self.variations_, shift.tolist(), strict=True))}


class _Opponents(nn.Module):
    """Autoencoder and adversary, under one optimiser."""

    #: Training events and their twins, by which the adversary is judged; none if the events are smeared here.
    shown: tuple[torch.Tensor, ...] | None = None


def _seen(scores: torch.Tensor) -> torch.Tensor:
    """What the adversary sees of scores ``(k, n)``: ``(k n, 1)``, logarithms in standard deviations of the batch."""
    logs = (scores + 1e-12).log()
    known = logs.detach()
    return ((logs - known.mean()) / known.std().clamp_min(1e-6)).reshape(-1, 1)


def information(scores: torch.Tensor) -> torch.Tensor:
    """Mutual information [nats] of variation and score, from scores ``(k, n)`` counted in bins of equal content.

    0 to ln k. For independent events the mean of the estimate lies (bins - 1)(k - 1)/2kn too high; for twins, which fluctuate
    together, less.
    """
    k, n = scores.shape
    bins = min(BINS, max(1, n // LEAST))
    flat = scores.reshape(-1).double().contiguous()
    edges = flat.sort().values[[round(i * k * n / bins) for i in range(1, bins)]]
    which = torch.bucketize(flat, edges, right=True).reshape(k, n) + bins * torch.arange(k, device=flat.device)[:, None]
    p = torch.bincount(which.reshape(-1), minlength=bins * k).reshape(k, bins).double() / (k * n)
    return (torch.xlogy(p, p) - torch.xlogy(p, p.sum(0) / k)).sum().to(scores.dtype)
