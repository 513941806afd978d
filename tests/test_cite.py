"""qad cite: every paper that the code names has an entry, the entries are whole, and a study cites what it uses."""

import importlib
import json
import re

import pytest

import qad
from qad import cite, pipeline, registry
from qad.errors import InputError
from tests.conftest import STUDY, toy_jets

GROUPS = (registry.DETECTORS, registry.REPRESENTATIONS, registry.FORMATS, registry.ANSATZE, registry.ENCODINGS)
REGISTERED = [(group, name) for group in GROUPS for name in registry.names(group)]


def keys(what, **options):
    return [citation.entry.key for citation in cite.cite(what, **options)]


@pytest.mark.parametrize(("group", "name"), REGISTERED, ids="-".join)
def test_every_paper_of_a_docstring_has_an_entry(group, name):
    named = cite.numbers(cite.documentation(registry.find(group, name)))
    assert {f"arXiv:{number}" for number in named} <= cite.bibliography().keys()


def test_papers_of_cards_formats_data_sets_and_optimisers_have_one():
    from qad.data.records import records
    from qad.quantum import optimizers
    from qad.simulation.cards import PROCESSES

    texts = [card.read_text() for card in PROCESSES.iterdir() if card.name.endswith(".cmnd")]
    texts = [line for text in texts for line in text.splitlines() if line.startswith("! reference")]
    texts += [record.paper for record in records().values()]
    texts += [cls.__doc__ for cls in (optimizers.NaturalGradient, optimizers.QBang, optimizers.QNSPSA)]
    texts += [importlib.import_module(m).__doc__ for m in ("qad.simulation.eflow", "qad.quantum.backends.mitigation")]
    assert len(texts) > 20
    assert {f"arXiv:{number}" for text in texts for number in cite.numbers(text)} <= cite.bibliography().keys()
    assert {cite.ADAM, *cite.SOFTWARE.values(), *cite.SIMULATION, "qad"} <= cite.bibliography().keys()


def test_entries_are_whole():
    assert f"version {qad.__version__}" in cite.bibliography()["qad"].text
    for key, entry in cite.bibliography().items():
        fields = entry.fields
        assert entry.kind in ("article", "inproceedings", "misc"), "plain BibTeX knows no other"
        assert re.fullmatch(r"\d{4}", fields["year"])
        if key.startswith("arXiv:"):
            assert fields["eprint"] == key.removeprefix("arXiv:") and fields["url"].endswith(fields["eprint"])
        assert " and " in fields["author"] or "," in fields["author"] or fields["author"][0] == "{"
    assert len({e.fields["title"] for e in cite.bibliography().values()}) == len(cite.bibliography())


@pytest.mark.parametrize("damage", [lambda t: t.replace("year = {2019},", "year = {2019,", 1), lambda t: t + "\n" + t,
                                    lambda t: t.replace("@article{", "@article ", 1)])
def test_a_file_that_is_no_bibtex_is_seen(damage, tmp_path, monkeypatch):
    (tmp_path / "references.bib").write_text(damage(cite.BIBLIOGRAPHY.read_text()))
    monkeypatch.setattr(cite, "BIBLIOGRAPHY", tmp_path / "references.bib")
    with pytest.raises(ValueError, match="no BibTeX entry"):
        cite.bibliography.__wrapped__()


def test_numbers():
    text = "arXiv:2105.05735, jets 2206.14225; AUC 0.95012; 1202.1416; arXiv:1202.1416; quant-ph/0610099 1105.05735"
    assert cite.numbers(text) == ["2105.05735", "2206.14225", "1202.1416", "quant-ph/0610099", "1105.05735"]


