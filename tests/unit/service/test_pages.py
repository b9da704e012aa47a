"""Pages and their files, as far as no browser is needed to look at them."""

import gzip
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import heeler.service
from heeler.service.context import Service
from heeler.service.pages import MENU
from heeler.service.rate_limits import RateLimit
from heeler.service.static_files import PLOTLY
from tests.unit.service.helpers import add_key, add_person, bearer, signed_in

FOLDER = Path(heeler.service.__file__).parent
SCRIPTS = sorted((FOLDER / "static").glob("*.js"))
TEMPLATES = sorted((FOLDER / "templates").glob("*.html"))
MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|srcdoc=")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_markup_of_text(path: Path) -> None:
    assert not MARKUP.search(path.read_text())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_code_or_style_in_it(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:|\|\s*safe", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_the_first_page_fits_the_role(client: TestClient, service: Service) -> None:
    for name, role, path in (("ann", "annotator", "/answer"), ("olga", "operator", "/"), ("ada", "admin", "/")):
        add_person(service, name, role)
        found = signed_in(client, name).get("/", follow_redirects=False)
        assert found.status_code == 303
        assert found.headers["location"].startswith(path)


def test_who_is_not_signed_in_is_led_to_sign_in(client: TestClient) -> None:
    found = client.get("/answer?run=a%20b&x=//evil", follow_redirects=False)
    assert found.status_code == 303
    assert found.headers["location"] == "/sign-in?next=%2Fanswer%3Frun%3Da%2520b%26x%3D%2F%2Fevil"
    assert client.get("/api/v1/tasks", follow_redirects=False).status_code == 401


def test_the_menu_shows_what_may_be_seen(client: TestClient, service: Service) -> None:
    add_person(service, "ann", "annotator")
    links = re.findall(r"<nav.*?</nav>", signed_in(client, "ann").get("/answer").text, re.S)[0]
    assert re.findall(r'href="([^"]+)"', links) == ["/answer", "/watch", "/me"]
    assert all((FOLDER / "templates" / page.template).is_file() for page in MENU)


def test_pages_have_a_strict_policy(client: TestClient) -> None:
    found = client.get("/sign-in")
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    assert found.headers["cache-control"] == "no-store"
    assert "unsafe" not in found.headers["content-security-policy"]
    assert "script-src 'self'" in found.headers["content-security-policy"]


def test_files_are_kept_for_good_by_their_version(client: TestClient) -> None:
    url = re.findall(r'href="(/static/[^"]+style\.css)"', client.get("/sign-in").text)[0]
    found = client.get(url)
    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert found.text == (FOLDER / "static" / "style.css").read_text()
    assert client.get(url, headers={"If-None-Match": found.headers["etag"]}).status_code == 304
    again = client.get("/static/style.css")
    assert again.headers["cache-control"] == "no-cache"
    assert again.content == found.content


def test_plotly_is_the_installed_one_and_zipped(client: TestClient, service: Service) -> None:
    import plotly

    content = (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_bytes()
    url = service.static.url(PLOTLY)
    with client.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as found:
        raw = b"".join(found.iter_raw())
        assert found.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == content
    assert len(raw) < len(content) / 3
    assert client.get("/static/plotly.js", headers={"Accept-Encoding": ""}).content == content


@pytest.mark.parametrize("path", ["none.js", "../pages.py", "%2e%2e/pages.py", "old/style.css", ""])
def test_nothing_else_is_a_file(client: TestClient, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404


def test_a_key_sees_the_shell_of_a_page_and_no_more(client: TestClient, service: Service) -> None:
    key = add_key(service, add_person(service, "ann", "annotator"), "answer")
    assert client.get("/answer", headers=bearer(key)).status_code == 200
    assert client.get("/", headers=bearer(key)).status_code == 403


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/operate", 403, "This page is not for you"),
        ("/nothing", 404, "There is no such page"),
        ("/a/b", 404, "no such"),
    ],
)
def test_a_browser_is_told_in_words_and_led_on(client: TestClient, service: Service, path, status, words) -> None:
    add_person(service, "ann", "annotator")
    browser = signed_in(client, "ann")
    found = browser.get(path, headers=BROWSER)
    assert found.status_code == status
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    assert found.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert words in found.text
    assert re.search(r'<a class="button primary" href="/">', found.text)
    assert ("Sign out" in found.text) == (status == 403)
    assert browser.get(path).headers["content-type"] == "application/problem+json", "a program asks for no page"


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/runs"), ("GET", "/api/nothing"), ("POST", "/sign-in")])
def test_the_api_answers_in_problems_whoever_asks(client: TestClient, method: str, path: str) -> None:
    found = client.request(method, path, headers=BROWSER)
    assert found.status_code >= 400
    assert found.headers["content-type"] == "application/problem+json"


def test_a_page_that_fails_is_told_in_words_too(client: TestClient, service: Service, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    add_person(service, "ann", "annotator")
    browser = signed_in(client, "ann")
    monkeypatch.setattr("heeler.service.pages.rendered", fail)
    found = browser.get("/answer", headers=BROWSER)
    assert found.status_code == 500
    assert "Something went wrong" in found.text
    assert "secret" not in found.text


def test_who_asks_too_often_is_told_in_words_when_to_come_back(client: TestClient, service: Service) -> None:
    add_person(service, "ann", "annotator")
    browser = signed_in(client, "ann")
    service.guard._asked = RateLimit(per_s=0.1, burst=1)
    assert browser.get("/answer", headers=BROWSER).status_code == 200
    refused = browser.get("/answer", headers=BROWSER)
    assert refused.status_code == 429
    assert "Too much at once" in refused.text
    assert int(refused.headers["retry-after"]) >= 1
