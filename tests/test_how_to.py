"""The how-tos and explanations are run: every block of Python, every command; what they print has the words that stand there.

A page is run from top to bottom in an empty folder that holds ``qcd.h5`` and ``top.h5``, toy jets, and in one namespace:

    ```python          run; ```python no-run is not. One that begins with a comment  # name.py  is written to that file
    ```text            right behind it: what it printed
    ```yaml            one that begins with  # name.yaml  is written to that file
    ```console         lines with  $ qad …  are parsed, and run unless it says  ```console no-run; with  ```console as-simulated
                       what they print depends on the samples and is not compared

Numbers on pages of ``docs/how-to`` come from simulated jets and are not compared, those of ``docs/explanation`` are. ``…``
stands for anything. ``python -m tests.test_how_to PAGE FOLDER`` runs a page on samples in FOLDER and writes into it what it
prints; the numbers of the how-tos come from 4,000 jets each of  qad simulate jets --process qcd --seed 1 -n 4000 -o qcd.h5  and
--process top --seed 2.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from qad import cli
from tests.conftest import PROJECT, toy_jets

PAGES = sorted(p for folder in ("how-to", "explanation") for p in (PROJECT / "docs" / folder).glob("*.md"))
BLOCK = re.compile(r"^```(\w+)[ ]?([^\n]*)\n(.*?)^```$", re.S | re.M)
NUMBER = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b|(?<![\w.])[-+±−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
#: What the parser raises for a mistake; its module has another name in older versions.
USAGE = typer.BadParameter.__base__
ids = {"ids": lambda p: f"{p.parent.name}-{p.stem}"}


def blocks(text):
    """(language, mark, content, where) of every fenced block."""
    return [(m[1], m[2].strip(), m[3], m.span(3)) for m in BLOCK.finditer(text)]


def commands(content):
    """(command, what it printed) of a console block; a line that ends in a backslash goes on."""
    found = []
    for line in content.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append([line[2:], []])
        elif found:
            found[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in found]


def words(command):
    """What the shell hands over, without redirections and what follows."""
    found = shlex.split(command, comments=True)
    end = next((i for i, word in enumerate(found) if word in ("|", ">", "&&", "&", ";")), len(found))
    return found[:end]


def parse(command):
    """Hold ``qad …`` against the tree of commands and their options."""
    node, context = get_command(cli.app), None
    name, *rest = words(command)
    while hasattr(node, "commands") and rest and not rest[0].startswith("-"):
        context = node.make_context(name, rest[:1], parent=context)
        name, *rest = rest
        assert name in node.commands, f"there is no command '{name}' in: {command}"
        node = node.commands[name]
    if rest != ["--help"] and not hasattr(node, "commands"):
        node.make_context(name, rest, parent=context)


def run_command(command):
    """What ``qad …`` prints, with what it says in sentences, and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, words(command)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            cli.main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = before
    said = [line for line in err.getvalue().splitlines() if line.startswith("qad: ")]
    return "\n".join([*said, *out.getvalue().rstrip().splitlines()]), code


def run_python(code, namespace):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        for category in ("NotConvergedWarning", "DeadParameterWarning", "DirectionWarning"):
            warnings.filterwarnings("ignore", category=getattr(__import__("qad.errors").errors, category))
        exec(compile(code, "page", "exec"), namespace)
    return out.getvalue().rstrip()


def file_of(language, content):
    """The name in the comment with which a block begins, or None."""
    name = re.match(r"# ([\w-]+\.(?:py|ya?ml|csv))\n", content)
    return name[1] if name and language in ("python", "yaml", "csv") else None


def follow(text, folder):
    """Run the page: (what stands there, what came, exit code, where it stands, the command) of all that prints."""
    namespace, found = {"__name__": "page"}, []
    here = blocks(text)
    for i, (language, mark, content, (start, end)) in enumerate(here):
        if name := file_of(language, content):
            (folder / name).write_text(content)
        elif mark == "no-run":
            continue
        elif language == "python":
            came = run_python(content, namespace)
            shown = here[i + 1] if i + 1 < len(here) and here[i + 1][0] == "text" else None
            if shown and not text[end + 3 : text.rindex("```", 0, shown[3][0])].strip():
                found.append((shown[2].rstrip(), came, 0, shown[3], "python"))
        elif language == "console":
            for command, shown in commands(content):
                if command.startswith("qad"):
                    called = f"{command} # as simulated" if mark == "as-simulated" else command
                    found.append((shown, *run_command(command), (start, end), called))
    return found


def skeleton(text):
    """Words without numbers, notes and spaces."""
    lines = [line for line in text.splitlines() if not line.startswith("qad: note:")]
    return " ".join(NUMBER.sub("#", re.sub(r"─+|-{4,}", "", " ".join(lines))).split())


def alike(shown, came):
    """Whether the words of ``came`` are those of ``shown``, in which … stands for anything."""
    pattern = ".*?".join(re.escape(skeleton(part).strip()) for part in shown.split("…"))
    return re.fullmatch(pattern.replace(r"\ ", " *"), skeleton(came), re.S) is not None


def numbers(text):
    return [float(x.replace(",", "").replace("−", "-").replace("±", "")) for x in NUMBER.findall(text) if len(x) < 20]


def prepare(folder):
    toy_jets(3600, 1).save(folder / "qcd.h5")
    toy_jets(3600, 2, prongs=3).save(folder / "top.h5")


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys")
    prepare(folder)
    return folder


