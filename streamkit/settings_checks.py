"""Rules of the configuration that more than one section knows of."""

from typing import TYPE_CHECKING

from streamkit.settings_encryption import SHORTEST_SECRET
from streamkit.settings_fields import wrong
from streamkit.types import SegmentFormat

if TYPE_CHECKING:
    from streamkit.settings import Settings

Places = list[tuple[tuple[str | int, ...], str | None]]


def check_together(settings: "Settings") -> None:
    """Raise ValidationError at the key that does not fit to the others."""
    _ladders_exist(settings)
    _containers_hold_the_codecs(settings)
    _encryption_has_a_secret(settings)
    _publishing_has_what_it_needs(settings)
    _playback_has_a_secret(settings)
    _signatures_have_a_secret(settings)


def _ladders_exist(settings: "Settings") -> None:
    named: Places = [(("default_ladder",), settings.default_ladder)]
    named += [(("streams", number, "ladder"), rule.ladder) for number, rule in enumerate(settings.streams)]
    choices: list[tuple[tuple[str | int, ...], tuple[str, ...]]] = [
        (("selectable_ladders",), settings.selectable_ladders)
    ]
    choices += [
        (("streams", n, "selectable_ladders"), r.selectable_ladders or ()) for n, r in enumerate(settings.streams)
    ]
    named += [((*loc, number), name) for loc, names in choices for number, name in enumerate(names)]
    for loc, name in named:
        if name is not None and name not in settings.ladders:
            rule = f"the name of a ladder; there are {', '.join(sorted(settings.ladders))}"
            raise wrong("Settings", loc, name, rule)


def _containers_hold_the_codecs(settings: "Settings") -> None:
    for name, ladder in settings.ladders.items():
        if settings.segment_format_of(ladder) is SegmentFormat.FMP4:
            continue
        for number, rung in enumerate(ladder.renditions):
            if rung.is_encoded and rung.encoder.codec != "h264":
                loc = ("ladders", name, "renditions", number, "video_codec")
                rule = "an encoder of H.264; HEVC and AV1 need fMP4 segments (segment_format: fmp4)"
                raise wrong("Settings", loc, rung.video_codec, rule)


def _encryption_has_a_secret(settings: "Settings") -> None:
    if settings.encryption.key_secret():
        return
    asked: Places = [(("encryption", "method"), settings.encryption.method)]
    asked += [(("streams", number, "encryption"), rule.encryption) for number, rule in enumerate(settings.streams)]
    for loc, method in asked:
        if method == "aes-128":
            secret = f"encryption.secret (ENCRYPTION_SECRET) of at least {SHORTEST_SECRET} characters"
            raise wrong("Settings", loc, method, f"none while there is no {secret}")


def _publishing_has_what_it_needs(settings: "Settings") -> None:
    asked: Places = [(("access", "publish"), settings.access.publish)]
    asked += [(("streams", number, "publish"), rule.publish) for number, rule in enumerate(settings.streams)]
    for loc, mode in asked:
        if mode in ("token", "key_or_token") and not settings.encryption.signing_secret():
            secret = f"encryption.token_secret (TOKEN_SECRET) of at least {SHORTEST_SECRET} characters"
            raise wrong("Settings", loc, mode, f"open, key or callback while there is no {secret}")
        if mode == "callback" and not settings.access.callback_url:
            rule = "open, key, token or key_or_token while access.callback_url is empty"
            raise wrong("Settings", loc, mode, rule)


def _playback_has_a_secret(settings: "Settings") -> None:
    if settings.encryption.signing_secret():
        return
    asked: Places = [(("access", "playback"), settings.access.playback)]
    asked += [(("streams", number, "playback"), rule.playback) for number, rule in enumerate(settings.streams)]
    for loc, mode in asked:
        if mode == "token":
            secret = f"encryption.token_secret (TOKEN_SECRET) of at least {SHORTEST_SECRET} characters"
            raise wrong("Settings", loc, mode, f"open while there is no {secret}")


def _signatures_have_a_secret(settings: "Settings") -> None:
    if settings.access.webhook_signed and not settings.access.webhook_secret.get_secret_value():
        secret = f"access.webhook_secret (WEBHOOK_SECRET) of at least {SHORTEST_SECRET} characters"
        found = settings.access.webhook_signed
        raise wrong("Settings", ("access", "webhook_signed"), found, f"false while there is no {secret}")
