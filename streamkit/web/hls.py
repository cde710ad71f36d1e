"""GET /hls/{stream_key}/{name}: playlists and segments for players, without asking an actor.

What only this node has is served from here: the live playlists keep relative URIs, and their segments come from
memory or local disk. Only what the bucket has may be sent to a CDN or to a presigned URL: a stored playlist has its
segments' URIs rewritten, and a segment that is not local any more is redirected (302).
"""

from collections.abc import Mapping
from urllib.parse import unquote

from sanic import HTTPResponse, Request

from streamkit.access.tokens import is_token
from streamkit.errors import ObjectNotFoundError
from streamkit.ffmpeg.pictures import why_none
from streamkit.hls.names import POSTER, cache_control, content_type, is_immutable, is_picture, is_public_name
from streamkit.snapshots import Picture, Playlist
from streamkit.types import Seconds, StreamKey
from streamkit.web.access import PlayerAccess
from streamkit.web.conditional import Conditions, accepts_gzip, select
from streamkit.web.credentials import TOKEN
from streamkit.web.deps import WebDeps
from streamkit.web.endpoints import Answer, Audience, Endpoint, Parameter
from streamkit.web.errors import not_found
from streamkit.web.media import Media
from streamkit.web.params import path_key, query_text
from streamkit.web.problems import ApiError
from streamkit.web.token_urls import with_token

REDIRECT_MAX_AGE = 60
"""Seconds that a redirect to the CDN may be kept; one to a presigned URL only as long as most of the URL's life."""


class HlsApi:
    """What players fetch."""

    def __init__(self, deps: WebDeps, media: Media, access: PlayerAccess) -> None:
        self._board = deps.board
        self._access = access
        self._needs_token = deps.settings.needs_token_to_play
        self._media = media
        self._has_tokens = bool(deps.settings.encryption.signing_secret())
        self._pictures_for = deps.settings.pictures_for
        self._segment_duration = Seconds(deps.settings.hls.segment_duration)

    def endpoints(self) -> list[Endpoint]:
        """Return the one endpoint of all files of a stream."""
        return [
            Endpoint(
                path="/hls/{stream_key}/{name}",
                handler=self.get,
                audience=Audience.PLAYERS,
                operation="hls",
                tag="playback",
                summary="A playlist, segment or picture",
                description=(
                    "playlist.m3u8 is the entry point. With HEAD, Range, ETag and If-None-Match; playlists are gzipped "
                    "for those who accept it. Playlists and pictures may need a token, which is ?token= or the header "
                    "Authorization: Bearer; with ?token= the URIs of playlists and keys carry it on. "
                    "Segments never change and may be cached for ever."
                ),
                parameters=(_KEY, _NAME, _TOKEN),
                answers={
                    200: Answer(description="The file.", media_type="application/vnd.apple.mpegurl"),
                    206: Answer(description="The range that was asked for.", media_type="video/mp2t"),
                    401: Answer(description="No token, or one that has expired or is none.", schema="Error"),
                    403: Answer(
                        description="The token is not for this stream, or the page may not play.", schema="Error"
                    ),
                    302: Answer(description="The segment is at the CDN or at a presigned URL.", media_type=""),
                    304: Answer(description="The ETag still holds.", media_type=""),
                    404: Answer(description="There is no such file.", schema="Error"),
                    416: Answer(description="The range begins behind the end.", schema="Error"),
                    422: Answer(description="The stream key breaks the rule.", schema="Error"),
                    503: Answer(description="The object store is away; see Retry-After.", schema="Error"),
                },
            )
        ]

    async def get(self, request: Request, stream_key: str, name: str) -> HTTPResponse:
        """Answer with the file, a redirect to it, 404, or 503 while the store that may have it is away."""
        key = path_key(stream_key)
        if "%" in name:
            name = unquote(name)
        if not is_public_name(name):
            raise not_found(f"Stream {key} has no such file.")
        if is_immutable(name):
            return await self._segment(request, key, name)
        if self._needs_token(key):
            await self._access.check(request, key)
        if is_picture(name):
            return await self._picture(request, key, name)
        return await self._playlist(request, key, name)

    async def _playlist(self, request: Request, key: StreamKey, name: str) -> HTTPResponse:
        playlist = self._media.live_playlist(key, name)
        snapshot = self._board.get(key)
        live = playlist is not None and snapshot is not None and snapshot.state.is_active
        playlist = playlist or await self._media.stored_playlist(key, name)
        kept = cache_control(name, live=live, segment_duration=self._segment_duration)
        token = query_text(request, TOKEN) if self._has_tokens else None
        token = token if token is not None and is_token(token) else None
        if token is not None:
            playlist = Playlist(name=name, body=with_token(playlist.body, token))
        if token is not None or self._needs_token(key):  # a token opens the stream for whoever reads it
            kept = kept.replace("public", "private")
        headers = {"cache-control": kept, "vary": "Accept-Encoding"}
        return await self._playlist_response(request, playlist, headers)

    async def _playlist_response(self, request: Request, playlist: Playlist, headers: dict[str, str]) -> HTTPResponse:
        body, tag = playlist.body, f'"{playlist.etag}"'
        # A range of a compressed representation is of no use to anybody: a request with Range gets the plain one.
        if "range" not in request.headers and accepts_gzip(request.headers.get("accept-encoding")):
            headers["content-encoding"] = "gzip"
            body, tag = await self._media.compress(playlist), f'"{playlist.etag}-gzip"'
        return _content(request, body, tag, content_type(playlist.name), headers)

    async def _segment(self, request: Request, key: StreamKey, name: str) -> HTTPResponse:
        found = await self._media.segment(key, name, method=request.method)
        if isinstance(found, str):
            seconds = REDIRECT_MAX_AGE if self._media.cdn else int(self._media.presigned_for / 2)
            kept = f"{'public' if self._media.cdn else 'private'}, max-age={seconds}"
            return HTTPResponse(status=302, headers={"location": found, "cache-control": kept})
        headers = {"cache-control": cache_control(name, live=False)}
        # The name stands for this one content for ever, so it is the validator, on every node and after a restart.
        tag = f'"{name.rpartition(".")[0]}-{len(found):x}"'
        return _content(request, found, tag, content_type(name), headers)

    async def _picture(self, request: Request, key: StreamKey, name: str) -> HTTPResponse:
        picture = self._own_poster(key) if name == POSTER else None
        if picture is None:
            try:
                picture = Picture(name=name, body=await self._media.stored(key, name))
            except ObjectNotFoundError as error:
                what = "poster" if name == POSTER else "such storyboard"
                raise not_found(f"Stream {key} has no {what}.") from error
        kept = cache_control(name, live=True)
        headers = {"cache-control": kept.replace("public", "private") if self._needs_token(key) else kept}
        return _content(request, picture.body, f'"{picture.etag}"', content_type(name), headers)

    def _own_poster(self, key: StreamKey) -> Picture | None:
        """Return this node's newest picture; raise the 404 of a stream on air that has none for a reason."""
        snapshot = self._board.get(key)
        if snapshot is None:
            return None
        if snapshot.poster is None and snapshot.source is not None:
            reason = why_none(self._pictures_for(key), snapshot.source, snapshot.renditions)
            if reason is not None:
                raise not_found(f"Stream {key} has no poster: {reason}.")
        return snapshot.poster


