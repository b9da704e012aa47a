"""Where the service writes who did what. Any object with `append` does; `heeler.core.audit.AuditLog` is one."""

from typing import Any, Protocol


class Audit(Protocol):
    """Keeps what people did."""

    def append(self, person: str, act: str, subject: str = "", **details: Any) -> object:
        """Write that `person` did `act` to `subject`; once it returns, the line survives a power cut.

        Args:
            person: the id of who did it; for what no person did, the program's part, such as `service`.
            act: what was done, in a word such as `people.add`.
            subject: the id of what it was done to.
            details: plain JSON values, no names, addresses or secrets.
        """
        ...
