"""AES-128 segments: keys, cipher, files. RFC 8216 4.3.2.4 and 5.2."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from streamkit.encryption.cipher import decrypt, encrypt, encrypted, initialization_vector
from streamkit.encryption.files import encrypt_file, is_encrypted
from streamkit.encryption.keys import StreamKeys, key_number
from streamkit.types import MediaSequence, SessionId, StreamKey

SECRET = b"a secret of more than 16"
SESSION, OTHER = SessionId("s1k2m3n4"), SessionId("s1k2m3n5")
KEYS = StreamKeys(StreamKey("cam-1"), SECRET)
KEY = KEYS.key(SESSION, 0)
TS = b"".join(bytes([0x47]) + os.urandom(187) for _ in range(40))
M4S = b"\0\0\0\x10styp" + os.urandom(4000)


# ---- keys


def test_a_key_is_hkdf_of_the_secret_over_stream_session_and_number() -> None:
    key = HKDF(SECRET, 16, b"streamkit segment key 1", SHA256, context=b"cam-1/s1k2m3n4/7")
    assert KEYS.key(SESSION, 7) == key


def test_every_stream_session_number_and_secret_has_a_key_of_its_own() -> None:
    makers = [KEYS, StreamKeys(StreamKey("cam-2"), SECRET), StreamKeys(StreamKey("cam-1"), SECRET + b"!")]
    keys = {maker.key(session, number) for maker in makers for session in (SESSION, OTHER) for number in range(50)}
    assert len(keys) == 300
    assert {len(key) for key in keys} == {16}


def test_the_secret_is_not_shown() -> None:
    assert SECRET.decode() not in repr(KEYS)
    assert SECRET.decode() not in repr(KEYS.run(SESSION, 3))


def test_a_key_is_for_as_many_numbers_as_the_rotation_says() -> None:
    run = KEYS.run(SESSION, 3)
    keys = [run.of(MediaSequence(sequence)) for sequence in range(7, 16)]
    assert [after == before for before, after in pairwise(keys)] == [True, False, True, True, False, True, True, False]
    assert run.of(MediaSequence(7)) == KEYS.key(SESSION, key_number(7, 3)) == KEYS.key(SESSION, 2)


# ---- the cipher


def test_the_cipher_is_aes_128_cbc_as_nist_sp_800_38a_f_2_1_shows_it() -> None:
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    cipher = bytes.fromhex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2")
    assert encrypt(plain, key, 0x000102030405060708090A0B0C0D0E0F)[:32] == cipher


def test_the_vector_is_the_number_big_endian_in_16_bytes_5_2() -> None:
    assert initialization_vector(258) == bytes(14) + b"\x01\x02"


@pytest.mark.parametrize("number", [-1, 1 << 128])
def test_a_vector_of_more_than_16_bytes_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="initialization vector"):
        decrypt(encrypt(TS, KEY, 1), KEY, number)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 188, 4096, 100_000])
def test_what_was_encrypted_is_decrypted_whatever_its_length(size: int) -> None:
    plain = os.urandom(size)
    secret = encrypt(plain, KEY, 5)
    assert len(secret) == size + 16 - size % 16  # PKCS #7 always adds 1 to 16 bytes
    assert decrypt(secret, KEY, 5) == plain


def test_pieces_of_any_size_give_the_same_bytes() -> None:
    pieces = [TS[:1], TS[1:1000], b"", TS[1000:1016], TS[1016:]]
    assert b"".join(encrypted(pieces, KEY, 9)) == encrypt(TS, KEY, 9)


def test_equal_segments_differ_when_their_numbers_do() -> None:
    assert encrypt(TS, KEY, 1)[:16] != encrypt(TS, KEY, 2)[:16]


@pytest.mark.parametrize("data", [b"", b"x" * 17, TS])
def test_what_is_no_encrypted_segment_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no whole number of AES blocks|padding"):
        decrypt(data, KEY, 1)


def test_another_key_does_not_open_a_segment() -> None:
    other = KEYS.key(SESSION, 1)
    opened = 0
    for sequence in range(200):  # by chance the padding looks right once in 256
        try:
            opened += decrypt(encrypt(TS, KEY, sequence), other, sequence) == TS
        except ValueError:
            continue
    assert opened == 0


# ---- files


@pytest.mark.parametrize("plain", [TS, M4S, TS * 200], ids=["ts", "m4s", "over a megabyte"])
def test_a_file_is_replaced_by_its_encrypted_form_and_keeps_its_time(tmp_path: Path, plain: bytes) -> None:
    path = tmp_path / "segment.ts"
    path.write_bytes(plain)
    os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    assert encrypt_file(path, KEY, 3) == path.stat().st_size
    assert path.stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert decrypt(path.read_bytes(), KEY, 3) == plain
    assert [other.name for other in tmp_path.iterdir()] == ["segment.ts"]


@pytest.mark.parametrize("plain", [TS, M4S, TS[:188]], ids=["ts", "m4s", "one packet"])
def test_an_encrypted_file_is_known_by_its_key(tmp_path: Path, plain: bytes) -> None:
    path = tmp_path / "segment"
    path.write_bytes(plain)
    assert not is_encrypted(path, KEY, 3)
    encrypt_file(path, KEY, 3)
    assert is_encrypted(path, KEY, 3)
    assert not is_encrypted(path, KEYS.key(OTHER, 0), 3)


@pytest.mark.parametrize("kept", [0, 1, 16, 31, 32, 4096, 7504])
def test_a_broken_file_is_not_taken_for_an_encrypted_one(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "segment.ts"
    path.write_bytes(TS[:kept])
    assert not is_encrypted(path, KEY, 3)
    path.write_bytes(encrypt(TS, KEY, 3)[:kept])
    assert not is_encrypted(path, KEY, 3)


def test_a_disk_that_is_full_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "segment.ts"
    path.write_bytes(TS)

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "utime", full)
    with pytest.raises(OSError, match="No space left"):
        encrypt_file(path, KEY, 3)
    assert path.read_bytes() == TS
    assert [other.name for other in tmp_path.iterdir()] == ["segment.ts"]
