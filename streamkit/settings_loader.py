"""Reads the configuration: YAML, the environment over it, every problem at once with its place, value and rule.

The YAML file is, in this order: the given path, STREAMKIT_CONFIG, config/streamkit.yaml below the working directory,
the one that StreamKit brings along.
"""

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from streamkit import settings_rules as rules
from streamkit.errors import ConfigError
from streamkit.resources import data_dir
from streamkit.settings import Settings, StreamRule
from streamkit.settings_encryption import SHORTEST_SECRET
from streamkit.settings_yaml import Document, Problem, dotted, read_yaml

VARIABLES: dict[str, tuple[str, str]] = {
    "DB_HOST": ("database", "host"),
    "DB_PORT": ("database", "port"),
    "DB_USER": ("database", "user"),
    "DB_PASSWORD": ("database", "password"),
    "DB_NAME": ("database", "name"),
    "RTMP_SERVER": ("rtmp", "server"),
    "RTMP_PORT": ("rtmp", "port"),
    "RTMP_STATUS_URL": ("rtmp", "status_url"),
    "HLS_OUTPUT_DIR": ("hls", "output_dir"),
    "MINIO_ENDPOINT": ("storage", "endpoint"),
    "MINIO_ACCESS_KEY": ("storage", "access_key"),
    "MINIO_SECRET_KEY": ("storage", "secret_key"),
    "MINIO_BUCKET": ("storage", "bucket"),
    "MINIO_REGION": ("storage", "region"),
    "MINIO_USE_SSL": ("storage", "use_ssl"),
    "SERVER_PORT": ("server", "port"),
    "CDN_BASE_URL": ("hls", "cdn_base_url"),
    "ENCRYPTION_SECRET": ("encryption", "secret"),
    "TOKEN_SECRET": ("encryption", "token_secret"),
    "KEY_URL_BASE": ("encryption", "key_url_base"),
    "AUTH_CALLBACK_SECRET": ("access", "callback_secret"),
    "WEBHOOK_SECRET": ("access", "webhook_secret"),
    "ADMIN_TOKEN": ("access", "admin_token"),
}
"""Environment variable -> the key that it sets."""
CONFIG_VARIABLE = "STREAMKIT_CONFIG"
CLIENT_VARIABLES = ("STREAMKIT_URL",)
"""Not part of the configuration: where `streamkit streams` asks."""
LOCAL_CONFIG = Path("config/streamkit.yaml")

_PASSES = 8  # each one finds what the problems of the one before had hidden; real files need two
_OF_WHOLES = ("value_error", "too_short")
_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_EXAMPLE: dict[str, Any] = {
    **Settings(selectable_ladders=("default",)).model_dump(mode="json"),
    "streams": [StreamRule(match="*", selectable_ladders=("default",)).model_dump(mode="json")],
}
_EXAMPLE["access"] |= {"webhook_addresses": ["::1"], "trusted_proxies": ["::1"], "referers": ["a"]}
_EXAMPLE["encryption"]["secret"] = "*" * SHORTEST_SECRET  # so that a wrong one is not reported as a missing one too


def load_settings(environ: Mapping[str, str], path: Path | None = None) -> Settings:
    """Return the whole configuration; raises ConfigError with one line per problem."""
    file = config_file(environ, path)
    document = read_document(file)
    overrides: dict[rules.Loc, str] = {VARIABLES[name]: name for name in VARIABLES if name in environ}
    values = _overlay(document.values, environ, overrides)
    settings, errors = _validate(values, [loc for loc in document.broken if loc not in overrides])
    problems = [*document.problems, *_traps(document)]
    problems += [_problem(document, details) for details in errors if details["loc"] not in overrides]
    # On their own, so that a section that is wrong in the file hides nothing.
    _, errors = _validate(_overlay({}, environ, overrides), [])
    from_env = _unknown_variables(environ)
    from_env += [_variable_line(overrides[details["loc"]], environ, details) for details in errors]
    problems.sort(key=lambda problem: (problem.line, problem.column))
    if settings is None or problems or from_env:
        raise ConfigError([f"{file}:{p.line}:{p.column}: {p.text}" for p in problems] + from_env)
    return settings


