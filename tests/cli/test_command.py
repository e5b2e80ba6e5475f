"""What the command says of itself."""

import pytest

import asgi_events
from asgi_events.cli import main


def test_says_its_version_and_whether_it_is_compiled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])

    build = "compiled" if asgi_events.compiled else "pure Python"
    assert (
        capsys.readouterr().out == f"asgi-events {asgi_events.__version__} ({build})\n"
    )


@pytest.mark.parametrize("command", [[], ["demo"], ["inspect"], ["tail"], ["answer"]])
def test_helps_in_plain_text(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--help"])

    assert "`" not in capsys.readouterr().out
