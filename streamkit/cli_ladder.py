"""`streamkit ladder`: what the ladders cost on this machine."""

# ruff: noqa: PLC0415 - see streamkit.cli

from pathlib import Path

import click

from streamkit.cli_options import config_option, load


@click.group()
def ladder() -> None:
    """Look at the ladders."""


@ladder.command()
@config_option
@click.option("--ladder", "name", help="Measure this one. Default: every ladder with `preset: auto`.")
def calibrate(path: Path | None, name: str | None) -> None:
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
    if name is not None and name not in settings.ladders:
        raise click.UsageError(f"there is no ladder {name!r}; there are {', '.join(sorted(settings.ladders))}")
    ffmpeg = find_ffmpeg(settings.encoder.ffmpeg)
    check_ladders(settings.ladders, ffmpeg, settings.encoder.device)
    folder = settings.hls.output_dir / STATE_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    book = PresetBook(settings, ffmpeg, folder)
    for one in [name] if name else [one for one, its in settings.ladders.items() if has_auto(its)]:
        book.measure(one)
        click.echo(report(settings, one, book))
