"""Jets per second in the training of JetCLR: this project and the public code, same network, jets, batches and augmentations.

    git clone https://github.com/bmdillon/JetCLR reference                            # arXiv:2108.04253
    python docs/scripts/contrastive_speed.py --reference reference [--size published] [--threads 1 2] [--device cuda]

Both sides train on the same simulated jets, QCD and top in equal parts, batches of 128, 50 particles given to the network:
rotation and translation of both views, two rounds of collinear splitting and soft smearing of the second, NT-Xent, Adam. The
public code crops its jets first, this project when a view is made. ``small``: width 64, four heads, two blocks, feed-forward
128; ``published``: width 1000, four heads, four blocks, feed-forward 1000, dropout 0.1. The steps of the public code are those
of its ``run_jetclr.py``, with pT/600 (without that number its function stops) and with the device, not the number of a GPU,
given to its loss, so that it runs on a CPU; its figures of every tenth epoch are left out. Epochs of the two sides alternate;
printed are medians, jets per second of processor time and of wall time, and the share of the augmentations (on both sides
until the network is called) in the processor time. This project trains in float32, as the public code, and once more with
``precision="bfloat16"``. The public code is not part of this project.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

from qad.contrastive import nt_xent
from qad.representations.jetclr import JetCLR
from qad.simulation import simulate_jets
from qad.training import train

BATCH, PARTICLES, SCALE, TEMPERATURE, RATE = 128, 50, 600.0, 0.1, 5e-5
PUBLIC = "JetCLR"
SIZES = {
    "small": ({"width": 64, "heads": 4, "blocks": 2, "feed": 128, "head": (64, 64), "dropout": 0.0}, 4096, 7),
    "published": ({"width": 1000, "heads": 4, "blocks": 4, "feed": 1000, "head": (1000, 1000), "dropout": 0.1}, 256, 3),
}


class Watch:
    """Processor and wall seconds, and what of the former goes into augmentations."""

    def __init__(self, device):
        self.device, self.augmenting = device, 0.0

    def now(self):
        if self.device == "cuda":
            torch.cuda.synchronize()
        return np.array([time.process_time(), time.perf_counter()])

    def augments(self, begun):
        self.augmenting += (self.now() - begun)[0]


def ours(jets, sizes, watch, precision):
    model = JetCLR(n_particles=PARTICLES, pt_scale=SCALE, temperature=TEMPERATURE, **sizes)
    model._learn(jets)
    network, views = model._encoder().to(watch.device), model._views()
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, lr=RATE)
    data, noise = torch.as_tensor(jets, device=watch.device), torch.Generator(watch.device).manual_seed(0)

    def loss(x):  # as Contrastive._fit has it
        begun = watch.now()
        with torch.no_grad():
            seen = model._columns(torch.cat(views(x, noise)))
        watch.augments(begun)
        return nt_xent(*network(seen).float().chunk(2), TEMPERATURE)

    return network, lambda: train(parameters, loss, data=data, epochs=1, batch_size=BATCH, learning_rate=RATE,
                                  optimizer=optimizer, precision=precision)


def theirs(jets, sizes, watch, folder):
    sys.path.insert(0, str(folder / "scripts"))
    from modules.jet_augs import collinear_fill_jets, distort_jets, rescale_pts, rotate_jets, translate_jets
    from modules.losses import contrastive_loss
    from modules.transformer import Transformer

    if watch.device == "cpu":
        torch.Tensor.get_device = lambda self: self.device
    network = Transformer(3, sizes["width"], sizes["head"][-1], sizes["heads"], sizes["feed"], sizes["blocks"], RATE,
                          n_head_layers=len(sizes["head"]), dropout=sizes["dropout"]).to(watch.device)
    data = jets[:, :PARTICLES].transpose(0, 2, 1)  # cropped first, as it does

    def epoch():
        for chosen in torch.split(torch.randperm(len(data)), BATCH):
            network.optimizer.zero_grad()
            begun = watch.now()
            first = rotate_jets(data[chosen])
            second = rotate_jets(first.copy())
            second = collinear_fill_jets(collinear_fill_jets(second))
            second = distort_jets(second, strength=0.1, pT_clip_min=0.1)
            second, first = translate_jets(second, width=1.0), translate_jets(first, width=1.0)
            x, y = (torch.Tensor(rescale_pts(v, SCALE)).transpose(1, 2).to(watch.device) for v in (first, second))
            watch.augments(begun)
            loss = contrastive_loss(network(x, use_continuous_mask=True), network(y, use_continuous_mask=True), TEMPERATURE)
            loss.backward()
            network.optimizer.step()
            if not np.isfinite(loss.detach().cpu().numpy()):
                raise SystemExit("the public code's loss is not finite")

    return network, epoch


def compare(name, sides, n_jets, epochs):
    seconds = {side: [] for side in sides}
    for i in range(epochs + 1):
        for side, (watch, epoch) in sides.items():
            watch.augmenting, begun = 0.0, watch.now()
            epoch()
            if i:  # the first warms up
                processor, wall = watch.now() - begun
                seconds[side].append((processor, wall, watch.augmenting / processor))
    found = {side: [statistics.median(column) for column in zip(*rows, strict=True)] for side, rows in seconds.items()}
    for side, (processor, wall, share) in found.items():
        print(f"{name}  {side:14}  {n_jets / processor:9.1f} jets/s of processor time  {n_jets / wall:9.1f} of wall time  "
              f"augmentations {share:6.1%}", end="")
        if PUBLIC in found:
            print(f"   times the public code {found[PUBLIC][0] / processor:5.2f}, {found[PUBLIC][1] / wall:5.2f}", end="")
        print(flush=True)


def simulated(n):
    """Jets ``(n, 150, 3)`` = pT [GeV], Δη, Δφ [rad], both kinds mixed."""
    jets = np.concatenate([JetCLR(n_particles=PARTICLES)._events(simulate_jets(p, n // 2, seed=1)) for p in ("qcd", "top")])
    return np.random.default_rng(0).permutation(jets)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--jets", type=int, help="of an epoch")
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args()
    sizes, n_jets, epochs = SIZES[given.size]
    n_jets, epochs = given.jets or n_jets, given.epochs or epochs
    jets = simulated(n_jets)
    taken = (jets[..., 0] > 0).sum(1)
    print(f"{len(jets)} jets of {taken.mean():.1f} particles, {given.device}, torch {torch.__version__}", flush=True)
    for threads in given.threads:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        made = {"this project": (ours, "float32"), "this, bfloat16": (ours, "bfloat16")}
        if given.reference:
            made[PUBLIC] = (theirs, given.reference)
        sides, count = {}, set()
        for side, (build, how) in made.items():
            watch = Watch(given.device)
            network, epoch = build(jets, sizes, watch, how)
            sides[side] = (watch, epoch)
            count.add(sum(p.numel() for p in network.parameters()))
        if len(count) != 1:
            raise SystemExit(f"the networks have different sizes: {count}")
        print(f"{given.size}: {count.pop():,} parameters", flush=True)
        compare(f"{threads} thread{'s' * (threads > 1)}", sides, n_jets, epochs)


if __name__ == "__main__":
    main()
