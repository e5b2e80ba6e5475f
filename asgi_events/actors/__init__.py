"""Functions that publish their calls."""

from asgi_events.actors.actor import Actor, ActorFunction, actor_of, agent, llm, tool
from asgi_events.actors.call import Call

__all__ = ["Actor", "ActorFunction", "Call", "actor_of", "agent", "llm", "tool"]
