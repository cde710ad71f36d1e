import pytest

from streamkit.web.conditional import Conditions, Selection, accepts_gzip, etag_matches, select

TAG = '"abc"'


def selected(size: int = 100, method: str = "GET", **headers: str) -> Selection:
    return select(Conditions(**headers), method=method, size=size, etag=TAG)


@pytest.mark.parametrize(
    ("field", "start", "stop"),
    [
        pytest.param("bytes=0-0", 0, 1, id="RFC9110 14.1.2 first byte"),
        pytest.param("bytes=0-49", 0, 50, id="RFC9110 14.1.2 first half"),
        pytest.param("bytes=50-", 50, 100, id="RFC9110 14.1.2 from an offset"),
        pytest.param("bytes=90-1000", 90, 100, id="RFC9110 14.1.2 last position past the end"),
        pytest.param("bytes=-10", 90, 100, id="RFC9110 14.1.2 suffix"),
        pytest.param("bytes=-1000", 0, 100, id="RFC9110 14.1.2 suffix longer than the file"),
        pytest.param("BYTES=1-2", 1, 3, id="RFC9110 14.1 units are case-insensitive"),
        pytest.param("bytes= 1-2 ", 1, 3, id="RFC9110 5.6.1 optional whitespace"),
    ],
)
def test_a_range_selects_its_bytes(field: str, start: int, stop: int) -> None:
    assert selected(range=field) == Selection(status=206, start=start, stop=stop)


@pytest.mark.parametrize(
    "field",
    [
        pytest.param("bytes=100-", id="RFC9110 15.5.17 begins at the end"),
        pytest.param("bytes=999999999999999999-", id="RFC9110 15.5.17 far behind the end"),
        pytest.param("bytes=-0", id="RFC9110 14.1.2 suffix of nothing"),
    ],
)
def test_a_range_behind_the_end_is_not_satisfiable(field: str) -> None:
    assert selected(range=field).status == 416


def test_no_range_of_an_empty_file_is_satisfiable() -> None:
    assert selected(size=0, range="bytes=0-0").status == 416
    assert selected(size=0, range="bytes=-5").status == 416


@pytest.mark.parametrize(
    "field",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "bytes=0-1,5-6",
        "items=0-1",
        "bytes=0-1;x",
        "bytes=٣-٤",
        "bytes=" + "9" * 5000 + "-",
        "bytes=--5",
        "bytes=1.5-2",
    ],
)
def test_a_range_that_is_malformed_or_of_several_parts_is_ignored(field: str) -> None:
    assert selected(range=field) == Selection(status=200, stop=100)


def test_a_range_of_a_head_is_ignored() -> None:
    assert selected(method="HEAD", range="bytes=0-1").status == 200


@pytest.mark.parametrize(
    ("field", "status"),
    [
        pytest.param(TAG, 206, id="RFC9110 13.1.5 the same strong tag"),
        pytest.param('W/"abc"', 200, id="RFC9110 13.1.5 a weak tag never matches"),
        pytest.param('"other"', 200, id="RFC9110 13.1.5 another tag"),
        pytest.param("Sun, 22 Nov 2026 15:00:00 GMT", 200, id="RFC9110 13.1.5 a date"),
    ],
)
def test_if_range_keeps_the_range_only_for_the_same_content(field: str, status: int) -> None:
    assert selected(range="bytes=0-1", if_range=field).status == status


@pytest.mark.parametrize("field", [TAG, 'W/"abc"', '"x", "abc"', '"x",W/"abc","y"', "*", ' "abc" '])
def test_if_none_match_that_names_the_tag_is_304_even_with_a_range(field: str) -> None:
    assert selected(if_none_match=field, range="bytes=500-").status == 304


@pytest.mark.parametrize("field", ['"abcd"', "abc", "", '"', "'abc'", '"abc', '"a" ' * 500 + TAG])
def test_if_none_match_that_does_not_name_the_tag_is_200(field: str) -> None:
    assert not etag_matches(field, TAG)
    assert selected(if_none_match=field).status == 200


@pytest.mark.parametrize(
    "field", ["gzip", "deflate, gzip;q=0.5", "GZIP", "*", "br, *;q=0.1", "x-gzip", "gzip ; q=1.000"]
)
def test_gzip_is_used_for_those_who_take_it(field: str) -> None:
    assert accepts_gzip(field)


@pytest.mark.parametrize(
    "field", [None, "", "identity", "gzip;q=0", "gzip;q=0.000, *", "gzipped", ";;,,q=", "br;q=9,gzip;q=x"]
)
def test_gzip_is_not_used_for_those_who_do_not(field: str | None) -> None:
    assert not accepts_gzip(field)
