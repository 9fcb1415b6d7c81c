"""Secrets, which nobody sees: neither in complaints, nor in what a run leaves and says."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonograph.errors import BadInputError, GraphError, ManifestError, NodeError
from phonograph.executor import Executor
from phonograph.flow.filter import Filter
from phonograph.graph.builder import load_graph
from phonograph.graph.registry import Registry
from phonograph.item import Item
from phonograph.journal.letters import DEAD_LETTERS
from phonograph.language.binding import secrets_of
from phonograph.language.manifest import load_manifest
from phonograph.log import command_logger
from phonograph.node import Node, Params, Secret, node
from phonograph.redaction import HIDDEN, Secrets
from phonograph.spec import secret_fields
from phonograph.traced import Traced
from pipeline_nodes import registry
from small_runs import registry_with

TOKEN = "s3cr3t-w0rd 'quoted' \"twice\" \\ \N{SNOWMAN}"
TEXT = """\
version: 1
name: leaky
params:
  token: {type: secret}
  plain: {type: str, default: seen}
nodes:
  read: {type: testing.numbers, params: {count: 1}}
  call: {type: redaction.call, input: read, params: {token: "${params.token}", url: "x/${params.token}", own: of-its-own}}
  end: {type: testing.discard, input: call}
"""


class CallParams(Params, frozen=True):
    token: str
    own: Secret = ""
    others: tuple[Secret, ...] = ()
    url: str = ""
    retried: int = 0


@node("redaction.call", inputs="record", outputs="record")
class Call(Node[CallParams]):
    """Say in an error what nobody should see."""

    def process(self, item: Item, state: None) -> Item:
        try:
            raise OSError(f"cannot reach {self.params.url}")
        except OSError as error:
            raise BadInputError(f"401 for Bearer {self.params.token}, {self.params.own!s}, {item.key}") from error


def types() -> Registry:
    return registry_with(Call)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "leaky.yaml").write_text(TEXT)
    return tmp_path / "leaky.yaml"


def test_secret_is_hidden_in_text() -> None:
    """All of several secrets, the longest first, wherever they stand."""
    assert Secrets(["abc", "abcdef", ""]).clean("abc abcdef xabcx") == "*** *** x***x"
    assert Secrets([]).clean("nothing") == "nothing"


@pytest.mark.parametrize("form", [repr, json.dumps, ascii, lambda text: json.dumps(text, ensure_ascii=False)])
def test_secret_is_hidden_as_it_looks_in_quotes(form: type[str]) -> None:
    """A secret with signs that are escaped is found in that form, too."""
    assert Secrets([TOKEN]).clean(f"<{form(TOKEN)[1:-1]}>") == f"<{HIDDEN}>"


def test_secret_is_hidden_in_a_url() -> None:
    """As it stands in the parameters of a request."""
    assert Secrets(["p&q/r s"]).clean("https://x/?a=p%26q%2Fr+s&b=p%26q%2Fr%20s") == "https://x/?a=***&b=***"


def test_secrets_inside_lists_and_mappings() -> None:
    """Every text of a structure is cleaned, keys included; other values are left alone."""
    assert Secrets(["x"]).clean_all({"ax": ["x", 1, ("bx",)], "n": None}) == {"a***": ["***", 1, ("b***",)], "n": None}


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.text(), st.text())
def test_no_secret_survives(values: list[str], before: str, after: str) -> None:
    """Whatever the secrets and the text round them, none of them can be read in the result."""
    secrets = [value for value in values if not set(value) <= {"*"}]
    cleaned = Secrets(secrets).clean(before + "".join(secrets) + after)
    assert not [value for value in secrets if len(value) > 3 and value in cleaned.replace(HIDDEN, "\0")]


def test_secrets_do_not_show_themselves(path: Path) -> None:
    """Neither a manifest, nor a graph, nor a node's parameters tell a secret when they are printed."""
    graph = load_graph(path, types(), params={"token": TOKEN})
    shown = repr(graph) + repr(graph.manifest) + str(graph.manifest) + repr(graph.nodes["call"].params) + repr(graph.secrets)
    assert "s3cr3t" not in shown
    assert "of-its-own" not in repr(graph.nodes["call"].params)
    assert "'seen'" in shown


def test_node_gets_the_secret_itself(path: Path) -> None:
    """What is hidden is how it is shown, not what it is."""
    params = load_graph(path, types(), params={"token": TOKEN}).nodes["call"].params
    assert isinstance(params, CallParams)
    assert (f"{params.token}", params.url) == (TOKEN, f"x/{TOKEN}")
    assert msgspec.to_builtins(params, enc_hook=str)["own"] == "of-its-own"


