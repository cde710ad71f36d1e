"""Pure: nginx-rtmp's statistics (`rtmp_stat all`), an XML page -> who publishes."""

from xml.etree.ElementTree import Element, TreeBuilder  # the tree alone: what is parsed, and how, is below
from xml.parsers import expat

from streamkit.errors import RtmpStatusError
from streamkit.rtmp_servers.names import Publishers, stream_key

_DEEPEST = 32  # levels; the page has 7


def parse_nginx(body: bytes, app: str) -> Publishers:
    """Return who publishes in the application `app`. Raises RtmpStatusError when this is no such page."""
    root = _parse_xml(body)
    if root.tag != "rtmp":
        raise RtmpStatusError(f"the status page is not nginx-rtmp's: its root is <{root.tag[:40]}> and not <rtmp>")
    found: Publishers = {}
    for application in root.iterfind("server/application"):
        if application.findtext("name") == app:
            for stream in application.iterfind("live/stream"):
                _note(stream, found)
    return found


def _note(stream: Element, found: Publishers) -> None:
    key = stream_key(stream.findtext("name"))
    clients = [client for client in stream.iterfind("client") if client.find("publishing") is not None]
    if key is not None and clients:
        number, address = clients[0].findtext("id"), clients[0].findtext("address")
        found[key] = f"nginx:{number}@{address or ''}" if number else None


def _parse_xml(body: bytes) -> Element:
    """Return the document's root. A DTD is refused, and with it entities: nothing expands, nothing is fetched."""
    tree, depth = TreeBuilder(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise RtmpStatusError(f"the status page has more than {_DEEPEST} levels")
        tree.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        tree.end(tag)

    def refuse(*_doctype: object) -> None:
        raise RtmpStatusError("the status page has a document type definition, which nginx-rtmp's has not")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, tree.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)  # noqa: FBT003 - expat's "this is all" has no name
    except expat.ExpatError as error:
        raise RtmpStatusError(f"the status page is no whole XML: {error}") from error
    return tree.close()
