"""A real S3 server (rclone) over a temporary folder."""

from pathlib import Path
from secrets import token_hex

from servers.process import ManagedProcess
from servers.waiting import accepts_connections, free_port


class S3Server:
    """An S3 server that can be stopped, frozen and started again with the same objects on the same port.

    A bucket is a folder below `root` and an object a file in it.
    """

    region = "us-east-1"

    def __init__(self, program: Path, folder: Path) -> None:
        self.access_key = token_hex(8)
        self.secret_key = token_hex(16)
        self.port = free_port()
        self.root = folder / "buckets"
        self.root.mkdir()
        self._program = program
        self._log = folder / "rclone.log"
        self._process: ManagedProcess | None = None
        self.start()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def environment(self, bucket: str) -> dict[str, str]:
        """Return the variables that lead StreamKit to this bucket."""
        return {
            "MINIO_ENDPOINT": self.endpoint,
            "MINIO_ACCESS_KEY": self.access_key,
            "MINIO_SECRET_KEY": self.secret_key,
            "MINIO_BUCKET": bucket,
            "MINIO_REGION": self.region,
            "MINIO_USE_SSL": "false",
        }

    def start(self) -> None:
        """Return when it accepts connections; harmless when it does already."""
        if self._process is not None and self._process.running:
            self._process.thaw()
            return
        keys = f"{self.access_key},{self.secret_key}"
        # With its usual cache rclone would answer from memory what another test removed from the folder; with none
        # at all ("0s") it spins on a processor for ever.
        argv = [self._program, "serve", "s3", "--config", "/dev/null", "--auth-key", keys, "--addr", self.endpoint]
        self._process = ManagedProcess([*argv, "--dir-cache-time", "1ms", str(self.root)], self._log)
        self._process.wait_ready(lambda: accepts_connections(self.port))

    def stop(self) -> None:
        """Refuse connections until start()."""
        if self._process is not None:
            self._process.stop()

    def freeze(self) -> None:
        """Accept connections but answer nothing until thaw() or start()."""
        if self._process is not None:
            self._process.freeze()

    def thaw(self) -> None:
        """Undo freeze()."""
        if self._process is not None:
            self._process.thaw()

    def close(self) -> None:
        """End it for good."""
        if self._process is not None:
            self._process.close()
