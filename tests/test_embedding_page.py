"""The page on embedding: its programs run, and its applications answer."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from phonograph.cli.check import command as check

_FENCE = re.compile(r"(?:<!-- needs: (?P<needs>\w+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)\n```", re.DOTALL)

Application = Callable[[dict[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

_SCOPE: dict[str, Any] = {
    **{"asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "query_string": b"", "root_path": ""},
    **{"headers": [], "client": None, "server": None},
}


@pytest.fixture
def page(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page, with its manifest in the working directory."""
    path = checkout / "docs" / "embedding.md"
    monkeypatch.chdir(tmp_path)
    Path("speech.yaml").write_text(_blocks(path, "yaml")[0][2] + "\n", "utf-8")
    return path


def _blocks(page: Path, language: str) -> list[tuple[int, str | None, str]]:
    """Line at which a block begins, what it needs to be installed, and its text."""
    text = page.read_text("utf-8")
    found = [match for match in _FENCE.finditer(text) if match["language"] == language]
    return [(text.count("\n", 0, match.start("text")), match["needs"], match["text"]) for match in found]


def _executed(page: Path, line: int, text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile("\n" * line + text, str(page), "exec"), names)  # so that a traceback names the page's line
    return names


def test_the_manifest_passes_the_check(page: Path) -> None:
    """It passes without a warning."""
    checked = CliRunner().invoke(check, ["speech.yaml", "--strict"], standalone_mode=False)
    assert checked.return_value == 0, checked.output


def test_the_programs_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each program runs by itself, and prints what it should."""
    programs = [(line, text) for line, needs, text in _blocks(page, "python") if needs is None]
    assert len(programs) == 6
    for line, text in programs:
        _executed(page, line, text)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "1000.0 completed",
        "vad call-17 audio_format",
        "51 pieces, 498 rows",
        "True",
        "1 3",
        "4",
        "['completed', 'completed']",
    ]


def test_the_bare_application_answers(page: Path) -> None:
    """It opens the executor when it starts, answers requests, and leaves nothing behind when it is stopped."""
    line, _, text = _blocks(page, "python")[-1]
    asyncio.run(_asked(_executed(page, line, text)["app"]))


def test_the_fastapi_application_answers(page: Path) -> None:
    """The same of FastAPI's."""
    ((line, needs, text),) = [block for block in _blocks(page, "python") if block[1] is not None]
    if importlib.util.find_spec(str(needs)) is None:
        pytest.skip(f"needs {needs}: pip install {needs}")
    app = _executed(page, line, text)["app"]
    asyncio.run(_asked(app))
    asyncio.run(_heard(app))


async def _heard(app: Application) -> None:
    """Open a WebSocket, send a tone, silence and the end, and get the segments."""
    async with _started(app) as state:
        tone = (np.sin(np.arange(1600) / 5) * 16000).astype("<i2").tobytes()
        chunks = [tone] * 10 + [bytes(3200)] * 10 + [b""]
        messages = [{"type": "websocket.connect"}, *({"type": "websocket.receive", "bytes": chunk} for chunk in chunks)]
        sent: list[dict[str, Any]] = []
        arriving = iter(messages)

        async def receive() -> dict[str, Any]:
            message = next(arriving, None)
            return message if message is not None else await asyncio.Event().wait()  # type: ignore[return-value]  # never

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await app({**_SCOPE, "type": "websocket", "path": "/live", "subprotocols": [], "state": state}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    start_ms, end_ms = json.loads(sent[1]["text"])
    assert (start_ms, 900 < end_ms < 1500) == (0, True)


async def _asked(app: Application) -> None:
    """Start an application, post it a second of a tone and some silence, stop it."""
    async with _started(app) as state:
        await _posted_twice(app, state)


async def _posted_twice(app: Application, state: dict[str, Any]) -> None:
    tone = np.concatenate([np.sin(np.arange(16000) / 5) * 16000, np.zeros(16000)]).astype("<i2").tobytes()
    scope = {**_SCOPE, "type": "http", "method": "POST", "path": "/segments", "state": state}
    for _ in range(2):
        body = iter(
            [{"type": "http.request", "body": tone[:999], "more_body": True}, {"type": "http.request", "body": tone[999:]}]
        )
        sent: list[dict[str, Any]] = []

        async def receive(body: Any = body) -> dict[str, Any]:
            return next(body)

        async def send(message: dict[str, Any], sent: list[dict[str, Any]] = sent) -> None:
            sent.append(message)

        await app(scope, receive, send)
        assert sent[0]["status"] == 200
        answer = json.loads(b"".join(message.get("body", b"") for message in sent[1:]))
        ((start_ms, end_ms),) = answer["segments"]
        assert (start_ms, answer["failed"]) == (0, [])
        assert 900 < end_ms < 1500


@asynccontextmanager
async def _started(app: Application) -> AsyncIterator[dict[str, Any]]:
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    state: dict[str, Any] = {}
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}
    living = asyncio.create_task(_run(app, scope, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    yield state
    await to_app.put({"type": "lifespan.shutdown"})
    assert (await from_app.get())["type"] == "lifespan.shutdown.complete"
    await living


async def _run(app: Application, scope: dict[str, Any], receive: Any, send: Any) -> None:
    await app(scope, receive, send)