def config_file(environ: Mapping[str, str], path: Path | None = None) -> Path:
    """Return the YAML file to read; raises ConfigError when one was named that is not there."""
    named = [(path, "")] if path else []
    if environ.get(CONFIG_VARIABLE):
        named.append((Path(environ[CONFIG_VARIABLE]), f" ({CONFIG_VARIABLE} names it)"))
    for candidate, by in named:
        if not candidate.is_file():
            raise ConfigError([f"{candidate}: there is no such configuration file{by}"])
        return candidate
    return LOCAL_CONFIG if LOCAL_CONFIG.is_file() else data_dir("config") / "streamkit.yaml"


def is_brought_along(file: Path) -> bool:
    """Return whether `file` is the one with the defaults, which no operator wrote."""
    return file == data_dir("config") / "streamkit.yaml"


def read_document(file: Path) -> Document:
    """Return what a YAML file holds, and where; raises ConfigError when it cannot be read."""
    return read_yaml(_read(file))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([f"{file}:{line}:1: the file is not UTF-8 text"]) from None
    except OSError as error:
        raise ConfigError([f"{file}: the configuration file cannot be read: {error.strerror}"]) from None


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = (CONFIG_VARIABLE, *CLIENT_VARIABLES)
    unknown = sorted(name for name in environ if name.startswith("STREAMKIT_") and name not in known)
    return [f"environment variable {name}: is not known: {_nearest_variable(name)}" for name in unknown]


def _nearest_variable(name: str) -> str:
    """Return the variable that `name` was meant to be: STREAMKIT_DB_HOST was meant to be DB_HOST."""
    known = [CONFIG_VARIABLE, *VARIABLES]
    bare = name.removeprefix("STREAMKIT_")
    near = difflib.get_close_matches(bare, known, n=1) or difflib.get_close_matches(name, known, n=1, cutoff=0)
    return f"did you mean {near[0]}?"


def _overlay(values: dict[str, Any], environ: Mapping[str, str], overrides: Mapping[rules.Loc, str]) -> dict[str, Any]:
    """Return `values` with the variables in `overrides` in the place of what YAML says.

    A section that is no mapping stays as it is, for the validation to report.
    """
    result = dict(values)
    for (section, key), variable in overrides.items():
        below = result.get(str(section), {})
        if isinstance(below, dict):
            result[str(section)] = {**below, key: _typed(environ[variable], rules.type_at((section, key)))}
    return result


def _typed(text: str, kind: Any) -> str | int | bool:
    """Return a variable's text as `kind`, or unchanged when it is none, so that the validation refuses it."""
    if kind is int and re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    return _BOOLEANS.get(text.lower(), text) if kind is bool else text


def _validate(values: dict[str, Any], reported: list[rules.Loc]) -> tuple[Settings | None, list[ErrorDetails]]:
    """Return the settings, or None and every error.

    A wrong value hides what is checked after it, so it is replaced by a valid one and the rest is checked again. A rule
    about a whole section is left out when a part of it was `reported`: it may be broken only because of that.
    """
    tree = json.loads(json.dumps(values))
    found: dict[rules.Loc, ErrorDetails] = {}
    for _ in range(_PASSES):
        try:
            settings = Settings.model_validate_json(json.dumps(tree))
        except ValidationError as error:
            # Pydantic counts only the valid entries of a list: what it says about the length comes after them.
            for details in sorted(error.errors(include_url=False), key=lambda details: details["type"] in _OF_WHOLES):
                loc, of_whole = details["loc"], details["type"] in _OF_WHOLES
                known = [other for other in [*reported, *found] if other[: len(loc)] == loc]
                if not (known if of_whole else loc in known):
                    found[loc] = details
                if not (known and details["type"] == "too_short"):
                    _heal(tree, loc)
        else:
            return (None if found else settings), list(found.values())
    return None, list(found.values())


