"""Every wrong file is refused with the place, the value as it is written, and the rule."""

from pathlib import Path

import pytest

from streamkit.errors import ConfigError
from streamkit.settings_loader import load_settings

LADDER = "ladders: {mine: {renditions: [{name: a, height: 480, video_bitrate: 800k}]}}\n"
RUNG = "{name: a, height: 480, video_bitrate: 800k}"
MANY = """\
ladders:
  default:
    renditions:
      - name: 720p
        height: 720
        video_codec: libx264
        preset: fast
        video_bitrate: many
"""
BIT_RATE = "it must be a bit rate from 8000 to 200000000 (800k and 2.5M are understood)"
PORT = "it must be a whole number from 1 to 65535"
HOST = "it must be a host name or an IP address, without scheme and port"
TEXT = "it must be text that is not empty"
NAME = "it must be 1 to 32 characters from A-Z a-z 0-9 -, beginning with a letter or digit"
URL = "it must be empty or an http:// or https:// URL without user, query and fragment"
BASE_60 = "YAML reads digits with a colon as a number of base 60: put text in quotes"
OCTAL = "YAML reads a number with a leading 0 as octal: leave the 0 out, or put text in quotes"
TAG = "tags (!) are not allowed: put text that begins with ! in quotes"
NEW_NAME = "it must be another name"
ENDPOINT = "it must be host or host:port, without http:// (use_ssl chooses the scheme)"
BUCKET = "it must be 3 to 63 characters from a-z 0-9 . -, beginning and ending with a letter or digit"
NO_PERCENT = "it must be a path without %, because FFmpeg expands it in segment names"
DVR = "it must be seconds from 60 to 1209600 (30m, 4h and 14d are understood)"
DVR_NAME = "dvr.m3u8 is the DVR playlist"
MULTIVARIANT = "playlist.m3u8 is the multivariant playlist"
SESSION = "'s' and 7 base-32 digits is how a session id looks"
A_LADDER = "it must be the name of a ladder; there are copy, default"
FMP4 = "HEVC and AV1 need fMP4 segments (segment_format: fmp4)"
KEY_FRAMES = "its key frames are the publisher's and would not line up with encoded renditions"

NO_SEPARATE_AUDIO = "it must be false with a 'copy' rendition: sound cannot be cut where the publisher's key frames are"
NO_TOKENS = (
    "it must be open, key or callback while there is no encryption.token_secret (TOKEN_SECRET) of at least 16"
    " characters"
)
NO_PLAYBACK_TOKENS = (
    "it must be open while there is no encryption.token_secret (TOKEN_SECRET) of at least 16 characters"
)
REFERER = "it must be a host name, without scheme and port; *.example.org is every host below example.org"
NO_CALLBACK = "it must be open, key, token or key_or_token while access.callback_url is empty"
NO_SIGNATURES = "it must be false while there is no access.webhook_secret (WEBHOOK_SECRET) of at least 16 characters"
NETWORK = "it must be an IP address or a network, such as 192.0.2.7, 10.0.0.0/8 or fd00::/8"
NO_SECRET = "it must be none while there is no encryption.secret (ENCRYPTION_SECRET) of at least 16 characters"

