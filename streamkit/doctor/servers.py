"""Checks of the servers that StreamKit needs: database, object store with its clock, RTMP."""

import os
import secrets
import socket
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import urllib3

from streamkit.database.connection import database_url
from streamkit.database.migrate import current_revision, newest_revision
from streamkit.doctor.findings import Finding, fault, ok, warning
from streamkit.errors import (
    DatabaseUnavailableError,
    ObjectNotFoundError,
    RtmpStatusError,
    ServiceError,
    StoreError,
)
from streamkit.preparation import bracketed
from streamkit.rtmp.connection import VERSION, signature
from streamkit.rtmp_servers.status_page import StatusPage
from streamkit.settings import Settings
from streamkit.settings_rtmp import RtmpSettings
from streamkit.storage import open_store
from streamkit.storage.base import ObjectStore

CLOCK_SLOW, CLOCK_WRONG = 5.0, 600.0
"""Seconds of difference: webhooks' signatures and dates in playlists begin to suffer; S3 refuses from 900 s on."""
_RTMP_PATIENCE = 5.0
_PROBE = "hls/.doctor"  # no stream key begins with a dot
_RIGHTS = "the access key needs s3:PutObject, s3:GetObject, s3:DeleteObject on objects, s3:ListBucket on the bucket"


def database(settings: Settings) -> Finding:
    """Say whether the database answers, and has this version's tables."""
    place = settings.database
    try:
        found = current_revision(database_url(settings, embedded=False))
    except DatabaseUnavailableError as error:
        return fault(error, "see that PostgreSQL runs, and check DB_HOST, DB_PORT, DB_USER, DB_PASSWORD and DB_NAME")
    head, known = newest_revision()
    said = f"{bracketed(place.host)}:{place.port}/{place.name} answers"
    if found == head:
        return ok(f"{said}, its tables are those of this version ({head})")
    if found is not None and found not in known:
        return fault(f"{said}, its tables are of a newer StreamKit ({found})", "update this StreamKit")
    what = "it has no tables yet" if found is None else f"its tables are older ({found}, not {head})"
    return warning(f"{said}, {what}", "run `streamkit migrate`; `streamkit serve` does it as well")


def data_folder(settings: Settings) -> Finding:
    """Say whether the embedded database and objects can be kept."""
    folder = settings.embedded.data_dir
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return fault(f"{folder} cannot be written to", "name another folder with embedded.data_dir")
    return ok(f"{folder} can be written to")


def object_store(settings: Settings, *, embedded: bool) -> Finding:
    """Say whether objects can be put, got, listed and deleted: with one of its own, which goes again."""
    try:
        store = open_store(settings, embedded=embedded)
    except (StoreError, ServiceError) as error:
        return fault(error, _RIGHTS)
    try:
        return probed(store)
    finally:
        store.close()


def probed(store: ObjectStore) -> Finding:
    """Say what a store allows; its own object is gone afterwards, or named."""
    name, body = f"{_PROBE}/{secrets.token_hex(8)}.txt", b"streamkit doctor"
    steps: list[tuple[str, Callable[[], object]]] = [
        ("put", lambda: store.put_bytes(name, body, content_type="text/plain", cache_control="no-store")),
        ("get", lambda: _same(store.get(name), body)),
        ("list", lambda: _listed(store, name)),
        ("delete", lambda: _deleted(store, name)),
    ]
    done: list[str] = []
    wrong: list[str] = []
    for step, act in steps:
        try:
            act()
            done.append(step)
        except StoreError as error:
            wrong.append(f"{step}: {error}")
            if step == "put":
                break
    if not wrong:
        return ok("an object could be put, got, listed and deleted")
    left = f"; {name} is left there" if "put" in done and "delete" not in done else ""
    worked = f" ({', '.join(done)} worked)" if done else ""
    return fault("; ".join(wrong) + worked + left, f"check MINIO_ENDPOINT and the keys; {_RIGHTS}")


def _same(found: bytes, expected: bytes) -> None:
    if found != expected:
        raise StoreError("the object that was put has another content now")


def _listed(store: ObjectStore, name: str) -> None:
    if name not in [one.name for one in store.list(name)]:
        raise StoreError("the object that was put is not listed")


def _deleted(store: ObjectStore, name: str) -> None:
    store.remove([name])
    try:
        store.stat(name)
    except ObjectNotFoundError:
        return
    raise StoreError("the object that was deleted is still there")


def clock(settings: Settings) -> Finding:
    """Say how far this machine's clock is from the object store's."""
    store = settings.storage
    timeout = urllib3.Timeout(connect=store.connect_timeout, read=store.read_timeout)
    pool = urllib3.PoolManager(timeout=timeout, retries=urllib3.Retry(total=False, redirect=0, raise_on_redirect=False))
    url = f"{'https' if store.use_ssl else 'http'}://{store.endpoint}/"
    fix = "let chrony or systemd-timesyncd set the clock of both machines"
    try:
        said = pool.request("HEAD", url).headers.get("Date", "")
        theirs = parsedate_to_datetime(said).timestamp()
    except urllib3.exceptions.HTTPError:
        return warning("the object store does not answer, so clocks cannot be compared", "mend the object store first")
    except ValueError:
        return warning("the object store does not say its time", fix)
    finally:
        pool.clear()
    apart = theirs - time.time()
    text = f"this clock and the object store's differ by {abs(apart):.0f} s"
    if abs(apart) >= CLOCK_WRONG:
        return fault(text, fix)
    return warning(text, fix) if abs(apart) >= CLOCK_SLOW else ok(text)


def rtmp(settings: Settings) -> Finding:
    """Say whether an RTMP server answers where streams are pulled from, and its status page where there is one."""
    place, fix = settings.rtmp, "start the RTMP server, and check RTMP_SERVER and RTMP_PORT"
    where = f"{bracketed(place.server)}:{place.port}"
    try:
        with socket.create_connection((place.server, place.port), timeout=_RTMP_PATIENCE) as connection:
            connection.sendall(bytes((VERSION,)) + signature())
            first = connection.recv(1)
    except socket.gaierror:
        return fault(f"{place.server} cannot be found: the host's name does not resolve", fix)
    except OSError as error:
        return fault(f"{where} does not answer ({error.strerror or 'timed out'})", fix)
    if first != bytes((VERSION,)):
        return fault(f"what listens on {where} is no RTMP server", fix)
    return _status_page(place, where) if place.status_url else ok(f"{where} speaks RTMP")


def _status_page(place: RtmpSettings, where: str) -> Finding:
    page = StatusPage(place)
    try:
        found = page.fetch()
    except RtmpStatusError as error:
        fix = "check RTMP_STATUS_URL and rtmp.status_server; without it lost webhooks are not made good"
        return warning(f"{where} speaks RTMP, but {error}", fix)
    finally:
        page.close()
    return ok(f"{where} speaks RTMP; its status page names {len(found)} publishers")