def _heal(tree: Any, loc: rules.Loc) -> None:
    """Put a valid value at `loc` of `tree`, or remove what no model knows."""
    for part in loc[:-1]:
        tree = tree[part]
    if rules.annotation_at(loc) is not None:
        tree[loc[-1]] = _example(loc)
    elif isinstance(tree, dict):
        tree.pop(loc[-1], None)


def _example(loc: rules.Loc) -> Any:
    """Return a valid value for `loc`; a rendition's name differs from its neighbours'."""
    if loc[2:3] == ("renditions",) and len(loc) > 3:
        rung = {**_EXAMPLE["ladders"]["default"]["renditions"][0], "name": f"rung-{loc[3]}"}
        return rung if len(loc) == 4 else rung[loc[4]]
    node: Any = _EXAMPLE
    for part in loc:
        known = isinstance(node, dict) and part in node
        other = 0 if isinstance(node, list) else "default"  # any entry of a list, any ladder
        node = node[part if known else other]
    return node


def _traps(document: Document) -> list[Problem]:
    """Return a problem for each value that YAML understands in another way than its writer; unknown keys are apart."""
    problems = []
    for loc, reason in document.broken.items():
        if rules.annotation_at(loc) is not None:
            mark = document.marks[loc]
            shown = "the value" if mark.text is None else _shown(loc, mark.text, mark.text)
            text = f"{dotted(loc)}: {_refused(loc, shown)}: {reason}"
            problems.append(Problem(line=mark.line, column=mark.column, text=text))
    return problems


def _problem(document: Document, details: ErrorDetails) -> Problem:
    """Return what is wrong in the YAML file, at the value, or at its key when the key is wrong."""
    loc, kind = details["loc"], details["type"]
    mark = next((document.marks[loc[:end]] for end in range(len(loc), 0, -1) if loc[:end] in document.marks), None)
    if mark is None:
        return Problem(line=1, column=1, text=f"{dotted(loc)}: {_verdict(details, 'the value')}")
    text = f"{dotted(loc)}: {_verdict(details, _shown(loc, mark.text, details['input']))}"
    if kind == "string_type" and mark.text and not mark.quoted:
        text += f": YAML reads it as {_YAML_KINDS.get(type(details['input']), 'no text')}, so put it in quotes"
    if kind == "extra_forbidden":
        return Problem(line=mark.key_line, column=mark.key_column, text=text)
    return Problem(line=mark.line, column=mark.column, text=text)


def _variable_line(variable: str, environ: Mapping[str, str], details: ErrorDetails) -> str:
    loc, text = details["loc"], environ[variable]
    return f"environment variable {variable}: {_verdict(details, _shown(loc, text, text))} ({dotted(loc)})"


def _verdict(details: ErrorDetails, shown: str) -> str:
    """Return what is wrong with a value and which rule it breaks; `shown` is the value as it may be shown."""
    loc, kind = details["loc"], details["type"]
    if kind == "extra_forbidden":
        return f"is not a known key: {_nearest(str(loc[-1]), rules.keys_at(loc[:-1]))}"
    if kind == "missing":
        return f"is missing: it must be {rules.rule_at(loc)}"
    if kind == "value_error":
        return str(details["ctx"]["error"])
    return _refused(loc, shown, details["msg"] if kind == "broken_rule" else "")


def _refused(loc: rules.Loc, shown: str, rule: str = "") -> str:
    return f"{shown} is not valid: it must be {rule or rules.rule_at(loc)}"


_YAML_KINDS: dict[type, str] = {bool: "true or false", int: "a number", float: "a number"}


def _shown(loc: rules.Loc, text: str | None, value: object) -> str:
    """Return a value for an error message: never a secret, never the user or query of a URL, never more than 60."""
    if rules.is_secret(loc):
        return "the value"
    if text is None:
        return f"a list of {len(value)}" if isinstance(value, list) else "a mapping"
    if value is None:
        return "an empty value"
    text = re.sub(r"\?.*", "?...", re.sub(r"//.*@", "//...@", text)) if "//" in text else text
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"the keys here are {', '.join(known)}"
