"""Pages of results from the records of studies: nothing on them is typed.

``{study-table} NAME`` puts the table of ``benchmarks/records/NAME.json`` into a page of prose, ``{study-verdict} NAME`` the
verdict. Every record also has a page of its own, with its curves, costs and provenance, in ``benchmarks/generated``.
"""

import html
from pathlib import Path

import yaml
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from generated import write
from pictures import both_figure, cells_of, cost_figure, rejection_figure, reversible
from plotly.offline import get_plotlyjs
from sphinx.util.docutils import SphinxDirective

from qad.detector import KINDS
from qad.errors import InputError
from qad.report.record import read_record

HEADS = {"auc": "AUC", "rejection_03": "1/ε_b(0.3)", "rejection_05": "1/ε_b(0.5)", "max_sic": "SIC", "tpr_1e2": "TPR(10⁻²)",
         "tpr_1e3": "TPR(10⁻³)", "tpr_1e4": "TPR(10⁻⁴)", "tpr_1e5": "TPR(10⁻⁵)"}
DIGITS = {"max_sic": 2}
#: Kinds in the order of a table's rows.
ORDER = ("quantum", "classical", "weak", "supervised", "control")


def pair(direction):
    return f"{direction['train']} → {direction['signal']}"


def value(record, direction, row, metric):
    """The mean over the seeds ± s.d. as text, and what it is sorted by."""
    i = record["metrics"].index(metric)
    mean, sd = row["mean"][i], row["sd"][i]
    if mean is None:
        if metric.startswith("rejection"):
            return f"> {direction['least_rejection']:.0f}", direction["least_rejection"]
        return "too few events", -1
    digits = DIGITS.get(metric, 3 if mean < 10 else 1 if mean < 1000 else 0)
    return f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if sd is not None and sd >= 0.5 * 10**-digits else ""), mean


def cell(text, key=None, hint="", head=False):
    tag = "th" if head else "td"
    extra = (f' data-v="{key:.6g}"' if key is not None else "") + (f' title="{html.escape(hint)}"' if hint else "")
    return f"<{tag}{extra}>{html.escape(text)}</{tag}>"


def number(x, digits=2):
    return "–" if x is None else f"{float(f'{x:.{digits}g}'):,.{0 if abs(x) >= 10 else 6}f}".rstrip("0").rstrip(".") \
        if abs(x) < 10 else f"{float(f'{x:.3g}'):,.0f}"


def told(model):
    said = [*model["marks"], *([model["mark"]] if model["mark"] else [])]
    return model["kind"] + (f" [{'; '.join(said)}]" if said else "")


