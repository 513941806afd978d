import awkward as ak
import numpy as np
import pytest
import uproot

from qad.data import Sample, formats, read
from qad.errors import InputError

SUFFIX = ".root"
LOST = {"weight"}
LABELS = ["QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl"]
NAMES = ["qcd", "higgs_bb", "higgs_cc", "higgs_gg", "higgs_4q", "higgs_qql", "z", "w", "top", "top_lep"]


def arrays(n, seed, longest=60):
    """Jets as the authors' program writes them: float32 branches, lists in descending pT."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, longest, n)
    total = int(counts.sum())
    event = np.repeat(np.arange(n), counts)
    pt = np.minimum(rng.pareto(1.2, total) + 0.6, 500)
    pt = pt[np.lexsort((-pt, event))]
    jet_eta, jet_phi = rng.uniform(-2, 2, n), rng.uniform(-np.pi, np.pi, n)
    deta, dphi = rng.normal(0, 0.2, total), rng.normal(0, 0.2, total)
    eta, phi = jet_eta[event] + deta, jet_phi[event] + dphi
    kind = rng.integers(0, 5, total)
    mass = np.array([0.13957, 0.497611, 0, 0.000511, 0.105658])[kind]
    part = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta),
            "energy": np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2),
            "deta": deta * np.where(jet_eta >= 0, 1, -1)[event], "dphi": dphi,
            "d0val": rng.normal(size=total), "d0err": rng.random(total),
            "dzval": rng.normal(size=total), "dzerr": rng.random(total),
            "charge": np.where(np.isin(kind, (0, 3, 4)), rng.choice([-1, 1], total), 0)}
    for k, name in enumerate(["ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon"]):
        part[f"is{name}"] = kind == k
    p4 = [np.bincount(event, part[k], n) for k in ("px", "py", "pz", "energy")]
    jet = {"pt": np.hypot(p4[0], p4[1]), "eta": jet_eta, "phi": jet_phi, "energy": 1.2 * p4[3] + 100, "nparticles": counts,
           "sdmass": rng.uniform(0, 200, n), **{f"tau{k}": rng.random(n) / k for k in (1, 2, 3, 4)}}
    which = rng.integers(0, 10, n)
    return counts, part, jet, which


def write_example(path, n, seed, name="jetclass", packed=True, **more):
    counts, part, jet, which = arrays(n, seed, **more)
    lists = {k: ak.unflatten(np.asarray(v, np.float32), counts) for k, v in part.items()}
    types = {"part": ak.type(ak.zip(lists)).content, **{f"jet_{k}": np.float32 for k in jet},
             **{f"label_{k}": np.float32 for k in LABELS}}
    with open(path, "w+b") as raw, uproot.recreate(raw, compression=uproot.ZLIB(1) if packed else None) as file:
        file.mktree("tree", types)
        for a in range(0, n, 1000):
            b = slice(a, a + 1000)
            file["tree"].extend({"part": ak.to_packed(ak.zip(lists)[b]),
                                 **{f"jet_{k}": np.asarray(v, np.float32)[b] for k, v in jet.items()},
                                 **{f"label_{k}": (which == i).astype(np.float32)[b] for i, k in enumerate(LABELS)}})


def hostile(example):
    yield example.replace(b"part_px", b"part_pw")
    yield example.replace(b"label_QCD", b"label_QCE")
    yield example.replace(b"tree", b"trie")


def test_particles_jets_and_names(tmp_path):
    write_example(tmp_path / "x.root", 80, 1)
    counts, part, jet, which = arrays(80, 1)
    s = read(tmp_path / "x.root")
    assert s.particles.shape == (80, 128, 4) and s.process.tolist() == [NAMES[k] for k in which]
    np.testing.assert_array_equal(s.label, which > 0)
    np.testing.assert_array_equal(s.extras["n_constituents"], counts)
    flat = s.particles[s.present].astype(float)
    np.testing.assert_allclose(flat[:, 0], np.hypot(part["px"], part["py"]), rtol=1e-5)
    np.testing.assert_allclose(flat[:, 0] * np.sinh(flat[:, 1]), part["pz"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.cos(flat[:, 2]), part["px"] / np.hypot(part["px"], part["py"]), atol=1e-5)
    mass = np.sqrt(np.maximum(part["energy"] ** 2 - part["px"] ** 2 - part["py"] ** 2 - part["pz"] ** 2, 0))
    # the mass is a small difference of float32: its square is good to 1e-6 of the energy's
    np.testing.assert_allclose(flat[:, 3] ** 2, mass**2, atol=1e-6 * (part["energy"] ** 2).max())
    same = {"d0val": "d0", "dzerr": "dzerr", "charge": "charge", "isPhoton": "is_photon", "isMuon": "is_muon"}
    for branch, name in same.items():
        np.testing.assert_allclose(s.particle_extras[name][s.present], part[branch], rtol=1e-6)
    assert s.particle_extras["is_charged_hadron"].dtype == np.int8
    np.testing.assert_allclose(s.feature("sdmass"), jet["sdmass"], rtol=1e-6)
    m = np.sqrt(jet["energy"] ** 2 - (jet["pt"] * np.cosh(jet["eta"])) ** 2)
    np.testing.assert_allclose(s.extras["jet_mass"], m, rtol=1e-3)


def test_longer_jets_keep_their_hardest_128(tmp_path):
    write_example(tmp_path / "x.root", 20, 3, longest=400)
    counts, part, *_ = arrays(20, 3, longest=400)
    s = read(tmp_path / "x.root")
    assert counts.max() > 128 and s.extras["n_constituents"].max() == counts.max()
    pt = np.split(np.hypot(part["px"], part["py"]), np.cumsum(counts)[:-1])
    for k in range(20):
        best = np.sort(pt[k])[::-1][:128]
        np.testing.assert_allclose(s.particles[k, : len(best), 0], best, rtol=1e-5)


def test_the_branches_relative_to_the_jet(tmp_path):
    """part_deta and part_dphi of our file are those of the authors'; part_deta grows away from the beam axis."""
    write_example(tmp_path / "x.root", 60, 4)
    formats.get("jetclass").write(tmp_path / "y.root", [read(tmp_path / "x.root")])
    with uproot.open(tmp_path / "x.root") as theirs, uproot.open(tmp_path / "y.root") as ours:
        assert set(theirs["tree"].keys()) == set(ours["tree"].keys())
        for name in theirs["tree"].keys():
            a, b = (ak.to_numpy(ak.flatten(f["tree"][name].array(), axis=None)) for f in (theirs, ours))
            np.testing.assert_allclose(b, a, rtol=2e-3, atol=2e-4, err_msg=name)
        jets, deta = ours["tree"]["jet_eta"].array(library="np"), ours["tree"]["part_deta"].array()
        px, py, pz = (ours["tree"][f"part_p{k}"].array() for k in "xyz")
        eta = np.arcsinh(pz / np.hypot(px, py))
        assert (jets < 0).any() and ak.all((eta * np.sign(jets) > abs(jets)) == (deta > 0), axis=None)


