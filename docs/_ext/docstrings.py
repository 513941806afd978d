"""The package's docstrings as autodoc wants them: tables of settings, bars and dashes of formulae, short names in roles."""

import inspect
import re

from sphinx.util.nodes import make_refnode

import qad

#: ``n_particles  hardest particles``: a setting, two blanks or more, what it is.
SETTING = re.compile(r" *(\S(?:\S| (?! ))*) {2,}(\S.*)")
LITERAL = re.compile(r"(``.+?``|`[^`]+`)")


def _settings(lines):
    """Paragraphs that are tables of settings become definition lists."""
    out, block = [], []

    def flush():
        base = min((len(x) - len(x.lstrip()) for x in block), default=0)
        heads = [x for x in block if len(x) - len(x.lstrip()) == base]
        gaps = [m.start(2) for x in heads if (m := SETTING.fullmatch(x))]
        column = max(gaps, key=gaps.count, default=0)  # where what is said of them begins; one blank may do for the longest
        where = [m.start(2) if (m := SETTING.fullmatch(x)) else
                 column if x[column - 1 : column] == " " != x[column : column + 1] else 0 for x in heads]
        if gaps and all(where) and block[0] in heads and not block[0].lstrip().startswith(("===", "|", "- ", "* ", ">>>")):
            for line in block:
                if len(line) - len(line.lstrip()) == base:
                    at = where.pop(0)
                    name = line[:at].strip()
                    out.extend([" " * base + (name if "`" in name else f"``{name}``"), " " * (base + 4) + line[at:]])
                else:
                    out.append(" " * (base + 4) + line.strip())
        elif len(heads) == 1 and len(block) > 1 and not block[0].endswith("::"):  # a title, and a table below it
            out.extend([block[0], *_settings(block[1:])])
        else:
            out.extend(block)
        block.clear()

    literal = None  # indent of the line that announced a literal block
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        if line.strip() and literal is None:
            block.append(line)
            continue
        announced = bool(block) and block[-1].endswith("::")
        start = len(block[-1]) - len(block[-1].lstrip()) if block else 0
        flush()
        out.append(line)
        literal = start if announced else literal
    flush()
    return out


def _escaped(lines):
    """Bars of kets and names that end in a dash below are text, not substitutions and references."""
    out, literal = [], None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        if literal is None and not line.lstrip().startswith(">>>"):
            parts = LITERAL.split(line)
            parts[::2] = [re.sub(r"(?<!\\)\|", r"\\|", re.sub(r"(?<=\w)_(?!\w|`)", r"\\_", p)) for p in parts[::2]]
            line = "".join(parts)
        if literal is None and line.rstrip().endswith("::"):
            literal = indent
        out.append(line)
    return out


def mended(app, what, name, thing, options, lines):
    lines[:] = _escaped(_settings(lines))


def skipped(app, what, name, thing, skip, options):
    """Nothing of scikit-learn, torch or pydantic that a class of ours only inherits or is given; nothing without words."""
    place = getattr(thing, "__module__", None)
    if name.startswith("set_") and name.endswith("_request"):
        return True
    return True if inspect.isfunction(thing) and place and place.split(".")[0] not in ("qad", "classical") else None


def resolved(app, env, node, contnode):
    """``:class:`InputError``` is found wherever the package documents one, if it does so once."""
    if node.get("refdomain") != "py":
        return None
    domain, target = env.get_domain("py"), node["reftarget"].lstrip(".")
    owner, _, member = target.rpartition(".")
    if owner == "qad" and member in qad._PLACES:  # qad.load is qad.persistence.load
        target = f"{qad._PLACES[member]}.{member}"
    elif owner in domain.objects and domain.objects[owner].aliased:  # qad.data.sample.Sample is qad.data.Sample
        place = domain.objects[owner].node_id
        target = next(f"{n}.{member}" for n, o in domain.objects.items() if o.node_id == place and not o.aliased)
    found = domain.find_obj(env, node.get("py:module"), node.get("py:class"), target, node.get("reftype"), 1)
    places = {(obj.docname, obj.node_id): name for name, obj in found if not obj.aliased} or \
        {(obj.docname, obj.node_id): name for name, obj in found}
    if len(places) != 1:  # a function is known by where its package shows it: qad.simulation.simulate.x is qad.simulation.x
        top = ".".join(target.split(".")[:2])
        names = [n for n, o in domain.objects.items() if n == f"{top}.{target.rpartition('.')[2]}" and not o.aliased]
        places = {(domain.objects[n].docname, domain.objects[n].node_id): n for n in names}
    if len(places) != 1:
        return None
    [((docname, node_id), name)] = places.items()
    return make_refnode(app.builder, node["refdoc"], docname, node_id, contnode, name)


def setup(app):
    app.connect("autodoc-process-docstring", mended)
    app.connect("autodoc-skip-member", skipped)
    app.connect("missing-reference", resolved)
    return {"parallel_read_safe": True}
