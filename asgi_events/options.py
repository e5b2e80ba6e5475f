"""Checks what constructors are given; each error names the option and the fix."""

from collections.abc import Iterable
from typing import Any


def check_seconds(
    *, required: bool = False, zero: bool = False, **options: float | None
) -> None:
    """Raise for an option that is not a positive number of seconds.

    Args:
        required: None is wrong too; otherwise it switches something off.
        zero: Zero is right too.
        options: By their names.
    """
    for name, seconds in options.items():
        if seconds is None and not required:
            continue
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"{name} must be a number of seconds, got {seconds!r}")
        if 0 < seconds < float("inf") or (zero and seconds == 0):
            continue
        least = "of at least 0" if zero else "above 0"
        off = "" if required else "; None switches it off"
        raise ValueError(
            f"{name} must be a number of seconds {least}, got {seconds!r}{off}"
        )


def check_counts(*, required: bool = False, **options: int | None) -> None:
    """Raise for an option that is not a positive int; None is any number of them."""
    for name, count in options.items():
        if count is None and not required:
            continue
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"{name} must be an int, got {count!r}")
        if count < 1:
            unlimited = "" if required else "; None is unlimited"
            raise ValueError(f"{name} must be at least 1, got {count!r}{unlimited}")


def check_callables(**options: Any) -> None:
    """Raise for an option that is neither None nor callable."""
    for name, value in options.items():
        if value is not None and not callable(value):
            raise TypeError(f"{name} must be callable, or None, got {value!r}")


def check_methods(*methods: str, **options: Any) -> None:
    """Raise for an option that is neither None nor has ``methods``."""
    for name, value in options.items():
        missing = [m for m in methods if not callable(getattr(value, m, None))]
        if value is not None and missing:
            raise TypeError(f"{name} must have {', '.join(missing)}(), got {value!r}")


def check_iterables(**options: Any) -> None:
    """Raise for an option that is not an iterable of things."""
    for name, value in options.items():
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise TypeError(f"{name} must be a list or tuple, got {value!r}")


def check_texts(**options: Any) -> None:
    """Raise for an option that is not a str."""
    for name, value in options.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str, got {value!r}")
