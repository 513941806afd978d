"""Where the pages' templates come from: one jinja environment, with style sheets and scripts written into the page."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def environment() -> Environment:
    """Templates of this package; ``source(name)`` in a template is the text of another file, as it stands."""
    loader = PackageLoader("qad.report")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals["source"] = lambda name: Markup(loader.get_source(made, name)[0])
    return made
