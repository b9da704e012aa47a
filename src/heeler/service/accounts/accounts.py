"""All that is kept of people, opened as one."""

from pathlib import Path

from heeler.service.accounts.consents import Consents
from heeler.service.accounts.database import AccountsDatabase
from heeler.service.accounts.forgettings import Forgettings
from heeler.service.accounts.keys import ApiKeys
from heeler.service.accounts.options import Options
from heeler.service.accounts.payments import Payments
from heeler.service.accounts.people import People
from heeler.service.accounts.sessions import Sessions
from heeler.service.accounts.work import Work
from heeler.service.audit import Audit


class Accounts:
    """People, their sessions, keys and consents, settings, time and pay, in one database.

    Args:
        path: of people.db.
        audit: takes a line for every change.
        session_idle_s: a session that was not used for so long has ended.
        session_s: a session ends after so long.
    """

    def __init__(self, path: Path, audit: Audit, *, session_idle_s: float, session_s: float) -> None:
        self.database = AccountsDatabase(path, audit)
        self.people = People(self.database)
        self.sessions = Sessions(self.database, idle_s=session_idle_s, lifetime_s=session_s)
        self.keys = ApiKeys(self.database)
        self.consents = Consents(self.database)
        self.options = Options(self.database)
        self.work = Work(self.database)
        self.payments = Payments(self.database)
        self.forgettings = Forgettings(self.database)

    def close(self) -> None:
        """Close the database."""
        self.database.close()
