"""Functions that publish what they do."""

from asgi_events.actors.actor import Actor, agent, llm, tool

__all__ = ["Actor", "agent", "llm", "tool"]
