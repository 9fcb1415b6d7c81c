"""How the Cython extensions are built; everything else is in pyproject.toml."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = "nodes/phonograph_nodes/kernels"
# For the tests: address and undefined-behaviour checks in the C, bounds and wrap-around checks in the bindings.
SANITIZED = os.environ.get("PHONOGRAPH_SANITIZE") == "1"
KIND = "cython-sanitized" if SANITIZED else "cython"

# No machine-native flags: a variant for a processor is a file that names its instruction set, chosen among when it is imported.
# No fast-math: NaN and infinity must be found. With c11, products and sums stay apart, on every architecture.
C_FLAGS = ["-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-function", "-Wno-unused-parameter"]
# Fused products are more exact and faster. Vectors pass between inlined functions only, so their calling convention is nobody's.
VECTOR_FLAGS = ["-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi"]
# Nothing is fused: all variants give the same bits.
CONVERT_FLAGS = ["-Wno-psabi"]
# -g0 takes back the -g that Python itself was built with: a quarter of the time to compile, most of the size of a wheel.
LEVEL = ["-O1", "-g1", "-fno-omit-frame-pointer"] if SANITIZED else ["-O3", "-g0"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"] if SANITIZED else []


class BuildKernels(build_ext):
    """Compiles everything again after a change to another kind of build: by its times alone, what is there is up to date."""

    def run(self) -> None:
        target = "inplace" if self.inplace or self.editable_mode else Path(self.build_lib).name
        built_as = Path("build", f"kernels-{target}")
        self.force = self.force or (built_as.read_text() if built_as.exists() else "") != KIND
        self.parallel = self.parallel or os.cpu_count()
        super().run()
        built_as.parent.mkdir(exist_ok=True)
        built_as.write_text(KIND)


def extension(name: str, folder: str, *sources: str, flags: Iterable[str] = ()) -> Extension:
    """`x.y._z` is `folder/_z.pyx` with further sources; a change to any header of the folder compiles it again."""
    return Extension(
        name,
        [f"{folder}/{name.rpartition('.')[2]}.pyx", *sources],
        depends=[str(header) for header in sorted(Path(folder).rglob("*.h"))],
        include_dirs=[numpy.get_include(), folder],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=[*LEVEL, *C_FLAGS, *SANITIZERS, *flags],
        extra_link_args=SANITIZERS,
    )


def kernel(name: str, flags: Iterable[str] = ()) -> Extension:
    """`_x.pyx` of the kernels; where `x` is a folder, with its C files, one for each instruction set."""
    variants = [str(source) for source in sorted(Path(KERNELS, name).glob("*.c"))]
    return extension(f"phonograph_nodes.kernels._{name}", KERNELS, *variants, flags=flags)


setup(
    cmdclass={"build_ext": BuildKernels},
    ext_modules=cythonize(
        [
            extension("phonograph._memory", "runtime/phonograph"),
            extension("phonograph._meter", "runtime/phonograph"),
            extension("phonograph._isa", "runtime/phonograph"),
            kernel("energy"),
            kernel("convert", CONVERT_FLAGS),
            kernel("frames", CONVERT_FLAGS),
            kernel("ffmpeg", CONVERT_FLAGS),
            kernel("packets", CONVERT_FLAGS),
            kernel("reading"),
            kernel("log_mel", VECTOR_FLAGS),
            kernel("resample", VECTOR_FLAGS),
        ],
        build_dir=f"build/{KIND}",
        compiler_directives={
            "language_level": "3",
            "boundscheck": SANITIZED,
            "wraparound": SANITIZED,
            "cdivision": True,
            "embedsignature": False,
            "freethreading_compatible": True,  # what a module holds after its import is read only, or guarded by atomics
        },
    ),
)
