"""A proxy ends TLS and says who asks: believed with `--behind-proxy` and from this machine alone."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx2
import pytest
from starlette.testclient import TestClient

from heeler.service.app import create_app
from heeler.service.config import ServiceConfig
from tests.unit.service.helpers import API, PASSWORD, Lines, Served, add_person

HOST, ANN, BEN = "heeler.example", "203.0.113.7", "203.0.113.8"
Browsers = Callable[..., TestClient]


@pytest.fixture
def browser(tmp_path) -> Iterator[Browsers]:
    """Makes a browser, seen through a connection from `peer`."""
    with ExitStack() as stack:

        def make(*, behind_proxy: bool = True, peer: str = "127.0.0.1") -> TestClient:
            app = create_app(ServiceConfig(runs=tmp_path, behind_proxy=behind_proxy), Lines())
            made = stack.enter_context(TestClient(app, base_url="http://127.0.0.1:8642", client=(peer, 40000)))
            add_person(app.state.service, "ann", "annotator")
            return made

        yield make


def forwarded(address: str = ANN, proto: str = "https", host: str = HOST) -> dict[str, str]:
    return {"X-Forwarded-For": address, "X-Forwarded-Proto": proto, "X-Forwarded-Host": host}


def sign_in(browser: TestClient, headers: dict[str, str], password: str = PASSWORD):
    return browser.post(f"{API}/session", json={"name": "ann", "password": password}, headers=headers)


def test_scheme_and_host_are_the_proxys(browser):
    own = {"Origin": f"https://{HOST}"}
    through = browser()
    answer = sign_in(through, forwarded() | own)
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-heeler_session=")
    assert "; Secure" in cookie
    assert "max-age" in answer.headers["strict-transport-security"]
    # The origin is held against what the browser asked for, not against what the proxy asks.
    for origin in ("http://127.0.0.1:8642", f"http://{HOST}", "https://elsewhere.example"):
        refused = sign_in(through, forwarded() | {"Origin": origin})
        assert refused.status_code == 403, origin
    # A proxy that hands on the host as it was.
    plain = {name: value for name, value in forwarded().items() if name != "X-Forwarded-Host"}
    assert sign_in(through, plain | {"Host": HOST} | own).status_code == 200


@pytest.mark.parametrize(("behind_proxy", "peer"), [(False, "127.0.0.1"), (True, "198.51.100.1"), (True, "10.0.0.1")])
def test_nobody_else_is_believed(browser, behind_proxy, peer):
    direct = browser(behind_proxy=behind_proxy, peer=peer)
    refused = sign_in(direct, forwarded() | {"Origin": f"https://{HOST}"})
    assert refused.status_code == 403
    answer = sign_in(direct, forwarded() | {"Origin": "http://127.0.0.1:8642"})
    assert answer.status_code == 200
    assert "Secure" not in answer.headers["set-cookie"]
    assert "strict-transport-security" not in answer.headers


def statuses(browser: TestClient, headers: list[dict[str, str]]) -> list[int]:
    return [sign_in(browser, own, "wrong, and long enough").status_code for own in headers]


def test_limits_are_of_the_forwarded_address(browser):
    through = browser()
    assert statuses(through, [forwarded(ANN)] * 6)[-2:] == [401, 429]
    assert statuses(through, [forwarded(BEN)]) == [401], "somebody else comes through the same proxy"
    # What ann writes before the address that the proxy adds does not make her somebody else.
    assert statuses(through, [forwarded(f"198.51.100.{n}, {ANN}") for n in range(3)]) == [429] * 3


def test_without_the_flag_made_up_addresses_help_nobody(browser):
    direct = browser(behind_proxy=False)
    made_up = [forwarded(f"203.0.113.{n}") for n in range(6)]
    assert statuses(direct, made_up)[-2:] == [401, 429]


@pytest.mark.parametrize("address", ["", "unknown", "_hidden", "127.0.0.1", "x" * 5000, "1.2.3.4:99"])
def test_a_header_that_holds_no_address_is_the_proxys_own(browser, address):
    assert statuses(browser(), [forwarded(address)] * 6)[-2:] == [401, 429]


def test_the_served_process_keeps_to_it(tmp_path):
    for behind_proxy in (True, False):
        with Served(tmp_path, behind_proxy=behind_proxy) as served:
            answer = httpx2.get(f"{served.url}{API}/health", headers=forwarded())
            assert answer.status_code == 200
            assert ("strict-transport-security" in answer.headers) is behind_proxy
