"""README.md and docs/ say what the code does: variables, endpoints, commands, links, snippets, messages."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from fakes.front_end import running
from pydantic import BaseModel, SecretStr

from streamkit.cli import cli
from streamkit.settings import HlsSettings, Settings
from streamkit.settings_loader import CONFIG_VARIABLE, VARIABLES, load_settings
from streamkit.web.dialects import EventAction, parse_event

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
WEBHOOK = "http://streamkit:8080/events/published"


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def section(heading: str) -> str:
    """Return what stands under a heading of the README, down to the next heading."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {heading}"
    return found[1]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading, without its head; code marks are taken off."""
    table = re.search(r"(?:^\|.*\n)+", section(heading), re.MULTILINE)
    assert table, f"there is no table under {heading}"
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[0].splitlines()[2:]]


def bare(cell: str) -> str:
    return cell.strip("| ").strip("`")


def fences(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)


def code() -> list[str]:
    """Return every line of shell and every inline code span of the README and docs."""
    shell = [line for page in PAGES for fence in fences(page, "sh") for line in fence.splitlines()]
    without_fences = [re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL) for page in PAGES]
    return shell + [span for text in without_fences for span in re.findall(r"`([^`\n]+)`", text)]


def default_of(section_name: str, key: str) -> str:
    value = getattr(getattr(Settings(), section_name), key)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture
def documented_paths(tmp_path: Path) -> Iterator[dict[str, Any]]:
    with running(Settings(hls=HlsSettings(output_dir=tmp_path))) as front:
        yield front.get("/docs/openapi.json").json()["paths"]


# ---- configuration


def test_the_table_of_variables_has_every_variable_with_its_default_and_key() -> None:
    written = {
        bare(row[0]): (bare(row[1]).replace("(empty)", ""), bare(row[2])) for row in rows("Environment variables")
    }
    assert written == {name: (default_of(*where), ".".join(where)) for name, where in VARIABLES.items()}


def test_the_variable_that_names_the_yaml_file_is_described() -> None:
    assert f"`{CONFIG_VARIABLE}`" in section("Environment variables")


@pytest.mark.parametrize(("key", "default"), [(bare(row[0]), bare(row[1])) for row in rows("YAML")])
def test_a_key_in_the_table_of_yaml_keys_has_the_default_that_is_written_there(key: str, default: str) -> None:
    where, name = key.split(".")
    value = Settings().model_dump(mode="json")[where][name]
    assert yaml.safe_load(default) == value


@pytest.mark.parametrize("page", PAGES)
def test_every_yaml_snippet_is_a_valid_configuration(page: str, tmp_path: Path) -> None:
    for number, snippet in enumerate(fences(page, "yaml")):
        if snippet.startswith("# mediamtx.yml"):
            continue
        file = tmp_path / f"{number}.yaml"
        file.write_text(snippet)
        load_settings({}, file)


def test_the_readme_shows_a_ladder_and_a_rule() -> None:
    snippets = [yaml.safe_load(snippet) for snippet in fences("README.md", "yaml")]
    assert any("ladders" in snippet for snippet in snippets)
    assert any("streams" in snippet for snippet in snippets)


def test_keys_named_in_the_text_are_keys_of_the_configuration() -> None:
    sections = [name for name in Settings.model_fields if isinstance(getattr(Settings(), name), BaseModel)]
    named = {span for span in code() if re.fullmatch(rf"({'|'.join(sections)})\.[a-z_]+", span)}
    assert len(named) > 10
    known = {f"{one}.{key}" for one in sections for key in type(getattr(Settings(), one)).model_fields}
    assert named <= known


# ---- endpoints


def test_the_table_of_endpoints_equals_the_openapi_document(documented_paths: dict[str, Any]) -> None:
    served = {(method.upper(), path) for path, methods in documented_paths.items() for method in methods}
    assert {(bare(row[0]), bare(row[1])) for row in rows("HTTP endpoints")} == served


def test_every_webhook_url_in_the_text_is_an_endpoint(documented_paths: dict[str, Any]) -> None:
    paths = {path for page in PAGES for path in re.findall(r"http://[\w.:-]+(/events/[\w/-]*)", text_of(page))}
    assert paths == {"/events/published"}
    assert paths <= set(documented_paths)


# ---- RTMP servers


def test_the_nginx_lines_are_those_of_the_configuration_that_the_tests_run() -> None:
    ours = re.sub(r"#.*", "", (ROOT / "config/nginx-rtmp.conf").read_text())
    present = {" ".join(line.split()) for line in ours.splitlines()}
    snippet = next(fence for fence in fences("README.md", "nginx") if "application" in fence)
    assert {" ".join(line.split()) for line in snippet.splitlines()} <= present


def test_the_srs_lines_call_the_webhook_for_both_events() -> None:
    snippet = next(fence for fence in fences("README.md", "nginx") if "http_hooks" in fence)
    hooks = re.findall(rf"(on_\w+) {WEBHOOK};", snippet)
    assert hooks == ["on_publish", "on_unpublish"]
    for action in hooks:
        body = f'{{"action": "{action}", "client_id": "c1", "app": "live", "stream": "demo"}}'.encode()
        assert parse_event("application/json", body, "", "POST").key == "demo"


def test_the_mediamtx_hooks_post_what_streamkit_understands() -> None:
    document = next(yaml.safe_load(f) for f in fences("README.md", "yaml") if f.startswith("# mediamtx.yml"))
    (pattern, hooks), *others = document["paths"].items()
    assert not others
    assert re.fullmatch(pattern.removeprefix("~"), "live/demo_1")
    events = [parse_event("", posted(hooks[name]), "", "POST") for name in ("runOnReady", "runOnNotReady")]
    assert [event.action for event in events] == [EventAction.PUBLISH, EventAction.UNPUBLISH]
    assert {(event.key, event.publisher) for event in events} == {("demo", "mediamtx:b2c7")}


def posted(command: str) -> bytes:
    """Return the form that this curl command posts for the path live/demo."""
    words = shlex.split(command.replace("$MTX_PATH", "live/demo").replace("$MTX_SOURCE_ID", "b2c7"))
    assert words[0] == "curl"
    assert words[-1] == WEBHOOK
    return "&".join(words[number + 1] for number, word in enumerate(words) if word == "-d").encode()


def test_the_json_that_the_readme_posts_is_a_publish() -> None:
    body = re.search(r"-d '(\{\"stream_key\".*?\})'", README)
    assert body
    event = parse_event("application/json", body[1].encode(), "", "POST")
    assert (event.action, event.key) == (EventAction.PUBLISH, "mystream")


# ---- commands


def test_the_table_of_make_targets_equals_the_makefile_s_help() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {bare(row[0]).removeprefix("make ") for row in rows("Two commands")} == targets


def test_every_make_command_in_the_text_names_a_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {target for line in code() for target in re.findall(r"(?:^|\s)make ([a-z-]+)", line)}
    assert {"run", "test", "setup", "bench"} <= named
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_every_streamkit_command_in_the_text_exists_with_its_options() -> None:
    lines = [re.sub(r"\s[#|>].*", "", line) for line in code()]
    commands = [found[1] for line in lines if (found := re.search(r"(?:^|/|\s)streamkit( .+)$", line))]
    assert len(commands) > 5
    for words in map(shlex.split, commands):
        command: click.Command = cli
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found_command = command.commands.get(words.pop(0))
            assert found_command is not None, commands
            command = found_command
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= options


def test_every_benchmark_is_described() -> None:
    main = ast.parse((ROOT / "benchmarks/__main__.py").read_text())
    table = next(
        node.value for node in main.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "BENCHMARKS"
    )  # fmt: skip
    assert isinstance(table, ast.Dict)
    names = {ast.literal_eval(key) for key in table.keys if key is not None}
    assert {bare(row[0]) for row in rows("Benchmarks")} >= names


def test_the_exit_codes_are_those_of_the_help() -> None:
    helped = set(re.findall(r"^  (\d+) +\w", cli.help or "", re.MULTILINE))
    exit_codes = re.search(r"^\| exit code .*\n\|-.*\n((?:\|.*\n)+)", section("Commands and exit codes"), re.MULTILINE)
    assert exit_codes
    assert {line.split("|")[1].strip() for line in exit_codes[1].splitlines()} == helped


# ---- links and messages


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), target


def source_texts() -> str:
    """Return every string of the service's code; what a format string fills in is a NUL."""
    texts = []
    for path in [*(ROOT / "streamkit").rglob("*.py"), *(ROOT / "actors").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values]
                texts.append("".join(parts))
    return "\n".join(texts)


def test_the_messages_in_the_troubleshooting_table_are_those_that_the_code_gives() -> None:
    said = source_texts()
    messages = [span for row in rows("Troubleshooting") for span in re.findall(r"`([^`]+)`", row[0]) if " " in span]
    assert len(messages) > 15
    unknown = [
        (message, part.strip())
        for message in messages
        for part in re.split(r"\.\.\.|[:;]", message)
        if part.strip() and part.strip() not in said
    ]
    # A setting of nginx is no message of ours.
    assert [entry for entry in unknown if entry[0] != "idle_streams off"] == []


def test_decisions_are_numbered_without_gaps_and_have_their_three_parts() -> None:
    files = sorted((ROOT / "docs/adr").glob("*.md"))
    assert [file.name[:4] for file in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    for file in files:
        headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
        assert headings[0].startswith(f"{file.name[:4]}: ")
        assert headings[1:] == ["Context", "Decision", "Consequences"]
