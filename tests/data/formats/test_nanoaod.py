import awkward as ak
import numpy as np
import pytest
import uproot

from qad.data import formats, iter_chunks, read
from qad.errors import InputError

SUFFIX = ".root"
LOST = {"label", "process", "weight"}


def events(n, seed, without=0.2):
    """Events with no, one or several fat jets not sorted by pT, candidates shared out among them and some in none."""
    rng = np.random.default_rng(seed)
    out = []
    for k in range(n):
        jets = 0 if rng.random() < without and k else int(rng.integers(1, 4))
        size = int(rng.integers(5, 40))
        which = rng.integers(-1, jets, size) if jets else np.full(size, -1)
        charge = rng.integers(-1, 2, size)
        out.append({
            "event": k + 10**12, "jet_pt": rng.uniform(200, 900, jets), "which": which, "pt": rng.pareto(1.2, size) + 0.5,
            "eta": rng.normal(0, 1, size), "phi": rng.uniform(-np.pi, np.pi, size), "mass": np.where(charge, 0.1396, 0),
            "pdgId": np.where(charge, 211 * charge, 22), "charge": charge, "shuffle": rng.permutation(size)})
    return out


def write_example(path, n, seed, name="nanoaod", packed=True, index="pFCandsIdx"):
    found = events(n, seed)

    def lists(make, dtype):
        return ak.values_astype(ak.Array([make(e).tolist() for e in found]), dtype)

    cands = ak.zip({k: lists(lambda e, k=k: e[k], np.int32 if k in ("pdgId", "charge") else np.float32)
                    for k in ("pt", "eta", "phi", "mass", "pdgId", "charge")})
    jets = ak.zip({k: lists(lambda e, f=f: f * e["jet_pt"], np.float32) for k, f in
                   {"pt": 1, "eta": 0.001, "phi": -0.002, "mass": 0.2, "msoftdrop": 0.1, "tau1": 0.3, "tau2": 0.2}.items()})
    linked = [e["shuffle"][e["which"][e["shuffle"]] >= 0] for e in found]
    jet = ak.Array([e["which"][x].tolist() for e, x in zip(found, linked, strict=True)])
    links = ak.zip({"jetIdx": ak.values_astype(jet, np.int32),
                    index: ak.values_astype(ak.Array([x.tolist() for x in linked]), np.int32)})
    columns = {"PFCands": cands, "FatJet": jets, "FatJetPFCands": links}
    with open(path, "w+b") as raw, uproot.recreate(raw, compression=uproot.ZLIB(1) if packed else None) as file:
        file.mktree("Events", {"run": np.uint32, "luminosityBlock": np.uint32, "event": np.uint64, "genWeight": np.float32,
                               **{k: ak.type(v).content for k, v in columns.items()}})
        file["Events"].extend({"run": np.full(n, 3, np.uint32), "luminosityBlock": np.full(n, 7, np.uint32),
                               "event": np.array([e["event"] for e in found], np.uint64),
                               "genWeight": np.full(n, -0.5, np.float32), **columns})


def hostile(example):
    yield example.replace(b"FatJet_pt", b"FatJet_pq")
    yield example.replace(b"Events", b"Eventz")


@pytest.mark.parametrize("index", ["pFCandsIdx", "candIdx"])
def test_the_leading_jet_and_its_candidates(tmp_path, index):
    """Against a plain loop over events."""
    write_example(tmp_path / "x.root", 60, 1, index=index)
    s = read(tmp_path / "x.root")
    found = [e for e in events(60, 1) if len(e["jet_pt"])]
    assert len(found) < 60 and len(s) == len(found) and s.particles.shape[1] == 256
    for k, e in enumerate(found):
        best = int(np.argmax(e["jet_pt"]))
        mine = np.flatnonzero(e["which"] == best)
        mine = mine[np.argsort(-e["pt"][mine])]
        assert s.extras["event"][k] == e["event"] and s.extras["n_constituents"][k] == len(mine) == s.present[k].sum()
        np.testing.assert_allclose(s.extras["jet_pt"][k], e["jet_pt"][best], rtol=1e-6)
        np.testing.assert_allclose(s.feature("sdmass")[k], 0.1 * e["jet_pt"][best], rtol=1e-6)
        for c, name in enumerate(("pt", "eta", "phi", "mass")):
            np.testing.assert_allclose(s.particles[k, : len(mine), c], e[name][mine], rtol=2e-6, atol=1e-6)
        for ours, theirs in (("pdg_id", "pdgId"), ("charge", "charge")):
            np.testing.assert_array_equal(s.particle_extras[ours][k, : len(mine)], e[theirs][mine])
    assert s.feature_names == ("sdmass", "tau1", "tau2") and (s.label == -1).all()
    assert (s.extras["run"] == 3).all() and (s.extras["luminosity_block"] == 7).all() and (s.extras["gen_weight"] == -0.5).all()
    assert sum(map(len, iter_chunks(tmp_path / "x.root", 7))) == len(s)


def test_our_file_holds_one_jet_an_event(tmp_path):
    write_example(tmp_path / "x.root", 40, 2)
    s = read(tmp_path / "x.root")
    formats.get("nanoaod").write(tmp_path / "y.root", [s[:10], s[10:]])
    with uproot.open(tmp_path / "y.root") as file:
        tree = file["Events"]
        assert (tree["nFatJet"].array(library="np") == 1).all()
        np.testing.assert_array_equal(tree["nPFCands"].array(library="np"), s.present.sum(1))
        jets = tree["FatJet_pt"].array()
        np.testing.assert_array_equal(ak.flatten(jets), s.extras["jet_pt"])
        assert ak.all(tree["FatJetPFCands_pFCandsIdx"].array() == ak.local_index(tree["PFCands_pt"].array()), axis=None)


def test_an_index_that_points_nowhere(tmp_path):
    write_example(tmp_path / "x.root", 4, 2)
    with uproot.open(tmp_path / "x.root") as file:
        arrays = file["Events"].arrays()
    links = ak.zip({"jetIdx": arrays["FatJetPFCands_jetIdx"], "pFCandsIdx": arrays["FatJetPFCands_pFCandsIdx"] + 1000})
    columns = {"FatJetPFCands": links,
               "PFCands": ak.zip({k: arrays[f"PFCands_{k}"] for k in ("pt", "eta", "phi", "mass", "pdgId")}),
               "FatJet": ak.zip({k: arrays[f"FatJet_{k}"] for k in ("pt", "eta", "phi", "mass")})}
    with uproot.recreate(tmp_path / "y.root") as file:
        file.mktree("Events", {k: ak.type(v).content for k, v in columns.items()})
        file["Events"].extend(columns)
    with pytest.raises(InputError, match="points to a candidate that is not there"):
        read(tmp_path / "y.root")


def test_what_is_missing_is_said(tmp_path, qcd_toys):
    with pytest.raises(InputError, match="lacks the particle extra 'pdg_id'"):
        formats.get("nanoaod").write(tmp_path / "x.root", [qcd_toys])
