# make demo [OUT=DIR]   install into .venv and run the main job
# make bench [BENCH=DIR] time every part beside what it is measured against; 20 minutes at most
# make test             install the test extra, then ruff and all of pytest
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= experiments/demo
BENCH ?= experiments/results/speed
THREADS ?= 1
UPSTREAM ?=

.PHONY: demo bench test test-slow docs clean

# basicsr's build needs torch and cython in sight; without isolation it uses ours instead of
# downloading torch a second time.
$(VENV)/installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --upgrade pip setuptools wheel
	$(BIN)/pip install "torch>=2.4" "torchvision>=0.19" cython
	if $(BIN)/python -c "import sys; sys.exit(sys.version_info >= (3, 13))"; then \
		$(BIN)/pip install --no-build-isolation "basicsr==1.4.2"; fi
	$(BIN)/pip install -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/pip install -e ".[test]"
	touch $@

demo: $(VENV)/installed
	$(BIN)/restoration demo --out $(OUT)

bench: $(VENV)/installed
	for one in loss_speed metrics stream whole_benchmark scaling network; do \
		if [ -f experiments/benchmarks/$$one.py ]; then \
			extra=; [ $$one = network ] && [ -n "$(UPSTREAM)" ] && extra="--upstream $(UPSTREAM)"; \
			$(BIN)/python experiments/benchmarks/$$one.py --threads $(THREADS) $$extra \
				--out $(BENCH)/$$one.json || exit 1; \
		fi; \
	done

test: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest

test-slow: $(VENV)/installed-test
	$(BIN)/pytest -m slow

docs: $(VENV)/installed
	$(BIN)/restoration options > options/REFERENCE.md

clean:
	rm -rf $(VENV) build *.egg-info
