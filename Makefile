# Each target first sets up what it needs in .venv.
PYTHON ?= python3
BIN := .venv/bin
SCRIPTS := pages/ui/components
TOOL := $(CURDIR)/$(BIN)/node $(CURDIR)/.venv/js/node_modules/.bin
ARGS ?=

.PHONY: app test check scripts bench mutants docs clean
.DEFAULT_GOAL := app

app: .venv/ready            ## start the app; ARGS="--port 9000" hands arguments on
	$(BIN)/vitrine app $(ARGS)

test: .venv/ready .venv/js/ready  ## all tests but the slow ones; ARGS="tests/unit -x" chooses
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder $(ARGS)

check: .venv/ready scripts  ## format, lint, types, directions of imports, versions that fit together
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/architecture/test_imports.py
	$(BIN)/python -m pip --disable-pip-version-check check

scripts: .venv/js/ready     ## format, lint and types of what runs in the browser
	cd $(SCRIPTS) && $(TOOL)/biome ci --error-on-warnings .
	$(TOOL)/tsc --project $(SCRIPTS)

# Each file in a process of its own, as memory that one keeps would slow down the next; with threads as the app has
# them. ARGS may choose none of a file's benchmarks: status 5.
bench: .venv/peers          ## claims of speed, measured side by side
	@failed=0; for file in tests/bench/test_*.py; do \
		OPENBLAS_THREAD_TIMEOUT=16 $(BIN)/python -m pytest $$file -m bench --capture=tee-sys --results tests/bench/README.md $(ARGS) || [ $$? = 5 ] || failed=1; \
	done; exit $$failed

mutants: .venv/ready        ## small defects put into the core: do the tests notice? ARGS="--count 20 --seed 1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,dicom,hf,onnx,timm,mutants]"
	$(BIN)/python -m tests.mutants $(ARGS)

docs: .venv/ready           ## pages of `import vitrine` in build/docs, from its docstrings
	$(BIN)/pdoc --no-show-source --no-search --output-directory build/docs vitrine

clean:                      ## what tools left behind; .venv stays
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info out screenshots
	find app.py core pages tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,dicom,hf,onnx,timm]"
	touch $@

.venv/js/ready: $(SCRIPTS)/package.json .venv/ready
	mkdir -p $(@D)
	cp $< $(@D)/package.json
	$(BIN)/npm install --prefix $(@D) --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

.venv/peers: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,dicom,hf,onnx,timm,peers]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps --upgrade --target .venv/quantus quantus
	touch $@
