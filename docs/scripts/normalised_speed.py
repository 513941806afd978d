"""Seconds per epoch of training a normalised autoencoder: this project and public code, same network, events and steps.

    git clone https://github.com/heidelberg-hepml/normalized-autoencoders reference     # arXiv:2206.14225
    python docs/scripts/normalised_speed.py --reference reference [--wasserstein wnae]

Both sides train the same dense network 9-64-64-3-64-64-9 on the same 4,096 events in batches of 256, with ten Langevin steps in
the latent space and ten among events, all chains of a step begun on the manifold, both with Metropolis-Hastings. Epochs of the
two sides alternate, on one thread; printed are medians of processor seconds and their ratio. ``--wasserstein`` names a folder
with the package wnae (arXiv:2510.02168): ten steps among events, persistent chains, gradients through them. Neither public code
is part of this project.
"""

import argparse
import statistics
import sys
import time
import types
from pathlib import Path

import torch
from torch import nn

from qad.energy import OnManifold, train_energy

EVENTS, COLUMNS, LATENT, BATCH, STEPS = 4096, 9, 3, 256, 10


def layers(seed):
    torch.manual_seed(seed)
    return (nn.Sequential(nn.Linear(COLUMNS, 64), nn.LeakyReLU(), nn.Linear(64, 64), nn.LeakyReLU(), nn.Linear(64, LATENT)),
            nn.Sequential(nn.Linear(LATENT, 64), nn.LeakyReLU(), nn.Linear(64, 64), nn.LeakyReLU(), nn.Linear(64, COLUMNS)))


class Network(nn.Module):
    latent = LATENT

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = layers(1)

    def decode(self, z):
        return self.decoder(z)

    def energy(self, u):
        return (u - self.decoder(nn.functional.normalize(self.encoder(u), dim=1))).square().mean(1)


def ours(data, restart, loss):
    network, log_beta = Network(), torch.tensor(2.0)
    low, high = data.amin(0) - 1, data.amax(0) + 1
    model = OnManifold(network, log_beta, low, high, chains=BATCH, steps=STEPS, latent_steps=STEPS if restart else 0,
                       restart=restart, through=loss == "wasserstein", penalty=1.0, seed=0, points=data, jumps=0.0)
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, lr=1e-5)
    return lambda: train_energy(parameters, lambda u: network.energy(u).mean(), model, log_beta=log_beta, loss=loss, data=data,
                                epochs=1, batch_size=BATCH, learning_rate=1e-5, optimizer=optimizer)


def batches(data, step):
    def epoch():
        for chosen in torch.randperm(len(data)).split(BATCH):
            step(data[chosen])
    return epoch


def theirs(data, folder):
    sys.path.insert(0, str(folder))
    for name in ("torchvision", "torchvision.utils"):  # it draws pictures that are not asked for here
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["torchvision.utils"].make_grid = None
    from models.nae import NAE

    encoder, decoder = layers(1)
    model = NAE(encoder, decoder, sampling="on_manifold", spherical=True, z_step=STEPS, x_step=STEPS, z_stepsize=None,
                z_noise_std=0.1, x_stepsize=None, x_noise_std=0.1, x_bound=None, z_bound=None, gamma=1, temperature=1.0,
                temperature_trainable=False, mh=True, mh_z=True, buffer_size=10000, replay=True, replay_ratio=0.95,
                initial_dist="gaussian")
    optimizer = torch.optim.Adam([*model.encoder.parameters(), *model.decoder.parameters()], lr=1e-5)
    return batches(data, lambda x: model.train_step(x, optimizer))


def theirs_wasserstein(data, folder):
    sys.path.insert(0, str(folder))
    from wnae import WNAE

    encoder, decoder = layers(1)
    model = WNAE(encoder, decoder, sampling="pcd", n_steps=STEPS, step_size=None, noise=0.2, temperature=0.05, bounds=(-3, 3),
                 mh=False, initial_distribution="gaussian", replay=True, replay_ratio=0.95, buffer_size=10000)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)

    def step(x):
        optimizer.zero_grad()
        model.train_step(x)[0].backward()
        optimizer.step()

    return batches(data, step)


def compare(name, sides, epochs):
    seconds = {side: [] for side in sides}
    for i in range(epochs + 1):
        for side, epoch in sides.items():
            begun = time.process_time()
            epoch()
            if i:  # the first warms up
                seconds[side].append(time.process_time() - begun)
    found = {side: statistics.median(times) for side, times in seconds.items()}
    last = list(found)[-1]
    for side, s in found.items():
        print(f"{name}  {side:34} {s:6.2f} s an epoch   public / this {found[last] / s:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--wasserstein", type=Path)
    parser.add_argument("--epochs", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = torch.randn(EVENTS, COLUMNS) @ torch.randn(COLUMNS, COLUMNS)
    data = (data - data.mean(0)) / data.std(0)
    sides = {"this project": ours(data, 1.0, "likelihood"), "this project, a tenth begun anew": ours(data, 0.1, "likelihood")}
    if given.reference:
        sides["normalized-autoencoders"] = theirs(data, given.reference)
    compare("likelihood ", sides, given.epochs)
    sides = {"this project": ours(data, 0.0, "wasserstein")}
    if given.wasserstein:
        sides["wnae"] = theirs_wasserstein(data, given.wasserstein)
    compare("wasserstein", sides, given.epochs)


if __name__ == "__main__":
    main()
