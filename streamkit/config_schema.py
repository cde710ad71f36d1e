"""The configuration as JSON Schema: structure and ranges from the settings, meanings from the YAML file."""

import re
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from streamkit import __version__
from streamkit.resources import data_dir
from streamkit.settings import Settings
from streamkit.settings_yaml import read_yaml

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _WithoutTitles(GenerateJsonSchema):
    """Leaves out the names that would only be the keys again in another spelling."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - as the base class has it
        return False


def config_schema() -> Schema:
    """Return the schema of the YAML file. What it allows may still break a rule between keys: see `config check`."""
    schema = Settings.model_json_schema(schema_generator=_WithoutTitles)
    text = (data_dir("config") / "streamkit.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    for loc, mark in read_yaml(text).marks.items():
        comment = _comment_above(lines, mark.key_line - 1, mark.key_column - 1)
        place = _place(schema, loc)
        if comment and place is not None:
            place["description"] = comment
    return {"$schema": DIALECT, **schema, "title": f"Configuration of StreamKit {__version__}"}


def _comment_above(lines: list[str], key: int, indent: int) -> str:
    """Return the comment that ends right above a key in the same column; keys that follow each other share one."""
    while key > 0 and re.match(rf" {{{indent}}}\w", lines[key - 1]):
        key -= 1
    begin = key
    while begin > 0 and lines[begin - 1].startswith(" " * indent + "#"):
        begin -= 1
    return " ".join(line.strip().lstrip("#").strip() for line in lines[begin:key])


def _place(schema: Schema, loc: tuple[str | int, ...]) -> Schema | None:
    """Return the part of the schema that describes the key at `loc`; None for names that the operator chooses."""
    node = schema
    for part in loc:
        below = _resolved(schema, node)
        if isinstance(part, int):
            node = below["items"]
        elif part in below.get("properties", {}):
            node = below["properties"][part]
        elif part == loc[-1]:
            return None
        else:
            node = below["additionalProperties"]
    return node if isinstance(loc[-1], str) else None


def _resolved(schema: Schema, node: Schema) -> Schema:
    name: str = node.get("$ref", "").removeprefix("#/$defs/")
    return schema["$defs"][name] if name else node
