"""What is drawn of a jet, an event, a row of features; and that labels can be read."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle
from matplotlib.text import Text
from scipy.stats import percentileofscore

from qad.data import Sample
from qad.data.kinematics import cartesian, invariant_mass
from qad.errors import InputError
from qad.report.display import KINDS, Event, Features, Jet, picture_of, show
from tests.conftest import toy_jets

LEVEL1 = ["met"] + ["e"] * 4 + ["mu"] * 4 + ["jet"] * 10


def level1(n, seed=0):
    """Events of 19 slots, filled at random and pT-descending in each kind."""
    rng = np.random.default_rng(seed)
    particles = np.zeros((n, 19, 4), np.float32)
    for event in particles:
        event[0] = [rng.exponential(40) + 5, 0, rng.uniform(-np.pi, np.pi), 0]
        for start, most in ((1, 4), (5, 4), (9, 10)):
            k = rng.integers(0, most + 1)
            event[start : start + k] = np.column_stack([np.sort(rng.exponential(40, k) + 8)[::-1], rng.uniform(-3, 3, k),
                                                        rng.uniform(-np.pi, np.pi, k), np.zeros(k)])
    return Sample(particles=particles, process="level1", extras={"event": np.arange(n)}, meta={"slots": LEVEL1})


def dijets(n, k=30):
    a, b = toy_jets(n, 1, particles=k), toy_jets(n, 2, prongs=3, particles=k)
    return Sample(particles=np.concatenate([a.particles, b.particles], 1), extras={"m_jj": np.full(n, 1234.5)},
                  label=np.ones(n), meta={"slots": ["j1"] * k + ["j2"] * k, "selection": {"radius": 1.0}})


def tables(n=300):
    x = np.random.default_rng(0).normal(0, 1, (n, 3)).round(1)
    return Sample(particles=np.zeros((n, 0, 4)), features=x, feature_names=("a", "b", "long_name"),
                  feature_units=("GeV", "", "rad"), meta={"slots": []})


def texts(ax):
    return [t for t in ax.texts if t.get_text()]


def test_a_jet():
    jets = toy_jets(5, 3, prongs=3)
    pdg = np.where(jets.present, 211, 0)
    pdg[3, :4] = [22, -11, 2112, 130]
    jets = Sample(particles=jets.particles, particle_extras={"pdg_id": pdg}, process="top", label=np.ones(5),
                  extras={"event": np.arange(5), "many": np.zeros((5, 9))}, weight=np.full(5, 0.5),
                  meta={"selection": {"radius": 1.0}})
    jet = picture_of(jets, 3)
    assert isinstance(jet, Jet) and jet.radius == jet.extent == 1.0
    k = int(jets.present[3].sum())
    momentum = cartesian(jets.particles[3].astype(np.float64)).sum(0)
    assert jet.pt == pytest.approx(np.hypot(*momentum[:2]), rel=1e-6)
    assert jet.title.startswith("top jet, event 3 of the sample") and f"{k} constituents" in jet.title
    assert f"mass {invariant_mass(momentum):.1f} GeV" in jet.title
    assert "label signal" in jet.notes and "weight 0.5" in jet.notes and "event 3" in jet.notes and "many" not in jet.notes
    assert [KINDS[i] for i in jet.kind[:5]] == ["photon", "lepton", "neutral hadron", "neutral hadron", "charged hadron"]
    assert len(jet.primary) + len(jet.secondary) == k - 1 and len(jet.primary) > 0
    points = {tuple(p) for p in (*jet.primary, *jet.secondary)}
    assert {tuple(p) for p in jet.tree.reshape(-1, 2)} == points and len(jet.tree) == k - 2  # a tree over all of them
    assert points - {tuple(p) for p in jet.tree[:, 0]} == {tuple(jet.primary[0])}  # the first is no one's child
    np.testing.assert_array_equal(jet.tree[jet.softer, 0], jet.secondary)
    np.testing.assert_array_equal(jet.tree[~jet.softer], np.stack([jet.primary[1:], jet.primary[:-1]], 1))  # a chain
    assert (jet.image**2).sum() == pytest.approx(1) and jet.image.shape == (40, 40)
    figure = show(jets, 3)
    lines = [c for c in figure.axes[1].collections if isinstance(c, LineCollection)]
    np.testing.assert_array_equal(np.concatenate([c.get_segments() for c in lines]),
                                  np.concatenate([jet.tree[jet.softer], jet.tree[~jet.softer]]))
    areas = np.concatenate([c.get_sizes() for c in figure.axes[0].collections if len(c.get_offsets()) and len(c.get_sizes()) > 0
                            and np.isfinite(c.get_offsets()).all()])
    drawn = np.sort(areas[areas != 60])[::-1][:k] - 1.5
    np.testing.assert_allclose(drawn / drawn.sum(), np.sort(jet.share / jet.share.sum())[::-1], rtol=1e-6)


def test_a_notebook_shows_it_before_pyplot_was_used():
    formatted, _ = DisplayFormatter().format(show(toy_jets(5, 3, prongs=3), 3), include=["image/png"])
    assert formatted["image/png"].startswith(b"\x89PNG") and len(formatted["image/png"]) < 150_000


def test_a_radius_is_drawn_where_the_sample_says_it():
    jets = toy_jets(2, 1)
    said, silent = (Sample(particles=jets.particles, meta=meta) for meta in ({"selection": {"radius": 0.4}}, {}))
    pair = dijets(1)
    unsaid = Sample(particles=pair.particles, meta={"slots": pair.meta["slots"]})
    circles = [sum(isinstance(patch, Circle) for patch in show(sample, 0).axes[0].patches)
               for sample in (said, silent, pair, unsaid)]
    assert circles == [1, 0, 6, 0]
    assert "R = 0.4" in [t.get_text() for t in texts(show(said, 0).axes[0])]
    assert not any("R =" in t.get_text() for t in texts(show(silent, 0).axes[0]))


def test_charges_say_what_ids_do_not():
    jets = toy_jets(2, 3)
    charge = np.where(np.arange(40) % 2, 1, 0) * np.ones((2, 1), int)
    kinds = picture_of(Sample(particles=jets.particles, particle_extras={"charge": charge}), 0).kind[:4]
    assert [KINDS[i] for i in kinds] == ["neutral hadron", "charged hadron"] * 2
    assert {KINDS[i] for i in picture_of(Sample(particles=jets.particles), 0).kind} == {"particle"}


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_pictures_are_written(tmp_path, suffix):
    toy_jets(4, 1).save(tmp_path / "jets.h5")
    out = show(tmp_path / "jets.h5", 2, tmp_path / f"jet{suffix}")
    assert out == tmp_path / f"jet{suffix}" and out.stat().st_size > 10_000
    head = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert out.read_bytes().startswith(head)


def test_a_file_and_a_sample_are_the_same(tmp_path):
    jets = toy_jets(4, 1)
    jets.save(tmp_path / "jets.h5")
    one, other = picture_of(jets, 2), picture_of(str(tmp_path / "jets.h5"), 2)
    assert one.title.replace("the sample", "jets.h5") == other.title
    for name in ("share", "dy", "dphi", "kind", "primary", "secondary", "image"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_an_event():
    events = level1(30)
    i = int(events.present.sum(1).argmax())
    record = picture_of(events, i)
    assert isinstance(record, Event) and len(record.items) == events.present[i].sum()
    labels = [item.label for item in record.items]
    filled = [int(events.present[i, part].sum()) for part in (slice(1, 5), slice(5, 9), slice(9, 19))]
    expected = [f"{name}{j + 1}" for name, k in zip(("e", "mu", "jet"), filled, strict=True) for j in range(k)]
    assert labels == ["met", *expected]
    for item, particle in zip(record.items, events.particles[i][events.present[i]], strict=True):
        np.testing.assert_allclose([item.pt, item.eta, item.phi, item.mass], particle)
    around, across, table = show(events, i).axes
    assert {"jet1", "μ1"} <= {t.get_text() for t in across.texts} and any("MET" in t.get_text() for t in around.texts)
    assert len({cell[0] for cell in table.tables[0].get_celld()}) == len(labels) + 1


def test_labels_can_be_read():
    """Crowded events: no label lies over another, and all lie inside their panel."""
    events = level1(15, seed=1)
    for i in range(len(events)):
        figure = show(events, i)
        figure.draw_without_rendering()
        for ax in figure.axes[:2]:
            boxes = [Text.get_window_extent(t) for t in texts(ax)]  # without the line that leads to a label
            assert all(ax.get_window_extent().contains(*corner) for b in boxes for corner in (b.min, b.max))
            over = [max(min(a.x1, b.x1) - max(a.x0, b.x0) - 3, 0) * max(min(a.y1, b.y1) - max(a.y0, b.y0) - 3, 0)
                    for a, b in itertools.combinations(boxes, 2)]
            assert not any(over), f"event {i}"


def test_dijets_keep_their_particles():
    events = dijets(3)
    record = picture_of(events, 1)
    assert [item.label for item in record.items] == ["j1", "j2"] and record.radius == 1.0 and "m_jj 1234.5" in record.notes
    for item, part in zip(record.items, (slice(0, 30), slice(30, 60)), strict=True):
        momentum = cartesian(events.particles[1, part].astype(np.float64)).sum(0)
        assert item.pt == pytest.approx(np.hypot(*momentum[:2]), rel=1e-6)
        assert item.mass == pytest.approx(invariant_mass(momentum), rel=1e-6)
        assert len(item.constituents) == events.present[1, part].sum()
    around = show(events, 1).axes[0]
    colours = {tuple(c.get_facecolor()[0]) for c in around.collections}
    assert len(colours) == 2 and {t.get_text().split()[0] for t in texts(around)} == {"j1", "j2"}


def test_features_alone(tmp_path):
    sample = tables()
    record = picture_of(sample, 7)
    assert isinstance(record, Features) and record.names == ("a", "b", "long_name")
    theirs = [percentileofscore(sample.features[:, j], sample.features[7, j], kind="mean") for j in range(3)]
    np.testing.assert_allclose(record.percentile, theirs)
    shown = " ".join(t.get_text() for ax in show(sample, 7).axes for t in ax.texts)
    assert f"{sample.features[7, 0]:.4g} GeV" in shown
    constant = Sample(particles=np.zeros((3, 0, 4)), features=np.ones((3, 1)), feature_names=("x",))
    assert picture_of(constant, 0).percentile == [50] and show(constant, 0, tmp_path / "x.svg").exists()
    strange = replace(constant, feature_names=("$\\frac$" * 50,), process="$\\frac$")  # text, whatever it looks like
    assert show(strange, 0, tmp_path / "x.png").exists()


def test_published_events(published):
    record = picture_of(published / "heavy_higgs_2500.csv", 7)
    assert "met" in record.names and len(record.reference) == 5000 and "heavy_higgs_2500.csv" in record.title
    with pytest.raises(InputError, match="holds 5,000, numbered from 0 to 4999"):
        show(published / "heavy_higgs_2500.csv", 5000)


def test_one_particle_and_two(tmp_path):
    few = np.zeros((2, 3, 4))
    few[:, 0], few[1, 1] = [100, 0, 3.1, 0], [50, 0.1, -3.1, 0]
    for i in (0, 1):
        assert show(Sample(particles=few), i, tmp_path / f"{i}.png").exists()
        assert len(picture_of(Sample(particles=few), i).primary) == i
    assert np.abs(picture_of(Sample(particles=few), 1).dphi).max() < 0.1  # across φ = π


def test_mistakes_are_one_sentence(tmp_path):
    jets = toy_jets(4, 1)
    jets.save(tmp_path / "jets.h5")
    nothing = Sample(particles=np.zeros((1, 2, 4)))
    for sample, index, piece in ((jets, 4, "there is no event 4 in the sample: it holds 4, numbered from 0 to 3"),
                                 (tmp_path / "jets.h5", 400, "no event 400 in jets.h5: it holds 4, numbered from 0 to 3"),
                                 (tmp_path / "jets.h5", -1, "no event -1"), (jets, -1, "no event -1"),
                                 (jets, 1.5, "from 0; got 1.5"),
                                 (jets[:0], 0, "it holds no events"), (nothing, 0, "neither particles nor features"),
                                 (tmp_path / "no.h5", 0, "does not exist")):
        with pytest.raises(InputError, match=piece):
            show(sample, index)
    with pytest.raises(InputError, match=r"ends in \.png"):
        show(jets, 0, tmp_path / "jet.gif")
    with pytest.raises(InputError, match="is not there"):
        show(jets, 0, tmp_path / "no" / "jet.png")
