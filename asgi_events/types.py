"""The ASGI names, spelled once.

Public callables use the permissive aliases below, because strict type checkers reject
Starlette's types where asgiref's are expected, and the reverse. The code behind them
uses asgiref's exact types.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

Scope: TypeAlias = Any
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers: TypeAlias = Mapping[str, str]
"""Response headers as an application gives them: names in any case."""
