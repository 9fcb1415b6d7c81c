"""The Cython extensions; everything else is in pyproject.toml."""

import os
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = "nodes/phonograph_nodes/kernels"
C_FLAGS = ["-O3", "-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-function", "-Wno-unused-parameter"]
CHECKED = os.environ.get("PHONOGRAPH_CHECKED") == "1"  # bounds and wrap-around checks, for the tests
C_FOLDER = "build/cython-checked" if CHECKED else "build/cython"


class BuildKernels(build_ext):
    """Compiles everything again after a change between checked and normal: by its times alone, what is there is up to date."""

    def run(self) -> None:
        target = "inplace" if self.inplace or self.editable_mode else Path(self.build_lib).name
        built_as = Path("build", f"kernels-{target}")
        self.force = self.force or (built_as.read_text() if built_as.exists() else "") != C_FOLDER
        super().run()
        built_as.parent.mkdir(exist_ok=True)
        built_as.write_text(C_FOLDER)


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


MEMORY = extension("phonograph._memory", "runtime/phonograph/_memory.pyx", "runtime/phonograph/_memory.h")

setup(
    cmdclass={"build_ext": BuildKernels},
    ext_modules=cythonize(
        [MEMORY, kernel("log_mel"), kernel("energy"), kernel("convert")],
        build_dir=C_FOLDER,
        compiler_directives={
            "language_level": "3",
            "boundscheck": CHECKED,
            "wraparound": CHECKED,
            "cdivision": True,
            "embedsignature": False,
        },
    ),
)
