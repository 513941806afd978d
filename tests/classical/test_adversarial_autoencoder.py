"""The adversarial autoencoder: the plain one at alpha = 0, robust beyond, and a judge of what a score tells."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from classical.adversarial_autoencoder import BINS, OWN, AdversarialAutoencoder, _seen, information
from classical.dense_autoencoder import DenseAutoencoder
from classical.pca import PCA
from qad import load, save
from qad.errors import InputError
from qad.metrics import auc

FAST = {"hidden": (16,), "epochs": 30, "learning_rate": 5e-3, "random_state": 0}
MIXED = np.array([[1, 0, 0], [0, 1, 0], [0.7, 0.7, 0], [0.7, -0.7, 0], [0, 0, 1], [0, 0, 1]]).T


def toy(n, seed):
    """Six columns of three hidden numbers: 0 to 3 go together, and so do 4 and 5."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)) @ MIXED + 0.1 * rng.normal(size=(n, 6))


def smeared(X, seed):
    """Column 4 measured worse: away from column 5."""
    X = X.copy()
    X[:, 4] += 0.3 * np.random.default_rng(seed).normal(size=len(X))
    return X


@pytest.fixture(scope="module")
def events():
    background, test, signal = toy(1500, 0), toy(1500, 1), toy(1500, 2)
    signal[:, 2] += 0.7  # away from columns 0 and 1: nothing that the smearing touches
    return {"train": background, "twins": {"worse": smeared(background, 3)}, "held": toy(500, 4), "test": test,
            "worse": smeared(test, 5), "signal": signal}


@pytest.mark.parametrize("given", ["twins", "own"])
@pytest.mark.parametrize("held", [True, False])
def test_without_the_adversary_it_is_the_plain_autoencoder(events, given, held):
    settings = {"hidden": (16,), "epochs": 6, "patience": 2, "random_state": 7}
    known = {"validation": events["held"] if held else None}
    plain = DenseAutoencoder(**settings).fit(events["train"], **known)
    mine = AdversarialAutoencoder(alpha=0, **settings)
    mine.fit(events["train"], **known, twins=events["twins"] if given == "twins" else None)
    for name, weights in plain.network_.state_dict().items():
        assert torch.equal(weights, mine.network_.autoencoder.state_dict()[name])
    np.testing.assert_array_equal(plain.anomaly_score(events["test"]), mine.anomaly_score(events["test"]))
    assert plain.diagnostics_["history"]["validation"] == mine.diagnostics_["history"]["validation"]
    assert plain.diagnostics_["history"]["train"] == mine.diagnostics_["history"]["train"]
    assert plain.parameters_ == mine.parameters_
    another = AdversarialAutoencoder(alpha=1, **settings).fit(events["train"], **known, twins=events["twins"])
    assert not np.array_equal(another.anomaly_score(events["test"]), mine.anomaly_score(events["test"]))


@pytest.fixture(scope="module")
def fitted(events):
    return {alpha: AdversarialAutoencoder(alpha=alpha, **FAST).fit(events["train"], validation=events["held"],
                                                                   twins=events["twins"]) for alpha in (0, 10)}


def test_the_adversary_makes_it_robust(events, fitted):
    seen = {}
    for alpha, model in fitted.items():
        nominal, worse, signal = (model.anomaly_score(events[k]) for k in ("test", "worse", "signal"))
        threshold = np.quantile(nominal, 0.95)
        seen[alpha] = {"ks": ks_2samp(nominal, worse).statistic, "shift": (worse.mean() - nominal.mean()) / nominal.std(),
                       "background": (worse > threshold).mean(), "auc": auc(nominal, signal)}
    assert seen[0]["ks"] > 0.15 and seen[10]["ks"] < 0.4 * seen[0]["ks"]
    assert abs(seen[10]["shift"]) < 0.3 * abs(seen[0]["shift"])
    assert abs(seen[10]["background"] - 0.05) < 0.3 * abs(seen[0]["background"] - 0.05)
    assert seen[10]["auc"] > 0.7


