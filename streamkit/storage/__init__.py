"""Object stores."""

from streamkit.settings import Settings
from streamkit.storage.base import ObjectStore

_READERS = 8  # connections kept for players' requests beside those of the upload workers


def open_store(settings: Settings, *, embedded: bool) -> ObjectStore:
    """Return the store that the settings name: a local folder when `embedded`, else MinIO or any S3.

    Nothing is contacted yet. The imports are here because an embedded service never needs the S3 client.
    """
    if embedded:
        from streamkit.storage.local import LocalStore  # noqa: PLC0415 - see above

        return LocalStore(settings.embedded.data_dir / "objects")
    from streamkit.storage.minio import MinioStore  # noqa: PLC0415 - see above

    return MinioStore(settings.storage, connections=settings.limits.upload_workers + _READERS)
