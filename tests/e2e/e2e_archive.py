"""What a finished broadcast of the ladder `small` must look like in the bucket."""

from e2e_player import MediaPlaylist, check_alignment, check_rendition, decode, parse_media, parse_multivariant
from e2e_production import Production

SMALL = {"240p": (426, 240), "144p": (256, 144)}
"""The renditions of the ladder `small` in e2e_production.CONFIGURATION."""


def check_archive(
    production: Production, key: str, session: str, *, fps: int, discontinuities: int
) -> dict[str, MediaPlaylist]:
    """Return the renditions' playlists of a whole broadcast; AssertionError unless it plays from the bucket alone."""
    files = production.stored(key, "")
    playlists, found = {}, {}
    for variant in parse_multivariant(files[f"{session}.m3u8"].decode()):
        playlist = parse_media(files[variant.uri].decode())
        assert (playlist.kind, playlist.ended, playlist.discontinuities) == ("VOD", True, discontinuities)
        assert [entry.sequence for entry in playlist.entries] == list(range(len(playlist.entries)))
        assert not any(entry.gap for entry in playlist.entries)
        segments = {entry.sequence: decode(files[entry.uri]) for entry in playlist.entries}
        check_rendition(playlist, list(segments.values()), size=SMALL[variant.rendition], fps=fps)
        playlists[variant.rendition], found[variant.rendition] = playlist, segments
    assert playlists.keys() == SMALL.keys()
    check_alignment(found, fps=fps)
    return playlists


def check_nothing_half_written(production: Production, key: str, playlists: dict[str, MediaPlaylist]) -> None:
    """AssertionError unless the bucket has exactly what the archive lists, as whole as on the disk it came from."""
    segments = production.stored(key, ".ts")
    assert segments.keys() == {uri for playlist in playlists.values() for uri in playlist.uris}
    local = {path.name: path.read_bytes() for path in (production.hls_folder / key).glob("*.ts")}
    for name, content in segments.items():
        assert len(content) % 188 == 0, name
        assert local.get(name, content) == content, name
    for name, content in production.stored(key, ".m3u8").items():
        assert content.startswith(b"#EXTM3U\n"), name
        assert content.endswith(b"\n"), name