def test_simulated_jets_say_enough(tmp_path):
    """PDG ids give charges and kinds; what the sample does not know is left out, not invented."""
    particles = np.zeros((2, 3, 4), np.float32)
    particles[:, :, 0], particles[1, :, 1] = [30, 20, 10], -1
    pdg = np.array([[211, -11, 22], [2112, 13, -321]], np.int32)
    s = Sample(particles=particles, process=np.array(["top", "qcd"]), particle_extras={"pdg_id": pdg})
    formats.get("jetclass").write(tmp_path / "x.root", [s])
    again = read(tmp_path / "x.root")
    assert again.process.tolist() == ["top", "qcd"] and again.feature_names == ()
    assert again.particle_extras["charge"][:, :3].tolist() == [[1, 1, 0], [0, -1, -1]]
    assert again.particle_extras["is_electron"][:, :3].tolist() == [[0, 1, 0], [0, 0, 0]]
    twins = Sample(particles=particles, process=np.array(["jetclass_hbb", "jetclass_tbl"]), particle_extras={"pdg_id": pdg})
    formats.get("jetclass").write(tmp_path / "x.root", [twins])
    assert read(tmp_path / "x.root").process.tolist() == ["higgs_bb", "top_lep"]
    with pytest.raises(InputError, match=r"one of the processes qcd, .* \(it has 'svj'\)"):
        formats.get("jetclass").write(tmp_path / "y.root", [Sample(particles=particles, process="svj")])
    with pytest.raises(InputError, match="lacks the kind of its particles"):
        formats.get("jetclass").write(tmp_path / "y.root", [Sample(particles=particles, process="qcd")])
