"""Streams that come and go while one thing after the other goes wrong, and what the service holds when it is quiet."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import asyncpg
from chaos_accounting import Account, Ledger, account
from chaos_service import Chaos
from servers.postgres import PostgresServer
from servers.process import descendants
from servers.publishing import Publisher
from servers.s3 import S3Server
from soak_plan import Incident, Showing, Wrong

PATIENCE = 120.0
"""Seconds in which everything converges after the last fault, on a busy machine too."""
AWAY = 0.5  # seconds after which an encoder such as OBS connects again

Publish = Callable[[str], Publisher]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What the service holds while nothing is on air."""

    megabytes: float
    threads: int
    files: int
    processes: int
    disk: float
    """kB below HLS_OUTPUT_DIR."""

    def ratios(self, before: "Holdings") -> dict[str, float]:
        """Return each figure as a multiple of what it was."""
        names = [field.name for field in fields(self)]
        return {name: getattr(self, name) / max(getattr(before, name), 1) for name in names}


def holdings(chaos: Chaos) -> Holdings:
    """Return what the service holds now."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{chaos.pid}/status").read_text().splitlines())
    sizes = [path.stat().st_size for path in chaos.hls_folder.rglob("*") if path.is_file()]
    return Holdings(
        megabytes=int(status["VmRSS"].split()[0]) / 1000,
        threads=int(status["Threads"]),
        files=len(os.listdir(f"/proc/{chaos.pid}/fd")),
        processes=len(descendants({chaos.pid})),
        disk=sum(sizes) / 1000,
    )


class Slot:
    """A stream key on which one broadcast follows the other, each of them accounted for."""

    def __init__(self, chaos: Chaos, key: str, publish: Publish) -> None:
        self.key = key
        self.accounts: dict[str, Account] = {}
        """By session."""
        self.publisher: Publisher | None = None
        self._chaos = chaos
        self._publish = publish

    def show(self, showing: Showing) -> None:
        """Broadcast, and return when every segment of it is accounted for. Who is thrown out comes back at once."""
        ledger = Ledger(self._chaos.hls_folder / self.key)
        try:
            self._broadcast(time.monotonic() + showing.on_air)
            patiently(self._is_over, f"the end of {self.key}")
            patiently(lambda: self._settled(ledger), f"the accounts of {self.key}")
        finally:
            ledger.close()

    def _broadcast(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            self.publisher = self._publish(self._chaos.nginx.url(self.key))
            try:
                with suppress(AssertionError):  # it is still on air
                    self.publisher.wait(timeout=left)
                    threading.Event().wait(AWAY)
            finally:
                self.publisher.close()

    def _is_over(self) -> bool:
        streams = self._chaos.get("/stats")["streams"]
        return all(one["stream_key"] != self.key for one in streams)

    def _settled(self, ledger: Ledger) -> bool:
        """Account for every session that was not accounted for before."""
        for row in self._chaos.session_rows(self.key):
            if row["session"] not in self.accounts and any(f"_{row['session']}_" in name for name in ledger.closed):
                self.accounts[row["session"]] = account(self._chaos, self.key, row["session"], ledger)
        return True


def patiently(check: Callable[[], bool], what: str) -> None:
    """Return once `check()`. What it raises counts after PATIENCE only: until then a fault may be its cause."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if check():
                return
            failure: Exception = AssertionError("it is not so")
        except (AssertionError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            failure = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} was not there within {PATIENCE:g} s: {failure}") from failure
        time.sleep(0.25)


class Faults:
    """Lets incidents happen, and undoes them."""

    def __init__(self, chaos: Chaos, store: S3Server, database: PostgresServer, slots: list[Slot]) -> None:
        self._chaos = chaos
        self._slots = slots
        self._begin: dict[Wrong, Callable[[Slot], Any]] = {
            Wrong.ENCODER_KILLED: lambda slot: self._signal(slot, signal.SIGKILL),
            Wrong.ENCODER_FROZEN: lambda slot: self._signal(slot, signal.SIGSTOP),
            Wrong.PUBLISHER_FLAPS: self._kill_publisher,
            Wrong.STORE_AWAY: lambda _: store.stop(),
            Wrong.STORE_FROZEN: lambda _: store.freeze(),
            Wrong.DATABASE_AWAY: lambda _: database.stop(),
            Wrong.DATABASE_FROZEN: lambda _: database.freeze(),
            Wrong.RTMP_RESTART: lambda _: chaos.nginx.stop(),
        }
        self._end: dict[Wrong, Callable[[], None]] = {
            Wrong.STORE_AWAY: store.start,
            Wrong.STORE_FROZEN: store.start,
            Wrong.DATABASE_AWAY: database.start,
            Wrong.DATABASE_FROZEN: database.start,
            Wrong.RTMP_RESTART: chaos.nginx.start,
        }

    def happen(self, incident: Incident, stop: threading.Event) -> None:
        """Let it last as long as it is to, or until `stop`; it is undone in any case."""
        self._begin[incident.what](self._slots[incident.slot])
        try:
            stop.wait(incident.lasts)
        finally:
            self._end.get(incident.what, lambda: None)()

    def _signal(self, slot: Slot, number: signal.Signals) -> None:
        for pid in self._chaos.encoders(slot.key):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _kill_publisher(self, slot: Slot) -> None:
        if slot.publisher is not None and slot.publisher.running:
            os.kill(slot.publisher.pid, signal.SIGKILL)
