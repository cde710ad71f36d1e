"""Bits and Exp-Golomb codes, as H.264, HEVC, AAC and AC-3 headers are written in."""

from streamkit.errors import MediaError


class Bits:
    """Reads `data` from its most significant bit on; `what` names it in the MediaError past its end."""

    def __init__(self, data: bytes, what: str) -> None:
        self._number, self._left, self._what = int.from_bytes(data, "big"), len(data) * 8, what

    def read(self, count: int) -> int:
        """Return the next `count` bits as a number."""
        if count > self._left:
            raise MediaError(f"the {self._what} is cut off")
        self._left -= count
        return self._number >> self._left & ((1 << count) - 1)

    def flag(self) -> bool:
        """Return the next bit."""
        return bool(self.read(1))

    def unsigned(self) -> int:
        """Return ue(v) of H.264 9.1."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 32:
                raise MediaError(f"the {self._what} holds an impossible number")
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        """Return se(v) of H.264 9.1.1."""
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def without_emulation(nal: bytes) -> bytes:
    """Return a NAL unit's payload without its emulation prevention bytes (H.264 7.3.1, HEVC 7.3.1.1)."""
    return nal.replace(b"\x00\x00\x03", b"\x00\x00")
