# make demo [OUT=DIR]     install into .venv and run the main job
# make bench [BENCH=DIR]  time every part beside what it is measured against; 20 minutes at most
# make torture [TORTURE=]  kill, damage, cut off and crowd a small training; 40 minutes at most
# make wheel              build the wheel and use it in a new environment; 10 minutes at most
# make docs              write the option references anew, from the code
# make docs-site         install the extra docs, then build the documentation into site/
# make test [PROCESSES=2] install the extra dev, then ruff, mypy and the tests but the slow ones
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= experiments/demo
TORTURE ?=
BENCH ?= experiments/results/speed
THREADS ?= 1
PROCESSES ?= 2
UPSTREAM ?=

.PHONY: demo bench torture wheel test test-slow docs docs-site clean

# What must not stay from before: tb-nightly, OpenCV twice, and this package under its old name.
# BasicSR comes without what it requires: tb-nightly hides TensorBoard, and the rest is ours already
# but requests and tqdm. Its build needs torch and cython in sight, or it downloads torch once more.
$(VENV)/installed: pyproject.toml setup.py Makefile
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --upgrade pip setuptools wheel
	$(BIN)/pip install "torch>=2.4" "torchvision>=0.19" cython
	if $(BIN)/pip show --quiet tb-nightly; then \
		$(BIN)/pip uninstall --yes tb-nightly tensorboard; fi
	if $(BIN)/pip show --quiet opencv-python; then \
		$(BIN)/pip uninstall --yes opencv-python opencv-python-headless; fi
	if $(BIN)/pip show --quiet restoration; then $(BIN)/pip uninstall --yes restoration; fi
	$(BIN)/pip install -e ".[train]"
	if $(BIN)/python -c "import sys; sys.exit(sys.version_info >= (3, 13))"; then \
		$(BIN)/pip install requests tqdm && \
		$(BIN)/pip install --no-deps --no-build-isolation "basicsr==1.4.2"; fi
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/pip install -e ".[dev]"
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

torture: $(VENV)/installed
	$(BIN)/python experiments/torture/torture.py --out experiments/results/torture $(TORTURE)

wheel:
	.ci/wheel $(PYTHON)

test: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n $(PROCESSES) --dist loadfile

test-slow: $(VENV)/installed-test
	$(BIN)/pytest -m slow

docs: $(VENV)/installed
	$(BIN)/restoration options > options/REFERENCE.md
	$(BIN)/restoration options types > docs/reference/types.md

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/pip install -e ".[docs]"
	touch $@

docs-site: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build site *.egg-info
