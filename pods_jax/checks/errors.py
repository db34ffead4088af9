"""The error for bad input: what was got, what is allowed, what to do."""

from typing import Any


class InputError(ValueError):
    """A value given by the user is outside what is allowed; the message names field, value and cure.

    `InputError(field, value, allowed)` reads "field = value: allowed" and keeps the three as attributes; found: what
    stands in the message instead of "= value", for values that are too long to print. `InputError(message)` is for
    what is no matter of one field: `field` is then empty and `allowed` the whole message.
    """

    def __init__(self, field: str, value: Any = None, allowed: str = "", *, found: str = "") -> None:
        if not allowed:
            field, allowed, message = "", field, field
        else:
            message = f"{field} {found or f'= {value!r}'}: {allowed}"
        super().__init__(message)
        self.field, self.value, self.allowed = field, value, allowed


def missing(feature: str, package: str, extra: str) -> InputError:
    """The error to raise where an optional package is not installed."""
    return InputError(f"{feature} needs the package {package}: pip install 'pods_jax[{extra}]'")
