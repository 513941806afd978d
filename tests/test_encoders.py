"""The set transformer: torch's own layers as judge, and the symmetries that it claims."""

import pytest
import torch
from torch import nn

from qad.encoders import Block, SetTransformer


@pytest.fixture
def jets():
    torch.manual_seed(0)
    x = torch.rand(6, 9, 3, dtype=torch.float64) - 0.5
    x[..., 0] = x[..., 0].abs() + 0.01
    x[2:, 6:] = 0
    return x


def network(**settings):
    torch.manual_seed(1)
    return SetTransformer(3, 16, 4, 2, 24, (8, 5), **settings).double().train(False)


def test_block_is_torch_s_own_layer():
    torch.manual_seed(2)
    ours, theirs = Block(16, 4, 24, 0.0).double(), nn.TransformerEncoderLayer(16, 4, 24, 0.0, batch_first=True).double()
    names = {"self_attn.in_proj_weight": "query_key_value.weight", "self_attn.in_proj_bias": "query_key_value.bias",
             "self_attn.out_proj.weight": "join.weight", "self_attn.out_proj.bias": "join.bias", "linear1.weight": "up.weight",
             "linear1.bias": "up.bias", "linear2.weight": "down.weight", "linear2.bias": "down.bias",
             "norm1.weight": "first.weight", "norm1.bias": "first.bias", "norm2.weight": "second.weight",
             "norm2.bias": "second.bias"}
    theirs.load_state_dict({a: ours.state_dict()[b] for a, b in names.items()})
    x, bias = torch.randn(3, 7, 16, dtype=torch.float64), torch.randn(3, 7, dtype=torch.float64)
    mask = bias[:, None, None].expand(3, 4, 7, 7).reshape(12, 7, 7)
    torch.testing.assert_close(ours(x, bias[:, None, None]), theirs(x, src_mask=mask))


@pytest.mark.parametrize("infrared_safe", [True, False])
class TestSymmetry:
    def test_permutation_and_padding(self, infrared_safe, jets):
        net = network(infrared_safe=infrared_safe)
        z = net(jets)
        torch.testing.assert_close(net(jets[:, torch.randperm(9)]), z)
        torch.testing.assert_close(net(nn.functional.pad(jets, (0, 0, 0, 4))), z)
        torch.testing.assert_close(torch.cat([net(x[None]) for x in jets]), z)
        assert (z[0] - z[1]).abs().max() > 1e-6

    def test_gradients_are_finite_without_particles(self, infrared_safe, jets):
        net = network(infrared_safe=infrared_safe)
        x = torch.cat([jets[:2], torch.zeros(1, 9, 3, dtype=torch.float64)])
        z = net(x)
        assert torch.isfinite(z).all()
        z.sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_infrared_safe(jets):
    """A particle without pT changes nothing, wherever it lies; the less pT, the less it changes."""
    net = network().requires_grad_(False)
    z, moves = net(jets[2:]), []
    for pt in (1e-2, 1e-6, 1e-10):
        x = jets[2:].clone()
        x[:, 7] = torch.tensor([pt, 0.4, -0.3])
        moves.append(float((net(x) - z).abs().max()))
    assert moves[0] > moves[1] > moves[2] and moves[2] < 1e-4
    hard = network(infrared_safe=False)
    assert (hard(x) - hard(jets[2:])).abs().max() > 1e-2  # the other one sees it


def test_layers_of_the_head(jets):
    net = network()
    assert [net(jets, read).shape[1] for read in (0, 1, 2, -1)] == [16, 8, 5, 5]
    torch.testing.assert_close(net(jets, 2), net(jets))
    torch.testing.assert_close(net(jets, 1), net.head[0](net(jets, 0).relu()))


def test_mixed_precision_is_near(jets):
    net = network().float().train(True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = net(jets.float())
    torch.testing.assert_close(z.float(), net(jets.float()), rtol=0.1, atol=0.05)
