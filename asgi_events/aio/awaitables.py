"""What may have to be awaited, and may not."""

from collections.abc import Awaitable
from typing import Any


async def resolved(value: Any) -> Any:
    """Return ``value``, awaited first if it is awaitable."""
    return await value if isinstance(value, Awaitable) else value
