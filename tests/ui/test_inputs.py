"""What an actor gets of a chat."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from asgi_events import Executions, Message, agent
from asgi_events.actors.inputs import ActorInput
from asgi_events.ui.inputs import input_of


class Ask(BaseModel):
    said: list[str]

    @property
    def text(self) -> str:
        return self.said[-1]

    def messages_as_json(self) -> list[dict[str, Any]]:
        return [{"content": text} for text in self.said]


class Said(BaseModel):
    content: str


class Other(BaseModel):
    topic: str


def takes_the_request(ask: Ask) -> Any:
    return ask


def takes_the_request_and_more(ask: Ask, depth: int = 2) -> Any:
    return ask, depth


def takes_messages(messages: list[Said], depth: int = 2) -> Any:
    return messages, depth


def takes_text(question: Annotated[str, Field(max_length=9)]) -> Any:
    return question


def takes_text_and_more(question: str, depth: int = 2) -> Any:
    return question, depth


def takes_a_message(message: Message) -> Any:
    return message


def takes_a_message_and_more(message: Message, depth: int = 2) -> Any:
    return message, depth


def takes_nothing() -> Any:
    return None


def takes_nothing_by_default(topic: str = "tea") -> Any:
    return topic


ASK = Ask(said=["a", "b"])
A_MESSAGE = {"content": "b", "author": "user"}


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (takes_the_request, {"said": ["a", "b"]}),
        (takes_the_request_and_more, [{"said": ["a", "b"]}, 2]),
        (takes_messages, [[{"content": "a"}, {"content": "b"}], 2]),
        (takes_text, "b"),
        (takes_text_and_more, ["b", 2]),
        (takes_a_message, A_MESSAGE),
        (takes_a_message_and_more, [A_MESSAGE, 2]),
        (takes_nothing, None),
        (takes_nothing_by_default, "tea"),
    ],
)
async def test_gives_an_actor_what_it_takes(
    function: Callable[..., Any], got: Any
) -> None:
    actor = agent(function)
    make = input_of(ActorInput(actor), Ask)
    async with Executions(actor) as executions:
        execution = await executions.start(actor, make(ASK))
        assert await execution.result() == got


def takes_another_model(other: Other) -> None: ...


def takes_two(question: str, topic: str) -> None: ...


def takes_messages_and_more(messages: list[Said], topic: str) -> None: ...


def takes_a_number(number: int) -> None: ...


@pytest.mark.parametrize(
    "function",
    [takes_another_model, takes_two, takes_messages_and_more, takes_a_number],
)
def test_says_what_to_do_if_it_is_not_clear(function: Callable[..., Any]) -> None:
    actor = agent(function)
    with pytest.raises(TypeError, match=f"{function.__name__}.*give input=.* a Ask"):
        input_of(ActorInput(actor), Ask)
