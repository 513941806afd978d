"""Pages that the package itself tells: its modules, its registries, its command line; and the notebooks, copied as they are.

They are written into folders called ``generated`` (and ``tutorials``) before the sources are read, and git does not keep them.
"""

import importlib
import inspect
import json
import math
import pkgutil
import re
from pathlib import Path

from sphinx.pycode import ModuleAnalyzer

#: Pages of the reference: title, what stands on it, and the packages and modules that it documents.
API = {
    "qad": ("qad", "What a notebook needs, in one call each.", ["qad", "qad.pipeline", "qad.errors"]),
    "data": ("qad.data", "Events in memory and on disk.", ["qad.data"]),
    "formats": ("qad.data.formats", "Public files, read and written.", ["qad.data.formats"]),
    "metrics": ("qad.metrics", "Numbers from scores.", ["qad.metrics"]),
    "detector": ("qad.detector", "The one contract of every detector, and how names are found.",
                 ["qad.detector", "qad.registry", "qad.settings", "qad.persistence"]),
    "representations": ("qad.representations", "Sample → array.", ["qad.representations"]),
    "augmentations": ("qad.augmentations", "Random changes that a representation shall not see, or shall see.",
                      ["qad.augmentations"]),
    "quantum": ("qad.quantum", "Circuits, their training and their detectors.", ["qad.quantum"]),
    "backends": ("qad.quantum.backends", "What evaluates a circuit.", ["qad.quantum.backends"]),
    "classical": ("classical", "One detector, one file.", ["classical"]),
    "training": ("qad.training and its kin", "The one torch loop, networks, chains, energy models, contrastive losses.",
                 ["qad.training", "qad.networks", "qad.neural", "qad.encoders", "qad.contrastive", "qad.normalised",
                  "qad.energy", "qad.sampling", "qad.transport"]),
    "simulation": ("qad.simulation", "Pythia 8 → detector → FastJet → Sample.", ["qad.simulation"]),
    "hardware": ("qad.hardware", "Jobs on quantum computers that survive a closed laptop.", ["qad.hardware"]),
    "benchmark": ("qad.benchmark", "Studies, and running them.", ["qad.benchmark"]),
    "report": ("qad.report", "Tables, pictures and words from runs.", ["qad.report"]),
}
#: Not documented by its docstrings: the command line has a page of its own.
ELSEWHERE = {"qad.cli", "qad.__main__"}


