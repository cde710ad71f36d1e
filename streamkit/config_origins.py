"""Where each value of the configuration comes from: the environment, a line of the file, or StreamKit itself."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from streamkit.settings import Settings
from streamkit.settings_loader import VARIABLES, config_file, is_brought_along, read_document
from streamkit.settings_yaml import Document, dotted

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A value, as it may be shown, and who says so: `where` is a variable, or file:line; empty for a default."""

    key: str
    value: Any
    source: Literal["environment", "file", "default"]
    where: str


def origins(settings: Settings, environ: Mapping[str, str], path: Path | None) -> list[Origin]:
    """Return every value of `settings`, which were read from the same `environ` and `path`, in their order.

    What a rendition or rule leaves out is left out.
    """
    file = config_file(environ, path)
    document = Document() if is_brought_along(file) else read_document(file)
    variables: dict[Loc, str] = {loc: name for name, loc in VARIABLES.items() if name in environ}
    found = []
    for loc, value in _leaves(shown(settings), ()):
        variable, mark = variables.get(loc), document.marks.get(loc)
        if variable is not None:
            found.append(Origin(key=dotted(loc), value=value, source="environment", where=variable))
        elif mark is not None:
            found.append(Origin(key=dotted(loc), value=value, source="file", where=f"{file}:{mark.line}"))
        elif value is not None:
            found.append(Origin(key=dotted(loc), value=value, source="default", where=""))
    return found


def shown(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain values without secrets: neither passwords nor what URLs carry for one."""
    tree: dict[str, Any] = _masked(settings.model_dump(mode="json"))
    return tree


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_masked(below) for below in value]
    is_url = isinstance(value, str) and "//" in value
    return re.sub(r"\?.+", "?...", re.sub(r"//[^/]*@", "//...@", value)) if is_url else value


def _leaves(value: Any, loc: Loc) -> Iterator[tuple[Loc, Any]]:
    """Yield what has nothing below it. A list of single values is one."""
    below: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        below = list(value.items())
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        below = list(enumerate(value))
    if not below:
        yield loc, value
    for key, one in below:
        yield from _leaves(one, (*loc, key))
