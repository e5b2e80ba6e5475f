"""Which chains are calls: what the user has made and named, not what LangChain adds."""

from __future__ import annotations

from typing import Any

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langgraph.graph import MessagesState

from asgi_events import agent
from tests.bridges.golden import heard, tree
from tests.bridges.graphs import asking, calls, config, model, one_node, react, search


def shout(text: str) -> str:
    return text.upper()


def chain() -> Any:
    """A chain with all that LangChain puts between the steps."""
    prompt = ChatPromptTemplate.from_messages([("user", "{q}")])
    branches = RunnableParallel(loud=shout, same=lambda text: text)
    return prompt | model("Hot tea") | StrOutputParser() | branches


async def test_hides_what_langchain_makes_by_itself() -> None:
    @agent
    async def research() -> None:
        await chain().ainvoke({"q": "tea"}, config())

    assert await heard(research()) == tree(
        """
        agent research started
        llm research/model started
        text research/model 'Hot tea'
        llm research/model completed
        agent research/shout started
        agent research/shout completed
        agent research completed
        """
    )


async def test_hides_it_in_a_stream_too() -> None:
    @agent
    async def research() -> None:
        async for _ in chain().astream({"q": "tea"}, config()):
            pass

    assert await heard(research()) == tree(
        """
        agent research started
        llm research/model started
        text research/model 'Hot'
        agent research/shout started
        text research/model ' tea'
        llm research/model completed
        agent research/shout completed
        agent research completed
        """
    )


async def test_shows_a_chain_that_has_a_name() -> None:
    @agent
    async def research() -> None:
        named = chain().with_config(run_name="answer")
        await named.ainvoke({"q": "tea"}, config())

    assert await heard(research()) == tree(
        """
        agent research started
        agent research/answer started
        llm research/answer/model started
        text research/answer/model 'Hot tea'
        llm research/answer/model completed
        agent research/answer/shout started
        agent research/answer/shout completed
        agent research/answer completed
        agent research completed
        """
    )


async def test_shows_all_chains_if_asked() -> None:
    @agent
    async def research() -> None:
        await chain().ainvoke({"q": "tea"}, config(all_chains=True))

    told = await heard(research())
    expected = tree(
        """
        agent research started
        agent research/RunnableSequence started
        agent research/RunnableSequence/ChatPromptTemplate started
        agent research/RunnableSequence/ChatPromptTemplate completed
        llm research/RunnableSequence/model started
        text research/RunnableSequence/model 'Hot tea'
        llm research/RunnableSequence/model completed
        agent research/RunnableSequence/StrOutputParser started
        agent research/RunnableSequence/StrOutputParser completed
        agent research/RunnableSequence/RunnableParallel<loud,same> started
        agent research/RunnableSequence/RunnableParallel<loud,same>/shout started
        agent research/RunnableSequence/RunnableParallel<loud,same>/RunnableLambda
            started
        agent research/RunnableSequence/RunnableParallel<loud,same>/shout completed
        agent research/RunnableSequence/RunnableParallel<loud,same>/RunnableLambda
            completed
        agent research/RunnableSequence/RunnableParallel<loud,same> completed
        agent research/RunnableSequence completed
        agent research completed
        """
    )
    # LangChain runs the branches in threads, so either may end first.
    assert sorted(told) == sorted(expected)
    assert trunk(told) == trunk(expected)


def trunk(told: list[str]) -> list[str]:
    return [line for line in told if "RunnableParallel<loud,same>/" not in line]


async def test_shows_the_routers_of_a_graph_if_asked() -> None:
    graph = react(model("Hot tea"), [search])

    assert await heard(asking(graph, all_chains=True)()) == tree(
        """
        agent research started
        agent research/react started
        agent research/react/think started
        llm research/react/think/model started
        text research/react/think/model 'Hot tea'
        llm research/react/think/model completed
        agent research/react/think/after started
        agent research/react/think/after completed
        agent research/react/think completed
        agent research/react completed
        agent research completed
        """
    )


async def test_hides_what_has_the_tag_of_langsmith() -> None:
    @agent
    async def research() -> None:
        hidden = RunnableLambda(shout).with_config(tags=["langsmith:hidden"])
        await (hidden | search.with_config(tags=["langsmith:hidden"])).ainvoke(
            "tea", config()
        )
        await search.ainvoke("tea", config())

    assert await heard(research()) == tree(
        """
        agent research started
        tool research/search started
        tool research/search completed
        agent research completed
        """
    )


async def test_shows_no_text_of_a_model_that_does_not_stream_to_users() -> None:
    @agent
    async def research() -> None:
        quiet = model("Hot tea", "Cold tea").with_config(tags=["nostream"])
        await quiet.ainvoke("tea", config())
        async for _ in quiet.astream("tea", config()):
            pass

    assert await heard(research()) == tree(
        """
        agent research started
        llm research/model started
        llm research/model completed
        llm research/model#2 started
        llm research/model#2 completed
        agent research completed
        """
    )


async def test_takes_a_graph_that_is_a_node_of_its_name_for_one_call() -> None:
    inner = react(model(calls("search"), "Hot tea"), [search], name="think")

    assert await heard(asking(one_node(inner))()) == tree(
        """
        agent research started
        agent research/simple started
        agent research/simple/think started
        agent research/simple/think/think started
        llm research/simple/think/think/model started
        llm research/simple/think/think/model completed
        agent research/simple/think/think completed
        agent research/simple/think/tools started
        tool research/simple/think/tools/search started
        tool research/simple/think/tools/search completed
        agent research/simple/think/tools completed
        agent research/simple/think/think#2 started
        llm research/simple/think/think#2/model started
        text research/simple/think/think#2/model 'Hot tea'
        llm research/simple/think/think#2/model completed
        agent research/simple/think/think#2 completed
        agent research/simple/think completed
        agent research/simple completed
        agent research completed
        """
    )


async def test_shows_a_graph_that_a_node_calls() -> None:
    inner = react(model("Hot tea"), [], name="inner")

    async def think(state: MessagesState) -> Any:
        return await inner.ainvoke(state)

    assert await heard(asking(one_node(think))()) == tree(
        """
        agent research started
        agent research/simple started
        agent research/simple/think started
        agent research/simple/think/inner started
        agent research/simple/think/inner/think started
        llm research/simple/think/inner/think/model started
        text research/simple/think/inner/think/model 'Hot tea'
        llm research/simple/think/inner/think/model completed
        agent research/simple/think/inner/think completed
        agent research/simple/think/inner completed
        agent research/simple/think completed
        agent research/simple completed
        agent research completed
        """
    )


async def test_makes_a_name_of_any_name() -> None:
    @agent
    async def research() -> None:
        named = RunnableLambda(shout).with_config(run_name="shout / twice? #1")
        await named.ainvoke("tea", config())

    assert await heard(research()) == tree(
        """
        agent research started
        agent research/shout---twice---1 started
        agent research/shout---twice---1 completed
        agent research completed
        """
    )
