"""Tokens of players and publishers."""

import base64
import hashlib
import hmac

import pytest

from streamkit.access.tokens import Purpose, TokenError, check_token, is_token, make_token
from streamkit.types import StreamKey, UnixTime

SECRET, CAM = b"a secret of more than 16", StreamKey("cam-1")
NOW = 1_790_000_000
TOKEN = make_token(SECRET, CAM, NOW + 60)


def code(token: str, *, stream: StreamKey = CAM, secret: bytes = SECRET, now: float = NOW) -> str:
    try:
        check_token(secret, stream, token, UnixTime(now))
    except TokenError as error:
        return error.code
    return "opens"


def test_a_token_is_what_the_readme_says_so_that_others_can_make_them() -> None:
    digest = hmac.new(SECRET, b"streamkit token 1/cam-1/1790000060", hashlib.sha256).digest()
    assert "1790000060." + base64.urlsafe_b64encode(digest).decode().rstrip("=") == TOKEN


def test_a_token_opens_its_stream_until_it_expires() -> None:
    assert code(TOKEN) == "opens"
    assert code(TOKEN, now=NOW + 59.9) == "opens"
    assert code(TOKEN, now=NOW + 60) == "token_expired"


def test_a_token_of_another_stream_or_secret_is_refused() -> None:
    assert code(TOKEN, stream=StreamKey("cam-2")) == "token_refused"
    assert code(TOKEN, secret=SECRET + b"!") == "token_refused"


def test_a_later_expiry_needs_another_signature() -> None:
    assert code(f"{NOW + 61}.{TOKEN.partition('.')[2]}") == "token_refused"


def test_an_expired_token_is_not_told_from_a_forged_one_without_its_signature() -> None:
    assert code(f"1.{TOKEN.partition('.')[2]}") == "token_refused"


@pytest.mark.parametrize(
    "text",
    ["", ".", "x", "1", "1.", TOKEN + "=", TOKEN + "\n", "0" + TOKEN, "-" + TOKEN, "٣" + TOKEN[1:], TOKEN[:-1],
     TOKEN[:-1] + "+", "9" * 5000, TOKEN + '"\n#EXT'],
)  # fmt: skip
def test_anything_else_is_no_token(text: str) -> None:
    assert not is_token(text)
    with pytest.raises(
        TokenError, match=r"^The token is not one of StreamKit's: EXPIRES.SIGNATURE is expected\.$"
    ) as caught:
        check_token(SECRET, CAM, text, UnixTime(NOW))
    assert caught.value.code == "token_invalid"


def test_a_token_is_safe_in_a_url_and_a_playlist() -> None:
    assert is_token(TOKEN)
    assert not set(TOKEN) & set("\"'&?#%,=/ \n")


def test_a_token_to_play_publishes_nothing_and_the_other_way_round() -> None:
    play = make_token(SECRET, CAM, 1_790_000_000)
    publish = make_token(SECRET, CAM, 1_790_000_000, Purpose.PUBLISH)
    check_token(SECRET, CAM, publish, UnixTime(1_789_999_999), Purpose.PUBLISH)
    with pytest.raises(TokenError, match="does not publish the stream"):
        check_token(SECRET, CAM, play, UnixTime(1_789_999_999), Purpose.PUBLISH)
    with pytest.raises(TokenError, match="not for the stream"):
        check_token(SECRET, CAM, publish, UnixTime(1_789_999_999))
