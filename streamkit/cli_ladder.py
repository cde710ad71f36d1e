"""`streamkit ladder`: what the ladders cost on this machine."""

# ruff: noqa: PLC0415 - see streamkit.cli

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamkit.cli_options import config_option, json_option, load, parse_size, print_json

if TYPE_CHECKING:
    from streamkit.settings import Settings


@click.group()
def ladder() -> None:
    """Look at the ladders."""


@ladder.command()
@config_option
@click.option("--ladder", "name", help="Measure this one. Default: every ladder with `preset: auto`.")
@json_option
def calibrate(*, path: Path | None, name: str | None, as_json: bool) -> None:
    """Measure the presets that `preset: auto` chooses from on this machine, with the FFmpeg at hand.

    It takes some seconds of all processors for each ladder; run it while no stream runs. A service that runs already
    reads what was measured at its next start.

    \b
    Examples:
      streamkit ladder calibrate
      streamkit ladder calibrate --ladder mobile
    """
    from streamkit.calibration import PresetBook, report
    from streamkit.ffmpeg.binary import find_ffmpeg
    from streamkit.ffmpeg.offer import check_ladders
    from streamkit.presets import has_auto
    from streamkit.settings import STATE_FOLDER

    settings = load(path)
    names = [_known(settings, name)] if name else [one for one, its in settings.ladders.items() if has_auto(its)]
    ffmpeg = find_ffmpeg(settings.encoder.ffmpeg)
    check_ladders(settings.ladders, ffmpeg, settings.encoder.device)
    folder = settings.hls.output_dir / STATE_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    book = PresetBook(settings, ffmpeg, folder)
    measured = {}
    for one in names:
        capacity = book.measure(one)
        measured[one] = [asdict(measure) for measure in capacity.measures] if capacity else []
        if not as_json:
            click.echo(report(settings, one, book))
    if as_json:
        print_json({"ladders": measured})


@ladder.command()
@click.argument("source")
@config_option
@click.option("--ladder", "name", help="Explain this one. Default: what default_ladder names.")
@json_option
def explain(*, source: str, path: Path | None, name: str | None, as_json: bool) -> None:
    """Say what a stream of SOURCE would be encoded to, with which command, and what it would take.

    SOURCE is a file, an RTMP URL, or a size such as 1920x1080@60 (H.264 with AAC stereo). A file or URL is read for
    some seconds as a publisher would send it. Nothing is encoded: processors are what `streamkit ladder calibrate`, or
    the service while no stream ran, measured on this machine.

    \b
    Examples:
      streamkit ladder explain 1920x1080@60
      streamkit ladder explain recording.mp4 --ladder mobile
      streamkit ladder explain rtmp://127.0.0.1/live/mystream --json
    """
    from streamkit.calibration import PresetBook
    from streamkit.ffmpeg.binary import find_ffmpeg
    from streamkit.ffmpeg.offer import check_ladders
    from streamkit.ladder_report import explanation
    from streamkit.settings import STATE_FOLDER
    from streamkit.source_look import look_at

    settings = load(path)
    name = settings.default_ladder if name is None else _known(settings, name)
    ffmpeg = find_ffmpeg(settings.encoder.ffmpeg)
    check_ladders({name: settings.ladders[name]}, ffmpeg, settings.encoder.device)
    info = parse_size(source) or look_at(source, ffmpeg)
    book = PresetBook(settings, ffmpeg, settings.hls.output_dir / STATE_FOLDER)
    explained = explanation(settings, name, info, ffmpeg, book)
    if as_json:
        print_json(explained.as_json())
    else:
        click.echo("\n".join(explained.lines()))


def _known(settings: "Settings", name: str) -> str:
    if name not in settings.ladders:
        raise click.UsageError(f"there is no ladder {name!r}; there are {', '.join(sorted(settings.ladders))}")
    return name
