"""Pure: YAML text -> plain values, the position of every one of them, and what is wrong with the text itself.

PyYAML's own constructors are not used for mappings, because they keep the last of two duplicate keys and forget the
positions. Scalars are read as YAML 1.1 says, except for those that are traps: they are problems.
"""

import re
from dataclasses import dataclass, field

import yaml

Path = tuple[str | int, ...]
"""Keys and list indices from the top of the document to a value."""
Plain = str | int | float | bool | list["Plain"] | dict[str, "Plain"] | None

_KINDS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null")}
_TRAPS = {
    "tag:yaml.org,2002:timestamp": "a date",
    "tag:yaml.org,2002:merge": "a merge key",
    "tag:yaml.org,2002:value": "a default value",
}
_DEEPEST = 32
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?", re.ASCII)
_OCTAL = re.compile(r"[-+]?0[0-7_]+", re.ASCII)
_QUOTED = re.compile(r"'[\w!][^']+'")  # PyYAML quotes names from the document: they could be part of a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a value and its key are (line and column from 1), and the scalar as it is written (None: no scalar)."""

    line: int
    column: int
    key_line: int
    key_column: int
    text: str | None
    quoted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong at a position (from 1)."""

    line: int
    column: int
    text: str


@dataclass(slots=True, kw_only=True)
class Document:
    """What was read. A value that cannot be used is None in `values`, and `broken` says why."""

    values: dict[str, Plain] = field(default_factory=dict)
    marks: dict[Path, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    broken: dict[Path, str] = field(default_factory=dict)


def read_yaml(text: str) -> Document:
    """Return the one document in `text` with every problem of it; an empty one has no values and no problem."""
    document = Document()
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        document.problems.append(_syntax_problem(error, text))
        return document
    except RecursionError:
        document.problems.append(Problem(line=1, column=1, text="lists and mappings are nested too deeply"))
        return document
    if isinstance(root, yaml.MappingNode):
        document.values = _Reader(loader, document).mapping(root, (), ())
    elif root is not None and not (isinstance(root, yaml.ScalarNode) and root.tag.endswith(":null")):
        line, column = _position(root)
        found = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        text = f"the file must be a mapping of sections (server:, rtmp:, ...), not {found}"
        document.problems.append(Problem(line=line, column=column, text=text))
    return document


class _Reader:
    """Walks the nodes of one document and fills in `document`."""

    def __init__(self, loader: yaml.SafeLoader, document: Document) -> None:
        self._loader = loader
        self._document = document

    def mapping(self, node: yaml.MappingNode, path: Path, above: tuple[yaml.Node, ...]) -> dict[str, Plain]:
        values: dict[str, Plain] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in first:
                self._report(key_node, f"{dotted((*path, key))}: is given twice (first in line {first[key]})")
                continue
            first[key] = _position(key_node)[0]
            values[key] = self._value(value_node, key_node, (*path, key), (*above, node))
        return values

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        where = f"{dotted(path)}: " if path else ""
        if not isinstance(node, yaml.ScalarNode):
            self._report(node, f"{where}a key must be text, not a list or a mapping")
        elif node.tag != "tag:yaml.org,2002:str":
            what = _TRAPS.get(node.tag, "no text")
            self._report(node, f"{where}the key {node.value!r} is {what} in YAML: write it out, or put it in quotes")
        else:
            return str(node.value)
        return None

    def _value(self, node: yaml.Node, key_node: yaml.Node, path: Path, above: tuple[yaml.Node, ...]) -> Plain:
        (line, column), (key_line, key_column) = _position(node), _position(key_node)
        self._document.marks[path] = Mark(
            line=line,
            column=column,
            key_line=key_line,
            key_column=key_column,
            text=node.value if isinstance(node, yaml.ScalarNode) else None,
            quoted=isinstance(node, yaml.ScalarNode) and node.style is not None,
        )
        if len(above) > _DEEPEST:
            return self._broken(path, "lists and mappings are nested too deeply")
        if node in above:
            return self._broken(path, "an alias (*) stands inside of what it names")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self.mapping(node, path, above)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            inner = (*above, node)
            return [self._value(item, item, (*path, number), inner) for number, item in enumerate(node.value)]
        return self._broken(path, "tags (!) are not allowed")

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Plain:
        trap = _trap(node)
        if trap:
            return self._broken(path, trap)
        try:
            value: Plain = self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError, KeyError, OverflowError):
            return self._broken(path, f"it is no {node.tag.rpartition(':')[2]} in YAML")
        return value

    def _broken(self, path: Path, reason: str) -> Plain:
        self._document.broken[path] = reason
        return None

    def _report(self, node: yaml.Node, text: str) -> None:
        line, column = _position(node)
        self._document.problems.append(Problem(line=line, column=column, text=text))


def dotted(path: Path) -> str:
    """Return `path` as people write it: ladders.default.renditions[0].name."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _trap(node: yaml.ScalarNode) -> str | None:
    """Return why YAML 1.1 would read this scalar as something that its writer hardly means."""
    if node.tag in _TRAPS:
        return f"YAML reads it as {_TRAPS[node.tag]}: put text in quotes"
    if node.tag not in _KINDS:
        return "tags (!) are not allowed: put text that begins with ! in quotes"
    numeric = node.tag.endswith((":int", ":float"))
    if numeric and _BASE_60.fullmatch(node.value):
        return "YAML reads digits with a colon as a number of base 60: put text in quotes"
    if numeric and _OCTAL.fullmatch(node.value):
        return "YAML reads a number with a leading 0 as octal: leave the 0 out, or put text in quotes"
    return None


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        return Problem(
            line=before.count("\n") + 1,
            column=error.position - before.rfind("\n"),
            text="is not valid YAML: there is a character here that text files do not have",
        )
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    reason = _QUOTED.sub("...", str(getattr(error, "problem", None) or "it cannot be read"))
    if reason.startswith("but "):
        reason = f"{getattr(error, 'context', '')}, {reason}"
    if isinstance(error, yaml.composer.ComposerError) and "alias" in reason:
        reason = "an alias (*) names nothing above it; put text that begins with * in quotes"
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem(line=line, column=column, text=f"is not valid YAML: {reason}")