WRONG_YAML: dict[str, tuple[str | bytes, str]] = {
    "encryption without a secret": (
        "encryption: {method: aes-128}\n",
        f"1:22: encryption.method: 'aes-128' is not valid: {NO_SECRET}",
    ),
    "a rule's encryption without a secret": (
        "streams:\n  - match: a\n    encryption: aes-128\n",
        f"3:17: streams[0].encryption: 'aes-128' is not valid: {NO_SECRET}",
    ),
    "publish tokens without a secret": (
        "access: {publish: token}\n",
        f"1:19: access.publish: 'token' is not valid: {NO_TOKENS}",
    ),
    "a rule's publish tokens without a secret": (
        "streams:\n  - match: a\n    publish: key_or_token\n",
        f"3:14: streams[0].publish: 'key_or_token' is not valid: {NO_TOKENS}",
    ),
    "a callback without a URL": (
        "access:\n  publish: callback\n",
        f"2:12: access.publish: 'callback' is not valid: {NO_CALLBACK}",
    ),
    "a callback's URL with a password": (
        "access:\n  callback_url: https://user:hunter2@example.org/auth\n",
        f"2:17: access.callback_url: 'https://...@example.org/auth' is not valid: {URL}",
    ),
    "a network with bits behind its mask": (
        "access:\n  webhook_addresses: [10.0.0.0/8, 10.0.0.1/8]\n",
        f"2:35: access.webhook_addresses[1]: '10.0.0.1/8' is not valid: {NETWORK}",
    ),
    "playback tokens without a secret": (
        "access: {playback: token}\n",
        f"1:20: access.playback: 'token' is not valid: {NO_PLAYBACK_TOKENS}",
    ),
    "a referer with a scheme": (
        "access:\n  referers: [https://example.org]\n",
        f"2:14: access.referers[0]: 'https://example.org' is not valid: {REFERER}",
    ),
    "signed webhooks without a secret": (
        "access: {webhook_signed: true}\n",
        f"1:26: access.webhook_signed: 'true' is not valid: {NO_SIGNATURES}",
    ),
    "a short secret, and nothing else for it": (
        "encryption:\n  method: aes-128\n  secret: hunter2\n",
        "3:11: encryption.secret: the value is not valid: it must be empty or text of at least 16 characters",
    ),
    "an unknown method": (
        "encryption: {method: sample-aes}\n",
        "1:22: encryption.method: 'sample-aes' is not valid: it must be one of none, aes-128",
    ),
    "a key for no segment": (
        "encryption: {key_rotation: 0}\n",
        "1:28: encryption.key_rotation: '0' is not valid: it must be a whole number from 1 to 100000",
    ),
    "bit rate": (MANY, f"8:24: ladders.default.renditions[0].video_bitrate: 'many' is not valid: {BIT_RATE}"),
    "bit rate with an unknown unit": (
        LADDER.replace("800k", "8G"),
        f"1:69: ladders.mine.renditions[0].video_bitrate: '8G' is not valid: {BIT_RATE}",
    ),
    "bit rate with half a bit": (
        LADDER.replace("800k", "8.0005k"),
        f"1:69: ladders.mine.renditions[0].video_bitrate: '8.0005k' is not valid: {BIT_RATE}",
    ),
    "bit rate out of range": (
        LADDER.replace("800k", "201M"),
        f"1:69: ladders.mine.renditions[0].video_bitrate: '201M' is not valid: {BIT_RATE}",
    ),
    "separate audio of copied video": (
        "ladders: {mine: {separate_audio: true, renditions: [{name: a, video_codec: copy}]}}\n",
        f"1:34: ladders.mine.separate_audio: 'true' is not valid: {NO_SEPARATE_AUDIO}",
    ),
    "segment format that does not exist": (
        "hls:\n  segment_format: ts\n",
        "2:19: hls.segment_format: 'ts' is not valid: it must be mpegts or fmp4",
    ),
    "unknown key, near": ("server:\n  prot: 80\n", "2:3: server.prot: is not a known key: did you mean 'port'?"),
    "unknown key, far": (
        "rtmp:\n  zzzz: 80\n",
        (
            "2:3: rtmp.zzzz: is not a known key: the keys here are server, port, app, status_url, status_server, "
            "status_interval"
        ),
    ),
    "unknown section": ("databse: {}\n", "1:1: databse: is not a known key: did you mean 'database'?"),
    "unknown key of a rendition": (
        LADDER.replace("height: 480", "height: 480, heigth: 4"),
        "1:54: ladders.mine.renditions[0].heigth: is not a known key: did you mean 'height'?",
    ),
    "number out of range": ("server: {port: 65536}", f"1:16: server.port: '65536' is not valid: {PORT}"),
    "text for a number": ("server: {port: '80'}", f"1:16: server.port: '80' is not valid: {PORT}"),
    "true for a number": ("server: {port: true}", f"1:16: server.port: 'true' is not valid: {PORT}"),
    "fraction for a whole number": ("server: {port: 80.5}", f"1:16: server.port: '80.5' is not valid: {PORT}"),
    "not above 0": (
        "encoder: {stall_timeout: 0}",
        "1:26: encoder.stall_timeout: '0' is not valid: it must be a number above 0",
    ),
    "negative": (
        "hls: {local_grace: -1}",
        "1:20: hls.local_grace: '-1' is not valid: it must be a number of at least 0",
    ),
    "infinite": (
        "encoder: {stall_timeout: .inf}",
        "1:26: encoder.stall_timeout: '.inf' is not valid: it must be a number above 0",
    ),
    "exponent without a point, text in YAML 1.1": (
        "hls: {window: 1e1}",
        "1:15: hls.window: '1e1' is not valid: it must be a number from 6 to 86400",
    ),
    "dvr as a duration": (
        "hls: {dvr: 4h}",
        "1:12: hls.dvr: '4h' is not valid: it must be one of none, sliding, event",
    ),
    "a duration in an unknown unit": ("hls: {dvr_window: 4w}", f"1:19: hls.dvr_window: '4w' is not valid: {DVR}"),
    "a duration out of range": ("hls: {dvr_window: 30d}", f"1:19: hls.dvr_window: '30d' is not valid: {DVR}"),
    "no choice": ("hls: {delivery: prxy}", "1:17: hls.delivery: 'prxy' is not valid: it must be one of proxy, presign"),
    "text for true or false": (
        "storage: {use_ssl: 'true'}",
        "1:20: storage.use_ssl: 'true' is not valid: it must be true or false",
    ),
    "no, which YAML 1.1 reads as false": (
        "storage: {region: no}",
        f"1:19: storage.region: 'no' is not valid: {TEXT}: YAML reads it as true or false, so put it in quotes",
    ),
    "22:30, which YAML 1.1 reads as 1350": (
        "server: {port: 22:30}",
        f"1:16: server.port: '22:30' is not valid: {PORT}: {BASE_60}",
    ),
    "0777, which YAML 1.1 reads as 511": (
        "server: {port: 0777}",
        f"1:16: server.port: '0777' is not valid: {PORT}: {OCTAL}",
    ),
    "a date": (
        "streams: [{match: 2026-11-22}]",
        f"1:19: streams[0].match: '2026-11-22' is not valid: {TEXT}: YAML reads it as a date: put text in quotes",
    ),
    "a number for a stream key": (
        "streams: [{match: 1234}]",
        f"1:19: streams[0].match: '1234' is not valid: {TEXT}: YAML reads it as a number, so put it in quotes",
    ),
    "python tag": (
        "database: {name: !!python/object/apply:os.getcwd []}",
        f"1:18: database.name: the value is not valid: {TEXT}: tags (!) are not allowed",
    ),
    "own tag": (
        "database: {name: !secret db}",
        f"1:18: database.name: 'db' is not valid: {TEXT}: {TAG}",
    ),
    "standard tag that does not fit": (
        "server: {port: !!int x}",
        f"1:16: server.port: 'x' is not valid: {PORT}: it is no int in YAML",
    ),
    "duplicate key": (
        "server:\n  port: 1\n  host: a\n  port: 2\n",
        "4:3: server.port: is given twice (first in line 2)",
    ),
    "duplicate section": ("server: {}\nserver: {}\n", "2:1: server: is given twice (first in line 1)"),
    "key that is no text": ("no: 1", "1:1: the key 'no' is no text in YAML: write it out, or put it in quotes"),
    "key that is a number": (
        "ladders: {720: {}}",
        "1:11: ladders: the key '720' is no text in YAML: write it out, or put it in quotes",
    ),
    "key that is a list": ("? [a]\n: 1", "1:3: a key must be text, not a list or a mapping"),
    "merge key": ("<<: {}", "1:1: the key '<<' is a merge key in YAML: write it out, or put it in quotes"),
    "alias inside of itself": (
        "server: &a\n  host: *a\n",
        f"1:9: server.host: the value is not valid: {HOST}: an alias (*) stands inside of what it names",
    ),
    "list at the top": ("- a", "1:1: the file must be a mapping of sections (server:, rtmp:, ...), not a list"),
    "text at the top": (
        "hello",
        "1:1: the file must be a mapping of sections (server:, rtmp:, ...), not a single value",
    ),
    "empty section": (
        "log:\nserver: {}\n",
        "1:5: log: an empty value is not valid: it must be a section with some of the keys level, format",
    ),
    "list for a section": (
        "log: [a, b]",
        "1:6: log: a list of 2 is not valid: it must be a section with some of the keys level, format",
    ),
    "text for a list": (
        "server: {cors_origins: '*'}",
        "1:24: server.cors_origins: '*' is not valid: it must be a list",
    ),
    "wrong item of a list": (
        "server: {cors_origins: [a, 5]}",
        f"1:28: server.cors_origins[1]: '5' is not valid: {TEXT}: YAML reads it as a number, so put it in quotes",
    ),
    "missing key": ("streams: [{ladder: copy}]", f"1:11: streams[0].match: is missing: {TEXT}"),
    "no rendition": (
        "ladders: {mine: {renditions: []}}",
        "1:30: ladders.mine.renditions: a list of 0 is not valid: it must be a list of 1 to 16 entries",
    ),
    "rendition that cannot be encoded": (
        LADDER.replace(", video_bitrate: 800k", ""),
        "1:31: ladders.mine.renditions[0]: an encoded rendition needs 'height' and 'video_bitrate'",
    ),
    "peak rate below the bit rate": (
        LADDER.replace("800k", "800k, maxrate: 700k"),
        "1:84: ladders.mine.renditions[0].maxrate: '700k' is not valid: it must be 800000 (video_bitrate) or more",
    ),
    "peak rate of an encoder that has none": (
        "hls: {segment_format: fmp4}\n" + LADDER.replace("800k", "800k, video_codec: av1, maxrate: 900k"),
        "2:102: ladders.mine.renditions[0].maxrate: '900k' is not valid: it must be left out: libsvtav1 has none",
    ),
    "selectable ladder that does not exist": (
        "selectable_ladders: [default, hd]",
        f"1:31: selectable_ladders[1]: 'hd' is not valid: {A_LADDER}",
    ),
    "selectable ladder of a rule that does not exist": (
        "streams: [{match: a, selectable_ladders: [hd]}]",
        f"1:43: streams[0].selectable_ladders[0]: 'hd' is not valid: {A_LADDER}",
    ),
    "HEVC in MPEG-TS": (
        LADDER.replace("name: a", "name: a, video_codec: hevc, preset: fast"),
        f"1:54: ladders.mine.renditions[0].video_codec: 'hevc' is not valid: it must be an encoder of H.264; {FMP4}",
    ),
    "copy beside another rendition": (
        LADDER.replace("}]", "}, {name: b, video_codec: copy}]"),
        f"1:17: ladders.mine: a 'copy' rendition must be the only one of its ladder: {KEY_FRAMES}",
    ),
    "rendition names twice": (
        LADDER.replace(RUNG, f"{RUNG}, {RUNG}"),
        f"1:83: ladders.mine.renditions[1].name: 'a' is not valid: {NEW_NAME}: a rendition above has this one",
    ),
    "rendition named as a path": (
        LADDER.replace("name: a", "name: a/b"),
        f"1:38: ladders.mine.renditions[0].name: 'a/b' is not valid: {NAME}",
    ),
    "rendition named as the multivariant playlist": (
        LADDER.replace("name: a", "name: Playlist"),
        f"1:38: ladders.mine.renditions[0].name: 'Playlist' is not valid: {NEW_NAME}: {MULTIVARIANT}",
    ),
    "rendition named as the DVR playlist": (
        LADDER.replace("name: a", "name: DVR"),
        f"1:38: ladders.mine.renditions[0].name: 'DVR' is not valid: {NEW_NAME}: {DVR_NAME}",
    ),
    "rendition named as a session": (
        LADDER.replace("name: a", "name: s1hz9xk0"),
        f"1:38: ladders.mine.renditions[0].name: 's1hz9xk0' is not valid: {NEW_NAME}: {SESSION}",
    ),
    "unknown default ladder": (
        "default_ladder: hd",
        "1:17: default_ladder: 'hd' is not valid: it must be the name of a ladder; there are copy, default",
    ),
    "unknown ladder of a rule": (
        "streams: [{match: a}, {match: b, ladder: hd}]",
        "1:42: streams[1].ladder: 'hd' is not valid: it must be the name of a ladder; there are copy, default",
    ),
    "endpoint with a scheme": (
        "storage: {endpoint: 'http://minio:9000'}",
        f"1:21: storage.endpoint: 'http://minio:9000' is not valid: {ENDPOINT}",
    ),
    "bucket in capitals": (
        "storage: {bucket: HLS}",
        f"1:19: storage.bucket: 'HLS' is not valid: {BUCKET}",
    ),
    "CDN without a scheme": (
        "hls: {cdn_base_url: cdn.example.org}",
        f"1:21: hls.cdn_base_url: 'cdn.example.org' is not valid: {URL}",
    ),
    "percent in the output folder": (
        "hls: {output_dir: /tmp/%d}",
        f"1:19: hls.output_dir: '/tmp/%d' is not valid: {NO_PERCENT}",
    ),
    "syntax: bracket": ("a: [1\nb: 2\n", "2:2: is not valid YAML: expected ',' or ']', but got ':'"),
    "syntax: tab": (
        "server:\n\tport: 1\n",
        "2:1: is not valid YAML: found character '\\t' that cannot start any token",
    ),
    "syntax: colon": ("server:\n  port: 80: 90\n", "2:11: is not valid YAML: mapping values are not allowed here"),
    "syntax: two documents": (
        "server: {}\n---\nrtmp: {}\n",
        "2:1: is not valid YAML: expected a single document in the stream, but found another document",
    ),
    "control character": (
        "server: {}\na: \x01",
        "2:4: is not valid YAML: there is a character here that text files do not have",
    ),
    "not UTF-8": (b"a: 1\nb: \xff", "2:1: the file is not UTF-8 text"),
    "nested without end": ("a: " + "[" * 3000, "1:1: lists and mappings are nested too deeply"),
}


@pytest.mark.parametrize(("text", "problem"), WRONG_YAML.values(), ids=WRONG_YAML)
def test_a_wrong_file_is_refused_with_place_value_and_rule(tmp_path: Path, text: str | bytes, problem: str) -> None:
    file = tmp_path / "streamkit.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load_settings({}, file)
    assert caught.value.problems == [f"{file}:{problem}"]
