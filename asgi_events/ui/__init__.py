"""Executions in the protocols that front ends speak."""

from asgi_events.ui.ag_ui import AGUIApp
from asgi_events.ui.chat_request import ChatRequest, UIMessage, UIPart
from asgi_events.ui.run_agent_input import RunAgentInput
from asgi_events.ui.vercel_ai import VercelAIApp

__all__ = [
    "AGUIApp",
    "ChatRequest",
    "RunAgentInput",
    "UIMessage",
    "UIPart",
    "VercelAIApp",
]
