"""Claims about what is said of wrong manifests."""

from __future__ import annotations

import json
import random
import sys
import traceback
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from acceptance.claims import Figure, claim
from acceptance.processes import TESTS, run, temporary_folder
from mutations import GOOD, Trial, mutated
from wrong_manifests import WRONG, expected_complaints, found_complaints

WANTED, WANTED_SEVERAL = 60, 15
NUM_MUTATIONS = 3_000


@claim(issue="manifest", bar=f"all exact; at least {WANTED}, at least {WANTED_SEVERAL} of them with several faults", fast=True)
def wrong_manifests_get_exact_complaints() -> Figure:
    """Each wrong manifest gets just its expected complaints: code, line, column, words, candidates."""
    expected = {path: expected_complaints(path) for path in WRONG}
    off = [path.stem for path in WRONG if found_complaints(path) != expected[path]]
    several = sum(len(lines) > 1 for lines in expected.values())
    lines = sum(map(len, expected.values()))
    figure = f"{len(WRONG) - len(off)} of {len(WRONG)} exact ({lines} complaints), {several} with several faults"
    return Figure(figure, not off and len(WRONG) >= WANTED and several >= WANTED_SEVERAL, f"off: {off}" if off else "")


@claim(issue="manifest", bar="0 tracebacks; at least half of the mutations refused", fast=False)
def mutated_manifests_never_give_a_traceback() -> Figure:
    """However a good manifest is mutilated, it is planned and explained, or gets complaints whose places lie in it."""
    refused = 0
    with temporary_folder() as folder:
        trial = Trial(folder)

        @settings(max_examples=NUM_MUTATIONS, deadline=None, derandomize=True, database=None)
        @given(st.sampled_from(GOOD), st.randoms(use_true_random=False))
        def tried(text: str, chance: random.Random) -> None:
            nonlocal refused
            refused += trial.complaints_about(mutated(text, chance)) > 0

        try:
            tried()
        except Exception as error:  # noqa: BLE001  # what is looked for here
            return Figure("1 at least", met=False, cause="".join(traceback.format_exception(error, limit=-2)))
    figure = f"0 tracebacks in {NUM_MUTATIONS} mutations of {len(GOOD)} manifests, {refused} of them refused"
    return Figure(figure, met=2 * refused >= NUM_MUTATIONS)  # with fewer, the mutations would not be what they are called


@claim(issue="manifest", bar="the same complaints in each format; exit status 2", fast=True)
def check_says_the_same_in_every_format() -> Figure:
    """`run-pipeline check` gives every complaint as text, as JSON and as SARIF, and exits with 2."""
    path = TESTS / "manifests" / "wrong" / "text_and_graph_together.yaml"
    program: Path = Path(sys.executable).parent / "run-pipeline"
    printed = {
        name: run([program, "check", path, "--format", name], deadline_s=60, accept=(2,)).stdout
        for name in ("text", "json", "sarif")
    }
    places: dict[str, list[str]] = {"text": [], "json": [], "sarif": []}
    for line in printed["text"].splitlines():
        if line.startswith(f"{path}:") and line.removeprefix(f"{path}:")[0].isdigit():
            place, code, *_ = line.removeprefix(f"{path}:").split()
            places["text"].append(f"{place.rstrip(':')} {code}")
    for one in json.loads(printed["json"])["complaints"]:
        places["json"].append(f"{one['line']}:{one['column']} {one['code']}")
    for result in json.loads(printed["sarif"])["runs"][0]["results"]:
        region = result["locations"][0]["physicalLocation"]["region"]
        places["sarif"].append(f"{region['startLine']}:{region['startColumn']} {result['ruleId']}")
    counts = {name: len(found) for name, found in places.items()}
    same = places["text"] == places["json"] == places["sarif"]
    return Figure(f"{counts}", same and counts["text"] >= 3, "" if same else f"{places}")
