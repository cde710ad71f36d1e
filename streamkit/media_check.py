"""The media behind a playlist: segments, their initialization sections and keys, fetched and looked into."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field

from streamkit.encryption.cipher import decrypt
from streamkit.errors import MediaError
from streamkit.hls.conformance import Finding
from streamkit.hls.media_rules import Piece, check_pieces
from streamkit.hls.parse import Entry, Parsed
from streamkit.media import probe
from streamkit.media.ts import PACKET, SYNC

KEY_LENGTH = 16  # bytes


class WrongAnswerError(Exception):
    """What came is no playlist, segment, initialization section or key: one sentence."""


@dataclass(slots=True)
class MediaCheck:
    """Looks at the segments of one presentation. `get` fetches a URL, `get_key` that of a key; `name_of` is what it may
    be called.

    Initialization sections and keys are fetched once.
    """

    get: Callable[[str], bytes]
    get_key: Callable[[str], bytes]
    join: Callable[[str, str], str]
    name_of: Callable[[str], str]
    _fetched: dict[str, bytes | None] = field(default_factory=dict)

    def look(
        self, base: str, playlist: Parsed, declared: Mapping[str, str], most: int, pieces: list[Piece]
    ) -> Iterator[Finding]:
        """Yield what the rules say of the newest `most` segments; those that can be read are added to `pieces`."""
        begin = playlist.number("EXT-X-MEDIA-SEQUENCE") or 0
        entries = [pair for pair in enumerate(playlist.entries, start=begin) if not pair[1].gap]
        for number, entry in entries[-most:] if most else []:
            yield from self._segment(base, playlist, declared, number, entry, pieces)
        independent = bool(playlist.values("EXT-X-INDEPENDENT-SEGMENTS"))
        yield from check_pieces(pieces, declared, independent=independent)

    def _segment(
        self, base: str, playlist: Parsed, declared: Mapping[str, str], number: int, entry: Entry, pieces: list[Piece]
    ) -> Iterator[Finding]:
        url = self.join(base, entry.uri)
        name, rule = self.name_of(url), "every listed segment is there"
        try:
            body = self.get(url)
        except WrongAnswerError as error:
            yield Finding(rule, "6.2.1", name, str(error))
            return
        yield Finding(rule, "6.2.1", name, None if body else "it is empty")
        if not body:
            return
        yield from _rate(name, body, entry, declared, playlist.target or 0)
        init = None
        if entry.init is not None:
            rule = "every initialization section is there"
            url = self.join(base, entry.init)
            init = yield from self._once(url, rule, "4.3.2.5", get=self.get, is_advice=False)
            if init is None:
                return
        plain = body if entry.key is None else (yield from self._decrypted(base, body, number, entry.key))
        if plain is not None:
            yield from _inside(name, plain, init, number, entry, pieces)

    def _once(
        self, url: str, rule: str, section: str, *, get: Callable[[str], bytes], is_advice: bool
    ) -> Generator[Finding, None, bytes | None]:
        """Fetch what many segments need; return None when it is not there, which is said once."""
        if url not in self._fetched:
            try:
                self._fetched[url] = get(url)
                problem = None if self._fetched[url] else "it is empty"
            except WrongAnswerError as error:
                self._fetched[url], problem = None, str(error)
            yield Finding(rule, section, self.name_of(url), problem, is_advice=is_advice)
        return self._fetched[url] or None

    def _decrypted(
        self, base: str, body: bytes, number: int, key: Mapping[str, str]
    ) -> Generator[Finding, None, bytes | None]:
        """Return the segment as it was encoded; None when that cannot be had."""
        if key.get("METHOD") != "AES-128" or not key.get("URI"):
            return None
        url = self.join(base, key["URI"])
        rule = "the keys can be fetched, with a token where one is needed, so that segments can be looked into"
        secret = yield from self._once(url, rule, "4.3.2.4", get=self.get_key, is_advice=True)
        if secret is None:
            return None
        problem, plain = None, None
        try:
            if len(secret) != KEY_LENGTH:
                raise ValueError(f"the key has {len(secret)} bytes")
            plain = decrypt(body, secret, int(key.get("IV", str(number)), 0))
        except ValueError as error:
            problem = str(error)
        yield Finding("an encrypted segment can be decrypted with its key", "4.3.2.4, 5.2", self.name_of(url), problem)
        return plain


def _rate(name: str, body: bytes, entry: Entry, declared: Mapping[str, str], target: int) -> Iterator[Finding]:
    """Judge the bit rate, of segments that are no short rest (4.1)."""
    most = declared.get("BANDWIDTH", "")
    if most.isdecimal() and entry.duration and 2 * entry.duration >= target:
        rate = int(len(body) * 8 / entry.duration)
        problem = f"{rate} bit/s, declared are {most}" if rate > int(most) else None
        yield Finding("no segment exceeds BANDWIDTH", "4.3.4.2", name, problem)


def _inside(
    name: str, body: bytes, init: bytes | None, number: int, entry: Entry, pieces: list[Piece]
) -> Iterator[Finding]:
    if init is None and body[0] != SYNC and not entry.uri.partition("?")[0].endswith(".ts"):
        return  # packed audio, WebVTT
    if init is None:
        yield Finding("an MPEG-TS segment is whole packets", "3.2", name, broken := _broken_packets(body))
        if broken:
            return
    try:
        media, problem = probe.read(body, init), None
    except MediaError as error:
        media, problem = None, str(error)
    yield Finding("what is inside a segment can be read", "3.2, 3.3", name, problem)
    if media is not None and entry.duration is not None:
        piece = Piece(
            name=name,
            number=number,
            duration=entry.duration,
            discontinuity=entry.discontinuity,
            media=media,
            is_mp4=init is not None,
        )
        pieces.append(piece)


def _broken_packets(body: bytes) -> str | None:
    if len(body) % PACKET:
        return f"{len(body)} bytes are not a multiple of {PACKET}"
    wrong = next((at for at in range(0, len(body), PACKET) if body[at] != SYNC), None)
    return None if wrong is None else f"no packet begins at byte {wrong}"
