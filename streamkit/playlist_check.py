"""`streamkit check`: fetch a stream as a player does, and say which rules of HLS its playlists and media keep."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import urllib3

from streamkit.errors import StreamKitError
from streamkit.hls.authoring import advise, advise_variants
from streamkit.hls.conformance import Finding, check_playlist, check_reload, check_variants
from streamkit.hls.media_rules import Piece, check_alignment
from streamkit.hls.parse import Parsed, Variant, parse
from streamkit.media_check import KEY_LENGTH, MediaCheck, WrongAnswerError

TIMEOUT = 10.0
"""Seconds for each request."""
_MAX_PLAYLIST = 8 * 1024 * 1024  # bytes
_MAX_SEGMENT = 256 * 1024 * 1024  # bytes
_PLAYLIST_TYPES = ("application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl")
_HTTP_OK = 200
_RETRIES = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=5)


@dataclass(frozen=True, slots=True)
class _Answer:
    url: str
    body: bytes
    media_type: str


@dataclass(slots=True)
class StreamCheck:
    """One look at the stream at `url`; `segments` of the newest are fetched from each rendition and looked into.

    `findings` yields while it looks, and takes one target duration more when `reload` asks for a second look.
    """

    url: str
    segments: int = 3
    reload: bool = True
    token: str | None = None
    """Sent with the requests for keys, and with no other: a bucket would not know what to do with it."""
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(timeout=TIMEOUT, retries=_RETRIES))

    def findings(self) -> Iterator[Finding]:
        """Yield what each rule says. Raises StreamKitError when there is no playlist at `url`."""
        try:
            entry, text = self._playlist(self.url)
        except WrongAnswerError as error:
            raise StreamKitError(f"there is no playlist to check: {error}") from None
        yield from self._look(entry, text)

    def _look(self, entry: _Answer, first: Parsed) -> Iterator[Finding]:
        where = _name(entry.url)
        yield _type_of(entry)
        yield from check_playlist(where, first)
        yield from advise(where, first)
        media: dict[str, Parsed] = {}
        pieces: dict[str, list[Piece]] = {}
        inside = MediaCheck(
            get=lambda url: self._get(url, _MAX_SEGMENT).body,
            get_key=lambda url: self._get(url, KEY_LENGTH, token=self.token).body,
            join=_join,
            name_of=_name,
        )
        for variant in _playlists(entry.url, first):
            url = _join(entry.url, variant.uri or "")
            if url in media:
                continue
            try:
                answer, playlist = self._playlist(url)
            except WrongAnswerError as error:
                yield Finding("every media playlist is there", "6.2.1", _name(url), str(error))
                continue
            yield Finding("every media playlist is there", "6.2.1", _name(url), None)
            media[url] = playlist
            if first.is_multivariant:
                yield _type_of(answer)
                yield from check_playlist(_name(url), playlist)
                yield from advise(_name(url), playlist)
            found = pieces.setdefault(_name(url), [])
            yield from inside.look(answer.url, playlist, variant.attributes, self.segments, found)
        named = [(_name(url), playlist) for url, playlist in media.items()]
        yield from check_variants(where, named)
        yield advise_variants(where, named)
        yield from check_alignment(pieces)
        if self.reload:
            yield from self._again(media)

    def _again(self, before: dict[str, Parsed]) -> Iterator[Finding]:
        """Look at the live playlists once more after a target duration and a half: by then each has a new segment."""
        live = {url: playlist for url, playlist in before.items() if not playlist.is_ended and playlist.target}
        if not live:
            return
        time.sleep(1.5 * max(playlist.target or 0 for playlist in live.values()))
        for url, playlist in live.items():
            try:
                _, after = self._playlist(url)
            except WrongAnswerError as error:
                yield Finding("every media playlist is there", "6.2.1", _name(url), str(error))
                continue
            yield from check_reload(_name(url), playlist, after)
            grew = after.is_ended or _newest(after) > _newest(playlist)
            problem = None if grew else "nothing new for 1.5 target durations"
            yield Finding("a live playlist gets a segment every 1.5 target durations", "6.2.1", _name(url), problem)

    def _playlist(self, url: str) -> tuple[_Answer, Parsed]:
        answer = self._get(url, _MAX_PLAYLIST)
        try:
            text = answer.body.decode()
        except UnicodeDecodeError:
            raise WrongAnswerError(f"{_name(url)} is not UTF-8 text") from None
        if "#EXT" not in text:
            raise WrongAnswerError(f"{_name(url)} is no playlist")
        return answer, parse(text)

    def _get(self, url: str, limit: int, *, token: str | None = None) -> _Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        try:
            if urlsplit(url).scheme not in ("http", "https"):
                raise WrongAnswerError(f"{_name(url)} cannot be fetched: it is neither http nor https")
            response = self._pool.request("GET", url, preload_content=False, headers=headers)
            try:
                if response.status != _HTTP_OK:
                    raise WrongAnswerError(f"{_name(url)} answers {response.status}")
                body = response.read(limit + 1, decode_content=True)
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise WrongAnswerError(f"{_name(url)} cannot be fetched: {_reason(error)}") from None
        if len(body) > limit:
            raise WrongAnswerError(f"{_name(url)} is larger than {limit} bytes")
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return _Answer(_join(url, response.url or url), body, media_type)


def _playlists(url: str, first: Parsed) -> Iterator[Variant]:
    """Yield the media playlists of a presentation; the URL of a media playlist is its only one.

    Of an EXT-X-MEDIA nothing is declared that its segments could be compared with alone.
    """
    if not first.is_multivariant:
        yield Variant(url, 0, {})
        return
    yield from (variant for variant in first.variants if variant.uri is not None)
    yield from (Variant(media.uri, media.line, {}) for media in first.media if media.uri is not None)


def report(findings: Iterable[Finding]) -> tuple[str, bool]:
    """Return one line per rule, with what breaks it below, and whether all are kept; advice need not be taken."""
    rules: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        rules.setdefault((finding.section, finding.rule), []).append(finding)
    lines: list[str] = []
    counts = {"ok": 0, "WRONG": 0, "advice": 0}
    for (section, rule), places in rules.items():
        wrong = [place for place in places if place.problem is not None]
        verdict = "ok" if not wrong else "advice" if all(place.is_advice for place in wrong) else "WRONG"
        counts[verdict] += 1
        lines.append(f"{verdict:6} {section:9}  {rule}")
        lines += [f"{'':18}{place.where}: {place.problem}" for place in wrong]
    told = f"{counts['ok']} rules are kept, {counts['WRONG']} are broken, {counts['advice']} pieces of advice"
    lines.append(f"{told} (sections of RFC 8216; Apple: its HLS authoring specification)")
    return "\n".join(lines), not counts["WRONG"]


def _type_of(answer: _Answer) -> Finding:
    problem = None if answer.media_type in _PLAYLIST_TYPES else f"it is {answer.media_type or 'missing'}"
    return Finding("a playlist's Content-Type is that of playlists", "4", _name(answer.url), problem)


def _newest(playlist: Parsed) -> int:
    return (playlist.number("EXT-X-MEDIA-SEQUENCE") or 0) + len(playlist.entries)


def _join(base: str, uri: str) -> str:
    try:
        return urljoin(base, uri)
    except ValueError:
        return uri  # fetching it says what is wrong


def _name(url: str) -> str:
    """Return the file's name; the rest of a URL may hold a token."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL"
    return parts.path.rpartition("/")[2] or parts.netloc.rpartition("@")[2] or "a URL"


def _reason(error: Exception) -> str:
    match error:
        case urllib3.exceptions.LocationValueError() | ValueError():
            return "its URL is not valid"
        case urllib3.exceptions.TimeoutError():
            return f"no answer within {TIMEOUT:g} s"
        case urllib3.exceptions.NewConnectionError() | urllib3.exceptions.MaxRetryError():
            return "nobody answers there"
    return f"the connection failed ({type(error).__name__})"