def test_secrets_of_the_parameters_of_a_node() -> None:
    """Fields that are secrets, alone or in a list, and text with a secret of the manifest in it."""
    assert secret_fields(CallParams) == ("own", "others")
    found = secrets_of([CallParams(token=Traced("a", is_secret=True), own="b", others=("c", "d"), url="e")])
    assert found.clean("a b c d e") == "*** *** *** *** e"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("token: {type: secret}", "token: {type: secret, default: 3}"), "the default of parameter 'token' is ***"),
        (('url: "x', 'retried: "x'), "parameter 'retried' is ***"),
        (("own: of-its-own", "own: [of-its-own]"), "parameter 'own' is ***"),
        (("own: of-its-own", "others: of-its-own"), "parameter 'others' is ***"),
        (("own: of-its-own", "others: [of-its-own, 7]"), "parameter 'others[1]' is ***"),
        (('{token: "', '{tokn: x, token: "'), "unknown parameter 'tokn'"),
    ],
)
def test_complaint_about_a_secret(path: Path, change: tuple[str, str], code: str) -> None:
    """It is told what is wrong, and not with what."""
    path.write_text(TEXT.replace(*change))
    with pytest.raises((ManifestError, GraphError)) as caught:
        load_graph(path, types(), params={} if "default" in change[1] else {"token": TOKEN * 3})
    assert code in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert "of-its-own" not in str(caught.value)


def test_secret_given_as_something_else(path: Path) -> None:
    """A value from outside that is no text is not shown either."""
    with pytest.raises(ManifestError, match=r"the value given for parameter 'token' is \*\*\*; expected text"):
        load_manifest(path, params={"token": 31337})


def test_secret_out_of_the_environment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A default that refers to the environment is as secret as a value that is given."""
    monkeypatch.setenv("PHONOGRAPH_TEST_TOKEN", TOKEN)
    path.write_text(TEXT.replace("{type: secret}", '{type: secret, default: "${env:PHONOGRAPH_TEST_TOKEN}"}'))
    manifest = load_manifest(path)
    assert manifest.secrets.clean(TOKEN) == HIDDEN
    assert "s3cr3t" not in repr(manifest)


def test_secret_in_a_path_that_does_not_exist(path: Path) -> None:
    """A path that has a secret in it is one itself."""
    path.write_text(
        "version: 1\nname: a\nparams: {token: {type: secret}}\nnodes:\n"
        '  c: {type: source.clips, params: {paths: "no/such/${params.token}"}}\n  o: {type: sink.any, input: c}\n'
    )
    with pytest.raises(GraphError, match=r"leads to '\*\*\*', which does not exist"):
        load_graph(path, registry(), params={"token": "hunter2"})


@pytest.mark.parametrize(
    "keep", ["key != ${params.token}", "key == 'a' key ${params.token}", "${params.token} == 1", "attributes.${params.token} > 1"]
)
def test_expression_with_a_secret_in_it(path: Path, keep: str) -> None:
    """A piece of the secret is a word of the expression; the complaint tells what to do, and no word of it."""
    path.write_text(
        "version: 1\nname: a\nparams: {token: {type: secret}}\nnodes:\n  read: {type: testing.numbers}\n"
        f'  f: {{type: flow.filter, input: read, params: {{keep: "{keep}"}}}}\n  o: {{type: testing.discard, input: f}}\n'
    )
    with pytest.raises(GraphError) as caught:
        load_graph(path, registry_with(Filter), params={"token": "hunter-two"})
    assert "an expression that has a secret in it" in str(caught.value)
    assert "quotes round the reference" in str(caught.value)
    assert "hunter" not in str(caught.value)
    assert "two" not in str(caught.value)


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("on_error", ["dead_letter", "fail"])
def test_run_tells_no_secret(path: Path, tmp_path: Path, log_format: str, on_error: str) -> None:
    """A node that puts its secrets into an error: dead letter, log, metrics, plan, report show that it failed, and not them."""
    path.write_text(TEXT.replace("type: redaction.call", f"type: redaction.call, on_error: {on_error}"))
    log = io.StringIO()
    logger = command_logger("json" if log_format == "json" else "console", "debug", log)
    executor = Executor(load_graph(path, types(), params={"token": TOKEN}), run_dir=tmp_path / "run", log=logger)
    report = executor.run()
    said = {"log": log.getvalue(), "report": repr(report) + str(report.error)}
    said |= {str(file): file.read_text("utf-8") for file in (tmp_path / "run").rglob("*") if file.is_file()}
    assert not [name for name, text in said.items() if "s3cr3t" in text or "of-its-own" in text]
    letter = json.loads((tmp_path / "run" / DEAD_LETTERS).read_text("utf-8"))
    assert letter["message"] == "401 for Bearer ***, ***, read/0"
    assert letter["causes"] == ["OSError: cannot reach ***"]
    assert "401 for Bearer ***" in log.getvalue()
    if on_error == "fail":
        assert isinstance(report.error, NodeError)
        assert str(report.error) == "node 'call', record 'read/0': 401 for Bearer ***, ***, read/0"
