"""What the pages in docs show is run; the site is built, with warnings as errors; results on it are those of the records."""

import doctest
import fcntl
import html
import importlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from qad.report.record import SCHEMA_VERSION, read_record
from tests.conftest import PROJECT

PAGES = sorted((PROJECT / "docs").rglob("*.md"))
PAGES = [p for p in PAGES if not {"_build", "generated"} & set(p.parts)]


#: tests/test_how_to.py runs the pages of these folders, each in a folder of its own
ELSEWHERE = ("how-to", "explanation")


@pytest.mark.parametrize("page", [p for p in PAGES if "```python" in p.read_text() and p.parent.name not in ELSEWHERE],
                         ids=lambda p: p.name)
def test_python_blocks_run(page):
    namespace: dict = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S):
        run(block, namespace)
    if "losses" in namespace:
        assert namespace["losses"][-1] < 0.7 * namespace["losses"][0]


def run(block, namespace):
    exec(compile(block, "docs", "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_pictures_and_commands_exist(page):
    text = page.read_text()
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (page.parent / picture).is_file(), picture
    for script in re.findall(r"python (docs/\S+\.py)", text):
        assert (PROJECT / script).is_file(), script


EXAMPLES = sorted(p for top in ("qad", "classical") for p in (PROJECT / top).rglob("*.py") if ">>> " in p.read_text())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: str(p.relative_to(PROJECT)))
def test_docstring_examples(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


#: What users meet first: each shows an example that is run.
SHOWN = ("qad.data.Sample", "qad.detector.Detector", "qad.detector.get", "qad.metrics.auc", "qad.metrics.roc",
         "qad.metrics.rejection", "qad.metrics.tpr_at_fpr", "qad.metrics.max_sic", "qad.metrics.wilson",
         "qad.representations.get", "qad.representations.Standardise", "qad.quantum.Circuit", "qad.quantum.encodings.angle",
         "qad.quantum.ansatze.product_rotations")


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_met_first_has_an_example(name):
    module, _, attribute = name.rpartition(".")
    thing = getattr(importlib.import_module(module), attribute)
    found = doctest.DocTestParser().get_examples(thing.__doc__)
    assert found and not any(e.options.get(doctest.SKIP) for e in found)


def sphinx(source, out, *options):
    """Builds as ``make docs`` does; every warning is an error."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-n", "-q", *options, str(source), str(out)]
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The whole site, built once however many processes run the tests."""
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with open(folder / "site.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (said := folder / "site.txt").exists():
            done = sphinx("docs", folder / "site/html")
            said.write_text("" if done.returncode == 0 else done.stderr[-3000:] or "it failed")
    assert not said.read_text(), said.read_text()
    return folder / "site/html"


def test_every_page_is_reached(site):
    """From the first page, by links; nothing that is linked to on this site is missing."""
    seen, todo = set(), [site / "index.html"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".html":
            continue
        seen.add(page)
        for target in re.findall(r'href="([^"#?]+)', page.read_text()):
            if not re.match(r"[a-z]+:", target):
                found = (page.parent / target).resolve()
                assert found.is_file(), f"{page.name} links to {target}"
                todo.append(found)
    lone = {p for p in site.rglob("*.html") if "_modules" not in p.parts} - seen
    assert not lone, sorted(p.name for p in lone)


RECORDS = sorted((PROJECT / "docs/benchmarks/records").glob("*.json"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.stem)
def test_no_record_is_older(path):
    record = read_record(path)
    assert record["schema_version"] == SCHEMA_VERSION and record["study"] == path.stem
    assert not re.search(r"(?<![\w.])/(?:work|home|root|tmp|Users|var)/", path.read_text())
    assert record["missing"] == 0 and not record["failed"]


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.stem)
def test_generated_pages_say_what_the_records_say(site, path):
    record, page = json.loads(path.read_text()), site / "benchmarks/generated" / f"{path.stem}.html"
    text = page.read_text()
    assert html.escape(record["verdict"]["headline"], quote=False) in text.replace("’", "'")
    tables = re.findall(r'<div class="table-wrapper study-table" data-study="(.*?)">(.*?)</table>', text, re.S)
    assert {study for study, _ in tables} == {path.stem}
    assert len(tables) == len(record["directions"]) + (len(record["directions"]) > 1)
    for direction, (_, table) in zip(record["directions"], tables[-len(record["directions"]):], strict=True):
        said = {}
        for row in re.findall(r"<tr>(<td.*?)</tr>", table):
            cells = re.findall(r'<td(?: data-v="(.*?)")?[^>]*>(.*?)</td>', row)
            said[cells[0][1], cells[1][1]] = float(cells[3][0])
        told = {(m["detector"], m["representation"]): r["mean"][0]
                for r in record["rows"] for m in [record["models"][r["model"]]]
                if (m["train"], r["signal"]) == (direction["train"], direction["signal"])}
        assert said == pytest.approx(told, rel=1e-5) and len(told) > 3


#: What must not be on the site, and what its build says of it.
MISTAKES = {
    "link": ("[there](nowhere.md)", "nowhere"),
    "name": ("{py:func}`qad.metrics.no_such_thing`", "no_such_thing"),
    "word": ("{term}`No such word`", "No such word"),
    "record": ("```{study-table} nothing\n```", "cannot read"),
    "direction": ("```{study-table} toys\n:directions: top:w\n```", "has no direction top:w"),
    "metric": ("```{study-table} toys\n:metrics: aux\n```", "unknown aux"),
    "old": ("```{study-verdict} old\n```", "schema version 0"),
    "picture": ("![no picture](none.png)", "none.png"),
}


def test_the_build_can_fail(tmp_path):
    """One build with a page for each mistake; every one is told, and one would be enough."""
    pytest.importorskip("sphinx")
    source, records = tmp_path / "source", tmp_path / "source/benchmarks/records"
    records.mkdir(parents=True)
    shutil.copy(RECORDS[0], records / "toys.json")
    (records / "old.json").write_text(json.dumps({**json.loads(RECORDS[0].read_text()), "schema_version": 0}))
    for name, (text, _) in MISTAKES.items():
        (source / f"{name}.md").write_text(f"# A page\n\n{text}\n")
    (source / "lone.md").write_text("# Another\n")
    (source / "index.md").write_text("# Pages\n\n```{toctree}\n" + "\n".join(MISTAKES) + "\n```\n")
    done = sphinx(source, tmp_path / "out/html", "-c", "docs")
    assert done.returncode == 1
    for name, (_, warning) in {**MISTAKES, "lone": ("", "document isn't included in any toctree")}.items():
        assert re.search(rf"/{name}\.md\b.*{re.escape(warning)}", done.stderr), f"{name}: {done.stderr}"
    assert len(re.findall(r"WARNING|ERROR", done.stderr)) == len(MISTAKES) + 1
