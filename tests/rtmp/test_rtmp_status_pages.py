"""What RTMP servers say of their publishers, and pages that are none of theirs."""

import json
from collections.abc import Callable

import pytest

from streamkit.errors import RtmpStatusError
from streamkit.rtmp_servers.json_pages import parse_mediamtx, parse_srs
from streamkit.rtmp_servers.nginx import parse_nginx

NGINX = """<?xml version="1.0" encoding="utf-8" ?>
<?xml-stylesheet type="text/xsl" href="stat.xsl" ?>
<rtmp><nginx_version>1.22.1</nginx_version><server>
<application><name>other</name><live><stream><name>elsewhere</name><client><id>9</id><publishing/></client></stream></live>
</application>
<application><name>live</name><live>
  <stream><name>alice</name><time>5</time>
    <client><id>7</id><address>10.0.0.9</address><time>4</time></client>
    <client><id>5</id><address>10.0.0.8</address><time>5</time><publishing/><active/></client>
    <nclients>2</nclients><publishing/><active/></stream>
  <stream><name>only-watched</name><client><id>8</id><address>10.0.0.9</address></client></stream>
  <stream><name>../etc</name><client><id>11</id><publishing/></client></stream>
  <nclients>3</nclients></live></application>
</server></rtmp>"""

SRS = {
    "code": 0,
    "server": "vid-1",
    "streams": [
        {"id": "vid-2", "name": "alice", "app": "live", "publish": {"active": True, "cid": "c5"}},
        {"id": "vid-3", "name": "bob", "app": "live", "publish": {"active": True, "cid": 112}},
        {"id": "vid-4", "name": "gone", "app": "live", "publish": {"active": False, "cid": "c6"}},
        {"id": "vid-5", "name": "elsewhere", "app": "other", "publish": {"active": True, "cid": "c7"}},
        {"id": "vid-6", "name": "b c", "app": "live", "publish": {"active": True, "cid": "c8"}},
    ],
}
MEDIAMTX = {
    "itemCount": 5,
    "pageCount": 1,
    "items": [
        {"name": "live/alice", "ready": True, "source": {"type": "rtmpConn", "id": "5-a"}},
        {"name": "live/camera", "ready": True, "source": None},
        {"name": "live/waiting", "ready": False, "source": None},
        {"name": "other/bob", "ready": True, "source": {"type": "rtmpConn", "id": "5-b"}},
        {"name": "live/a/b", "ready": True, "source": {"type": "rtmpConn", "id": "5-c"}},
    ],
}
Parser = Callable[[bytes, str], dict[str, str | None]]


def test_nginx_names_its_publishers_as_in_its_webhooks() -> None:
    assert parse_nginx(NGINX.encode(), "live") == {"alice": "nginx:5@10.0.0.8"}


def test_srs_names_its_publishers_as_in_its_webhooks() -> None:
    assert parse_srs(json.dumps(SRS).encode(), "live") == {"alice": "srs:c5", "bob": "srs:112"}


def test_mediamtx_names_its_publishers_as_in_its_webhooks() -> None:
    assert parse_mediamtx(json.dumps(MEDIAMTX).encode(), "live") == {"alice": "mediamtx:5-a", "camera": None}


def test_a_server_without_streams_has_no_publishers() -> None:
    assert (
        parse_nginx(b"<rtmp><server><application><name>live</name><live/></application></server></rtmp>", "live") == {}
    )
    assert parse_srs(b'{"code": 0, "streams": []}', "live") == {}
    assert parse_mediamtx(b'{"pageCount": 0, "items": []}', "live") == {}


BOMB = b'<!DOCTYPE rtmp [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rtmp>&b;</rtmp>'
FILE = b'<!DOCTYPE rtmp [<!ENTITY a SYSTEM "file:///etc/passwd">]><rtmp>&a;</rtmp>'


@pytest.mark.parametrize(
    ("parse", "page", "says"),
    [
        (parse_nginx, b"", "no whole XML"),
        (parse_nginx, NGINX.encode()[:-20], "no whole XML"),
        (parse_nginx, b"\xff\xfe\x00", "no whole XML"),
        (parse_nginx, b"<html><body>hello</body></html>", "its root is <html>"),
        (parse_nginx, BOMB, "document type definition"),
        (parse_nginx, FILE, "document type definition"),
        (parse_nginx, FILE.decode().encode("utf-16"), "document type definition"),
        (parse_nginx, b"<rtmp>" * 33, "more than 32 levels"),
        (parse_srs, b"<rtmp/>", "no JSON"),
        (parse_srs, b"[" * 100_000, "no JSON"),
        (parse_srs, b"[]", "no JSON object"),
        (parse_srs, b'{"code": 2049}', "code 2049 and not 0"),
        (parse_srs, b'{"code": 0, "streams": {}}', "no list 'streams'"),
        (parse_srs, b'{"code": 0, "streams": [1]}', "no list 'streams'"),
        (parse_mediamtx, b'{"status": "error"}', "no list 'items'"),
        (parse_mediamtx, b'{"pageCount": 2, "items": []}', "more paths than the 10000"),
        (parse_mediamtx, b'{"pageCount": "1", "items": []}', "more paths than the 10000"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_page_that_is_not_the_servers_is_refused_in_one_sentence(parse: Parser, page: bytes, says: str) -> None:
    with pytest.raises(RtmpStatusError, match=says):
        parse(page, "live")


def test_fields_of_other_types_are_no_publishers() -> None:
    odd = [{"name": 5, "app": "live", "publish": {"active": True}}, {"name": "a", "app": "live", "publish": True}]
    assert parse_srs(json.dumps({"code": 0, "streams": odd}).encode(), "live") == {}
    paths = [{"name": None, "ready": True}, {"name": "live/a", "ready": "yes"}]
    assert parse_mediamtx(json.dumps({"items": paths}).encode(), "live") == {}
