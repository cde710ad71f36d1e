"""The gate that publishers pass, with the Database actor to look their keys up."""

from streamkit.access.publish import PublishGate
from streamkit.database.rows import PublishKeyRow
from streamkit.messages import FindPublishKey
from streamkit.settings import Settings
from streamkit.types import PublishKeyId, Seconds
from streamkit.web.bridge import ActorRef, ask

KEY_TIMEOUT = Seconds(3.0)


def publish_gate(settings: Settings, database: ActorRef) -> PublishGate:
    """Return the gate of this service; whoever asks for it closes it."""

    async def find_key(key: PublishKeyId) -> PublishKeyRow | None:
        found: PublishKeyRow | None = await ask(database, FindPublishKey(id=key), timeout=KEY_TIMEOUT)
        return found

    return PublishGate(settings, find_key)
