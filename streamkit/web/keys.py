"""GET /keys/{stream_key}/{session}/{number}: the keys of encrypted segments, for players that may have them."""

import re
import time
from urllib.parse import unquote

from sanic import HTTPResponse, Request

from streamkit.encryption.keys import StreamKeys
from streamkit.snapshots import SnapshotBoard
from streamkit.types import SessionId, StreamKey, UnixTime, is_session_id, session_epoch
from streamkit.web.access import PlayerAccess
from streamkit.web.credentials import TOKEN
from streamkit.web.deps import WebDeps
from streamkit.web.endpoints import Answer, Audience, Endpoint, Parameter
from streamkit.web.errors import not_found
from streamkit.web.params import path_key

_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}", re.ASCII)


class KeysApi:
    """What players fetch to decrypt segments (RFC 8216 5)."""

    def __init__(self, deps: WebDeps, access: PlayerAccess) -> None:
        self._board: SnapshotBoard = deps.board
        self._secret = deps.settings.encryption.key_secret()
        self._access = access

    def endpoints(self) -> list[Endpoint]:
        """Return the one endpoint of all keys."""
        return [
            Endpoint(
                path="/keys/{stream_key}/{session}/{number}",
                handler=self.get,
                audience=Audience.PLAYERS,
                operation="key",
                tag="playback",
                summary="A key of encrypted segments",
                description=(
                    "The URI of EXT-X-KEY tags. Needs a token for the stream, which `streamkit token` makes: ?token=, "
                    "or Authorization: Bearer."
                ),
                parameters=_PARAMETERS,
                answers={
                    200: Answer(description="The 16 bytes.", media_type="application/octet-stream"),
                    401: Answer(description="No token, or one that has expired or is none.", schema="Error"),
                    403: Answer(description="The token is not for this stream.", schema="Error"),
                    404: Answer(description="There is no such key, or not yet.", schema="Error"),
                    422: Answer(description="The stream key breaks the rule, or two tokens came.", schema="Error"),
                },
            )
        ]

    async def get(self, request: Request, stream_key: str, session: str, number: str) -> HTTPResponse:
        """Answer with the key, 401 or 403 for those who may not have it, 404 when no segment needs it (yet)."""
        stream = path_key(stream_key)
        if not self._secret:
            raise not_found("This service encrypts nothing.")
        await self._access.check(request, stream)
        session, number = unquote(session), unquote(number)
        if not is_session_id(session) or not _NUMBER.fullmatch(number) or not self._is_due(stream, session, number):
            raise not_found(f"Stream {stream} has no such key.")
        key = StreamKeys(stream, self._secret).key(SessionId(session), int(number))
        return HTTPResponse(key, 200, {"cache-control": "no-store"}, "application/octet-stream")

    def _is_due(self, stream: StreamKey, session: str, number: str) -> bool:
        """Return whether any segment may be encrypted with the key by now.

        Else a token would open what is broadcast after it expires: a key fetched early is good for ever.
        """
        live = self._board.get(stream)
        if live is not None and live.session == session:
            return live.newest_key is not None and int(number) <= live.newest_key
        newest = time.time() if live is None or live.session is None else session_epoch(live.session)
        return UnixTime(session_epoch(SessionId(session))) <= newest


_PARAMETERS = (
    Parameter(
        name="stream_key",
        where="path",
        description="The stream's key.",
        schema={"$ref": "#/components/schemas/StreamKey"},
        required=True,
    ),
    Parameter(
        name="session",
        where="path",
        description="The broadcast, as segments' names have it.",
        schema={"type": "string", "example": "s1k2m3n4"},
        required=True,
    ),
    Parameter(
        name="number",
        where="path",
        description="Which key of the broadcast.",
        schema={"type": "integer", "minimum": 0, "example": 7},
        required=True,
    ),
    Parameter(
        name=TOKEN,
        where="query",
        description="A token for the stream, unless the header Authorization has it.",
        schema={"type": "string"},
    ),
)
