"""`streamkit config`: is the configuration right, what does it come to, and where does each value come from."""

# ruff: noqa: PLC0415 - see streamkit.cli

import json
import os
from pathlib import Path

import click

from streamkit.cli_options import config_option, json_option, load, parse_source, print_json
from streamkit.errors import ConfigError
from streamkit.types import SourceInfo


@click.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@config_option
@click.option(
    "--source",
    default="1920x1080@30",
    show_default=True,
    metavar="WxH@FPS",
    callback=parse_source,
    help="What the publisher sends, with AAC stereo; the renditions depend on it.",
)
@json_option
def check(*, path: Path | None, source: SourceInfo, as_json: bool) -> None:
    """Validate the configuration; show it, the renditions of each ladder and the exact FFmpeg commands.

    \b
    Examples:
      streamkit config check
      streamkit config check --config ladders.yaml --source 1280x720@59.94
    """
    from streamkit.calibration import PresetBook
    from streamkit.config_report import describe
    from streamkit.ffmpeg.binary import find_ffmpeg
    from streamkit.ffmpeg.offer import check_ladders
    from streamkit.ffmpeg.slates import check_slates
    from streamkit.settings import STATE_FOLDER
    from streamkit.settings_loader import config_file

    settings = load(path)
    ffmpeg = find_ffmpeg(settings.encoder.ffmpeg)
    check_ladders(settings.ladders, ffmpeg, settings.encoder.device)
    file = config_file(os.environ, path)
    try:
        check_slates(settings, ffmpeg.path)
    except ConfigError as error:
        raise ConfigError([f"{file}: {problem}" for problem in error.problems]) from None
    presets = PresetBook(settings, ffmpeg, settings.hls.output_dir / STATE_FOLDER)
    if as_json:
        from streamkit.ladder_report import explanation

        plans = {name: explanation(settings, name, source, ffmpeg, presets).as_json() for name in settings.ladders}
        print_json({"file": str(file), "ladders": plans})
        return
    click.echo(f"# {file} is valid")
    click.echo(describe(settings, source, ffmpeg, presets))


@config.command()
@config_option
@click.option("--changed", is_flag=True, help="Only what the environment or the file says, not the defaults.")
@json_option
def show(*, path: Path | None, changed: bool, as_json: bool) -> None:
    """Show every value of the configuration and where it comes from: the environment, the file, or a default.

    Secrets are masked, but an empty one is shown as empty.

    \b
    Examples:
      streamkit config show --changed
      DB_HOST=db streamkit config show --json
    """
    from streamkit.config_origins import origins
    from streamkit.settings_loader import config_file

    settings = load(path)
    found = [one for one in origins(settings, os.environ, path) if not (changed and one.source == "default")]
    if as_json:
        values = {one.key: {"value": one.value, "source": one.source, "where": one.where or None} for one in found}
        print_json({"file": str(config_file(os.environ, path)), "values": values})
        return
    from streamkit.config_report import table

    for line in table([(one.key, _text(one.value), one.where or "default") for one in found]):
        click.echo(line.removeprefix("  "))


@config.command()
def schema() -> None:
    """Print the JSON Schema of the YAML file: editors complete and check keys and values with it.

    \b
    Example:
      streamkit config schema > streamkit.schema.json
    and as the first line of streamkit.yaml, for editors that use yaml-language-server:
      # yaml-language-server: $schema=streamkit.schema.json
    """
    from streamkit.config_schema import config_schema

    print_json(config_schema())


def _text(value: object) -> str:
    """Return a value as YAML has it in one line."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
