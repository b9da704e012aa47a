"""Passwords: Argon2id, and as long a look at a wrong name as at a wrong password."""

import secrets
import threading

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from heeler.core.errors import DataError

MIN_LENGTH, MAX_LENGTH = 12, 200
_HASHER = PasswordHash((Argon2Hasher(),))
# Each hash takes 64 MiB; a flood of logins must not take all the memory there is.
_TURNS = threading.BoundedSemaphore(2)
_NOBODYS = _HASHER.hash(secrets.token_urlsafe(24))


def hashed(password: str, field: str = "password") -> str:
    """The hash to keep.

    Raises:
        DataError: the password is too short or too long.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise DataError(f"{field}: expected {MIN_LENGTH} to {MAX_LENGTH} characters, got {len(password)}")
    with _TURNS:
        return _HASHER.hash(password)


def is_right(password: str, password_hash: str | None) -> bool:
    """Whether the password is the one of the hash; without a hash it takes as long, and is wrong."""
    with _TURNS:
        found = _HASHER.verify(password[:MAX_LENGTH], password_hash or _NOBODYS)
    return found and password_hash is not None and len(password) <= MAX_LENGTH


def one_time_password() -> str:
    """A password that is told once and must be changed: 120 random bits."""
    return secrets.token_urlsafe(15)