def _content(request: Request, body: bytes, tag: str, media_type: str, headers: Mapping[str, str]) -> HTTPResponse:
    """Return 200, 206, 304 or 416 as RFC 9110 13 and 14 want it."""
    asked = request.headers
    conditions = Conditions(
        if_none_match=asked.get("if-none-match"), if_range=asked.get("if-range"), range=asked.get("range")
    )
    chosen = select(conditions, method=request.method, size=len(body), etag=tag)
    headers = {**headers, "etag": tag, "accept-ranges": "bytes"}
    if chosen.status == 416:
        unsatisfied = {"Content-Range": f"bytes */{len(body)}", "Accept-Ranges": "bytes"}
        raise ApiError(416, "range_not_satisfiable", f"The file has {len(body)} bytes.", headers=unsatisfied)
    if chosen.status == 304:
        headers.pop("content-encoding", None)
        return HTTPResponse(status=304, headers=headers)
    if chosen.status == 206:
        headers["content-range"] = f"bytes {chosen.start}-{chosen.stop - 1}/{len(body)}"
        body = body[chosen.start : chosen.stop]
    return HTTPResponse(body, chosen.status, headers, media_type)


_KEY = Parameter(
    name="stream_key",
    where="path",
    description="The stream's key.",
    schema={"$ref": "#/components/schemas/StreamKey"},
    required=True,
)
_NAME = Parameter(
    name="name",
    where="path",
    description=(
        "playlist.m3u8, {rendition}.m3u8, {session}.m3u8, {session}_{rendition}.m3u8, segment_*.ts, segment_*.m4s, "
        "init_*.mp4, poster.jpg, storyboard_{session}.vtt or storyboard_{session}_*.jpg"
    ),
    schema={"type": "string", "example": "playlist.m3u8"},
    required=True,
)
_TOKEN = Parameter(
    name=TOKEN,
    where="query",
    description="What opens the keys of encrypted segments for the player.",
    schema={"type": "string"},
)
