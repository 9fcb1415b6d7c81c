"""Talks to yaml-language-server as an editor does: JSON-RPC over its standard input and output."""

from __future__ import annotations

import contextlib
import json
import selectors
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from acceptance.processes import run

PACKAGE = "yaml-language-server"


class LanguageServerError(AssertionError):
    """The server ended, or did not answer in time."""


class LanguageServer:
    """One session with a running server. Documents are opened whole; positions count from 0, as the protocol has them."""

    def __init__(self, process: subprocess.Popen[bytes], deadline_s: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._stdin, self._stdout = process, process.stdin, process.stdout
        self._deadline_s = deadline_s
        self._number = 0
        self._received = b""
        self._diagnostics: dict[str, list[dict[str, Any]]] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)

    def begin(self, folder: Path) -> None:
        """The greeting that the protocol asks for."""
        capabilities = {
            "textDocument": {"completion": {"completionItem": {"snippetSupport": True}}, "publishDiagnostics": {}, "hover": {}},
            "workspace": {"configuration": True},
        }
        self.request("initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": capabilities})
        self._send({"method": "initialized", "params": {}})

    def end(self) -> None:
        """Close what this side holds; the process is its owner's."""
        self._selector.close()

    def open(self, uri: str, text: str) -> None:
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})

    def completions(self, uri: str, line: int, character: int) -> list[str]:
        """The labels that an editor would offer at a place."""
        answer = self.request(
            "textDocument/completion", {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        )
        items: Sequence[Mapping[str, Any]] = answer["items"] if isinstance(answer, dict) else answer or ()
        return [str(item["label"]) for item in items]

    def hover(self, uri: str, line: int, character: int) -> str:
        """What an editor would show for the word at a place; empty when there is nothing."""
        answer = self.request(
            "textDocument/hover", {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        )
        return str(answer["contents"]["value"]) if answer else ""

    def diagnostics(self, uri: str) -> list[dict[str, Any]]:
        """What the server has to say about an opened document: the first report after it was opened."""
        until = time.monotonic() + self._deadline_s
        while uri not in self._diagnostics:
            self._take(until)
        return self._diagnostics[uri]

    def request(self, method: str, params: Mapping[str, Any]) -> Any:
        """Ask, and wait for the answer."""
        self._number += 1
        number = self._number
        self._send({"id": number, "method": method, "params": params})
        until = time.monotonic() + self._deadline_s
        while True:
            message = self._take(until)
            if message.get("id") == number and "method" not in message:
                if "error" in message:
                    raise LanguageServerError(f"{method}: {message['error']}")
                return message.get("result")

    def _send(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._stdin.flush()

    def _take(self, until: float) -> dict[str, Any]:
        """The next message; requests of the server are answered, diagnostics kept."""
        message = self._read(until)
        if message.get("method") == "textDocument/publishDiagnostics":
            self._diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            asked = message["params"].get("items", []) if message["method"] == "workspace/configuration" else []
            answers = [_SETTINGS.get(item.get("section", "")) for item in asked]
            self._send({"id": message["id"], "result": answers or None})
        return message

    def _read(self, until: float) -> dict[str, Any]:
        while (body := self._whole_message()) is None:
            if not self._selector.select(max(0.0, until - time.monotonic())):
                raise LanguageServerError(f"no answer within {self._deadline_s:g} s")
            received = self._stdout.read1(65536)  # type: ignore[attr-defined]  # a buffered reader, as Popen makes
            if not received:
                raise LanguageServerError("the server ended")
            self._received += received
        decoded: dict[str, Any] = json.loads(body)
        return decoded

    def _whole_message(self) -> bytes | None:
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        if len(rest) < length:
            return None
        self._received = rest[length:]
        return rest[:length]


_SETTINGS = {
    "yaml": {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}},
    "http": {"proxy": "", "proxyStrictSSL": False},
}


def install(folder: Path) -> str:
    """Put the server's npm package into a folder; returns its version."""
    run(["npm", "install", "--no-audit", "--no-fund", "--silent", PACKAGE], cwd=folder, deadline_s=300)
    version: str = json.loads((folder / "node_modules" / PACKAGE / "package.json").read_text("utf-8"))["version"]
    return version


@contextlib.contextmanager
def language_server(folder: Path, *, deadline_s: float = 60.0) -> Iterator[LanguageServer]:
    """The server that `install` put into the folder, running."""
    program = folder / "node_modules" / PACKAGE / "bin" / PACKAGE
    process = subprocess.Popen(["node", program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)
    server = LanguageServer(process, deadline_s)
    try:
        server.begin(folder)
        yield server
    finally:
        server.end()
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
