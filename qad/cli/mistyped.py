"""What a user typed wrongly, in our one sentence: what was expected, what came, what to type next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from qad.errors import did_you_mean

EXAMPLE = re.compile(r"Example:\s+(qad [^\n]+?)(?:\s*\n|\Z)")


def examples(command: Any) -> list[str]:
    """The lines of the examples in a command's help."""
    return EXAMPLE.findall(command.help or "")


def is_usage_error(error: BaseException) -> bool:
    """Whether the parser raised it: it has an exit code and a message for the user."""
    return hasattr(error, "exit_code") and hasattr(error, "format_message")


def sentence(error: Any, words: list[str]) -> str:
    """The parser's ``error`` on ``words`` as one sentence; empty where it has shown the help instead."""
    kind, context = type(error).__name__, getattr(error, "ctx", None)
    if kind == "NoArgsIsHelpError":
        return ""
    said = " ".join(error.format_message().split()).rstrip(".")
    if context is None:
        return f"{said[:1].lower()}{said[1:]}; add --help to see what there is"
    command, path = context.command, context.command_path
    if (wrong := re.match(r"No such command ['\"](.*?)['\"]", said)) and hasattr(command, "commands"):
        wanted = wrong[1] if wrong[1] in ("help", "version") else "help"
        return f"{did_you_mean(wrong[1], command.commands, f'command of {path}')}; type  {path} --{wanted}"
    if kind == "NoSuchOption":
        return f"{did_you_mean(error.option_name, _options(command), f'option of {path}')}; type  {path} --help"
    if kind == "MissingParameter" and error.param is not None:
        meaning = (getattr(error.param, "help", None) or "").split(". [")[0].rstrip(".")
        said = f"{path} expects {_name(error.param)}" + (f" ({meaning})" if meaning else "") + ", which was not given"
    elif kind == "BadParameter" and error.param is not None:
        came = next((f"; got '{value}'" for option, value in pairwise(words) if option in error.param.opts), "")
        said = f"{_name(error.param)}: {_expected(error.message.rstrip('.'))}{came if 'got' not in error.message else ''}"
    else:
        said = f"{path}: {said[:1].lower()}{said[1:]}"
    shown = examples(command)
    return f"{said}; type " + (f"it as in  {shown[0]}" if shown else f" {path} --help")


def _name(parameter: Any) -> str:
    options = [option for option in parameter.opts if option.startswith("-")]
    return " / ".join(options) or (parameter.metavar or parameter.name).upper()


def _options(command: Any) -> Iterator[str]:
    for parameter in command.params:
        yield from (o for o in (*parameter.opts, *parameter.secondary_opts) if o.startswith("--"))
    yield "--help"


def _expected(said: str) -> str:
    """The parser's words with ``expected``, as ours have it."""
    said = re.sub(r"^Input should be (a valid )?(?=\S)", "expected ", said)
    said = re.sub(r"expected greater than or equal to (\S+)", r"expected \1 or more", said)
    return re.sub(r", unable to parse.*", "", re.sub("expected integer", "expected a whole number", said))
