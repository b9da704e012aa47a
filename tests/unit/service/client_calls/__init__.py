"""A call of the client for every route of the API, by the route, each with a look at what came of it."""

from tests.unit.service.client_calls import (
    account,
    answering,
    caring,
    chatting,
    managing,
    operating,
    people,
    watching,
)
from tests.unit.service.client_calls.world import Calls, World

__all__ = ["CALLS", "World"]

CALLS = Calls()
for _file in (answering, operating, managing, account, people, caring, chatting, watching):
    assert not CALLS.keys() & _file.calls.keys(), "a route is called in two files"
    CALLS.update(_file.calls)
