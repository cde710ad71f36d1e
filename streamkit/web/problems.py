"""Pure: an answer that is an error, on its way to the client."""

from collections.abc import Mapping

from streamkit.errors import StreamKitError


class ApiError(StreamKitError):
    """Answer with `status` and `{"error": {"code": code, "message": message}}`; both are for the client's eyes."""

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})
