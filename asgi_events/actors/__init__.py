"""Functions that publish their calls."""

from asgi_events.actors.actor import Actor, ActorFunction, actor_of, agent, llm, tool

__all__ = ["Actor", "ActorFunction", "actor_of", "agent", "llm", "tool"]
