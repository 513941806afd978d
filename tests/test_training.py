"""The torch loop: what is kept, when it stops, and that a killed training goes on with the same bits."""

import numpy as np
import pytest
import torch

from qad.errors import InputError
from qad.quantum.optimizers import QNSPSA, NaturalGradient, QBang
from qad.training import Checkpoint, train

TARGET = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def parabola(w):
    return ((w - TARGET) ** 2).sum()


def weights():
    return torch.zeros(3, dtype=torch.float64, requires_grad=True)


def test_the_best_weights_are_kept_and_belong_to_their_loss():
    w = weights()
    history = train([w], lambda _: parabola(w), epochs=30, learning_rate=0.4, patience=100)
    assert parabola(w).item() == pytest.approx(min(history.train))
    assert history.train[history.best_epoch] == min(history.train)


def test_patience_and_tolerance():
    w = weights()
    history = train([w], lambda _: parabola(w) * 0 + 1, epochs=50, learning_rate=0.1, patience=4)
    assert len(history.train) == 5  # one that improves on infinity, four that do not
    data = torch.zeros(10, 3, dtype=torch.float64)
    history = train([w], lambda batch: 1 + 0 * (w * batch).sum(), epochs=50, learning_rate=0.1, patience=4, data=data,
                    batch_size=4)
    assert len(history.train) == 5
    with pytest.raises(InputError, match="the loss became nan in epoch 1: take a learning_rate below"):
        train([w], lambda _: parabola(w) * float("nan"), epochs=3, learning_rate=0.1)
    w = weights()
    with pytest.raises(InputError, match="held back was never finite, at the end inf: look for extreme"):
        train([w], lambda _: parabola(w), epochs=3, learning_rate=0.1, validation=lambda: torch.tensor(float("inf")))
    judged = iter([float("nan"), 2.0, float("inf")])
    assert train([w], lambda _: parabola(w), epochs=3, learning_rate=0.1, validation=lambda: torch.tensor(next(judged))
                 ).best_epoch == 1
    w, told = weights(), []
    train([w], lambda _: parabola(w), epochs=3, learning_rate=0.1, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


OPTIMISERS = {
    "adam": lambda w: torch.optim.Adam([w], lr=0.1),
    "momentum": lambda w: torch.optim.SGD([w], lr=0.02, momentum=0.9),
    "natural": lambda w: NaturalGradient([w], lambda: torch.eye(3, dtype=torch.float64), lr=0.1, momentum=0.5),
    "qbang": lambda w: QBang([w], lambda: torch.diag(torch.tensor([1.0, 2.0, 3.0])).double() + 0.3, lr=0.1),
    "random": lambda w: QNSPSA([w], lambda a, b: 1 - ((a - b) ** 2).sum(), lr=0.05, seed=3),
}


class Killed(Exception):
    pass


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("batches", [False, True])
def test_killed_anywhere_it_goes_on_with_the_same_bits(name, batches, tmp_path):
    data = torch.tensor(np.random.default_rng(0).normal(size=(40, 3))) if batches else None

    def run(checkpoint=None, kill_at=None):
        w = weights()
        done = [0]

        def loss(batch):
            done[0] += 1
            if done[0] == kill_at:
                raise Killed
            return parabola(w) if batch is None else ((w - batch) ** 2).sum(1).mean()

        history = train([w], loss, epochs=12, learning_rate=0.1, data=data, batch_size=16, seed=5, patience=100,
                        optimizer=OPTIMISERS[name](w), checkpoint=checkpoint)
        return w.detach(), history

    expected, history = run()
    checkpoint = Checkpoint(tmp_path / "c", "key", every=0.0)
    for kill_at in (7, 4):
        with pytest.raises(Killed):
            run(checkpoint, kill_at)
    resumed, told = run(checkpoint)
    assert torch.equal(resumed, expected) and told == history
    assert not list(tmp_path.glob(".*.tmp"))


def test_noise_and_buffers_go_on_with_the_same_bits(tmp_path):
    """A loss that draws, and a running mean that it keeps and reads."""
    data = torch.tensor(np.random.default_rng(0).normal(size=(40, 3)))

    def run(checkpoint=None, kill_at=None, resumed=True):
        w, mean, noise = weights(), torch.zeros(3, dtype=torch.float64), torch.Generator().manual_seed(1)

        def loss(batch):
            mean.mul_(0.9).add_(0.1 * batch.mean(0))
            return ((w - batch + 0.1 * torch.randn(batch.shape, generator=noise)) ** 2).sum(1).mean() + (w * mean).sum()

        def stop(done, planned):
            if done == kill_at:
                raise Killed

        more = {"buffers": [mean], "generator": noise} if resumed else {}
        history = train([w], loss, epochs=9, learning_rate=0.1, data=data, batch_size=16, patience=100, checkpoint=checkpoint,
                        progress=stop, **more)
        return torch.cat([w.detach(), mean]), history

    expected, history = run()
    for resumed in (True, False):
        checkpoint = Checkpoint(tmp_path / str(resumed), "key", every=0.0)
        for kill_at in (2, 5):
            with pytest.raises(Killed):
                run(checkpoint, kill_at, resumed)
        found, told = run(checkpoint, resumed=resumed)
        assert (torch.equal(found, expected) and told == history) is resumed
    with pytest.raises(InputError, match="of another network"):
        run(Checkpoint(tmp_path / "True", "key", every=0.0), resumed=False)


def test_another_training_s_checkpoint_is_refused(tmp_path):
    w = weights()
    train([w], lambda _: parabola(w), epochs=3, learning_rate=0.1, checkpoint=Checkpoint(tmp_path / "c", "a", 0.0))
    with pytest.raises(InputError, match="other settings or events; delete it"):
        train([w], lambda _: parabola(w), epochs=3, learning_rate=0.1, checkpoint=Checkpoint(tmp_path / "c", "b", 0.0))
    larger = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    with pytest.raises(InputError, match="of another network"):
        train([larger], lambda _: larger.sum(), epochs=3, learning_rate=0.1, checkpoint=Checkpoint(tmp_path / "c", "a", 0.0))
    with pytest.raises(InputError, match="make it first"):
        Checkpoint(tmp_path / "nowhere" / "c", "a")
    (tmp_path / "c").write_bytes(b"\x80\x04garbage")
    with pytest.raises(InputError, match="is no checkpoint"):
        train([w], lambda _: parabola(w), epochs=3, learning_rate=0.1, checkpoint=Checkpoint(tmp_path / "c", "a", 0.0))


def test_several_tensors_are_cut_alike_and_gradients_clipped():
    x = torch.arange(40, dtype=torch.float64)[:, None].repeat(1, 3)
    seen = []

    def loss(batch):
        a, b = batch
        assert torch.equal(a[:, 0] * 2, b)
        seen.append(len(a))
        return ((w - a) ** 2).sum() * 1e6

    w = weights()
    train([w], loss, data=(x, 2 * x[:, 0]), epochs=1, learning_rate=0.1, batch_size=16, clip=1e-3,
          optimizer=torch.optim.SGD([w], lr=1.0))
    assert sorted(seen) == [8, 16, 16]
    assert w.detach().abs().max() <= 3e-3  # three steps of norm 1e-3 at most
    with pytest.raises(InputError, match="same number of events"):
        train([w], loss, data=(x, x[:5]), epochs=1, learning_rate=0.1)
    with pytest.raises(InputError, match="precision='half'"):
        train([w], loss, epochs=1, learning_rate=0.1, precision="half")


def test_the_best_epoch_has_its_own_buffers():
    """Running means belong to the weights they were learnt with, not to the last epoch's."""
    w, seen = weights(), torch.zeros(1)

    def loss(_):
        seen.add_(1)
        return parabola(w) * (1 if seen < 4 else 100)  # worse from the fourth epoch on

    history = train([w], loss, epochs=6, learning_rate=0.1, patience=10, buffers=[seen],
                    validation=lambda: parabola(w) + seen**2 / 9)
    assert history.best_epoch < 5 and seen.item() == history.best_epoch + 1