@contextlib.contextmanager
def inside(folder):
    """Work in ``folder``; modules that a page wrote there are forgotten afterwards."""
    before, known, path = Path.cwd(), set(sys.modules), sys.path[:]
    os.chdir(folder)
    sys.path.append(str(folder))
    try:
        yield
    finally:
        os.chdir(before)
        sys.path[:] = path
        for name in set(sys.modules) - known:
            if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(folder)):
                del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, **ids)
def test_a_page_does_what_it_says(page, toys, tmp_path, monkeypatch):
    for key, value in {"COLUMNS": "120", "TERM": "dumb", "MPLBACKEND": "Agg", "QAD_DATA": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(key, value)
    folder = tmp_path / "page"
    shutil.copytree(toys, folder)
    with inside(folder):
        found = follow(page.read_text(encoding="utf-8"), folder)
    for shown, came, code, _, command in found:
        mistake = any(line.startswith("qad: ") and not line.startswith("qad: note:") for line in shown.splitlines())
        assert (code != 0) == mistake, f"{command}: exit code {code}\n{came}"
        compared = shown and not command.endswith("# as simulated")
        assert not compared or alike(shown, came), f"{command}\n--- the page\n{shown}\n--- what came\n{came}"
        if page.parent.name == "explanation" and "…" not in shown:
            assert numbers(came) == pytest.approx(numbers(shown), rel=0.03, abs=1e-4), f"{command}\n{came}"


@pytest.mark.parametrize("page", PAGES, **ids)
def test_commands_and_options_exist(page):
    for language, _, content, _ in blocks(page.read_text(encoding="utf-8")):
        for command, _ in commands(content) if language == "console" else ():
            if command.startswith("qad"):
                parse(command)


@pytest.mark.parametrize("page", PAGES, **ids)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+\.(?:md|png|svg|ipynb))(?:#[\w-]+)?\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).is_file(), target


def test_a_page_that_is_wrong_is_found_out(tmp_path):
    prepare(tmp_path)
    with inside(tmp_path):
        (shown, came, code, *_), = follow("```console\n$ qad data info qcd.h5\n300 of something else\n```\n", tmp_path)
        assert code == 0 and not alike(shown, came)
        (_, came, code, *_), = follow("```console\n$ qad data info not_there.h5\n```\n", tmp_path)
        assert code == 2 and came.startswith("qad: not_there.h5")
        (shown, came, *_), = follow("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n", tmp_path)
        assert alike(shown, came) and numbers(shown) != numbers(came)
    for wrong, error, said in (("qad benchmrk quick", AssertionError, "there is no command 'benchmrk'"),
                               ("qad fit pca qcd.h5 --outt model", USAGE, "No such option: --outt"),
                               ("qad data inform qcd.h5", AssertionError, "there is no command 'inform'"),
                               ("qad fit pca", USAGE, "Missing parameter: file")):
        with pytest.raises(error, match=said):
            parse(wrong)


def test_warnings_that_a_page_quotes_are_so_worded():
    page = (PROJECT / "docs" / "how-to" / "choose-circuit.md").read_text(encoding="utf-8")
    source = (PROJECT / "qad" / "quantum" / "autoencoder.py").read_text(encoding="utf-8")
    quoted = [re.sub(r"^[\d of]+| …$", "", quote) for quote in re.findall(r'\*\*"(.+?)"', page)]
    assert len(quoted) == 2 and all(quote in source for quote in quoted), quoted


def test_what_doctor_prints_is_named():
    from qad.cli.doctor import MARKS

    text = (PROJECT / "docs" / "how-to" / "troubleshoot.md").read_text(encoding="utf-8")
    assert all(f"`{mark}`" in text for mark in MARKS.values()) and "`bad`" not in text


def updated(shown, came):
    """``came``, shortened where ``shown`` is: lines between those that stand there, …, stay out. What is gone is said."""
    if "…" not in shown:
        return came
    left, lines = iter(came.splitlines()), []
    for line in shown.splitlines():
        if "…" in line:
            lines.append(line)
            continue
        found = next((new for new in left if skeleton(new) == skeleton(line)), None)
        if found is None:
            left = iter(came.splitlines())
            print(f"GONE, took it out: {line}")
        else:
            lines.append(found)
    return "\n".join(lines)


def write_outputs(page, samples):
    """Run ``page`` in a copy of the folder ``samples`` and write into it what came."""
    os.environ |= {"COLUMNS": "120", "TERM": "dumb", "MPLBACKEND": "Agg"}
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for sample in Path(samples).glob("*.h5"):
            (folder / sample.name).symlink_to(sample.resolve())
        with inside(folder):
            found = follow(text, folder)
        for picture in re.findall(r"!\[.*?\]\((\S+?\.png)\)", text):
            if (folder / picture).is_file():
                shutil.copy(folder / picture, page.parent / picture)
    for where in sorted({where for *_, where, _ in found}, reverse=True):
        start, end = where
        inner = text[start:end]
        if inner.startswith("$ ") or "\n$ " in inner:
            results = {command.partition(" # ")[0]: (shown, came) for shown, came, _, w, command in found if w == where}
            lines = []
            for command, shown in commands(inner):
                typed = re.search(r"\$ " + re.escape(command).replace(r"\ \ ", r"\s*\\?\s*"), inner)
                lines.append(typed[0] if typed else f"$ {command}")
                lines.append(updated(*results[command]) if command in results else shown)
            new = "\n".join(line for line in lines if line) + "\n"
        else:
            new = next(updated(shown, came) for shown, came, _, w, _ in found if w == where) + "\n"
        text = text[:start] + new + text[end:]
    page.write_text(text, encoding="utf-8")
    for _, came, code, _, command in found:
        print(f"{code} {command}\n{came}\n")


if __name__ == "__main__":
    write_outputs(Path(sys.argv[1]), sys.argv[2])
