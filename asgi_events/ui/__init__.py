"""Executions in the protocols that front ends speak."""

from asgi_events.ui.chat_request import ChatRequest, UIMessage, UIPart
from asgi_events.ui.vercel_ai import VercelAIApp

__all__ = ["ChatRequest", "UIMessage", "UIPart", "VercelAIApp"]
