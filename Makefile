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

.PHONY: help demo test check wheel pictures clean
help:            ## this list
	@grep -E '^[a-z]+:.*##' Makefile

demo: $(VENV)/.base           ## segment the sample images into demo/
	$(BIN)/nuclei-unet demo --out demo

test: $(VENV)/.dev            ## run all tests; those of the window with both Qt bindings
	QT_API=pyqt6 PYTEST_QT_API=pyqt6 sh tools/with_display.sh $(BIN)/python -m pytest
	QT_API=pyside6 PYTEST_QT_API=pyside6 sh tools/with_display.sh $(BIN)/python -m pytest tests/widgets tests/viewer

check: $(VENV)/.dev           ## static checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate napari-nuclei-unet

wheel: $(VENV)/.dev           ## build the wheel and try it in a clean environment
	PYTHON=$(PYTHON) BIN=$(BIN) sh tools/try_wheel.sh

pictures: $(VENV)/.dev        ## render the pictures of the docs from a real window
	sh tools/with_display.sh $(BIN)/python docs/render_pictures.py

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
