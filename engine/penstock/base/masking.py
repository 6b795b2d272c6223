"""What must never be shown: values under keys that name secrets, and the secrets that this process has been told of.

Every process says `hide(...)` for the secrets it is given; logs, and answers about failures, pass through `masked`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

MASK: Final = "******"
_WORDS: Final = (
    "password", "secret", "token", "credential", "apikey", "api-key", "access-key", "access.key", "account.key",
    "auth-params", "service-key", "basic-auth", "jaas.config", "http-headers", "private-key",
)  # fmt: skip
"""Flink's, and what object stores call theirs."""
_NOT_SECRET: Final = ("secret-file",)
_LENGTH_MIN: Final = 4
"""Shorter ones would blot out words."""
_NO_SECRETS: Final = frozenset({"true", "false", "none", "null"})

_hidden: tuple[str, ...] = ()


def names_secret(key: str) -> bool:
    """Whether what stands under this key is not to be shown."""
    lower = key.lower()
    return any(word in lower for word in _WORDS) and not lower.endswith(_NOT_SECRET)


def masked_entries(entries: Mapping[str, str]) -> dict[str, str]:
    """The entries, without the values of those whose keys name secrets."""
    return {key: MASK if names_secret(key) else value for key, value in entries.items()}


def hide(secrets: Iterable[str]) -> None:
    """From here on these never show in what is masked."""
    global _hidden
    found = {*_hidden, *(secret for secret in secrets if _may_be_secret(secret))}
    # The longest first: one may be part of another.
    _hidden = tuple(sorted(found, key=len, reverse=True))


def hide_of(entries: Mapping[str, str]) -> None:
    """Hide the values of those entries whose keys name secrets."""
    hide(value for key, value in entries.items() if names_secret(key))


def masked(text: str) -> str:
    """The text without any secret that is known."""
    for secret in _hidden:
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def _may_be_secret(text: str) -> bool:
    return len(text) >= _LENGTH_MIN and text.lower() not in _NO_SECRETS
