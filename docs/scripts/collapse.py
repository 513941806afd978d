"""A mode collapse that the ratio of energies hides and the Wasserstein distance shows: ``docs/benchmarks/collapse.md``.

    python docs/scripts/collapse.py --measure    trains, writes docs/benchmarks/collapse.json, and draws
    python docs/scripts/collapse.py              draws docs/benchmarks/collapse.png from it

Eight Gaussians on a circle. The same autoencoder is trained twice by the same trainer, from the same seed, T with it: fast,
with few steps of chains that neither begin anew nor jump, and slowly, with chains that do both.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from qad import networks
from qad.energy import OnManifold, train_energy, unconverged
from qad.transport import wasserstein

HERE = Path(__file__).parents[1] / "benchmarks"
EPOCHS, EVENTS, BATCH = 36, 4096, 256
CASES = {"fast, chains that stay": {"restart": 0.0, "jumps": 0.0, "steps": 1, "rate": 2e-2, "temperature": 1.0},
         "slow, chains that move between modes": {"restart": 0.1, "jumps": 0.1, "steps": 10, "rate": 1e-3,
                                                  "temperature": 0.02}}


def events(n: int, seed: int) -> torch.Tensor:
    """``(n, 2)`` of eight Gaussians of width 0.15 on a circle of radius 2."""
    rng = np.random.default_rng(seed)
    mode = rng.integers(8, size=n)
    centre = 2 * np.stack([np.cos(mode * np.pi / 4), np.sin(mode * np.pi / 4)], 1)
    return torch.as_tensor(centre + 0.15 * rng.standard_normal((n, 2)), dtype=torch.float32)


class Network(nn.Module):
    latent = 2

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = networks.dense([2, 128, 128, 2], 0, nn.SiLU), networks.dense([2, 128, 128, 2], 1, nn.SiLU)

    def encode(self, u):
        return nn.functional.normalize(self.encoder(u), dim=1)

    def decode(self, z):
        return self.decoder(z)

    def energy(self, u):
        return (u - self.decode(self.encode(u))).square().mean(1)


def trained(restart: float, jumps: float, steps: int, rate: float, temperature: float) -> dict:
    u, held = events(EVENTS, 1), events(512, 2)
    network, log_beta = Network(), torch.tensor(-math.log(temperature), requires_grad=True)
    rows = torch.randint(len(u), (512,), generator=torch.Generator().manual_seed(0))
    edge = torch.full((2,), 4.0)
    model = OnManifold(network, log_beta, -edge, edge, chains=BATCH, steps=steps, latent_steps=10 if restart else 0,
                       restart=restart, jumps=jumps, through=False, penalty=0.0, seed=0, points=u[rows])
    found = {"ratio": [], "distance": []}

    def notes() -> dict:
        with torch.no_grad():
            x = model.visible.points
            found["ratio"].append(float(network.energy(x).mean() / network.energy(held).mean()))
            found["distance"].append(float(wasserstein(held, x)))
        return {}

    train_energy([*network.parameters(), log_beta], lambda x: network.energy(x).mean(), model, log_beta=log_beta, data=u,
                 epochs=EPOCHS, batch_size=BATCH, learning_rate=rate, patience=EPOCHS, notes=notes)
    fresh = float(wasserstein(held, events(512, 3)))
    said = {"energy_ratio": found["ratio"][-1], "acceptance": model.visible.diagnostics["acceptance"],
            "wasserstein": found["distance"][-1], "wasserstein_fresh": fresh}
    return found | {"fresh": fresh, "temperature": math.exp(-float(log_beta.detach())), "events": model.visible.points.tolist(),
                    "problems": unconverged(said, True)}


def draw(found: dict) -> None:
    figure = Figure(figsize=(11, 8.4), layout="constrained")
    axes = figure.subplots(2, 2)
    data = events(1500, 4).numpy()
    for ax, (name, case), colour in zip(axes[0], found.items(), ("#d55e00", "#0072b2"), strict=True):
        x = np.array(case["events"])
        ax.scatter(*data.T, s=5, color="#bbbbbb", label="data")
        ax.scatter(*x.T, s=9, color=colour, alpha=0.6, label="the model's chains")
        ax.set(title=name, xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal", xlabel="x₁", ylabel="x₂")
        ax.legend(frameon=False, loc="center")
    for ax, key, label in ((axes[1, 0], "ratio", "E₋/E₊"), (axes[1, 1], "distance", "W₁ from the model's events to data")):
        for (name, case), colour in zip(found.items(), ("#d55e00", "#0072b2"), strict=True):
            ax.plot(range(1, len(case[key]) + 1), case[key], color=colour, linewidth=2, label=name)
        ax.set(xlabel="epoch", ylabel=label)
    axes[1, 0].axhspan(0.9, 1.1, color="#e8e8e8", zorder=0, label="taken for converged")
    axes[1, 0].set(ylim=(0, 2.5), title="The ratio of energies: both are about one")
    axes[1, 1].axhline(next(iter(found.values()))["fresh"], color="black", linestyle="--", linewidth=1, label="fresh data")
    axes[1, 1].set(ylim=(0, None), title="The distance: one model is not the data's")
    for ax in axes[1]:
        ax.legend(frameon=False)
    figure.savefig(HERE / "collapse.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    path = HERE / "collapse.json"
    if parser.parse_args().measure:
        path.write_text(json.dumps({name: trained(**settings) for name, settings in CASES.items()}))
    found = json.loads(path.read_text())
    draw(found)
    for name, case in found.items():
        ratio, distance = case["ratio"][-1], case["distance"][-1]
        print(f"{name}: E₋/E₊ {ratio:.2f}, W₁ {distance:.2f} (fresh data {case['fresh']:.2f})", case["problems"])


if __name__ == "__main__":
    main()
