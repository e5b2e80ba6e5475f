"""The types of the events of the TypeScript client, as the server describes them.

``python -m tests.typescript.events`` writes them into the package.
"""

from __future__ import annotations

import json

from asgi_events import EventsApp
from tests.typescript.npm import PACKAGE, run

EVENTS = PACKAGE / "src" / "events.ts"


def types() -> str:
    """Return what the file has to be, for the document of no actor at all."""
    return run("scripts/events.mjs", input=json.dumps(EventsApp().openapi()))


if __name__ == "__main__":
    EVENTS.write_text(types(), encoding="utf-8")
