# Four commands: `make benchmark`, `make notebooks`, `make test` and `make docs`. Each builds what it needs; nothing but Python >= 3.11 is expected.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: benchmark notebooks test test-slow docs clean

benchmark: $(VENV)/installed
	$(BIN)/qad benchmark quick

notebooks: $(VENV)/installed-notebook
	$(BIN)/jupyter lab notebooks

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: $(VENV)/installed-test
	$(BIN)/python -m pytest -m slow

docs: $(VENV)/installed-test
	$(BIN)/python -m sphinx -b html -W --keep-going -n -q docs docs/_build
	@echo "Open docs/_build/index.html"

# The marker is written last: an installation that was cut off starts again.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $$($(PYTHON) --version) was found. Type: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[simulation]'
	touch $@

$(VENV)/installed-notebook: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[simulation,ibm,notebook]'
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[simulation,ibm,hep,test,docs]'
	touch $@

clean:
	rm -rf $(VENV) build dist
