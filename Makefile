# From a bare checkout: `make demo`, `make test`, `make docs`. `make` alone lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    := demo
# Extra words for pytest: make test PYTEST_ARGS="-k polygons"
PYTEST_ARGS ?=
# Extra words for labeler up: make up UP_ARGS="--images photos --labels cat,dog"
UP_ARGS ?=

INSTALL = $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
INSTALL_INPUTS = pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help venv demo up test test-studio ray lint format docs pictures clean distclean
.DELETE_ON_ERROR:

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

# --- the virtual environment ------------------------------------------------------------------------------
# One stamp per set of dependencies: an interrupted install leaves no stamp and is taken up again.

$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "'$(PYTHON)' was not found: install Python 3.10 or newer, or name one with 'make PYTHON=python3.12 …'." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "'$(PYTHON)' is $$($(PYTHON) --version 2>&1), and 3.10 or newer is needed: name one with 'make PYTHON=python3.12 …'." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  v=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "'$(PYTHON) -m venv' does not work here. Debian and Ubuntu keep it in a package of its own:" >&2; \
	  echo "  sudo apt install python3-venv      (or python$$v-venv for this interpreter)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.base: $(VENV)/.created $(INSTALL_INPUTS)
	$(INSTALL) -e .
	@touch $@

$(VENV)/.test: $(VENV)/.created $(INSTALL_INPUTS)
	$(INSTALL) -e '.[test]'
	@touch $@ $(VENV)/.base

$(VENV)/.ray: $(VENV)/.test
	$(INSTALL) -e '.[test,ray]'
	@touch $@

$(VENV)/.docs: $(VENV)/.created $(INSTALL_INPUTS)
	$(INSTALL) -e '.[docs]'
	@touch $@ $(VENV)/.base

venv: $(VENV)/.test ## .venv with the package (editable) and what the tests need

# --- what the tests against a real Label Studio need ------------------------------------------------------
# Each in a virtual environment of its own: they pin packages that ours needs newer, or would break each other.
# A stamp names the version, so that another version is another install.

STUDIO          := .studio
LABEL_STUDIO    := 1.23.2
LABEL_STUDIO_ML := 1.0.9
STUDIO_INSTALL  = rm -rf $(@D) && $(PYTHON) -m venv $(@D) && \
	$(@D)/bin/python -m pip install --disable-pip-version-check

$(STUDIO)/label-studio/.$(LABEL_STUDIO): | $(VENV)/.created
	@echo "Label Studio $(LABEL_STUDIO) into $(@D): 1 GB, a minute or two"
	$(STUDIO_INSTALL) --quiet label-studio==$(LABEL_STUDIO)
	rm -rf $(STUDIO)/template
	@touch $@

# redis and rq: it imports them and does not say so. The .pth file adds what .venv has, behind its own packages.
$(STUDIO)/label-studio-ml/.$(LABEL_STUDIO_ML): | $(VENV)/.test
	$(STUDIO_INSTALL) --quiet label-studio-ml==$(LABEL_STUDIO_ML) redis rq
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	  > $$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/emergent-labeler.pth
	@touch $@

# --- what there is to run ---------------------------------------------------------------------------------

demo: $(VENV)/.base ## masks for the pictures in examples/, into demo/ (OUT=… for another folder)
	$(BIN)/labeler masks examples/images --out $(OUT) --overwrite
	@echo
	@echo "annotations  $(OUT)/annotations.json   COCO: boxes, areas, scores, RLE masks"
	@echo "masks        $(OUT)/masks/             one 16-bit PNG per picture, 0 = background"
	@echo "overlays     $(OUT)/overlays/          the masks drawn over the pictures"
	@echo "report       $(OUT)/report.html        open this one in a browser"

up: $(VENV)/.base ## Label Studio with pre-annotated pictures (UP_ARGS="--images DIR" for yours); Ctrl-C stops it
	$(BIN)/labeler up $(UP_ARGS)

test: lint ## ruff, mypy and all tests; tests that need a GPU skip themselves where there is none
	@tests/server/install_redis.sh
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-studio: $(VENV)/.test $(STUDIO)/label-studio/.$(LABEL_STUDIO) $(STUDIO)/label-studio-ml/.$(LABEL_STUDIO_ML) ## tests against a real Label Studio and in a real browser
	@tests/real_studio/install_chromium.sh
	$(BIN)/python -m pytest -m studio tests/real_studio $(PYTEST_ARGS)

ray: $(VENV)/.ray ## add Ray, so that `make test` also tests --engine ray

lint: $(VENV)/.test ## ruff check, ruff format --check, mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.test ## let ruff rewrite the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs ## the documentation, into site/
	$(BIN)/mkdocs build --strict
	@echo "documentation  site/index.html"

pictures: $(VENV)/.base ## the pictures in docs/images, from examples/
	$(BIN)/python docs/make_pictures.py

clean: ## remove what the targets wrote, but not .venv and .studio
	rm -rf demo site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -not -path './$(STUDIO)/*' -prune -exec rm -rf {} +

distclean: clean ## the same, .venv and .studio
	rm -rf $(VENV) $(STUDIO)
