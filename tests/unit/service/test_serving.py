"""The service as a process: the command line, TLS, the client, and metrics as they come."""

import datetime
import ipaddress
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from heeler.cli import main
from heeler.core.errors import ConfigError, ConflictError, DataError
from heeler.service.client import Client, ServiceError, answer_body
from heeler.service.config import ServiceConfig
from tests.unit.service.helpers import API, ENVIRONMENT, PASSWORD, Served, make_keys, make_run, store_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "runs"
    made.mkdir()
    make_run(made)
    return made


def test_the_command_tells_the_address_and_the_one_time_password(folder):
    command = [sys.executable, "-m", "heeler", "serve", str(folder), "--port", "0"]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    line = process.stdout.readline()
    assert line.startswith("First start: sign in as `admin` with the one-time password ")
    body = {"name": "admin", "password": line.split()[-1]}
    with httpx2.Client(base_url=url + API, headers={"Origin": url}) as browser:
        assert browser.post("/session", json=body).status_code == 200
        assert browser.put("/session/password", json={"old": body["password"], "new": PASSWORD}).status_code == 200
        assert browser.get("/runs").json()["items"][0]["name"] == "run"
        assert browser.get("/people").json()["items"][0]["name"] == "admin"
    rival = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert rival.returncode == 2
    assert rival.stderr == f"heeler: {folder} is served by another process; stop that one first\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (out, err) == ("", "heeler: stopped\n")
    assert process.returncode == 130
    with Served(folder) as served:
        assert httpx2.get(f"{served.url}{API}/health").json() == {"status": "ok"}
        told = served.stop()
    assert "password" not in told, "only the first start tells one"
    assert PASSWORD not in b"".join(path.read_bytes() for path in folder.glob("*") if path.is_file()).decode("latin-1")


