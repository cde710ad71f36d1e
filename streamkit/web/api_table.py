"""The JSON endpoints: path, handler, and what the OpenAPI document says of them."""

from streamkit.web.api import Api
from streamkit.web.clips import ClipsApi
from streamkit.web.endpoints import Answer, Audience, Endpoint, Parameter
from streamkit.web.params import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET

_WRONG = Answer(description="A parameter is wrong.", schema="Error")
_UNKNOWN = Answer(description="There is no such stream.", schema="Error")
_AWAY = Answer(description="The database is away; see Retry-After.", schema="Error")
_PAGE = (
    Parameter(
        name="limit",
        where="query",
        description="Items of the page.",
        schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    Parameter(
        name="offset",
        where="query",
        description="Items to skip.",
        schema={"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
    ),
)


def api_endpoints(api: Api) -> list[Endpoint]:
    """Return the endpoints of `api`."""
    return [*_health(api), *_streams(api), _manifest(api)]


def _health(api: Api) -> list[Endpoint]:
    return [
        Endpoint(
            path="/health",
            handler=api.health,
            audience=Audience.PROBES,
            operation="health",
            tag="service",
            summary="Is the process alive?",
            answers={200: Answer(description="It is.", schema="Health")},
        ),
        Endpoint(
            path="/ready",
            handler=api.ready,
            audience=Audience.PROBES,
            operation="ready",
            tag="service",
            summary="Can this node work?",
            description=(
                "Database, object store, FFmpeg, disk and supervisor, each with its state and reason, looked at every "
                "two seconds at most. 'degraded' (database or store away, disk low) is still 200: encoding and local "
                "serving go on."
            ),
            answers={
                200: Answer(description="'ok' or 'degraded'.", schema="Readiness"),
                503: Answer(description="'down': nothing can be encoded.", schema="Readiness"),
            },
        ),
        Endpoint(
            path="/stats",
            handler=api.stats,
            operation="stats",
            tag="service",
            summary="Totals, and every live stream",
            description="Works without the database: then the totals are null and 'note' says why.",
            answers={200: Answer(description="The statistics.", schema="Stats")},
        ),
    ]


def _streams(api: Api) -> list[Endpoint]:
    page = {200: Answer(description="A page of streams.", schema="StreamPage"), 422: _WRONG, 503: _AWAY}
    return [
        Endpoint(
            path="/streams",
            handler=api.streams,
            operation="streams",
            summary="All streams, newest publish first",
            parameters=_PAGE,
            answers=page,
        ),
        Endpoint(
            path="/streams/active",
            handler=api.active_streams,
            operation="active_streams",
            summary="The active streams",
            description="For the stream whose key is 'active' see GET /streams.",
            parameters=_PAGE,
            answers=page,
        ),
        Endpoint(
            path="/streams/{stream_key}",
            handler=api.stream,
            operation="stream",
            summary="One stream and its sessions",
            parameters=(_key("path"), *_PAGE),
            answers={
                200: Answer(description="The stream, and a page of its sessions.", schema="StreamDetail"),
                404: _UNKNOWN,
                422: _WRONG,
                503: _AWAY,
            },
        ),
    ]


def clip_endpoints(clips: ClipsApi) -> list[Endpoint]:
    """Return the endpoints of clips. No web page may change them in its visitor's name."""
    clip = Parameter(
        name="clip",
        where="path",
        description="The clip's id.",
        schema={"type": "string", "example": "0k3tq8v2zd"},
        required=True,
    )
    return [
        Endpoint(
            path="/streams/{stream_key}/clips",
            handler=clips.clips,
            methods=("GET", "POST"),
            operation="clips",
            tag="clips",
            summary="The stream's clips, newest first; POST makes one",
            description=(
                "A clip is a time range of a broadcast, live or ended, as playlists over the same segments: whole "
                "ones, and only what the object store has. The range is trimmed to that; the answer says what it came "
                "to. Making the same clip again answers 200 with the first one."
            ),
            parameters=(_key("path"), *_PAGE),
            request_body={
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/ClipRequest"},
                        "examples": {
                            "newest": {"summary": "The newest 30 s", "value": {"from": -30}},
                            "range": {"value": {"from": "2026-11-22T20:15:00Z", "to": "2026-11-22T20:16:30Z"}},
                        },
                    }
                },
            },
            answers={
                200: Answer(description="A page of clips; to POST the clip that was there.", schema="ClipAnswer"),
                201: Answer(description="The clip, ready to be played.", schema="Clip"),
                404: _UNKNOWN,
                409: Answer(description="The session is not kept any more.", schema="Error"),
                415: Answer(description="The body is not declared as JSON.", schema="Error"),
                422: Answer(description="A field is wrong, or nothing is stored in the range.", schema="Error"),
                503: Answer(description="Database or object store away; see Retry-After.", schema="Error"),
            },
            cross_origin=False,
        ),
        Endpoint(
            path="/streams/{stream_key}/clips/{clip}",
            handler=clips.clip,
            methods=("GET", "DELETE"),
            operation="clip",
            tag="clips",
            summary="One clip; DELETE removes its playlists",
            parameters=(_key("path"), clip),
            answers={
                200: Answer(description="The clip.", schema="Clip"),
                204: Answer(description="It is deleted.", media_type=""),
                404: Answer(description="There is no such clip.", schema="Error"),
                422: _WRONG,
                503: Answer(description="Database or object store away; see Retry-After.", schema="Error"),
            },
            cross_origin=False,
        ),
    ]


def _manifest(api: Api) -> Endpoint:
    rendition = Parameter(
        name="rendition",
        where="query",
        description="The rendition's name; the session's first without it.",
        schema={"type": "string", "example": "720p"},
    )
    return Endpoint(
        path="/manifest",
        handler=api.manifest,
        audience=Audience.PLAYERS,
        operation="manifest",
        tag="playback",
        summary="The stored segments of the newest session",
        description="URLs are relative to the site's root, or at CDN_BASE_URL when that is set.",
        parameters=(_key("query"), rendition),
        answers={
            200: Answer(description="The manifest.", schema="Manifest"),
            401: Answer(description="The stream needs a token, and there is none or an expired one.", schema="Error"),
            403: Answer(description="The token is not for this stream, or the page may not play.", schema="Error"),
            404: _UNKNOWN,
            422: _WRONG,
            503: _AWAY,
        },
    )


def _key(where: str) -> Parameter:
    schema = {"$ref": "#/components/schemas/StreamKey"}
    return Parameter(name="stream_key", where=where, description="The stream's key.", schema=schema, required=True)
