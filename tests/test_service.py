"""The composition root: what it refuses to start with, and how it names itself."""

import socket
from pathlib import Path
from typing import Any

import pytest

from streamkit import preparation, service
from streamkit.database import connection
from streamkit.database.connection import database_url
from streamkit.errors import EncoderNotFoundError, ServiceError
from streamkit.ffmpeg.binary import FfmpegInfo
from streamkit.preparation import check_port, host_in_urls, prepare_folders
from streamkit.settings import EmbeddedSettings, HlsSettings, Settings


def test_a_taken_port_is_said_in_one_sentence_with_the_variable_to_set() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError) as refused:
            check_port("127.0.0.1", port, "SERVER_PORT")
    assert str(refused.value) == (
        f"cannot listen on 127.0.0.1:{port} (address already in use); set SERVER_PORT to a free port"
    )


def test_an_address_of_another_machine_is_no_matter_of_the_port() -> None:
    with pytest.raises(ServiceError, match=r"server\.host must be an address of this machine") as refused:
        check_port("192.0.2.1", 1, "SERVER_PORT")
    assert "SERVER_PORT" not in str(refused.value)


def test_a_machine_that_cannot_contain_ffmpeg_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_path: str) -> FfmpegInfo:
        raise EncoderNotFoundError("there is no FFmpeg")

    for name in ("block_dump_signal", "configure_logging"):
        monkeypatch.setattr(service, name, lambda *_: None)
    monkeypatch.setattr(service.sys, "setswitchinterval", lambda _: None)
    monkeypatch.setattr(service, "missing", lambda: ["There is no setpriv: FFmpeg ..."])
    monkeypatch.setattr(service, "find_ffmpeg", refuse)
    with pytest.raises(EncoderNotFoundError):
        service.serve(Settings(), embedded=False, demo=False)
    assert [record.getMessage() for record in caplog.records] == ["There is no setpriv: FFmpeg ..."]


@pytest.mark.parametrize("host", ["::", "::1"])
def test_the_service_may_listen_on_ipv6(host: str) -> None:
    try:
        with socket.create_server((host, 0), family=socket.AF_INET6) as free:
            port = free.getsockname()[1]
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    check_port(host, port, "SERVER_PORT")


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("2001:db8::7", "[2001:db8::7]"),
        ("192.0.2.1", "192.0.2.1"),
        ("media.example", "media.example"),
    ],
)
def test_addresses_are_printed_so_that_they_can_be_opened(host: str, shown: str) -> None:
    assert host_in_urls(host) == shown


@pytest.mark.parametrize("unwritable", ["hls", "hls/.streamkit"])
def test_a_folder_that_exists_but_cannot_be_written_to_is_said_at_the_start(
    unwritable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hls" / ".streamkit").mkdir(parents=True)
    real = preparation.TemporaryFile

    def temporary_file(*, dir: Path) -> Any:  # noqa: A002 - its name
        if dir == tmp_path / unwritable:
            raise PermissionError(13, "Permission denied")  # root, who runs tests in containers, may write anywhere
        return real(dir=dir)

    monkeypatch.setattr(preparation, "TemporaryFile", temporary_file)
    with pytest.raises(ServiceError, match=r"cannot write to HLS_OUTPUT_DIR .*/hls: Permission denied"):
        prepare_folders(Settings(hls=HlsSettings(output_dir=tmp_path / "hls")))


def test_preparing_the_folders_leaves_nothing_else_behind(tmp_path: Path) -> None:
    prepare_folders(Settings(hls=HlsSettings(output_dir=tmp_path / "hls")))
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["hls", "hls/.streamkit"]


def test_an_ffmpeg_that_was_removed_while_the_service_runs_is_noticed(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    ffmpeg = FfmpegInfo(path=str(program), version=(5, 1), version_text="5.1.2", encoders=frozenset())
    assert service.check_encoder(ffmpeg) == f"{program} 5.1.2"
    program.unlink()
    with pytest.raises(EncoderNotFoundError, match="is not an executable file any more"):
        service.check_encoder(ffmpeg)


def test_an_embedded_data_folder_that_cannot_be_written_to_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(embedded=EmbeddedSettings(data_dir=tmp_path))
    assert database_url(settings, embedded=True).endswith("/streamkit.db")
    monkeypatch.setattr(connection.os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(ServiceError, match=r"is not writable for this user; embedded\.data_dir names another"):
        database_url(settings, embedded=True)
