"""HMAC over a body and the time."""

import hashlib
import hmac

import pytest

from streamkit.access.signatures import is_signed, sign
from streamkit.types import Seconds, UnixTime

SECRET, BODY, AT = b"a secret of more than 16", b'{"stream_key":"demo"}', 1_790_000_000


def verdict(header: str, *, body: bytes = BODY, now: float = AT, secret: bytes = SECRET) -> bool:
    return is_signed(secret, body, header, UnixTime(now), tolerance=Seconds(300.0))


def test_a_signature_is_what_the_documentation_says() -> None:
    expected = hmac.new(SECRET, b"1790000000." + BODY, hashlib.sha256).hexdigest()
    assert sign(SECRET, BODY, AT) == f"t=1790000000,v1={expected}"


def test_who_knows_the_secret_signs_what_counts_for_some_minutes() -> None:
    header = sign(SECRET, BODY, AT)
    assert verdict(header)
    assert verdict(header, now=AT + 300)
    assert verdict(header, now=AT - 300)


def test_an_old_request_that_is_sent_again_does_not_count() -> None:
    assert not verdict(sign(SECRET, BODY, AT), now=AT + 301)
    assert not verdict(sign(SECRET, BODY, AT), now=AT - 301)


def test_another_body_another_secret_and_another_time_do_not_count() -> None:
    header = sign(SECRET, BODY, AT)
    assert not verdict(header, body=BODY + b" ")
    assert not verdict(header, secret=b"another secret, as long")
    assert not verdict(header.replace("t=1790000000", "t=1790000001"))


@pytest.mark.parametrize("header", ["", "v1=", "t=1790000000", "t=1790000000,v1=abc", "t=0,v1=" + "0" * 64, "é" * 80])
def test_what_has_not_the_form_of_a_signature_does_not_count(header: str) -> None:
    assert not verdict(header)
