import pytest

from qad.errors import InputError
from qad.simulation import cards

pytest.importorskip("pythia8mc", reason="needs the extra 'simulation'")
from qad.simulation import generate

JETCLASS = ["h4q", "hbb", "hcc", "hgg", "hqql", "qcd", "tbl", "tbqq", "wqq", "zqq"]  # the ten of arXiv:2202.03772


def test_every_process_of_the_issue_has_a_card():
    jets = {"higgs_bb", "qcd", "svj", "top", "w", "z", "svj_aachen", "qcd_aachen", "dark_shower", "dark_photon"}
    assert jets <= set(cards.processes("jets"))
    assert [p for p in cards.processes("jets") if p.startswith("jetclass_")] == [f"jetclass_{c}" for c in JETCLASS]
    assert cards.processes("events") == ["heavy_higgs", "ttbar"]
    assert cards.processes("dijets") == ["dijet_qcd", "qstar_qw", "wkk_wr", "wprime_bt", "wprime_xy", "wprime_xy_qqq", "x_yy",
                                         "y_hh", "zprime_tt"]


@pytest.mark.parametrize("process", cards.processes())
def test_every_card_starts(process):
    card = cards.load_card(process)
    assert {"title", "kind", "label", "sqrt_s"} <= card.header.keys()
    assert len(generate.Generator(card, 1).events(3)) == 3


def test_a_refused_command_is_an_error():
    card = cards.load_card("qcd")
    broken = cards.Card(card.process, card.header, card.options, (*card.commands, "HardQCD:everything = on"))
    with pytest.raises(InputError, match="refuses the command 'HardQCD:everything = on'"):
        generate.Generator(broken, 1)


def test_a_process_without_cross_section_is_an_error():
    card = cards.load_card("qcd")
    nothing = cards.Card(card.process, card.header, card.options, ("PartonLevel:MPI = off",))
    with pytest.raises(InputError, match="cannot start process"):
        generate.Generator(nothing, 1)


@pytest.mark.parametrize(
    ("process", "options", "sentence"),
    [
        ("qdc", {}, "did you mean 'qcd'"),
        ("qcd", {"m_zprime": 1}, "no option 'm_zprime'"),
        ("svj", {"r_inv": "much"}, "expected a number"),
        ("svj", {"r_inv": 1.5}, "0 <= r_inv < 1"),
        ("svj", {"m_dark": 1500}, "m_dark"),
        ("svj_aachen", {"r_inv": 1}, "0 <= r_inv < 1"),
        ("dark_photon", {"alpha_dark": 0}, "0 < alpha_dark <= 1"),
        ("dark_photon", {"m_photon": 400}, "m_photon: expected 1 to 250 GeV"),
        ("dark_photon", {"m_quark": 0}, "m_quark: expected 0.1 to 250 GeV"),
        ("heavy_higgs", {"m_h": 100}, "above the top-pair threshold"),
    ],
)
def test_bad_options_are_one_sentence(process, options, sentence):
    with pytest.raises(InputError, match=sentence):
        cards.load_card(process, **options)


def test_semi_visible_branching_fractions_add_up():
    card = cards.load_card("svj", r_inv=0.4, m_dark=30)
    for meson in ("4900111", "4900211", "4900113", "4900213"):
        lines = [c for c in card.commands if c.startswith((f"{meson}:oneChannel", f"{meson}:addChannel"))]
        assert sum(float(c.split("=")[1].split()[1]) for c in lines) == pytest.approx(1, abs=1e-5)
        assert float(lines[0].split("=")[1].split()[1]) == pytest.approx(0.4)
    # pseudoscalars prefer the heaviest open quark, vectors do not
    shares = {m: [float(c.split("=")[1].split()[1]) for c in card.commands if c.startswith(f"{m}:addChannel")]
              for m in ("4900111", "4900113")}
    assert shares["4900111"][0] > 0.5 and max(shares["4900113"]) == pytest.approx(min(shares["4900113"])) == pytest.approx(0.12)
    assert card.options["lambda_dark"] == pytest.approx(3.2 * 30**0.8)
    assert "HiddenValley:setLambda = on" in card.commands


@pytest.mark.parametrize("process", [p for p in cards.processes() if p != "svj_aachen"])  # its quarks have their own option
def test_every_number_that_is_worked_out_is_used(process):
    """A width that is computed and told to nobody would only look as if it were set."""
    header, _, _, body = cards._parse(process)
    if "derived" in header:
        worked_out = cards.DERIVED[header["derived"]](cards.load_card(process).options)
        assert not {name for name in worked_out if not any(f"{{{name}}}" in line for line in body)}


def test_seeds_are_pythias_and_differ():
    seeds = {generate.chunk_seed("qcd", s, c) for s in range(20) for c in range(20)}
    assert len(seeds) == 400 and all(1 <= s <= generate.LARGEST_SEED for s in seeds)


def test_a_card_can_move_the_window_of_its_selection():
    from dataclasses import fields

    from qad.simulation.produce import KINDS

    assert cards.load_card("qcd").cuts == {}
    assert cards.load_card("svj_aachen").cuts == cards.load_card("qcd_aachen").cuts == {"pt_min": 150.0, "pt_max": 300.0}
    assert cards.load_card("jetclass_hbb").cuts == {"pt_min": 500.0, "pt_max": 1000.0}
    for process in cards.processes():
        card = cards.load_card(process)
        selection = KINDS[card.header["kind"]]
        assert set(card.cuts) <= {f.name for f in fields(selection) if f.type in (float, "float")}, process


def test_products_and_particle_columns_of_a_card():
    assert cards.load_card("top").products == (1, 2, 3, 4, 5, 6) and cards.load_card("top").leptons is None
    assert cards.load_card("top").particle_extras == {"pdg_id": "int32"}
    semileptonic = cards.load_card("jetclass_hqql")
    assert semileptonic.products == (1, 2, 3, 4, 5, 11, 13) and semileptonic.leptons == 1 and semileptonic.resonance == 25
    assert semileptonic.particle_extras == {"pdg_id": "int32", "charge": "int8"}
    assert cards.load_card("jetclass_hgg").products == (21,)
    assert "PartonLevel:MPI = 1" in cards.load_card("jetclass_hgg", mpi=1).commands


def test_a_proxy_says_so():
    for process in ("x_yy", "wkk_wr", "wprime_bt"):
        assert "proxy" in cards.load_card(process).header["title"]
    assert "substitute" in cards.load_card("dark_shower").header["title"]
