# Each target sets up the environment that it needs in .venv, anew when pyproject.toml changes.
#   make demo PYTHON=python3.12                     another interpreter (3.11 or newer)
#   make quick PYTHON=python3.13 VENV=.venv-3.13    in an environment beside the other one

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python

# Tests start processes, each of which imports Numba and fastbp: 0.4 s from bytecode, 1.7 s where none is written.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo docs engines quick quick-tests test plain compiled newest all lint check-bench coverage targets bench \
    bench-history peers clean

help:
	@echo "make demo      train a digit classifier; pictures go to demo-output/"
	@echo "make docs      the site, in docs/_build/html: all pages, examples and doctests run, all links inside checked"
	@echo "make quick     lint, and the tests of contracts, twins and kernels in float32: under a minute, once compiled"
	@echo "make test      lint, a pass over the benchmarks, all tests compiled, most with the JIT off, some as for AVX2,"
	@echo "               the site, the engines, and the quick tests on Python 3.13, where this machine has it"
	@echo "make all       that, all with the JIT off, as for other processors, and with other examples in each run"
	@echo "make lint      ruff, mypy and the order of imports alone"
	@echo "make targets   the tests of the kernels, compiled as for other processors"
	@echo "make engines   the tests of Dask, MPI, HDF5, zarr, Parquet, Arrow, MAPIE and cffi, in the site's environment"
	@echo "make coverage  all tests with the JIT off, and the lines that they do not reach"
	@echo "make bench     the asv suite"
	@echo "make bench-history  pages of its results; COMMITS=TAGS measures some first (needs npm)"
	@echo "make peers     fastbp beside scikit-learn, PyTorch and JAX, in an environment of their own"
	@echo "make clean     remove the environments and all that was made"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo 'fastbp needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Most modules of most packages are never imported: those that are, are compiled then.
$(VENV)/demo.stamp: EXTRAS := all
$(VENV)/test.stamp: EXTRAS := test,bench
$(VENV)/%.stamp: pyproject.toml | $(BIN)/python
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[$(EXTRAS)]'
	@touch $@

.venv-peers/peers.stamp: pyproject.toml bench/peers-requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --editable . \
	    --requirement bench/peers-requirements.txt
	@touch $@

DOCS := .venv-docs/bin/python
.venv-docs/docs.stamp: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	$(DOCS) -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[engines]'
	@touch $@

# No page needs a network, neither to be built nor to be read. Warnings are errors.
docs: .venv-docs/docs.stamp
	$(DOCS) -m sphinx --builder html --doctree-dir docs/_build/doctrees --fail-on-warning --keep-going --quiet \
	    docs docs/_build/html
	$(DOCS) -m pytest --quiet -p no:cacheprovider docs/checks
	@echo "the site: docs/_build/html/index.html"

# The tests of what other environments do without: Dask, MPI, HDF5, zarr, Parquet, Arrow, MAPIE, cffi. None may be
# skipped.
ENGINES := test_cluster.py test_cluster_estimators.py test_mpi.py ensembles/test_mapie.py \
    data/test_sources.py::test_chunked_files_are_read_by_whole_chunks data/test_sources.py::test_parquet_columns_by_name \
    tables/test_columns.py::test_frames_of_every_library[pyarrow] tables/test_estimators.py::test_targets_of_frames[pyarrow] \
    test_cfunctions.py::test_cffi_casts_its_address
engines: .venv-docs/docs.stamp
	$(DOCS) -m pytest --quiet -p no:cacheprovider --none-skipped $(ENGINES:%='tests/%')

demo: $(VENV)/demo.stamp
	$(RUN) examples/digits.py --output demo-output

# These jobs share the two cores that any machine has, the longest first. What stands above Network calls no kernel: its
# tests run once here, compiled, and its lines are counted there. `make coverage` counts branches as well.
UPPER := tests/ensembles tests/estimators tests/tables
test: $(VENV)/test.stamp
	$(RUN) -m coverage erase
	@$(MAKE) --no-print-directory -j2 --output-sync=target compiled newest docs engines check-bench lint
	$(RUN) -m coverage combine --quiet
	$(RUN) -m coverage report

plain: $(VENV)/test.stamp
	NUMBA_DISABLE_JIT=1 $(RUN) -m coverage run -m pytest tests $(UPPER:%=--ignore=%)

compiled: $(VENV)/test.stamp
	@$(MAKE) --no-print-directory targets TARGETS=haswell PYTEST_ADDOPTS="-k 'not rounds and not settings_choose'" \
	    TARGET_TESTS="kernels/ir kernels/layer kernels/passes/test_online.py core/test_determinism.py"
	$(RUN) -m pytest tests $(UPPER:%=--ignore=%)
	$(RUN) -m coverage run -m pytest $(UPPER)

