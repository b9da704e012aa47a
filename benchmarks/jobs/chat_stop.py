"""How soon a served chat obeys: a release that is taken back, and a stop, while others are being answered.

The service is `heeler serve RUN`, a process of its own; ten streams are on their way all the time. In turn a release is
put into use and taken back through the API, and the chat is stopped and let go on. From the moment at which the request
that takes back (or stops) is sent, a client asks for one token, one request after the other: until one is answered by
the version before, or refused. A request that was sent after the service had acknowledged, and was still answered by
the version that was taken back, or at all, is counted: there must be none.
Prints {"rollback_s", "stop_s", "late_answers", "rollbacks", "stops"}; the times are the longest of all turns.
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

import httpx2

from benchmarks.jobs.chat_service import RUN, Place, make_place, served, stream

_BACKGROUND = 10


class Asker:
    """Asks for one token, again and again.

    Args:
        client: of HTTP.
        url: of the service.
        place: with its keys.
    """

    def __init__(self, client: httpx2.AsyncClient, url: str, place: Place) -> None:
        self._client, self._url, self._place = client, url, place

    async def once(self) -> int | None:
        """The version that answered; None where nobody was."""
        body = {"model": RUN, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        headers = {"Authorization": f"Bearer {self._place.chat_keys[0]}"}
        # Nobody may ask much more often than this.
        await asyncio.sleep(0.02)
        answer = await self._client.post(f"{self._url}/v1/chat/completions", json=body, headers=headers)
        if answer.status_code == 503:
            return None
        answer.raise_for_status()
        return int(answer.json()["model"].rpartition("@")[2])

    async def operate(self, path: str) -> float:
        """Have an operator's request carried out; when it was acknowledged."""
        headers = {"Authorization": f"Bearer {self._place.steer_key}"}
        (await self._client.post(f"{self._url}/api/v1{path}", headers=headers)).raise_for_status()
        return time.monotonic()

    async def until(self, path: str, *, wanted: int | None) -> tuple[float, int]:
        """Seconds from an operator's request to the first answer that is as it is to be, and late ones by then."""
        began = time.monotonic()
        acting = asyncio.create_task(self.operate(path))
        late = 0
        while True:
            asked = time.monotonic()
            found = await self.once()
            if found == wanted:
                taken_s = time.monotonic() - began
                break
            late += acting.done() and asked > acting.result()
        acknowledged = await acting
        for _ in range(5):
            asked = time.monotonic()
            late += await self.once() != wanted and asked > acknowledged
        return taken_s, late


async def measure(place: Place, url: str, turns: int) -> dict[str, float]:
    """All turns, with streams on their way."""
    rollbacks: list[float] = []
    stops: list[float] = []
    late = 0
    is_over = asyncio.Event()
    async with httpx2.AsyncClient(timeout=60, limits=httpx2.Limits(max_connections=_BACKGROUND + 4)) as client:

        async def talk(number: int) -> None:
            while not is_over.is_set():
                await stream(
                    client, url, place.chat_keys[1 + number], max_tokens=64, text=f"{number}: hello", seed=number
                )
                # Where it is stopped, each is refused at once.
                await asyncio.sleep(0.05)

        talking = [asyncio.create_task(talk(number)) for number in range(_BACKGROUND)]
        asker = Asker(client, url, place)
        for _ in range(turns):
            release_id = await asyncio.to_thread(place.release, 2)
            while await asker.once() != 2:
                await asyncio.sleep(0.05)
            taken_s, found = await asker.until(f"/runs/{RUN}/releases/{release_id}/withdraw", wanted=1)
            rollbacks.append(taken_s)
            late += found
            taken_s, found = await asker.until("/chat/stop", wanted=None)
            stops.append(taken_s)
            late += found
            await asker.operate("/chat/resume")
        is_over.set()
        await asyncio.gather(*talking)
    told = {"rollback_s": max(rollbacks), "stop_s": max(stops), "late_answers": float(late)}
    return told | {"rollbacks": float(len(rollbacks)), "stops": float(len(stops))}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--turns", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = make_place(Path(folder), arguments.seed, 2)
        place.release(1)
        with served(place) as url:
            print(json.dumps(asyncio.run(measure(place, url, arguments.turns))))


if __name__ == "__main__":
    main()