def test_it_tells_how_robust_it_is(events, fitted):
    told = {alpha: model.diagnostics_["systematics"] for alpha, model in fitted.items()}
    for alpha, model in fitted.items():
        nominal, worse = model.anomaly_score(events["train"]), model.anomaly_score(events["twins"]["worse"])
        scores = torch.as_tensor(np.stack([nominal, worse]))
        assert told[alpha]["information"] == pytest.approx(float(information(scores)))
        assert told[alpha]["shift"]["worse"] == pytest.approx((worse.mean() - nominal.mean()) / nominal.std(ddof=1))
        with torch.no_grad():
            answers = model.network_.adversary(_seen(scores)).argmax(1).numpy()
        assert told[alpha]["adversary_accuracy"] == pytest.approx((answers == np.repeat([0, 1], len(nominal))).mean())
        assert told[alpha]["chance"] == 0.5 and told[alpha]["most_information"] == pytest.approx(math.log(2))
        assert told[alpha]["source"] == "twins" and told[alpha]["left_out"] == []
    # the adversary of alpha = 0 watches: it learns, and is not heeded
    assert told[0]["adversary_accuracy"] > 0.57 > told[10]["adversary_accuracy"]
    history = fitted[10].diagnostics_["history"]
    assert min(history["validation"]) == history["validation"][history["best_epoch"]]


def test_without_twins_it_smears_its_own_events(events):
    model = AdversarialAutoencoder(alpha=10, smear=0.3, **FAST).fit(events["train"], validation=events["held"])
    told = model.diagnostics_["systematics"]
    assert told["source"].startswith("own inputs smeared by 0.3") and list(told["shift"]) == [OWN]
    np.testing.assert_allclose(model.network_.spread.numpy(), 0.3 * events["train"].std(0, ddof=1), rtol=1e-5)
    plain = AdversarialAutoencoder(alpha=0, smear=0.3, **FAST).fit(events["train"], validation=events["held"])
    worse = events["test"] + 0.3 * events["test"].std(0) * np.random.default_rng(0).normal(size=events["test"].shape)
    moved = [ks_2samp(m.anomaly_score(events["test"]), m.anomaly_score(worse)).statistic for m in (plain, model)]
    assert moved[1] < 0.7 * moved[0]


def test_twins_that_change_nothing_are_left_out(events):
    X, short = events["train"][:300], FAST | {"epochs": 2}
    given = {"nominal": X, "down": X.copy(), "up": events["twins"]["worse"][:300]}
    all_three, one = AdversarialAutoencoder(**short).fit(X, twins=given), AdversarialAutoencoder(**short).fit(
        X, twins={"up": given["up"]})
    assert all_three.variations_ == ["up"]
    assert all_three.diagnostics_["systematics"]["left_out"] == ["nominal", "down"]
    np.testing.assert_array_equal(all_three.anomaly_score(X), one.anomaly_score(X))
    with pytest.raises(InputError, match="nothing to be robust against"):
        AdversarialAutoencoder(**short).fit(X, twins={"down": X})


@pytest.mark.parametrize("seed", [0, 1])
def test_information_of_a_score(seed):
    """Closed forms: 0 for scores that are alike, ln k for scores apart, that of two Gaussians between."""
    rng = np.random.default_rng(seed)
    x = torch.as_tensor(rng.normal(size=20_000))
    assert information(torch.stack([x, x, x])) == pytest.approx(0, abs=1e-12)
    assert float(information(torch.stack([x, x + 100]))) == pytest.approx(math.log(2), abs=1e-12)
    y = torch.as_tensor(rng.normal(size=20_000))
    grid = np.linspace(-12, 14, 20_001)
    p, q = (np.exp(-((grid - m) ** 2) / 2) / np.sqrt(2 * np.pi) for m in (0, 1))
    exact = 0.5 * np.trapezoid(p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q)), grid)
    assert float(information(torch.stack([x, y + 1]))) == pytest.approx(exact, rel=0.05)
    # no information between independent equals but the bias of counting, (bins - 1)(k - 1)/2kn; monotone maps change nothing
    assert float(information(torch.stack([x, y]))) < 3 * (BINS - 1) / (4 * 20_000)
    assert float(information(torch.stack([x, y + 1]).exp())) == pytest.approx(float(information(torch.stack([x, y + 1]))))
    assert float(information(torch.stack([x, y + 1])[:, :20])) == 0  # too few to count


