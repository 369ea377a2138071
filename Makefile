# One environment in .venv; every target makes what it needs. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-unlocked gpu gpu-test demo test test-browser faults bench bench-setup lab screenshots check format-check lint types arrows format lock clean

BIN := .venv/bin
UV = $(or $(shell command -v uv 2>/dev/null),$(BIN)/uv)
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-15s %s\n' "$$name" "$$text"; done

setup: ## Make the environment in .venv from the lock with hashes (PYTHON=… names the Python)
	@PYTHON="$(PYTHON)" sh deploy/environment.sh server

setup-dev: ## The same with what tests and checks need
	@PYTHON="$(PYTHON)" sh deploy/environment.sh dev

setup-unlocked: ## Where the lock does not fit: the newest versions that pyproject.toml allows
	@test -x $(BIN)/python || $(or $(PYTHON),python3) -m venv .venv
	@$(BIN)/python -m pip install --editable '.[server,dev]'

gpu: ## Make a GPU worker's environment: setup, CUDA for TensorFlow, pycuda (needs the driver, g++)
	@PYTHON="$(PYTHON)" GPU_CUDA="$(GPU_CUDA)" sh deploy/gpu_environment.sh

demo: setup ## Start the service, run real trials over HTTP, print the leaderboard, stop
	@$(BIN)/python -m deploy.demo

test: setup-dev ## Run all tests
	@$(BIN)/python -m pytest -n auto --maxprocesses 2 --dist loadfile $(TESTS)

test-browser: setup-dev ## Run the tests of the pages in Chromium (Debian: sudo apt install chromium)
	@$(BIN)/python -m pytest -n auto --maxprocesses 2 --dist loadfile tests/browser

gpu-test: setup-dev ## Run what needs a GPU and hold every kernel to its target; exit status 3: not run (GPU_TEST='--only NAME')
	@$(BIN)/python -m tests.gpu $(GPU_TEST)

faults: setup-dev ## Measure the service under faults; ends with the figures as JSON (FAULTS='--quick' or '--only NAME')
	@$(BIN)/python -m tests.faults $(FAULTS)

bench-setup: setup-dev ## Make .venv-peers, for bench to set labpool against Celery, Optuna, Ray Tune, KerasTuner and PyTorch
	@sh tests/bench/peers/environment.sh

bench: setup-dev ## Measure what a trial costs beside its arithmetic; ends with the figures as JSON (BENCH='--only NAME')
	@$(BIN)/python -m tests.bench $(BENCH)

lab: setup-dev ## Run the whole lab course; ends with its numbers beside their floors as JSON (LAB='--only ROW')
	@$(BIN)/python -m tests.lab $(LAB)

screenshots: setup-dev ## Take pictures of every page into docs/screenshots (needs Chromium)
	@$(BIN)/python -m tests.browser.screenshots

check: format-check lint types arrows ## Check format, lint, types and import arrows

format-check: setup-dev
	@echo 'Format' && $(BIN)/ruff format --check --quiet . || { echo 'Mend it with: make format'; exit 1; }

lint: setup-dev
	@echo 'Lint' && $(BIN)/ruff check --quiet .

types: setup-dev
	@echo 'Types' && $(BIN)/mypy

arrows: setup-dev
	@echo 'Import arrows' && $(BIN)/lint-imports --no-cache

format: setup-dev ## Format the code and apply safe lint repairs
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

lock: setup-dev ## Write requirements/*.lock anew from pyproject.toml (uv; the index is pip's and uv's own)
	@$(COMPILE) pyproject.toml --extra server --output-file requirements/server.lock
	@$(COMPILE) pyproject.toml --extra server --extra dev -c requirements/server.lock --output-file requirements/dev.lock
	@$(COMPILE) pyproject.toml --extra api -c requirements/server.lock --output-file requirements/api.lock
	@$(COMPILE) pyproject.toml --extra worker -c requirements/server.lock --output-file requirements/worker.lock
	@$(COMPILE) pyproject.toml --extra worker --extra gpu -c requirements/server.lock --output-file requirements/gpu.lock
	@for minor in 5 6 8; do echo "nvidia-cuda-nvrtc-cu12==12.$$minor.*" | \
		$(COMPILE) - --output-file requirements/nvrtc-12.$$minor.lock; done
	@$(COMPILE) requirements/peers.in -c requirements/server.lock --output-file requirements/peers.lock
	@grep -c == requirements/*.lock

clean: ## Remove the environment, caches and the demo's data (never ~/.labpool)
	@rm -rf .venv .venv.unfinished .venv-peers .labpool-demo .labpool-lab .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