def write(path, text):
    """Only if it changes, so that a page that did not change is not built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def modules():
    """Every module of both packages but those of :data:`ELSEWHERE`."""
    found = []
    for top in ("qad", "classical"):
        package = importlib.import_module(top)
        found += [top, *(m.name for m in pkgutil.walk_packages(package.__path__, f"{top}."))]
    return [m for m in found if not any(m == e or m.startswith(f"{e}.") for e in ELSEWHERE)]


def pages():
    """Page → its modules: each goes to the page that names the longest of its parents."""
    where = {module: page for page, (_, _, owned) in API.items() for module in owned}
    out = {page: [] for page in API}
    for module in modules():
        parts = module.split(".")
        known = [p for i in range(len(parts), 0, -1) if (p := ".".join(parts[:i])) in where]
        out[where[known[0]]].append(module)
    return {page: sorted(found, key=lambda m: next(i for i, o in enumerate(API[page][2]) if m == o or m.startswith(f"{o}.")))
            for page, found in out.items()}


def exported(module):
    """What ``module`` shows under its own name although it is written elsewhere."""
    return {id(getattr(module, n)) for n in getattr(module, "__all__", ()) if hasattr(module, n)}


def members(name, elsewhere):
    """Public names written in the module ``name`` and shown by none of the packages above it."""
    module = importlib.import_module(name)
    found = [n for n, v in vars(module).items() if not n.startswith("_") and id(v) not in elsewhere
             and getattr(v, "__module__", None) == name and (inspect.isclass(v) or inspect.isroutine(v))]
    return found + [n for scope, n in ModuleAnalyzer.for_module(name).find_attr_docs() if not scope and not n.startswith("_")]


def api_page(page, found):
    title, says, _ = API[page]
    lines = [f"# {title}", "", says, ""] if " " in title else [f"# `{title}`", ""]
    for name in found:
        module = importlib.import_module(name)
        above = set().union(*(exported(importlib.import_module(name.rsplit(".", k)[0])) for k in range(1, name.count(".") + 1)
                              if name.rsplit(".", k)[0] != "qad"))
        package = hasattr(module, "__path__") and hasattr(module, "__all__") and name != "qad"
        names = [n for n in module.__all__ if inspect.getmodule(getattr(module, n)) is not getattr(module, n)] if package \
            else members(name, above)
        lines += [] if name == title else [f"## `{name}`", ""]
        parent, _, last = name.rpartition(".")
        hidden = parent and not inspect.ismodule(getattr(importlib.import_module(parent), last))  # a function has its name
        options = ["   :no-index:"] if hidden else [f"   :members: {', '.join(names)}"] if names else []
        each = [f".. auto{'class' if inspect.isclass(getattr(module, n)) else 'function'}:: {name}.{n}"
                for n in names if hidden]
        lines += ["```{eval-rst}", f".. automodule:: {name}", *options, "", *each, "```", ""]
    return "\n".join(lines)


def first(text):
    """The first paragraph of a docstring as one line of markdown, bars escaped."""
    paragraph = inspect.cleandoc(text or "–").split("\n\n")[0]
    paragraph = re.sub(r":\w+:`~?([\w.]+)`", r"``\1``", " ".join(paragraph.split()))
    return re.sub(r"``(.+?)``", r"`\1`", paragraph).replace("|", "\\|")


def table(heads, rows):
    return "\n".join(f"| {' | '.join(r)} |" for r in [heads, ["---"] * len(heads), *rows])


def registries():
    """Tables of everything that is found by name, from the installed packages."""
    from qad import registry as r
    from qad.augmentations import ALL
    from qad.benchmark import load_study, studies
    from qad.quantum import encodings
    from qad.quantum.optimizers import OPTIMIZERS

    def link(thing, name):
        return f"{{py:obj}}`{name} <{thing.__module__}.{thing.__qualname__}>`"

    def rows(group, *cells):
        return [[link(thing, name) if inspect.isclass(thing) else f"`{name}`", *(str(cell(thing)) for cell in cells)]
                for name in r.names(group) for thing in [r.find(group, name)]
                if thing.__class__.__module__.split(".")[0] in ("qad", "classical", "abc", "builtins")]

    def function(thing):
        return first(inspect.getdoc(getattr(thing.function, "func", thing.function)))

    def weights(ansatz):
        one, two = (ansatz.shape(8, 2, layers) for layers in (1, 2))
        n = math.prod(one)
        return f"{n}" if one == two or ansatz.fixed_depth else f"{n} a layer"

    by_kind = sorted(rows(r.DETECTORS, lambda d: d.kind, lambda d: d.takes, lambda d: first(d.__doc__)),
                     key=lambda row: ("quantum", "classical", "control", "weak", "supervised").index(row[1]))
    parts = {
        "detectors": ("Detectors", "`qad detectors` prints the same. *Kind*: controls are what the others are judged by; weak "
                      "and supervised ones are told labels.", ["name", "kind", "takes", "score"], by_kind),
        "representations": ("Representations", "Sample → array, `-r NAME` on the command line; several make a chain.",
                            ["name", "gives", "what"], rows(r.REPRESENTATIONS, lambda x: x.gives, lambda x: first(x.__doc__))),
        "encodings": ("Encodings", first(encodings.__doc__), ["name", "takes", "what"],
                      rows(r.ENCODINGS, lambda x: x.takes, function)),
        "ansatze": ("Ansätze", "Quantum functions with trainable weights; weights of eight qubits of which two are kept.",
                    ["name", "weights", "what"], rows(r.ANSATZE, weights, function)),
        "optimisers": ("Optimisers", "Names that `optimizer=` takes, and the step sizes that they begin with.",
                       ["name", "step size"], [[f"`{k}`", f"{v:g}"] for k, v in OPTIMIZERS.items()]),
        "backends": ("Backends", "`--backend NAME` on the command line.", ["name", "what", "exact"],
                     rows(r.BACKENDS, lambda x: first(x.__doc__),
                          lambda x: "yes" if getattr(x, "exact", False) is True else "–")),
        "formats": ("File formats", "`qad data import NAME FILE`, `qad data export FILE --format NAME`; "
                    "[what becomes what](../data.md).", ["name", "what", "from"],
                    rows(r.FORMATS, lambda x: first(x.__doc__), lambda x: x.reference)),
        "augmentations": ("Augmentations", "Changes that a contrastive representation shall not see (positive), or shall see "
                          "(anomalous).", ["name", "kind", "what"],
                          [[link(x, n), x.kind, first(x.__doc__)] for n, x in sorted(ALL.items())]),
        "studies": ("Studies", "`qad benchmark NAME` runs one; results stand [here](../../benchmarks/index.md).",
                    ["name", "title", "detectors and controls", "seeds"],
                    [[f"`{n}`", s.title, str(len(s.detectors)), str(len(s.seeds))]
                     for n in studies() for s in [load_study(n)]]),
    }
    return {name: f"# {title}\n\n{says}\n\n{table(heads, body)}\n" for name, (title, says, heads, body) in parts.items()}


def command_line():
    """Every command with its options, from the tree that parses them."""
    import typer
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from qad.cli import app

    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="qad", title="The command line")
    text = re.sub(r"^(?:Example:\s+(.+)\n\n?)+", lambda m: "```console\n" + "".join(
        f"$ {line}\n" for line in re.findall(r"Example:\s+(.+)", m[0])) + "```\n\n", text, flags=re.M)
    out, here = [], "qad"
    for line in text.splitlines():
        here = line[3:].strip("# `") if line.startswith(("## ", "### ")) else here
        named = re.fullmatch(r"\* `(\w[\w-]*)`: .*", line)  # what is said of it is cut off; its section has it whole
        out.append(f"* [`{named[1]}`](#{here.replace(' ', '-')}-{named[1]})" if named else line)
    text = "\n".join(out) + "\n"
    return text.replace("--help`: Show this message and exit.", "--help`")


def notebooks(folder, out):
    """The notebooks as they are kept, with links into docs turned to where they now lie."""
    kept = set()
    for path in sorted(folder.glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))
        for cell in cells["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = [s.replace("](../docs/", "](../") for s in cell["source"]]
        write(out / path.name, json.dumps(cells, indent=1, ensure_ascii=False))
        kept.add(path.name)
    for old in out.glob("*.ipynb"):
        if old.name not in kept:
            old.unlink()


def generate(app):
    """Write what is generated; a folder of sources without conf.py of its own (a test's) gets nothing."""
    src = Path(app.srcdir)
    if src != Path(app.confdir):
        return
    generated = src / "reference" / "generated"
    texts = {f"api/{page}.md": api_page(page, found) for page, found in pages().items()}
    texts |= {f"{name}.md": text for name, text in registries().items()}
    texts["command_line.md"] = command_line()
    for name, text in texts.items():
        write(generated / name, text)
    for old in generated.rglob("*.md"):
        if old.relative_to(generated).as_posix() not in texts:
            old.unlink()
    notebooks(src.parent / "notebooks", src / "tutorials")



def turned(app, docname, source):
    """Links of a page to what the site has elsewhere: notebooks, the README."""
    source[0] = re.sub(r"\]\((?:\.\./)+notebooks/(\w+\.ipynb)\)", r"](/tutorials/\1)", source[0])
    source[0] = re.sub(r"\]\((?:\.\./)+README\.md\)", "](/index.md)", source[0])


def setup(app):
    app.connect("builder-inited", generate)
    app.connect("source-read", turned)
    return {"parallel_read_safe": True}
