"""The choice of an instruction set on processors that this machine does not have."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from native.building import HASWELL, OLDEST_X86_64, Processor
from phonograph.isa import VARIABLE

SHOW = "from phonograph.isa import AVAILABLE, ISA; print(ISA, *AVAILABLE)"
ON = {"oldest x86-64": (OLDEST_X86_64, "portable portable\n"), "Haswell": (HASWELL, "avx2 avx2 portable\n")}


def python(processor: Processor, code: str, isa: str = "") -> subprocess.CompletedProcess[str]:
    processor.skip_unless_there()
    command = [*processor.emulator, sys.executable, "-c", code]
    environment = {**os.environ, VARIABLE: isa}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", ON)
def test_an_older_processor_gets_what_it_can_run(name: str) -> None:
    """The fastest set that the processor has is taken, and those it lacks are not listed."""
    processor, expected = ON[name]
    assert python(processor, SHOW).stdout == expected


def test_a_set_that_the_processor_lacks_cannot_be_forced() -> None:
    """Asking for AVX-512 on a processor without it is an error before any kernel runs, and not an illegal instruction."""
    ended = python(HASWELL, SHOW, "avx512")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "'avx512' is not on this processor; expected avx2 or portable; unset PHONOGRAPH_ISA" in ended.stderr


def test_the_extension_for_avx2_needs_no_avx512() -> None:
    """The whole extension, binding included, computes features on a processor without AVX-512."""
    code = "import numpy; from phonograph_nodes import log_mel; print(log_mel(numpy.ones(16000, 'f4')).shape)"
    ended = python(HASWELL, code)
    assert (ended.returncode, ended.stdout) == (0, "(101, 80)\n"), ended.stderr
