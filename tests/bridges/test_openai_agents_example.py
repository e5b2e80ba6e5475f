"""The example of OpenAI Agents on a real server: watched, resumed, stopped."""

import pytest

from tests.bridges.golden import tree
from tests.bridges.reloading import reload_and_stop

pytestmark = pytest.mark.server


def test_it_streams_resumes_and_stops() -> None:
    middle = "text research/guide/generation#2 'tea '"

    seen = reload_and_stop("with_openai_agents", middle)

    assert seen == tree(
        """
        agent research started
        agent research/guide started
        llm research/guide/generation started
        llm research/guide/generation completed
        tool research/guide/ask_farmer started
        agent research/guide/ask_farmer/farmer started
        llm research/guide/ask_farmer/farmer/generation started
        llm research/guide/ask_farmer/farmer/generation completed
        tool research/guide/ask_farmer/farmer/search started
        tool research/guide/ask_farmer/farmer/measure started
        tool research/guide/ask_farmer/farmer/search completed
        progress research/guide/ask_farmer/farmer/measure current=1.0 total=3.0
        progress research/guide/ask_farmer/farmer/measure current=2.0 total=3.0
        progress research/guide/ask_farmer/farmer/measure current=3.0 total=3.0
        tool research/guide/ask_farmer/farmer/measure completed
        llm research/guide/ask_farmer/farmer/generation#2 started
        llm research/guide/ask_farmer/farmer/generation#2 completed
        agent research/guide/ask_farmer/farmer completed
        tool research/guide/ask_farmer completed
        llm research/guide/generation#2 started
        text research/guide/generation#2 'I '
        text research/guide/generation#2 'know: '
        text research/guide/generation#2 'tea '
        text research/guide/generation#2 'grows '
        text research/guide/generation#2 'in '
        text research/guide/generation#2 'Kenya, '
        text research/guide/generation#2 'at '
        text research/guide/generation#2 '20 '
        text research/guide/generation#2 'degrees. '
        llm research/guide/generation#2 completed
        agent research/guide completed
        agent research completed
        """
    )
