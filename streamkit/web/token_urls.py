"""Pure: a playlist whose URIs carry a player's token on, from the multivariant playlist to the keys."""

import re

_LISTING = ("#EXT-X-MEDIA:", "#EXT-X-I-FRAME-STREAM-INF:")  # tags whose URI is a playlist (RFC 8216 4.3.4)
_KEYS = ("#EXT-X-KEY:", "#EXT-X-SESSION-KEY:")
_URI = re.compile(r'(?<=[:,])URI="([^"]*)"')


def with_token(playlist: bytes, token: str) -> bytes:
    """Return the playlist with `?token=` behind the URIs of playlists and keys.

    Not of segments: anybody may have those, and a CDN keeps one copy for all players. `token` must be safe in a
    quoted string (`is_token`).
    """
    lines = playlist.decode("utf-8", errors="replace").split("\n")
    return "\n".join([_carried(line, token) for line in lines]).encode()


def _carried(line: str, token: str) -> str:
    if line.startswith(_LISTING + _KEYS):
        return _URI.sub(lambda uri: f'URI="{_extended(uri[1], token)}"', line)
    if line and not line.startswith("#") and line.partition("?")[0].endswith(".m3u8"):
        return _extended(line, token)
    return line


def _extended(uri: str, token: str) -> str:
    return f"{uri}{'&' if '?' in uri else '?'}token={token}"
