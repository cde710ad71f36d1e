"""Pure: what a publisher says in the arguments of its URL, rtmp://HOST/live/KEY?ladder=NAME."""

from urllib.parse import parse_qsl

_MAX_ARGUMENTS = 100


def asked_ladder(arguments: str) -> str | None:
    """Return the ladder that 'ladder=mobile&token=..' asks for, with or without a '?' before it; None for none.

    Of several the first counts. What cannot be read asks for nothing: arguments are often meant for somebody else.
    """
    try:
        pairs = parse_qsl(arguments.removeprefix("?"), max_num_fields=_MAX_ARGUMENTS, errors="replace")
    except ValueError:
        return None
    return next((value for name, value in pairs if name == "ladder"), None)
