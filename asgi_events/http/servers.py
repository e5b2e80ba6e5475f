"""How ASGI servers differ where the ASGI scope has no field for it."""

from asgi_events.types import Scope


def waits_for_what_it_cancels(scope: Scope) -> bool:
    """Return whether the server cancels its applications as soon as it stops.

    NOTE: daphne does, and then waits for as long as they take; it names no
    spec_version. Other servers cancel only what has taken too long.
    """
    return "spec_version" not in scope.get("asgi", {})


def holds_back(scope: Scope) -> bool:
    """Return whether the server's ``send`` waits for a client that does not read.

    NOTE: the scope does not say. daphne never waits; it names no spec_version. Of the
    servers with HTTP/2 only granian waits, and it costs little to end a stream early.
    """
    return scope.get("http_version") != "2" and "spec_version" in scope.get("asgi", {})
