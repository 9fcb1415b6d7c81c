"""The Cython extensions; everything else is in pyproject.toml."""

import os

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = "nodes/phonograph_nodes/kernels"
C_FLAGS = ["-O3", "-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-function", "-Wno-unused-parameter"]
CHECKED = os.environ.get("PHONOGRAPH_CHECKED") == "1"  # bounds and wrap-around checks, for the tests


def extension(name: str, path: str, *headers: str) -> Extension:
    return Extension(
        name,
        [path],
        depends=list(headers),
        include_dirs=[numpy.get_include(), "runtime/phonograph", KERNELS],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=C_FLAGS,
    )


def kernel(name: str) -> Extension:
    return extension(f"phonograph_nodes.kernels._{name}", f"{KERNELS}/_{name}.pyx", f"{KERNELS}/{name}.h")


setup(
    ext_modules=cythonize(
        [
            extension("phonograph._memory", "runtime/phonograph/_memory.pyx", "runtime/phonograph/_memory.h"),
            kernel("log_mel"),
            kernel("energy"),
            kernel("convert"),
        ],
        build_dir="build/cython",
        compiler_directives={
            "language_level": "3",
            "boundscheck": CHECKED,
            "wraparound": CHECKED,
            "cdivision": True,
            "embedsignature": False,
        },
    )
)
