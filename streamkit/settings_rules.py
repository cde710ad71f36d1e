"""Pure: the rule that a key of the settings obeys, in words, read from the models themselves."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from streamkit.settings import Settings
from streamkit.settings_fields import Section

Loc = tuple[str | int, ...]


def annotation_at(loc: Loc) -> Any:
    """Return the annotation of the value at `loc` below Settings; None when the models have no such key."""
    annotation: Any = Settings
    for part in loc:
        bare = _bare(annotation)
        if isinstance(bare, type) and issubclass(bare, Section):
            field = bare.model_fields.get(str(part))
            annotation = Annotated[field.annotation, field] if field else None
        elif get_origin(bare) in (dict, tuple):
            annotation = get_args(bare)[1 if get_origin(bare) is dict else 0]
        else:
            return None
    return annotation


def keys_at(loc: Loc) -> list[str]:
    """Return the keys that the section at `loc` may have; none when it is no section."""
    section = section_at(loc)
    return list(section.model_fields) if section else []


def section_at(loc: Loc) -> type[Section] | None:
    """Return the model of the section at `loc`, None when it is no section."""
    bare = _bare(annotation_at(loc))
    return bare if isinstance(bare, type) and issubclass(bare, Section) else None


def type_at(loc: Loc) -> Any:
    """Return the plain type of the value at `loc` (int, bool, SecretStr, ...), without constraints and None."""
    return _bare(annotation_at(loc))


def rule_at(loc: Loc) -> str:
    """Return the rule of the value at `loc`, as it follows on 'it must be'."""
    annotation = annotation_at(loc)
    kind, metadata = _bare(annotation), list(_metadata(annotation))
    described = next((item.description for item in metadata if isinstance(item, FieldInfo) and item.description), None)
    if described:
        return described
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(str(choice) or "''" for choice in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Section):
        return "a section with some of the keys " + ", ".join(kind.model_fields)
    noun = _NOUNS.get(get_origin(kind) or kind, "valid")
    return noun + _range(metadata)


def is_secret(loc: Loc) -> bool:
    """True when the value at `loc` may not be shown."""
    return type_at(loc) is SecretStr


_NOUNS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    SecretStr: "text",
    tuple: "a list",
    dict: "a mapping of names",
}


def _bare(annotation: Any) -> Any:
    """Return the annotation without Annotated and without None."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    rest = [arg for arg in get_args(annotation) if arg is not type(None)]
    return _bare(rest[0]) if len(rest) == 1 and type(None) in get_args(annotation) else annotation


def _metadata(annotation: Any) -> Iterable[Any]:
    """Yield the constraints and descriptions on `annotation`, the outermost first."""
    if get_origin(annotation) is Annotated:
        inner, *outer = get_args(annotation)
        for item in outer:
            yield item
            yield from getattr(item, "metadata", ())
        yield from _metadata(inner)
    elif type(None) in get_args(annotation):
        for arg in get_args(annotation):
            yield from _metadata(arg)


def _range(metadata: list[Any]) -> str:
    low = next((item.ge for item in metadata if isinstance(item, Ge)), None)
    high = next((item.le for item in metadata if isinstance(item, Le)), None)
    above = next((item.gt for item in metadata if isinstance(item, Gt)), None)
    shortest = next((item.min_length for item in metadata if isinstance(item, MinLen)), None)
    longest = next((item.max_length for item in metadata if isinstance(item, MaxLen)), None)
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    if above is not None:
        return f" above {above}"
    if longest is not None:
        return f" of {shortest} to {longest} entries"
    return " that is not empty" if shortest else ""
