"""The demo's execution that asks: whoever watches it books a trip, or declines.

Nothing is booked. The two questions show what a form may have, and any page that knows
the execution may answer them.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from asgi_events.actors.actor import agent, llm, tool
from asgi_events.actors.state import current_state
from asgi_events.exceptions import InputDeclined, InputExpired

_PACE = 0.03  # seconds for a word
_FARE = {"window": 84, "aisle": 79}
_BAG = 12


class Trip(BaseModel):
    """Where to go.

    Attributes:
        destination: The place.
        seconds: How long each question waits for an answer.
    """

    destination: Annotated[str, Field(min_length=1, max_length=60)] = "Kyoto"
    seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0


class Wishes(BaseModel):
    """What the traveller wishes."""

    seat: Literal["window", "aisle"]
    day: Annotated[date, Field(title="Day of departure")]
    bags: Annotated[int, Field(ge=0, le=3, description=f"{_BAG} € each")] = 1
    meals: list[Literal["breakfast", "lunch", "dinner"]] = []
    note: Annotated[
        str | None, Field(max_length=200, description="For the staff on board")
    ] = None


@llm
async def suggest(destination: str) -> AsyncIterator[str]:
    """Say what the trip may be."""
    text = f"There is a train to {destination} every day. How would you like to go?"
    for word in text.split(" "):
        yield f"{word} "
        await asyncio.sleep(_PACE)


@tool(show=("input", "output"))
def price(wishes: Wishes) -> int:
    """Return the price in euros."""
    return _FARE[wishes.seat] + _BAG * wishes.bags


@agent(show=("input",))
async def book(trip: Trip) -> str:
    """Book a trip: ask for the wishes, then whether the price is right."""
    state = current_state()
    seconds = trip.seconds
    await state.progress(0, 2, "Waiting for the wishes")
    await suggest(trip.destination)
    try:
        asked = f"How do you want to travel to {trip.destination}?"
        wishes = await state.ask(asked, Wishes, timeout=seconds, echo=True)
        euros = await price(wishes)
        await state.progress(1, 2, "Waiting for the approval")
        asked = f"Book a seat at the {wishes.seat} on {wishes.day} for {euros} €?"
        approved = await state.ask(asked, bool, timeout=seconds, echo=True)
    except InputDeclined as declined:
        return f"Nothing is booked: question {declined.n} was declined."
    except InputExpired as expired:
        return f"Nothing is booked: nobody answered question {expired.n} in time."
    await state.progress(2, 2, "Done")
    if not approved:
        return f"Nothing is booked: {euros} € is too much."
    return f"Booked: a seat at the {wishes.seat} to {trip.destination}, {euros} €."
