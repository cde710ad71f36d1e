import re
from pathlib import Path

import pytest
from fakes.front_end import FrontEnd

from streamkit.settings import HlsSettings, Settings, StorageSettings
from streamkit.settings_encryption import EncryptionSettings
from streamkit.web.page import STATIC, content_security_policies

OWN = sorted(path for path in STATIC.iterdir() if path.is_file())


def referenced(page: str) -> list[str]:
    return [found for found in re.findall(r'(?:src|href)="([^"]+)"', page) if "." in found]


@pytest.mark.parametrize("path", ["/", "/watch", "/watch/demo", "/docs"])
def test_a_page_loads_all_it_needs_from_this_server(front: FrontEnd, path: str) -> None:
    answer = front.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    for link in referenced(answer.text):
        if "/vendor/" not in link:  # fetched at set-up
            assert front.get(link).status_code == 200, link
            assert link.startswith("/")


def test_old_addresses_of_players_lead_to_the_player(front: FrontEnd) -> None:
    answer = front.get("/?stream=demo&token=abc")
    assert (answer.status_code, answer.headers["location"]) == (302, "/watch?stream=demo&token=abc")
    assert front.get("/watch/not%20a%20key").status_code == 422


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_page_has_inline_script_or_names_another_site(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=\"|<style|\sstyle=\"", text)


def test_every_file_of_the_page_is_served_with_its_type(front: FrontEnd) -> None:
    for path in OWN:
        if path.suffix != ".html":
            answer = front.get(f"/static/{path.name}")
            assert (answer.status_code, answer.content) == (200, path.read_bytes())
            assert answer.headers["x-content-type-options"] == "nosniff"
            again = front.get(f"/static/{path.name}", if_none_match=answer.headers["etag"])
            assert again.status_code == 304


@pytest.mark.parametrize(
    "name", ["index.html", "../app.py", "..%2Fapp.py", "vendor", "vendor/other.js", ".", "%2e%2e/app.py"]
)
def test_nothing_else_is_served_as_a_file(front: FrontEnd, name: str) -> None:
    assert front.get(f"/static/{name}").status_code == 404


def test_the_policy_lets_players_follow_the_redirects_that_are_configured() -> None:
    cdn = Settings(hls=HlsSettings(cdn_base_url="https://cdn.test/path"))
    assert "connect-src 'self' https://cdn.test;" in content_security_policies(cdn)[0]
    presign = Settings(hls=HlsSettings(delivery="presign"), storage=StorageSettings(endpoint="s3.test", use_ssl=True))
    assert "connect-src 'self' https://s3.test;" in content_security_policies(presign)[0]
    keys = Settings(encryption=EncryptionSettings(key_url_base="https://keys.test:444/kit"))
    assert re.search(r"connect-src 'self' https://keys\.test:444;", content_security_policies(keys)[0])
    assert "http" not in content_security_policies(Settings())[0]