def test_a_taken_port_is_told(folder, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    with Served(folder) as served:
        assert main(["serve", str(other), "--port", str(served.port)]) == 2
    assert f"cannot listen on 127.0.0.1:{served.port}: Address already in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "runs must be a folder, got nowhere, which is none"),
        (["--port", "70000"], "port must be 0 to 65535, got 70000"),
        (["--certificate", __file__], "private_key is missing: TLS needs both"),
        (["--private-key", __file__], "certificate is missing: TLS needs both"),
        (["--certificate", "none.pem", "--private-key", "none.pem"], "certificate must be a PEM file, got none.pem"),
        (["--hots", "::1"], "has no flag --hots. Did you mean '--host'?"),
    ],
)
def test_mistakes_on_the_command_line_are_told(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert main(["serve", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert not list((tmp_path / "runs").iterdir()), "what is refused leaves nothing"


def test_a_missing_package_names_the_extra(tmp_path):
    code = "import sys; sys.modules['fastapi'] = None\nfrom heeler.cli import main\nsys.exit(main(['serve', '.']))"
    ended = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 2
    assert (
        ended.stderr
        == "heeler: heeler serve needs a package that is missing (fastapi): pip install 'heeler[service]'\n"
    )


def test_other_commands_need_no_package_of_the_extra(tmp_path):
    names = "fastapi starlette uvicorn pwdlib httpx2 httptools uvloop"
    code = f"import sys\nfor name in '{names}'.split(): sys.modules[name] = None\n"
    code += "from heeler.cli import main\nsys.exit(main(['recipes']))"
    ended = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_settings_out_of_range_are_refused(tmp_path):
    for name in ("max_body_bytes", "requests_per_s", "session_s", "max_commit_answers"):
        with pytest.raises(ConfigError, match=f"{name} must be > 0, got 0"):
            ServiceConfig(runs=tmp_path, **{name: 0})


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    return paths


def test_with_a_certificate_it_speaks_tls_alone(folder, tmp_path):
    chain, key = certificate(tmp_path)
    code = """
import sys
from pathlib import Path
from heeler.service.config import ServiceConfig
from heeler.service.server import serve
runs, certificate, key = map(Path, sys.argv[1:])
config = ServiceConfig(runs=runs, port=0, certificate=certificate, private_key=key)
serve(config, on_start=lambda url, password: print(url, password, flush=True))
"""
    command = [sys.executable, "-c", code, str(folder), str(chain), str(key)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url, password = process.stdout.readline().split()
        assert url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(chain))
        with httpx2.Client(base_url=url + API, verify=trusting, headers={"Origin": url}) as browser:
            answer = browser.post("/session", json={"name": "admin", "password": password})
            assert answer.status_code == 200
            assert "__Host-heeler_session" in browser.cookies
            assert browser.get("/session").status_code == 200
        with pytest.raises(httpx2.TransportError):
            httpx2.get(url.replace("https", "http") + API + "/health")
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def served(folder):
    (folder / "keys").write_text("\n".join(make_keys(folder, "annotator", number=2) + operators(folder)))
    with Served(folder) as served:
        yield served


def operators(folder: Path) -> list[str]:
    return make_keys(folder, "admin", "answer", "read_runs", "read_feedback", "steer", "settings")


@pytest.fixture
def programs(folder: Path, served: Served) -> Iterator[list[Client]]:
    """Two annotators and an operator."""
    opened = [Client(served.url, key=key, patience_s=5) for key in (folder / "keys").read_text().split()]
    yield opened
    for client in opened:
        client.close()


def test_the_client_does_all_that_a_program_needs(programs):
    ann, bea, olga = programs
    assert ann.tasks() == ["run"]
    assert ann.me().permissions == ["answer", "signed_in"]
    first, second = ann.lease("run", count=2)
    receipt = ann.answer("run", first, {"choice": "left"}, time_taken_s=1.5)
    assert receipt.position == 1
    with pytest.raises(DataError, match=r"value.choice: expected one of .* got 'up'"):
        ann.answer("run", second, {"choice": "up"})
    ann.give_back("run", second.query_id)
    leases = bea.lease("run", count=5)
    assert second.query_id in {lease.query_id for lease in leases}
    receipts = bea.answer_all("run", [answer_body(lease, {"choice": "equal"}) for lease in leases])
    assert [receipt.position for receipt in receipts] == [2, 3]
    with pytest.raises(ConflictError):
        ann.answer("run", second, {"choice": "left"})
    with pytest.raises(ServiceError, match="permission 'read_runs'") as caught:
        next(ann.runs())
    assert caught.value.status == 403
    assert [answer.position for answer in olga.feedback("run")] == [1, 2, 3]
    assert olga.change_settings("run", overlap=3).overlap == 3
    assert olga.settings("run").lease_s == 600
    assert [run.name for run in olga.runs()] == ["run"]
    assert olga.run("run").step == 7
    assert list(olga.checkpoints("run")) == []
    assert [row["step"] for row in olga.metrics("run", after_step=4)] == [5, 6, 7]
    told = olga.command("run", "pause")
    assert list(olga.commands("run")) == [told]


def test_the_client_writes_once_although_it_asks_twice(folder, programs):
    """A service that breaks down between the commit and the answer, as the client sees it."""
    ann = programs[0]
    (lease,) = ann.lease("run", count=1)
    real, tries = ann._transport.http.request, []

    def broken(*arguments, **named):
        answer = real(*arguments, **named)
        tries.append(answer.status_code)
        if len(tries) < 3:
            raise httpx2.ReadError("the line went dead")
        return answer

    ann._transport.http.request = broken
    assert ann.answer("run", lease, {"choice": "left"}).position == 1
    assert tries == [200, 200, 200]
    with store_of(folder) as store:
        assert store.counts()["feedback"] == 1


def test_the_client_gives_up_in_the_end():
    with Client("http://127.0.0.1:9", key="hlr_0_0", patience_s=0.5) as client:
        started = time.monotonic()
        with pytest.raises(ServiceError, match="the service cannot be reached"):
            client.me()
        assert time.monotonic() - started < 5


def append(folder: Path, *steps: int) -> None:
    with (folder / "run" / "metrics.jsonl").open("a") as file:
        for step in steps:
            file.write(json.dumps({"step": step}) + "\n")


def test_metrics_come_as_they_are_written_and_none_is_missed(folder, programs):
    olga = programs[2]
    stream = olga.watch("run", after_step=5)
    assert [next(stream)[1]["step"] for _ in range(2)] == [6, 7]
    threading.Timer(0.3, append, (folder, 8, 9)).start()
    started = time.monotonic()
    assert [next(stream) for _ in range(2)] == [("metrics", {"step": 8}), ("metrics", {"step": 9})]
    assert time.monotonic() - started < 5
    stream.close()


def test_a_watcher_is_told_that_the_run_went_back(folder, programs):
    olga = programs[2]
    stream = olga.watch("run", after_step=6)
    assert next(stream)[1]["step"] == 7
    path = folder / "run" / "metrics.jsonl"
    kept = path.read_bytes().splitlines(keepends=True)[:3]
    os.truncate(path, sum(map(len, kept)))
    assert next(stream) == ("rewind", {"step": 3})
    append(folder, 4)
    assert next(stream) == ("metrics", {"step": 4})
    stream.close()


def test_watchers_do_not_keep_a_service_from_stopping(served, programs):
    olga = programs[2]
    stream = olga.watch("run", after_step=6)
    next(stream)
    started = time.monotonic()
    served.stop()
    assert time.monotonic() - started < 8
    assert served.process.returncode in (0, -signal.SIGTERM)
    stream.close()


def test_one_key_has_only_so_many_streams(folder, served):
    key = (folder / "keys").read_text().split()[2]
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=served.url + API, headers=headers) as http:
        open_streams = [http.stream("GET", "/runs/run/events") for _ in range(8)]
        for stream in open_streams:
            assert stream.__enter__().status_code == 200
        deadline = time.monotonic() + 10
        while http.get("/runs/run/events").status_code != 429:
            assert time.monotonic() < deadline
        for stream in open_streams:
            stream.__exit__(None, None, None)
        while True:
            with http.stream("GET", "/runs/run/events") as stream:
                if stream.status_code == 200:
                    break
            assert time.monotonic() < deadline + 10
            time.sleep(0.2)
