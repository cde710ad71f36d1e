import pytest
from fakes.front_end import FrontEnd
from openapi_spec_validator import validate

from streamkit.web.endpoints import Answer, Endpoint
from streamkit.web.openapi import document


def test_the_served_document_is_valid_openapi(front: FrontEnd) -> None:
    validate(front.get("/docs/openapi.json").json())


def test_every_documented_operation_is_routed_and_answers_what_it_says(front: FrontEnd) -> None:
    found = 0
    for path, operations in front.get("/docs/openapi.json").json()["paths"].items():
        concrete = path.format(
            name="playlist.m3u8", stream_key="demo", clip="0123456789", session="s1hz9xk0", number="0"
        )
        for method, operation in operations.items():
            answer = front.request(method.upper(), concrete)
            assert str(answer.status_code) in operation["responses"], f"{method} {concrete}: {answer.status_code}"
            found += 1
    assert found >= 11


@pytest.mark.parametrize(
    "path",
    ["/events/published", "/hls/{stream_key}/{name}", "/manifest", "/health", "/ready", "/stats", "/streams",
     "/streams/active", "/streams/{stream_key}", "/streams/{stream_key}/clips",
     "/streams/{stream_key}/clips/{clip}"],
)  # fmt: skip
def test_every_endpoint_that_was_promised_is_documented(front: FrontEnd, path: str) -> None:
    assert path in front.get("/docs/openapi.json").json()["paths"]


def test_operation_ids_are_unique(front: FrontEnd) -> None:
    paths = front.get("/docs/openapi.json").json()["paths"].values()
    names = [operation["operationId"] for operations in paths for operation in operations.values()]
    assert len(names) == len(set(names))


def test_an_endpoint_that_only_people_use_is_left_out() -> None:
    async def handler() -> None: ...

    hidden = Endpoint(
        path="/x",
        handler=handler,
        summary="x",
        answers={200: Answer(description="x")},
        documented=False,  # type: ignore[arg-type]
    )
    assert document([hidden])["paths"] == {}