def test_the_gradient_is_reversed_for_the_autoencoder_alone(events):
    model = AdversarialAutoencoder(alpha=3.0, epochs=0, **{k: v for k, v in FAST.items() if k != "epochs"})
    model.fit(events["train"], twins=events["twins"])
    network = model.network_
    X, worse = (torch.as_tensor(x[:200]) for x in (events["train"], events["twins"]["worse"]))
    model._loss(network, (X, worse), torch.Generator()).backward()
    mine = {n: p.grad.clone() for n, p in network.named_parameters()}
    for weights in network.parameters():
        weights.grad = None
    scores = torch.stack([model._event_scores(network, x) for x in (X, worse)])
    answers = network.adversary(_seen(scores))
    fooled = torch.nn.functional.cross_entropy(answers, torch.arange(2).repeat_interleave(200))
    auto = scores[0].mean()
    adversary, autoencoder = (list(getattr(network, n).parameters()) for n in ("adversary", "autoencoder"))
    wanted = [*torch.autograd.grad(auto - 3 * fooled, autoencoder, retain_graph=True), *torch.autograd.grad(fooled, adversary)]
    for (name, _), gradient in zip([*network.autoencoder.named_parameters(prefix="autoencoder"),
                                    *network.adversary.named_parameters(prefix="adversary")], wanted, strict=True):
        torch.testing.assert_close(mine[name], gradient, msg=name)


def test_training_goes_on_after_a_kill_and_is_saved(events, tmp_path):
    X, twins = events["train"][:300], {"up": events["twins"]["worse"][:300]}
    whole = AdversarialAutoencoder(**FAST | {"epochs": 6}).fit(X, twins=twins)

    class Killed(Exception):
        pass

    def stop(done, planned):
        if done == 3:
            raise Killed

    settings = FAST | {"epochs": 6, "checkpoint": str(tmp_path / "c")}
    broken = AdversarialAutoencoder(**settings)
    broken.progress = stop
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QAD_CHECKPOINT_SECONDS", "0")
        with pytest.raises(Killed):
            broken.fit(X, twins=twins)
    with pytest.raises(InputError, match="other settings or events"):
        AdversarialAutoencoder(**settings).fit(X, twins={"up": X + 1})
    resumed = AdversarialAutoencoder(**settings).fit(X, twins=twins)
    np.testing.assert_array_equal(resumed.anomaly_score(X), whole.anomaly_score(X))
    save(whole, tmp_path / "model")
    back = load(tmp_path / "model")
    np.testing.assert_array_equal(back.anomaly_score(X), whole.anomaly_score(X))
    assert back.variations_ == ["up"] and back.diagnostics_ == whole.diagnostics_


def test_wrong_twins_are_told(events):
    X = events["train"][:50]
    bad = X.copy()
    bad[3, 0] = np.inf
    for twins, words in (({"up": X[:49]}, r"twins\['up'\] as numbers of shape \(50, 6\)"), ({"up": bad}, "1 of 50 events of"),
                         ([X], "mapping from names to arrays"), ({"up": X.astype(str)}, "as numbers of shape")):
        with pytest.raises(InputError, match=words):
            AdversarialAutoencoder().fit(X, twins=twins)
    with pytest.raises(InputError, match="makes no use of systematic twins"):
        PCA().fit(X, twins={"up": X})


@pytest.mark.parametrize("wrong", [{"alpha": -1}, {"alpha": np.nan}, {"smear": 0}, {"adversary": 8}, {"hidden": [0]},
                                   {"latent": 0}, {"alpha": True}])
def test_settings_out_of_range_are_told(events, wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))}="):
        AdversarialAutoencoder(**wrong).fit(events["train"][:50])
