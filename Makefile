# The two commands of the README, and what the developers use. `make help` lists them.
VENV ?= .venv
ifeq ($(OS),Windows_NT)
  PYTHON ?= python
  BIN := $(VENV)/Scripts
else
  PYTHON ?= python3
  BIN := $(VENV)/bin
endif
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test test-engine test-pyqt6 test-pyside6 coverage fuzz kills soak check wheel docs pictures bench clean
help:            ## this list
	@grep -E '^[a-z]+:.*##' Makefile

demo: $(VENV)/.base           ## segment the sample images into demo/
	$(BIN)/nuclei-unet demo --out demo

test: test-engine test-pyqt6 test-pyside6   ## run all tests; those of the window with both Qt bindings

test-engine: $(VENV)/.dev
	$(BIN)/python -m pytest --ignore=tests/widgets --ignore=tests/viewer

test-pyqt6 test-pyside6: test-%: $(VENV)/.dev
	QT_API=$* PYTEST_QT_API=$* sh tools/with_display.sh $(BIN)/python -m pytest tests/widgets tests/viewer

coverage: $(VENV)/.dev        ## which part of the code all tests run; what Qt's threads and compiled loops do is not seen
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --ignore=tests/widgets --ignore=tests/viewer
	QT_API=pyqt6 PYTEST_QT_API=pyqt6 sh tools/with_display.sh $(BIN)/coverage run -m pytest tests/widgets tests/viewer
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered

fuzz: $(VENV)/.dev            ## run the command line on 1200 damaged inputs
	$(BIN)/python tests/fuzz_inputs.py --cases 1200

SEED ?= 7
ACTIONS ?= 400
soak: $(VENV)/.dev            ## random actions in real windows; SEED=7 ACTIONS=400 are others
	sh tools/with_display.sh $(BIN)/python tests/soak.py --seed $(SEED) --actions $(ACTIONS)

kills: $(VENV)/.dev           ## kill 100 runs, trainings and exports, and compare what comes of them
	PYTHONPATH=tests $(BIN)/python -c "import kills; kills.run_command()" --kills 100 --seed 0

check: $(VENV)/.dev           ## static checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate napari-nuclei-unet
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff

wheel: $(VENV)/.dev           ## build the wheel and try it in a clean environment
	PYTHON=$(PYTHON) BIN=$(BIN) sh tools/try_wheel.sh

docs: $(VENV)/.dev            ## build the site into docs/_build/html; a broken link is an error
	$(BIN)/sphinx-build --fail-on-warning --quiet -b html docs docs/_build/html

pictures: $(VENV)/.dev        ## render the pictures of the docs from a real window
	sh tools/with_display.sh $(BIN)/python docs/render_pictures.py
	$(BIN)/python docs/render_failures.py
	$(BIN)/python docs/render_gallery.py
	sh tools/with_display.sh $(BIN)/python docs/render_animation.py

bench: $(VENV)/.dev           ## measure scores, speed, memory and start-up for docs/reference/benchmarks.md
	$(BIN)/python benchmarks/tracked.py

clean:           ## remove what the commands above made
	rm -rf $(VENV) demo dist

$(VENV)/.venv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV) || { sh tools/apt_install.sh python3-venv && $(PYTHON) -m venv $(VENV); }
	touch $@

$(VENV)/.base: $(VENV)/.venv pyproject.toml constraints.txt
	$(PIP) -e .
	touch $@

$(VENV)/.dev: $(VENV)/.venv pyproject.toml constraints.txt
	$(PIP) -e '.[all,dev]'
	touch $@
