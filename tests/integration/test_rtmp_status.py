"""nginx-rtmp's own status page, as it really is."""

from collections.abc import Callable

import pytest
from servers.nginx import NginxRtmp, WebhookRecorder
from servers.publishing import Publisher
from servers.waiting import wait_until

from streamkit.rtmp_servers.status_page import StatusPage
from streamkit.settings_rtmp import RtmpSettings
from streamkit.web.dialects import parse_event

pytestmark = pytest.mark.integration


def test_nginx_gives_a_publisher_the_same_name_on_its_page_as_in_its_webhook(
    nginx_rtmp: Callable[[int], NginxRtmp], webhook: WebhookRecorder, publisher: Callable[..., Publisher]
) -> None:
    server = nginx_rtmp(webhook.port)
    page = StatusPage(RtmpSettings(status_url=server.status_url))
    assert page.fetch() == {}
    push = publisher(server.url("door"))
    call = webhook.wait_for(call="publish", name="door")
    form = "&".join(f"{name}={call[name]}" for name in ("call", "name", "clientid", "addr"))
    announced = parse_event("application/x-www-form-urlencoded", form.encode(), "", "POST")
    wait_until(page.fetch, what="the publisher on the page")
    assert page.fetch() == {"door": announced.publisher}
    push.stop()
    wait_until(lambda: page.fetch() == {}, what="an empty page")
    page.close()