# On the newest Python that is tested, where this machine has it: those with the JIT off, in which its sys.monitoring
# counts lines in 4% more time, where the tracer of older ones takes 70%; and the quick ones, compiled.
NEWEST = $(firstword $(shell for python in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13*/bin/python; do \
    "$$python" -c 'import sys; print(sys.executable)' 2>/dev/null; done))
newest:
	@$(if $(NEWEST),,echo 'no Python 3.13 here'; )$(MAKE) --no-print-directory plain \
	    $(if $(NEWEST),quick-tests PYTHON=$(NEWEST) VENV=.venv-3.13 COVERAGE_CORE=sysmon)

# With other examples of Hypothesis in each run, and on all processors that Numba can compile for.
all: test targets coverage
	HYPOTHESIS_PROFILE=exploring $(RUN) -m pytest

QUICK_TESTS := test_contracts.py naive util kernels/ir kernels/layer kernels/passes kernels/functions kernels/test_calls.py \
    kernels/test_elementwise.py kernels/test_random.py kernels/compile/test_numba_internals.py core/test_gradient.py \
    optimizers/test_update_rules.py
quick: lint quick-tests

quick-tests: $(VENV)/test.stamp
	$(RUN) -m pytest --quiet $(QUICK_TESTS:%=tests/%) -k 'not float64'

lint: $(VENV)/test.stamp
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

# In environments of asv's own, with the Python that this one has.
MEASURE = PATH="$(abspath $(BIN)):$$PATH" $(BIN)/asv run

# Every benchmark is imported; one of each kind is run once, and one in an environment that asv makes of its matrix and
# the last commit. The figures mean nothing, which is why they are not kept.
QUICK := timeraw_import$$|FitCall|time_thousand_single_rows|peakmem_fit|track_final_cost|FullBatch.time|Given.time|\
	Files.time_load_checkpoint|Classifier.time_predict_one
check-bench: $(VENV)/test.stamp
	@$(BIN)/asv machine --yes >/dev/null
	$(BIN)/asv check --environment existing:$(RUN)
	$(BIN)/asv run --quick --dry-run --show-stderr --environment existing:$(RUN) --bench '$(subst | ,|,$(QUICK))'
	$(MEASURE) HEAD --quick --dry-run --show-stderr --bench timeraw_first_fit_cached

coverage: $(VENV)/test.stamp
	$(RUN) -m coverage erase
	NUMBA_DISABLE_JIT=1 $(RUN) -m coverage run --branch -m pytest
	$(RUN) -m coverage combine --quiet
	$(RUN) -m coverage report

# Vectors of 32 and 16 bytes, 16 registers, with fused multiply-add and without. NUMBA_CPU_FEATURES is set to nothing,
# so that those of the name count and not those of this machine.
TARGETS := haswell nehalem generic
TARGET_TESTS := kernels/ir kernels/layer kernels/passes/test_online.py kernels/test_elementwise.py \
    kernels/functions/test_activations.py kernels/functions/test_costs.py core/test_determinism.py \
    core/test_gradient.py derivatives/test_gauss_newton.py training/test_fit.py
targets: $(VENV)/test.stamp
	@for cpu in $(TARGETS); do \
	    echo "as for $$cpu:"; \
	    NUMBA_CPU_NAME=$$cpu NUMBA_CPU_FEATURES= \
	        $(RUN) -m pytest --quiet $(TARGET_TESTS:%=tests/%) || exit; \
	done

bench: $(VENV)/test.stamp
	@$(BIN)/asv machine --yes >/dev/null
	$(MEASURE) $(ASV)

# COMMITS as git names them, or what asv knows (NEW, TAGS, HASHFILE:...). What is measured is one benchmark of each kind,
# unless ASV says otherwise: ASV='--bench Learning', or ASV='--bench .' for the whole suite.
HISTORY := timeraw_import$$|bench_training.Epoch|track_over_numpy|FitCall|bench_predict.Predict.time|\
	track_final_cost|peakmem_fit
bench-history: $(VENV)/test.stamp
	@$(BIN)/asv machine --yes >/dev/null
	-$(if $(COMMITS),$(MEASURE) $(COMMITS) $(or $(ASV),--bench '$(subst | ,|,$(HISTORY))'))
	$(RUN) -m bench.publish

peers: .venv-peers/peers.stamp
	.venv-peers/bin/python -m bench.peers $(PEERS)

clean:
	rm -rf docs/_build docs/_static/drawings docs/gallery docs/reference/generated docs/reference/tables
	rm -rf .venv .venv-* .asv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* \
	    demo-output
