"""A program through which some people answer a service that is killed now and then: a thread each, over HTTP.

Reads {"url", "run", "seed", "people": {id: key}} from standard input. Each person leases comparisons and answers them,
one by one or in batches. What was not acknowledged is sent again with the same keys until it is; some answers are sent
twice although they were, some posts are hung up on before their answer, some leases are given back or left to run out.
Every line of LOG is one JSON object, written before (`sent`) or after (all others) the request that it tells of.
After a line on standard input that says `end`, what was sent is seen through, and nothing more is asked.
"""

import contextlib
import json
import random
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import httpx2

CHOICES = ("left", "right", "equal", "cant_tell")
_AGAIN = (429, 503)


class Log:
    """One JSON object a line, from any thread."""

    def __init__(self, path: Path) -> None:
        self._file, self._lock = path.open("a", buffering=1), threading.Lock()

    def write(self, event: str, **details: Any) -> None:
        """Add a line."""
        with self._lock:
            self._file.write(json.dumps({"event": event, **details}) + "\n")


class Person:
    """Somebody who answers until they are told to end.

    Args:
        settings: as they came on standard input.
        person: the id.
        log: of what is sent and acknowledged.
        ending: set when nothing more is to be asked.
    """

    def __init__(self, settings: dict[str, Any], person: str, log: Log, ending: threading.Event) -> None:
        self._person, self._log, self._ending = person, log, ending
        self._rng = random.Random(f"{settings['seed']} {person}")
        self._path = f"/api/v1/runs/{settings['run']}"
        headers = {"Authorization": f"Bearer {settings['people'][person]}"}
        self._http = httpx2.Client(base_url=settings["url"], headers=headers, timeout=20)
        self._done: list[tuple[dict[str, Any], int]] = []

    def work(self) -> None:
        """Lease, answer, and so on; a program that fails says so in the log."""
        try:
            while not self._ending.is_set():
                leases = self._lease()
                if not leases:
                    self._ending.wait(self._rng.uniform(0.1, 0.4))
                    continue
                self._answer_some(leases)
                if self._done and self._rng.random() < 0.2:
                    self._repeat()
        except Exception as error:
            self._log.write("failed", person=self._person, error=repr(error))
            raise

    def _lease(self) -> list[dict[str, Any]]:
        response = self._ask("POST", f"{self._path}/leases", {"count": self._rng.randint(1, 6)}, until_it_is_up=False)
        if response is None:
            return []
        if response.status_code != 200:
            self._unexpected(response)
            return []
        return response.json()["items"]

    def _answer_some(self, leases: list[dict[str, Any]]) -> None:
        left = self._rng.random()
        if left < 0.05:
            self._ask("DELETE", f"{self._path}/leases/{leases[0]['query_id']}", None, until_it_is_up=False)
        if left < 0.1:
            leases = leases[1:]
        bodies = [self._body(lease) for lease in leases]
        if len(bodies) > 1 and self._rng.random() < 0.4:
            self._post_batch(bodies)
        else:
            for body in bodies:
                self._post(body)

    def _body(self, lease: dict[str, Any]) -> dict[str, Any]:
        key = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        value = {"choice": self._rng.choice(CHOICES)}
        taken_s = round(self._rng.uniform(0.5, 9.0), 3)
        return {
            "key": key,
            "query_id": lease["query_id"],
            "kind": lease["kind"],
            "value": value,
            "time_taken_s": taken_s,
        }

    def _post_batch(self, bodies: list[dict[str, Any]]) -> None:
        self._log.write("sent", person=self._person, bodies=bodies)
        response = self._until_answered(f"{self._path}/feedback/batch", {"feedback": bodies})
        if response.status_code == 200:
            items = response.json()["items"]
            self._acknowledged(bodies, [(item["key"], item["position"]) for item in items])
        elif response.status_code == 409:
            # One that cannot be kept takes the batch with it; the others are kept one by one.
            for body in bodies:
                self._post(body, is_sent=True)
        else:
            self._unexpected(response)

    def _post(self, body: dict[str, Any], *, is_sent: bool = False) -> None:
        if not is_sent:
            self._log.write("sent", person=self._person, bodies=[body])
        if self._rng.random() < 0.05:
            self._hang_up(body)
        response = self._until_answered(f"{self._path}/feedback", body)
        if response.status_code == 200:
            item = response.json()
            self._acknowledged([body], [(item["key"], item["position"])])
        elif response.status_code == 409 and "ran out" in response.json()["detail"]:
            self._log.write("refused", key=body["key"])
        else:
            self._unexpected(response)

    def _hang_up(self, body: dict[str, Any]) -> None:
        """Send it, and go before it is answered."""
        with contextlib.suppress(httpx2.TransportError):
            self._http.post(f"{self._path}/feedback", json=body, timeout=httpx2.Timeout(20, read=0.001))

    def _acknowledged(self, bodies: list[dict[str, Any]], receipts: list[tuple[str, int]]) -> None:
        self._log.write("acknowledged", receipts=receipts)
        self._done += [(body, position) for body, (_, position) in zip(bodies, receipts, strict=True)]
        del self._done[:-200]

    def _repeat(self) -> None:
        """What was acknowledged is answered the same when it comes again."""
        body, position = self._rng.choice(self._done)
        response = self._until_answered(f"{self._path}/feedback", body)
        if response.status_code != 200 or response.json() != {"key": body["key"], "position": position}:
            self._unexpected(response)

    def _until_answered(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        response = self._ask("POST", path, body, until_it_is_up=True)
        assert response is not None
        return response

    def _ask(self, method: str, path: str, body: Any, *, until_it_is_up: bool) -> httpx2.Response | None:
        """The answer; None where there is none and the caller need not have one. Gives up after five minutes."""
        deadline = time.monotonic() + 300
        while True:
            try:
                response = self._http.request(method, path, json=body)
                if response.status_code not in _AGAIN:
                    return response
                reason = response.text
            except httpx2.TransportError as error:
                reason = repr(error)
            if not until_it_is_up:
                self._ending.wait(self._rng.uniform(0.05, 0.3))
                return None
            if time.monotonic() > deadline:
                raise RuntimeError(f"{path}: not answered within five minutes: {reason}")
            time.sleep(self._rng.uniform(0.02, 0.2))

    def _unexpected(self, response: httpx2.Response) -> None:
        request = response.request
        text = f"{request.method} {request.url.path}: {response.status_code} {response.text[:500]}"
        self._log.write("unexpected", person=self._person, what=text)


def main() -> None:
    """Answer until told to end."""
    settings, log, ending = json.loads(sys.stdin.readline()), Log(Path(sys.argv[1])), threading.Event()
    threads = [
        threading.Thread(target=Person(settings, person, log, ending).work, name=person, daemon=True)
        for person in settings["people"]
    ]
    for thread in threads:
        thread.start()
    sys.stdin.readline()
    ending.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
