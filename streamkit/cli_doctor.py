"""`streamkit doctor`: is everything there that the service needs?"""

# ruff: noqa: PLC0415 - see streamkit.cli

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamkit.cli_options import config_option, json_option, load, print_json

if TYPE_CHECKING:
    from streamkit.doctor.findings import Check
    from streamkit.settings import Settings

_COLOURS = {"ok": "green", "warning": "yellow", "fault": "red"}
FAULTY = 4
"""Exit code when anything is a fault."""


@click.command()
@click.option("--embedded", is_flag=True, help="What `streamkit serve --embedded` needs.")
@config_option
@json_option
def doctor(*, embedded: bool, path: Path | None, as_json: bool) -> int:
    """Look at everything that the service needs, and say of each fault how to mend it.

    It looks at FFmpeg and the encoders of the ladders, the database and its tables, the object store (an object of its
    own is put, got, listed and deleted; a bucket that is missing is made), the clocks, the disk, the ports, the RTMP
    server, and, where the service runs already, its webhooks. Nothing that it shows is secret. A warning is what the
    service can start without. The exit code is 4 when there is a fault.

    \b
    Examples:
      streamkit doctor
      streamkit doctor --embedded --json
    """
    settings = load(path)
    from streamkit.doctor.findings import run

    found = {}
    for name, finding in run(_checks(settings, embedded=embedded)):
        found[name] = finding
        if not as_json:
            click.echo(f"{click.style(f'{finding.state:<7}', fg=_COLOURS[finding.state])}  {name:<12}  {finding.text}")
            if finding.fix:
                click.echo(f"{'':<23}fix: {finding.fix}")
    healthy = all(finding.state != "fault" for finding in found.values())
    if as_json:
        checks = {name: {"state": f.state, "text": f.text, "fix": f.fix or None} for name, f in found.items()}
        print_json({"healthy": healthy, "checks": checks})
    return 0 if healthy else FAULTY


def _checks(settings: "Settings", *, embedded: bool) -> "Mapping[str, Check]":
    from streamkit.doctor import machine, servers
    from streamkit.doctor.own_service import OwnService

    own = OwnService(settings)
    ingest = partial(machine.port, settings, settings.rtmp.port, "RTMP_PORT", own)
    return {
        "ffmpeg": partial(machine.ffmpeg, settings),
        "encoders": partial(machine.encoders, settings),
        "database": partial(servers.data_folder if embedded else servers.database, settings),
        "object store": partial(servers.object_store, settings, embedded=embedded),
        **({} if embedded else {"clock": partial(servers.clock, settings)}),
        "disk": partial(machine.disk, settings),
        "http port": partial(machine.port, settings, settings.server.port, "SERVER_PORT", own),
        "rtmp": ingest if embedded else partial(servers.rtmp, settings),
        "webhook": own.webhook,
    }