def test_a_study_by_name():
    found = list(cite.cite("quick"))
    assert [c.group for c in found] == sorted((c.group for c in found), key=cite.GROUPS.index)
    by_key = {c.entry.key: c for c in found}
    assert {"qad", "arXiv:2203.11601", "arXiv:1111.6097", "arXiv:2112.04958", "arXiv:1011.2268", "scikit-learn", "pytorch",
            "pennylane"} <= by_key.keys()
    assert "quantum-autoencoder" in by_key["arXiv:2112.04958"].why and by_key["arXiv:2203.11601"].group == "data"
    assert "qiskit" not in by_key and "zuko" not in by_key


def test_what_is_not_there_is_said(in_process):
    done = in_process("cite", "qae2022")
    assert not done.returncode and "@article{arXiv:2112.04958," in done.stdout
    assert "ttbar_background.csv is not there" in done.stderr


def test_options_of_a_circuit_are_cited():
    assert "arXiv:2407.07961" in keys("trash-latent") and "arXiv:2407.07961" not in keys("quantum-autoencoder")
    assert "zuko" in keys("flow") and "pot" in keys("wasserstein-autoencoder") and "arXiv:1902.09914" in keys("top-tagging")


def test_the_optimiser_is_cited():
    for name in ("quantum-autoencoder", "dense-autoencoder", "normalised-autoencoder"):
        assert cite.ADAM in keys(name)
    assert cite.ADAM not in keys("pca")


def test_of_observables_the_chosen_ones(tmp_path):
    assert {"arXiv:1011.2268", "arXiv:1402.2657", "arXiv:1409.6298"} <= set(keys("substructure"))
    for features, papers in (("[mass]", set()), ("[tau21, mass]", {"arXiv:1011.2268"})):
        step = f"use: substructure, features: {features}"
        (tmp_path / "mine.yaml").write_text(STUDY.replace("use: substructure", step))
        found = set(keys(tmp_path / "mine.yaml"))
        assert found & {"arXiv:1011.2268", "arXiv:1402.2657", "arXiv:1409.6298"} == papers


def test_a_file_that_is_not_there(in_process):
    done = in_process("cite", "nosuch.h5")
    assert done.returncode == 2 and done.stderr.startswith("qad: nosuch.h5 does not exist; ")
    assert "does not exist" in in_process("cite", "runs/nosuch").stderr


def test_runs_models_samples_and_files(tmp_path, monkeypatch):
    from qad.benchmark import load_study, run_study
    monkeypatch.chdir(tmp_path)
    for name, prongs in (("qcd", 1), ("top", 3)):
        jets = toy_jets(300, prongs, prongs=prongs)
        object.__setattr__(jets, "meta", {"generator": "Pythia 8.317", "process": name})
        jets.save(f"{name}.h5")
    (tmp_path / "mine.yaml").write_text(STUDY)
    root = run_study(load_study("mine.yaml"))
    for what in ("mine.yaml", root):
        assert {"arXiv:2203.11601", "arXiv:1402.2657", "qad"} <= set(keys(what))
    qad.save(pipeline.fit("pca", qad.read("qcd.h5")), "model", trained_on={"file": "qcd.h5"})
    assert {"arXiv:2203.11601", "arXiv:1402.2657"} <= set(keys("model"))
    assert "arXiv:2203.11601" in keys("qcd.h5") and "arXiv:1402.2657" not in keys("qcd.h5")
    assert "arXiv:1902.09914" in [c.entry.key for c in cite.cite("top-tagging")]


def test_a_name_that_is_none():
    with pytest.raises(InputError, match="did you mean 'quick'"):
        cite.cite("quikc")


def test_printed_as_bibtex_and_json(in_process):
    said = in_process("cite", "flow").stdout
    assert "% methods\n% flow\n@misc{arXiv:1705.07057,\n  author = {Papamakarios, George" in said
    told = json.loads(in_process("cite", "flow", "--json").stdout)
    paper = next(row for row in told if row["key"] == "arXiv:1705.07057")
    assert paper["for"] == ["flow"] and paper["eprint"] == "1705.07057" and paper["bibtex"] in said
