"""Publish keys: their form, and what is kept of them."""

import pytest

from streamkit.access.keys import digest, is_key_id, key_id, make_key, matches

KEY = make_key(bytes(range(37)))


def test_a_key_is_its_id_and_its_secret() -> None:
    assert KEY == "0001020304-BQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQ"
    assert key_id(KEY) == "0001020304"


def test_what_is_kept_of_a_key_shows_nothing_of_its_secret_and_knows_it_again() -> None:
    assert KEY.partition("-")[2] not in digest(KEY)
    assert len(digest(KEY)) == 64
    assert matches(KEY, digest(KEY))
    assert not matches(KEY[:-1] + "R", digest(KEY))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0001020304",
        "0001020304-",
        KEY + "A",
        KEY[:-1],
        "ABCDEF0123" + KEY[10:],
        " " + KEY,
        KEY + "\n",
        "é" + KEY[1:],
    ],
)
def test_what_has_not_the_form_of_a_key_has_no_id(text: str) -> None:
    assert key_id(text) is None


@pytest.mark.parametrize(("text", "is_one"), [("0001020304", True), (KEY, False), ("", False), ("000102030g", False)])
def test_an_id_is_ten_hexadecimal_digits(text: str, is_one: bool) -> None:
    assert is_key_id(text) is is_one


@pytest.mark.parametrize("size", [0, 36, 38])
def test_a_key_is_never_made_of_less_randomness(size: int) -> None:
    with pytest.raises(ValueError, match="37 random bytes"):
        make_key(bytes(size))
