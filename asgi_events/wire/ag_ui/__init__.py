"""AG-UI 1.0, spoken to its clients: HttpAgent, TanStack AI, CopilotKit."""

from asgi_events.wire.ag_ui.format import (
    AGUIDraftFormat,
    AGUIDraftRewindFormat,
    AGUIFormat,
    AGUIRewindFormat,
)
from asgi_events.wire.ag_ui.questions import parse_interrupt_id
from asgi_events.wire.ag_ui.run import AGUIRun
from asgi_events.wire.ag_ui.transcript import Transcript

__all__ = [
    "AGUIDraftFormat",
    "AGUIDraftRewindFormat",
    "AGUIFormat",
    "AGUIRewindFormat",
    "AGUIRun",
    "Transcript",
    "parse_interrupt_id",
]
