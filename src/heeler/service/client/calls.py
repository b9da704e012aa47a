"""What the groups of the client's methods share."""

from heeler.service.client.transport import Transport


class Calls:
    """Some of the API's routes as methods.

    Args:
        transport: how they ask.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
