"""Contrastive losses against sums written out, and the sentence that each stands for."""

import math

import pytest
import torch

from qad import contrastive


@pytest.fixture
def views():
    torch.manual_seed(0)
    z = torch.randn(7, 5, dtype=torch.float64)
    return z, z + 0.3 * torch.randn_like(z), torch.randn_like(z)


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def written_out(z, view, temperature, positive, strange=None):
    """The loss as papers write it, a Python loop over every event and both views."""
    both = [*z, *view]
    n, total = len(z), 0.0
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        rivals = [k for k in range(2 * n) if k != i and (positive or k != j)]
        top = cosine(both[i], both[j])
        if strange is not None:
            top -= cosine(z[i % n], strange[i % n])
        total -= top / temperature - math.log(sum(math.exp(cosine(both[i], both[k]) / temperature) for k in rivals))
    return total / (2 * n)


@pytest.mark.parametrize("temperature", [0.1, 0.7])
def test_losses_are_what_papers_write(views, temperature):
    z, view, strange = views
    for found, wanted in (
        (contrastive.nt_xent(z, view, temperature), written_out(z, view, temperature, True)),
        (contrastive.decoupled(z, view, temperature), written_out(z, view, temperature, False)),
        (contrastive.anomalous(z, view, strange, temperature), written_out(z, view, temperature, False, strange)),
        (contrastive.anomalous_plus(z, view, strange, temperature),
         -sum(cosine(a, b) - cosine(a, c) for a, b, c in zip(z, view, strange, strict=True)) / len(z) / temperature),
    ):
        assert float(found) == pytest.approx(wanted, rel=1e-10)


def test_supervised_is_what_the_paper_writes(views):
    z, _, _ = views
    classes = torch.tensor([0, 0, 1, 1, 1, 2, 0])  # one event alone in its class
    total, count = 0.0, 0
    for i in range(7):
        positives = [p for p in range(7) if p != i and classes[p] == classes[i]]
        if not positives:
            continue
        rivals = math.log(sum(math.exp(cosine(z[i], z[k]) / 0.2) for k in range(7) if k != i))
        total -= sum(cosine(z[i], z[p]) / 0.2 - rivals for p in positives) / len(positives)
        count += 1
    assert float(contrastive.supervised(z, classes, 0.2)) == pytest.approx(total / count, rel=1e-10)


def test_two_classes_of_pairs_are_nt_xent(views):
    """Every event a class of its own, seen twice: the supervised loss is the unsupervised one."""
    z, view, _ = views
    classes = torch.arange(7).repeat(2)
    torch.testing.assert_close(contrastive.supervised(torch.cat([z, view]), classes, 0.1), contrastive.nt_xent(z, view, 0.1))


@pytest.mark.parametrize("name", [*contrastive.TWO, *contrastive.THREE])
def test_like_views_are_better_and_scale_does_not_matter(name, views):
    z, view, strange = views
    more = (strange,) if name in contrastive.THREE else ()
    loss = {**contrastive.TWO, **contrastive.THREE}[name]
    assert loss(z, z, *more) < loss(z, view, *more) < loss(z, view.flip(0), *more)
    torch.testing.assert_close(loss(3 * z, 0.1 * view, *more), loss(z, view, *more))
    leaves = [t.clone().requires_grad_() for t in (z, view, *more)]
    assert torch.autograd.gradcheck(lambda *t: loss(*t, temperature=0.5), leaves)


def test_strange_views_are_pushed_away(views):
    z, view, strange = views
    for loss in contrastive.THREE.values():
        assert loss(z, view, -z) < loss(z, view, strange) < loss(z, view, z)


def test_without_rivals_events_do_not_meet(views):
    z, view, strange = views
    whole = contrastive.anomalous_plus(z, view, strange)
    parts = torch.stack([contrastive.anomalous_plus(*(t[i : i + 1] for t in views)) for i in range(7)])
    torch.testing.assert_close(whole, parts.mean())


def test_alignment_and_uniformity(views):
    z, view, _ = views
    assert float(contrastive.alignment(z, 2 * z)) == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(contrastive.alignment(z, view), (2 - 2 * contrastive.COSINE.pairs(z, view)).mean())
    assert float(contrastive.uniformity(z[:1].repeat(4, 1))) == pytest.approx(0, abs=1e-12)
    two = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert float(contrastive.uniformity(two)) == pytest.approx(-8)
