"""What must never be shown: values under names of secrets, and the secrets that this process has been told of."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final

MASK: Final = "******"
_WORDS: Final = (
    "password", "secret", "token", "credential", "apikey", "api-key", "access-key", "access_key", "accesskey",
    "private-key", "private_key",
)  # fmt: skip
_NOT_SECRET: Final = ("secret-file", "secretref", "secret_ref", "secret_name", "secretname")
"""Names of what only says where a secret is."""
_LENGTH_MIN: Final = 4
"""Shorter ones would blot out words."""
_KEPT_MAX: Final = 4_096
_DEPTH_MAX: Final = 8

_hidden: OrderedDict[str, None] = OrderedDict()


def hide(secrets: Iterable[str]) -> None:
    """From here on these never show in what is masked. Of thousands the ones told longest ago are forgotten."""
    for secret in secrets:
        if len(secret) >= _LENGTH_MIN:
            _hidden[secret] = None
            _hidden.move_to_end(secret)
    while len(_hidden) > _KEPT_MAX:
        _hidden.popitem(last=False)


def names_secret(name: str) -> bool:
    """Whether what stands under this name is not to be shown."""
    lower = name.lower()
    return any(word in lower for word in _WORDS) and not lower.endswith(_NOT_SECRET)


def masked(text: str) -> str:
    """The text without any secret that is known."""
    # The longest first: one may be part of another.
    for secret in sorted((each for each in tuple(_hidden) if each in text), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def masked_value(value: Any, depth: int = 0) -> Any:
    """A value of a log line, whatever is in it, fit for JSON."""
    if isinstance(value, str):
        return masked(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < _DEPTH_MAX and isinstance(value, Mapping):
        return {
            str(key): MASK if names_secret(str(key)) else masked_value(item, depth + 1) for key, item in value.items()
        }
    if depth < _DEPTH_MAX and isinstance(value, list | tuple | set | frozenset):
        return [masked_value(item, depth + 1) for item in value]
    return masked(str(value))