def table(record, chosen, metrics, kinds, full=False):
    """HTML: a row per detector; by kind, then by the first column."""
    columns = [(d, m) for m in metrics for d in chosen]
    heads = [("detector", 0), ("sees", 0), ("kind", 0)]
    heads += [(f"{HEADS[m]} {pair(d)}" if len(chosen) > 1 else HEADS[m], 1) for d, m in columns]
    if full:
        heads[4:4] = [("− best control", 1)]
        heads += [("parameters", 1), ("effective", 1), ("fit [s]", 1), ("epoch [s]", 1), ("events/s", 1), ("shots", 1)]
    else:
        heads += [("epoch [s]", 1)] if any(m["seconds_per_epoch"] for m in record["models"]) else []
    lines = []
    for (detector, sees), row in cells_of(record).items():
        here = [row.get((d["train"], d["signal"])) for d in chosen]
        known = [h for h in here if h]
        if not known or known[0][0]["kind"] not in kinds:
            continue
        model = known[0][0]
        texts = []
        for d, m in columns:
            found = row.get((d["train"], d["signal"]))
            text, key = value(record, d, found[1], m) if found else ("–", -1)
            hint = f"68 % interval {found[1]['interval'][0]} to {found[1]['interval'][1]}" if found and m == "auc" else ""
            texts.append((cell(text, key, hint), key))
        if full:
            difference = known[0][1]["difference"]
            best = f"{detector} ({sees})" == chosen[0]["best_control"]
            said = "best control" if best else "–" if difference is None else f"{difference[0]:+.4f}" + (
                f" ± {difference[1]:.4f}" if difference[1] is not None else "")
            texts.insert(1, (cell(said, difference[0] if difference else 0), 0))
            costs = [model["parameters"], model["effective_parameters"], model["fit_seconds"], model["seconds_per_epoch"],
                     model["events_per_second"], model["shots"]]
            texts += [(cell(number(c), -1 if c is None else c), 0) for c in costs]
        elif heads[-1][0] == "epoch [s]":
            epochs = [h[0]["seconds_per_epoch"] for h in row.values() if h[0]["seconds_per_epoch"] is not None]
            epoch = sum(epochs) / len(epochs) if epochs else None
            texts.append((cell(number(epoch), -1 if epoch is None else epoch), 0))
        name = cell(detector) + cell(sees) + f'<td class="kind-{model["kind"]}">{html.escape(told(model))}</td>'
        lines.append(((ORDER.index(model["kind"]), -texts[0][1]), f"<tr>{name}{''.join(t for t, _ in texts)}</tr>"))
    head = "".join(f'<th class="{"number" if n else ""}" aria-sort="none"><button>{html.escape(h)}</button></th>'
                   for h, n in heads)
    body = "\n".join(line for _, line in sorted(lines, key=lambda x: x[0]))
    return (f'<div class="table-wrapper study-table" data-study="{record["study"]}"><table class="docutils">\n'
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>")


class OfStudy(SphinxDirective):
    """What is common: the record named as the argument, and an error that says where it was looked for."""

    required_arguments = 1

    def record(self):
        path = Path(self.env.srcdir) / "benchmarks" / "records" / f"{self.arguments[0]}.json"
        self.env.note_dependency(str(path))
        try:
            return read_record(path)
        except InputError as error:
            raise self.error(str(error)) from None

    def chosen(self, record):
        wanted = self.options.get("directions", "").split()
        found = {f"{d['train']}:{d['signal']}": d for d in record["directions"]}
        if unknown := [w for w in wanted if w not in found]:
            raise self.error(f"{record['study']} has no direction {unknown[0]}; it has {', '.join(found)}")
        return [found[w] for w in wanted] or list(found.values())


class StudyTable(OfStudy):
    option_spec = {"directions": directives.unchanged, "metrics": directives.unchanged, "kinds": directives.unchanged,
                   "full": directives.flag}

    def run(self):
        record = self.record()
        metrics = self.options.get("metrics", "auc").split()
        kinds = self.options.get("kinds", " ".join(KINDS)).split()
        if unknown := [m for m in metrics if m not in HEADS] + [k for k in kinds if k not in KINDS]:
            raise self.error(f"unknown {unknown[0]}; metrics are {', '.join(HEADS)}, kinds {', '.join(KINDS)}")
        text = table(record, self.chosen(record), metrics, kinds, "full" in self.options)
        seeds = len(record["seeds"])
        said = nodes.paragraph(classes=["made"])
        said += nodes.Text(f"Mean of {seeds} seed{'s' * (seeds > 1)} ± s.d.; made from the record of {record['date']} by ")
        said += nodes.literal("", record["commands"][0])
        said += nodes.Text(".")
        return [nodes.raw("", text, format="html"), said]


class StudyVerdict(OfStudy):
    option_spec = {"sentences": directives.flag}

    def run(self):
        verdict = self.record()["verdict"]
        out = [nodes.paragraph("", "", nodes.strong("", verdict["headline"]))]
        if "sentences" in self.options:
            first = [s for s in verdict["sentences"] if s.startswith("Trained on")]
            rest = [s for s in verdict["sentences"] if s not in first]
            out.append(_bullets(first))
            if rest:
                out += [nodes.raw("", "<details><summary>What inverts, and what training gained</summary>", format="html"),
                        _bullets(rest), nodes.raw("", "</details>", format="html")]
        return out


def _bullets(sentences):
    return nodes.bullet_list("", *(nodes.list_item("", nodes.paragraph("", s)) for s in sentences))


class StudyStatus(SphinxDirective):
    """Whether the tables of a page of prose, which are typed, have a record to be held against."""

    required_arguments, optional_arguments = 1, 20

    def run(self):
        folder, said = Path(self.env.srcdir) / "benchmarks" / "records", []
        for name in self.arguments:
            path = folder / f"{name}.json"
            self.env.note_dependency(str(path))
            if path.exists():
                said.append(f"`{name}` has [a record](generated/{name}.md) of {read_record(path)['date']}, with every number.")
            else:
                said.append(f"The study `{name}` has no record yet.")
        said.append("The tables of this page were typed from an earlier run, by the commands beside them.")
        box = nodes.container(classes=["made"])
        self.state.nested_parse(StringList([" ".join(said)]), 0, box)
        return [box]


class StudyFigure(OfStudy):
    option_spec = {"directions": directives.unchanged, "of": lambda x: directives.choice(x, tuple(FIGURES))}

    def run(self):
        record = self.record()
        draw = FIGURES[self.options.get("of", "rejection")]
        return [nodes.raw("", draw(record, d), format="html") for d in self.chosen(record)]


FIGURES = {"rejection": rejection_figure, "cost": cost_figure, "both": both_figure}


class StudyProvenance(OfStudy):
    def run(self):
        record = self.record()
        out = [nodes.literal_block("", "\n".join(f"$ {c}" for c in record["commands"]), language="console"),
               nodes.paragraph("", f"The last run ended on {record['date']}. " + ", ".join(
                   f"{k} {v}" for k, v in record["versions"].items()) + ".")]
        prints = {n: {"file": s.get("file"), **(s.get("fingerprints") or {})} for n, s in record["samples"].items()}
        for title, what in (("Samples and fingerprints", prints), ("The study", record["configuration"]),
                            ("Left out, with the reason", record["skipped"] + record["failed"])):
            if what:
                text = yaml.safe_dump(what, sort_keys=False, allow_unicode=True, width=110)
                block = nodes.literal_block("", text, language="yaml")
                out += [nodes.raw("", f"<details><summary>{title}</summary>", format="html"), block,
                        nodes.raw("", "</details>", format="html")]
        return out


def page(record):
    """The page of a record, in markdown."""
    name, parts = record["study"], record["directions"]
    lines = [f"# Record of `{name}`", "", f"{record['title']}. Made from the study's runs, none of it typed.", "",
             f"```{{study-verdict}} {name}", ":sentences:", "```", ""]
    if len(parts) > 1:
        lines += ["## Every direction", "", f"```{{study-table}} {name}", "```", ""]
        for d in reversible(record):
            lines += [f"```{{study-figure}} {name}", f":directions: {d['train']}:{d['signal']}", ":of: both", "```", ""]
    lines += ["## Direction by direction", "", "A head sorts its column. Hover over an AUC for its interval, over a curve "
              "for its name; a click in the legend hides, a double click shows alone.", "", "::::{tab-set}", ""]
    for d in parts:
        which = f"{d['train']}:{d['signal']}"
        same = "all detectors saw the same events" if len(d["fingerprints"]) == 1 else "**not all saw the same events**"
        lines += [f":::{{tab-item}} {pair(d)}", "",
                  f"{d['background_events']:,} background and {d['signal_events']:,} signal events; {same}. Best control: "
                  f"{d['best_control'] or '–'}.", "",
                  f"```{{study-table}} {name}", f":directions: {which}", f":metrics: {' '.join(record['metrics'])}", ":full:",
                  "```", "",
                  f"```{{study-figure}} {name}", f":directions: {which}", "```", "",
                  f"```{{study-figure}} {name}", f":directions: {which}", ":of: cost", "```", "", ":::", ""]
    return "\n".join([*lines, "::::", "", "## Provenance", "", f"```{{study-provenance}} {name}", "```", ""])


def generate(app):
    """A page for each record, and the script that draws; a folder of sources without conf.py of its own gets nothing."""
    src = Path(app.srcdir)
    if src != Path(app.confdir):
        return
    out, kept = src / "benchmarks" / "generated", set()
    for path in sorted((src / "benchmarks" / "records").glob("*.json")):
        write(out / f"{path.stem}.md", page(read_record(path)))
        kept.add(f"{path.stem}.md")
    for old in out.glob("*.md"):
        if old.name not in kept:
            old.unlink()


def script(app, error):
    if error is None and app.builder.format == "html":
        (Path(app.outdir) / "_static" / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")


def setup(app):
    app.add_directive("study-table", StudyTable)
    app.add_directive("study-verdict", StudyVerdict)
    app.add_directive("study-figure", StudyFigure)
    app.add_directive("study-status", StudyStatus)
    app.add_directive("study-provenance", StudyProvenance)
    app.connect("builder-inited", generate)
    app.connect("build-finished", script)
    return {"parallel_read_safe": True}
