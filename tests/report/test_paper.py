"""Tables and figures for a paper."""

import json
import re
import shutil

import pytest

from qad.errors import InputError
from qad.report import as_latex, as_markdown, write_report
from qad.report.latex import escape
from qad.report.paper import write_figures
from qad.report.record import as_record
from qad.report.tables import pareto, read_rows, summarise
from tests.report.test_markdown import cells
from tests.test_cli import qad


def test_special_characters_are_escaped():
    assert escape(r"50 % of a_b & {c} $d$ #1") == r"50 \% of a\_b \& \{c\} \$d\$ \#1"
    assert escape(r"~ ^ \x") == r"\textasciitilde{} \textasciicircum{} \textbackslash{}x"
    assert escape("1/ε_b at ε_s, a → b, > 5 ± 1") == (r"1/$\varepsilon_b$ at $\varepsilon_s$, a $\to$ b, $>$ 5 $\pm$ 1")


@pytest.mark.parametrize("metric", ["auc", "rejection_03"])
def test_the_table_says_what_markdown_says(finished, metric):
    text = as_latex(finished, metric)
    [(heads, rows)] = cells(as_markdown(finished, metric))
    [body] = re.findall(r"\\begin\{tabular\}\{(?P<columns>.*?)\}(.*?)\\end\{tabular\}", text, re.S)
    lines = [line.removesuffix(r" \\").split(" & ") for line in body[1].splitlines() if line.endswith(r" \\")]
    assert len(body[0]) == len(heads) and {len(line) for line in lines} == {len(heads)}
    assert lines == [[escape(c) for c in heads], *([escape(c) for c in row.values()] for row in rows)]
    for command in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{", r"\label{tab:toys-"):
        assert command in text
    option = "" if metric == "auc" else r" --metric rejection\_03"
    assert f"--format latex{option}}}" in text and r"\texttt{qad benchmark toys.yaml}" in text
    assert text.count(r"\midrule") == 3  # below the heads, and between three kinds
    assert not re.search(r"[^\x00-\x7f]", text)  # any engine sets it


def test_a_long_table_goes_over_several_pages(finished, monkeypatch):
    monkeypatch.setattr("qad.report.latex.LONGEST", 3)
    text = as_latex(finished)
    assert text.count("longtable") == 3 and r"\endhead" in text and r"\begin{table}" not in text


def test_figures_are_one_pdf_each(finished, tmp_path):
    found = write_figures(finished, tmp_path / "new" / "figures")
    names = ("roc", "sic", "pareto")
    assert [p.name for p in found] == [f"{name}-{pair}.pdf" for pair in ("qcd-top", "top-qcd") for name in names]
    assert all(p.read_bytes().startswith(b"%PDF") for p in found)
    assert not list((tmp_path / "new").rglob("*.tmp"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot make the folder"):
        write_figures(finished, tmp_path / "file" / "figures")


def test_the_front_holds_what_nothing_cheaper_betters(finished):
    here = [s for s in summarise(read_rows(finished)[1]) if s.train == "qcd"]
    front = pareto(here)
    assert front[-1].mean["auc"] == max(s.mean["auc"] for s in here)
    for s in here:
        better = any(o is not s and o.seconds <= s.seconds and o.mean["auc"] >= s.mean["auc"] for o in here)
        assert any(f is s for f in front) != (better or s.mean["auc"] <= 0.5), s.name


def test_on_the_command_line(finished, tmp_path):
    root = tmp_path / "runs"
    shutil.copytree(finished, root)
    done = qad("report", root, "--format", "latex", "--train", "qcd", "-o", tmp_path / "t.tex")
    assert done.returncode == 0 and (tmp_path / "t.tex").read_text() == as_latex(root, train="qcd") + "\n"
    done = qad("report", root, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["report"] == str((root / "report.html").resolve())
    for options, piece in ((("--format", "latx"), "did you mean 'latex'?"), (("--metric", "max_sic"), "go with --format m"),
                           (("-o", "x"), "-o goes with"), (("--format", "pdf", "--serve"), "leave --format out")):
        done = qad("report", root, *options)
        assert done.returncode == 2 and piece in done.stderr and len(done.stderr.splitlines()) == 1
    for form in ("latex", "record"):
        done = qad("report", root, "--format", form, "-o", tmp_path / "nodir/x")
        folder = tmp_path / "nodir"
        assert done.returncode == 2 and done.stderr == (
            f"qad: cannot write {folder / 'x'}: the folder {folder} is not there; make it, or give another name\n")


@pytest.mark.parametrize("work", [
    lambda root, out, told: write_report(root, progress=told), lambda root, out, told: write_figures(root, out, told),
    lambda root, out, told: as_markdown(root, progress=told), lambda root, out, told: as_latex(root, "max_sic", "qcd", told),
    lambda root, out, told: as_record(root, told)])
def test_progress_reaches_its_end(finished, tmp_path, work):
    shutil.copytree(finished, tmp_path / "runs")
    told = []
    work(tmp_path / "runs", tmp_path / "figures", lambda done, total: told.append((done, total)))
    [total] = {t for _, t in told}
    assert [d for d, _ in told] == list(range(total + 1)) and total >= 28


def test_a_long_report_shows_how_far_it_is(finished, tmp_path, monkeypatch):
    from qad.cli import studies

    shutil.copytree(finished, tmp_path / "runs")
    rows = []
    monkeypatch.setattr(studies, "row", lambda bar, name: lambda done, total: rows.append((name, done, total)))
    studies._report(tmp_path / "runs")
    assert rows[0][1] == 0 and rows[-1][1] == rows[-1][2] > 28
