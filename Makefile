# Everything that a contributor or CI runs. `make help` lists the targets.
#
#   make PYTHON=python3.12 test          another interpreter
#   make test ARGS="-k breaker -x"       arguments for pytest

PYTHON ?= python3
ISSUE ?= spine
ARGS ?=
# Tests start hundreds of interpreters; without compiled modules each would compile the packages anew, and collecting takes twice
# as long.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
DEMO := phonograph-out/demo

NATIVE := $(shell find runtime nodes -name '*.pyx' -o -name '*.pxd' -o -name '*.[ch]')
# The tests of a file stay together, because they share what its fixtures make.
PARALLEL := -n auto --dist loadfile
KERNEL_TESTS := $(addprefix tests/nodes/,features resample vad $(addprefix test_,frames.py flac_frames.py packets.py convert.py convert_channels.py convert_exact.py resample.py segment.py))
# Where an installed wheel could differ from the checkout: what is found by name, started as a program, or compiled.
WHEEL_TESTS := $(wildcard tests/test_*.py tests/runtime/*.py) tests/runtime/cli tests/runtime/graph/test_plugins.py $(KERNEL_TESTS)
TYPED := runtime nodes tests $(if $(wildcard benchmarks/*.py),benchmarks)

.PHONY: help installed demo test test-silero test-isa test-sanitized test-native hostile bench bench-check bench-peers lint types contracts contracts-check explained pictures accept wheel-test clean
.DELETE_ON_ERROR:

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

installed: $(VENV)/installed ## set up the environment

demo: $(VENV)/installed ## decode the bundled clips, find speech in them, store log-mel features
	@$(BIN)/run-pipeline manifests/features.yaml --param out=$(DEMO) --metrics $(DEMO)/metrics.json
	@printf '\nResults in %s:\n' '$(DEMO)'
	@find $(DEMO) -type f -not -name '.*' | sort | sed 's/^/  /'

test: $(VENV)/installed ## run the tests, with a process for each core; those of the C alone are test-native
	@$(BIN)/python -m pytest -q --ignore=tests/native $(PARALLEL) $(ARGS)

test-silero: $(VENV)/silero ## run the tests of vad.silero, with its model
	@$(BIN)/python -m pytest -q tests -k silero $(ARGS)

test-isa: $(VENV)/installed ## run the kernels' tests with each instruction set that this processor has
	@bash .ci/test-isa $(BIN)/python $(PARALLEL) $(KERNEL_TESTS) $(ARGS)

test-sanitized: $(VENV)/installed ## run them on a build with bounds checks and sanitizers, in a copy of the tree
	@bash .ci/test-sanitized $(BIN)/python $(KERNEL_TESTS)

test-native: $(VENV)/installed ## run the kernels' C without Python around it: here, on emulated processors, under sanitizers
	@$(BIN)/python -m pytest -q $(PARALLEL) tests/native $(ARGS)

hostile: $(VENV)/installed ## feed 100 000 mutated audio files to the decoder; needs the shared data sets
	@PYTHONPATH=tests $(BIN)/python -m hostile.run --inputs 100000 --seed 1 --kept build/hostile $(ARGS)

bench: $(VENV)/installed ## time kernels and engine
	@$(BIN)/python -m pytest -q benchmarks $(ARGS)

bench-check: $(VENV)/installed ## fail when a kernel, the decoder or the scheduler has become slower than accepted
	@$(BIN)/python -m benchmarks.gate $(ARGS)

bench-peers: $(VENV)/bench ## time the features beside other libraries; write benchmarks/RESULTS.md (an idle machine, about 10 minutes)
	@$(BIN)/python -m benchmarks.peers.compare --seconds 1 10 30 60
	@for part in front_ends threads allocations report; do $(BIN)/python -m benchmarks.$$part || exit; done

lint: $(VENV)/installed ## check style and layout of the code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/installed ## check types, strictly
	@$(BIN)/mypy --strict $(TYPED)

contracts: $(VENV)/installed ## write the generated contract files again
	@$(BIN)/python -m phonograph.reference.contracts contracts docs

contracts-check: $(VENV)/installed ## fail when a contract file differs from the code
	@$(BIN)/python -m phonograph.reference.contracts --check contracts docs

explained: $(VENV)/installed ## record again what `run-pipeline explain` says of the shipped manifests
	@for name in $(notdir $(basename $(wildcard manifests/*.yaml))); do \
		$(BIN)/run-pipeline explain $$name --run-dir run > tests/manifests/explained/$$name.txt || exit; done

pictures: $(VENV)/installed ## write the tables of docs/features.md and docs/vad.md again, draw their pictures
	@$(PIP) install -e '.[docs]'
	@$(BIN)/python docs/features_page.py
	@$(BIN)/python docs/vad_page.py

# The slow claims about speed time the other libraries too.
accept: $(VENV)/installed $(if $(filter logmel audio-in flow,$(ISSUE)),$(if $(findstring --fast,$(ARGS)),,$(VENV)/bench)) ## judge every claim of one issue (ISSUE=spine), with figures
	@PYTHONPATH=tests $(BIN)/python -m acceptance.run --issue $(ISSUE) $(ARGS)

wheel-test: $(VENV)/installed ## build sdist and wheel; demo and tests on the wheel, outside the checkout (TESTS: only these)
	@bash .ci/wheel-test $(BIN)/python $(PARALLEL) $(TESTS)

clean: ## remove everything that the targets made
	@rm -rf $(VENV) build dist phonograph-out .phonograph .mypy_cache .ruff_cache .hypothesis .benchmarks
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@find . -name '*.egg-info' -type d -prune -exec rm -rf {} +
	@find runtime nodes -name '*.so' -delete

# A changed pyproject.toml may drop a dependency, so the environment is made anew and not only added to.
$(VENV)/made: pyproject.toml setup.py
	@bash .ci/check-python "$(PYTHON)"
	@printf '==> new environment in %s (%s)\n' '$(VENV)' "$$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# An editable install does not notice changed native code, so it is repeated then.
$(VENV)/installed: $(VENV)/made $(NATIVE)
	@printf '==> installing phonograph with its test and development tools; compiling the kernels\n'
	@$(PIP) install -e '.[test,dev]'
	@touch $@

# The extra silero without PyTorch, which silero-vad asks for and vad.silero never imports.
$(VENV)/silero: $(VENV)/installed
	@$(PIP) install --no-deps 'silero-vad>=6.2'
	@$(PIP) install 'onnxruntime>=1.20'
	@touch $@

$(VENV)/bench: $(VENV)/installed
	@$(PIP) install -e '.[bench]'
	@touch $@
