"""The notebooks: what they keep is whole and is theirs alone; what they show is run, and ends in assertions."""

import base64
import re

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests.conftest import PROJECT

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
PUBLISHED = PROJECT.parent / "shared" / "data"
LARGEST = 150_000  # bytes of a picture
ELSEWHERE = re.compile(r"/(?:work|home|root|tmp|Users|usr|opt|var)/|site-packages|[A-Z]:\\\\")
EXTRAS = {"simulation": ("pythia8mc", "fastjet"), "ibm": ("qiskit_ibm_runtime",), "hep": ("uproot", "pandas")}
SHOWN = {"text/plain", "image/png", "text/html", "text/markdown", "text/latex"}


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def needs(notebook):
    """Modules of the extras that the notebook's own line of installation names; of all where it has none."""
    said = re.search(r"pip install .*'\.\[([\w,-]+)\]'", "\n".join(cell.source for cell in notebook.cells))
    return [m for extra in (said[1].split(",") if said else EXTRAS) for m in EXTRAS.get(extra, ())]


def problems(notebook):
    """What is wrong with a notebook as it is kept."""
    found, cells = [], code_of(notebook)
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("it was not run from top to bottom in a fresh kernel")
    if not cells or "assert " not in cells[-1].source:
        found.append("it does not end in assertions")
    pictures = 0
    for i, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            texts = [output.get("text", ""), *(v for k, v in data.items() if k.startswith("text/"))]
            if output.output_type == "error":
                found.append(f"cell {i} ends in an error")
            if output.get("name") == "stderr":
                found.append(f"cell {i} warns: {output.text[:80]}")
            if set(data) - SHOWN:
                found.append(f"cell {i} keeps {sorted(set(data) - SHOWN)}")
            if any(ELSEWHERE.search(text) for text in texts):
                found.append(f"cell {i} names a place on one computer")
            if "image/png" in data:
                pictures += 1
                if (size := len(base64.b64decode(data["image/png"]))) > LARGEST:
                    found.append(f"cell {i}: a picture of {size:,} bytes")
    return found if pictures else [*found, "it shows no picture"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_as_kept(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    for cell in code_of(notebook):
        compile(cell.source, path.name, "exec")
    assert not problems(notebook)


def whole():
    picture = new_output("display_data", {"image/png": base64.b64encode(b"picture").decode()})
    return new_notebook(cells=[new_code_cell("plot()", execution_count=1, outputs=[picture]),
                               new_code_cell("assert True", execution_count=2)])


SPOILED = {
    "top to bottom": lambda nb: nb.cells[0].update(execution_count=3),
    "assertions": lambda nb: nb.cells[1].update(source="print()"),
    "an error": lambda nb: nb.cells[1].outputs.append(new_output("error", ename="E", evalue="", traceback=[])),
    "warns": lambda nb: nb.cells[1].outputs.append(new_output("stream", name="stderr", text="DeprecationWarning")),
    "keeps": lambda nb: nb.cells[0].outputs[0].data.update({"application/vnd.jupyter.widget-view+json": {}}),
    "one computer": lambda nb: nb.cells[1].outputs.append(new_output("stream", name="stdout", text="see /home/me/x.h5")),
    "bytes": lambda nb: nb.cells[0].outputs[0].data.update({"image/png": base64.b64encode(bytes(LARGEST + 1)).decode()}),
    "no picture": lambda nb: nb.cells[0].update(outputs=[]),
}


@pytest.mark.parametrize("what", SPOILED)
def test_that_test_can_fail(what):
    notebook = whole()
    assert not problems(notebook)
    SPOILED[what](notebook)
    assert len(found := problems(notebook)) == 1 and what in found[0]


def run(notebook, folder, monkeypatch, data=None):
    """From a fresh kernel in an empty folder; every warning is an error."""
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(folder / "jupyter"))
    for name in ("MPLBACKEND", "QAD_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # torch's threads wait for each other where tests share the cores
    if data is not None:
        monkeypatch.setenv("QAD_DATA", str(data))
    notebook.cells.insert(0, new_code_cell('import warnings\nwarnings.simplefilter("error")'))
    (folder / "cwd").mkdir()
    where = {"metadata": {"path": str(folder / "cwd")}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=where).execute()
    return notebook


@pytest.mark.parametrize("source", ["assert False", "warnings.warn('old')"])
def test_execution_can_fail(source, tmp_path, monkeypatch):
    with pytest.raises(CellExecutionError, match=r"AssertionError|UserWarning"):
        run(new_notebook(cells=[new_code_cell(source)]), tmp_path, monkeypatch)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs(path, tmp_path, monkeypatch):
    """Simulates and trains, a minute or two each: nothing less shows that a reader can run them."""
    for module in needs(nbformat.read(path, 4)):
        pytest.importorskip(module)
    kept = [[o.output_type for o in cell.outputs] for cell in code_of(nbformat.read(path, 4))]
    done = run(nbformat.read(path, 4), tmp_path, monkeypatch)
    assert [bool(cell.outputs) for cell in code_of(done)][1:] == [bool(outputs) for outputs in kept]


@pytest.mark.slow
def test_a_published_result_from_the_published_events(tmp_path, monkeypatch):
    """Notebook 07 takes the authors' own events where they are; what it asserts then is what the paper says."""
    if not all((PUBLISHED / name).is_file() for name in ("ttbar_background.csv", "heavy_higgs_2500.csv")):
        pytest.skip(f"the published events are not here: {PUBLISHED}")
    path, = (p for p in NOTEBOOKS if p.stem.startswith("07"))
    done = run(nbformat.read(path, 4), tmp_path, monkeypatch, PUBLISHED)
    printed = "".join(o.get("text", "") for cell in code_of(done) for o in cell.outputs)
    assert all(auc in printed for auc in ("0.901", "0.962", "0.976"))
