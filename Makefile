# The book's commands. `make help` lists them; each makes or refreshes the environment first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
# Chapters, tests and notebooks run this many at a time.
WORKERS ?= 2

VENV := .venv
PY := $(VENV)/bin/python
# What the environment in use was made for: this Python's version, and the folder, whose path pip writes down.
MADE_FOR := $(VENV)/made-for
MADE := import os, sys; print("%d.%d" % sys.version_info[:2] + " in " + os.getcwd())
HERE := $(shell $(PYTHON) -c '$(MADE)' 2>/dev/null)
FOUND := $(shell $(PY) -c 'import pip' 2>/dev/null && cat $(MADE_FOR) 2>/dev/null)
TOO_OLD := import sys; found = sys.version_info[:2]; found >= (3, 11) or sys.exit("error: Python 3.11 or newer is \
needed, but %s is %d.%d. Name another one: make PYTHON=python3.12 ..." % ((sys.executable,) + found))

# Kernels come from our environment even where the user has others installed.
export JUPYTER_PREFER_ENV_PATH := 1
# Else Python does not find the package in a folder with an accent, where the locale is Latin-1 or the mode is off.
export PYTHONUTF8 := 1
# Bytecode is kept, whatever the shell says: without it each process compiles torch and its kind anew, for six seconds.
unexport PYTHONDONTWRITEBYTECODE

# Started as a module: a script in .venv/bin would break when the folder moves. The pages' trees are millions of objects
# that stay: to look through them for garbage as often as Python does costs a fifth of the build.
BUILD := $(PY) -c "import gc; gc.set_threshold(200_000, 20, 50); from jupyter_book.cli.main import main; main()" build . -W -n --keep-going
# Sphinx does not repeat a warning about a page it has already read: forget the pages, so that the next build fails too.
FORGET_PAGES := { rm -rf _build/.doctrees; exit 1; }

LATEX_PACKAGES := latexmk texlive-xetex texlive-latex-extra texlive-fonts-recommended fonts-freefont-otf tex-gyre

.PHONY: help env book book-strict pdf latex-packages links colab colab-check times test notebooks students slides record bench gpu lint clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 14

env: writable $(VENV)/installed  ## Make or refresh the environment .venv

# What is built and what is installed goes into this folder.
.PHONY: writable
writable:
	@[ -w . ] || { echo "error: you may not write into $$PWD, where the environment and the book would go. Make a copy" \
		"of your own, and work there: git clone \"$$PWD\" ~/signal-first" >&2; exit 1; }
	@[ ! -L $(VENV) ] || { echo "error: $(VENV) is a link to $$(readlink $(VENV)), and an environment works in the place" \
		"alone that it was made in. Remove the link, and make one here: rm $(VENV) && make env" >&2; exit 1; }
	@[ ! -e $(VENV) ] || [ -w $(VENV) -a -d $(VENV) ] || { echo "error: $(VENV) is no folder that you may write into." \
		"Remove it, as who made it, and make one of your own: rm -rf $(VENV) && make env" >&2; exit 1; }

# Pins and package in one resolution, so that pip sees every constraint. No stamp until it is through: what was
# interrupted goes on.
$(VENV)/installed: requirements.txt pyproject.toml $(MADE_FOR)
	@echo "Installing the environment into $$PWD/$(VENV) (2 GB; 5.5 GB where pip takes the CUDA build of torch; once)"
	@$(PY) -m pip install -qq --no-compile --disable-pip-version-check -r requirements.txt -e . || { \
		echo "error: pip could not install requirements.txt (see above). Run the same command again to go on." >&2; exit 1; }
	@touch $@

ifneq ($(FOUND),$(HERE))
.PHONY: $(MADE_FOR)
endif
$(MADE_FOR): | writable
	@$(PYTHON) -c '$(TOO_OLD)'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: this Python cannot make environments." \
		"On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PYTHON) -c '$(MADE)' > $@

book: env  ## Execute every chapter and build the book into _build/html
	$(PY) tools/statements.py
	$(PY) tools/execution.py --workers $(WORKERS)
	$(BUILD) || $(FORGET_PAGES)
	@echo "The book: $$PWD/_build/html/index.html"

book-strict: env  ## The same from nothing: no cached execution, no page kept
	rm -rf _build
	$(PY) tools/statements.py
	$(PY) tools/execution.py --workers $(WORKERS) --strict
	$(BUILD) --all || $(FORGET_PAGES)

# Sphinx's own LaTeX class, through XeTeX: pages of code and output hold more than LaTeX's own letters.
pdf: env  ## Build the book as a PDF into _build/book.pdf (needs LaTeX: latexmk and xelatex)
	@for tool in latexmk xelatex; do command -v $$tool >/dev/null || { \
		echo "error: no $$tool. Install TeX Live, on Debian or Ubuntu: apt-get install $(LATEX_PACKAGES)" >&2; exit 1; }; done
	$(PY) tools/execution.py --workers $(WORKERS)
	$(BUILD) --builder latex || $(FORGET_PAGES)
	cd _build/latex && latexmk -pdfxe -interaction=nonstopmode -halt-on-error -silent book.tex
	cp _build/latex/book.pdf _build/book.pdf
	@echo "The book: $$PWD/_build/book.pdf"

latex-packages:
	@echo $(LATEX_PACKAGES)

ANSWERS := _build/html/output.json
links: env  ## Ask every address that the book links to whether it answers (needs a network)
	$(PY) tools/execution.py --workers $(WORKERS)
	@rm -f $(ANSWERS)
	$(BUILD) --builder linkcheck || { [ ! -s $(ANSWERS) ] || grep -Eq '"(working|redirected)"' $(ANSWERS) || echo "error:" \
		"no network: none of the addresses answers. make book checks the links inside the book without one." >&2; exit 1; }

colab: env  ## Make the notebooks that Colab opens into _build/colab (GITHUB_REPOSITORY and GITHUB_SHA say where they install from)
	$(PY) tools/colab.py

colab-check: env  ## Run every chapter as Colab does: its notebook alone, a fresh environment, the package's wheel (needs a network)
	OMP_NUM_THREADS=1 $(PY) -m pytest tests/book/test_as_colab.py -m "" -n $(WORKERS) -rs --durations 0 --durations-min 5

times: env  ## Keep this machine's run times of the chapters in book/run_times.csv
	$(PY) tools/status.py

# One thread a process: two processes side by side already fill two cores.
test: export OMP_NUM_THREADS ?= 1
# Notebooks first: nbval's run of a chapter, once it has passed, is the run that the book shows (nbs/conftest.py).
# loadscope keeps a notebook's cells, and a test module's tests, in one process. In this order: what is long comes first.
# The table of statements is written whatever the outcome, and fails if a statement has no test. What fails, fails at the end.
# The build fills one core; what takes as long on the other runs beside it. A shell that waits for one command ignores
# an interrupt which that command has dealt with, and what runs beside hears none: hence the trap.
BESIDE := tests/book/test_as_colab.py
test: env  ## Run every notebook through nbval and every test, build the book from these runs, walk through its pages
	status=0; built=0; beside=; trap 'kill $$beside 2>/dev/null || true; exit 130' INT; \
		$(PY) -m pytest nbs tests --ignore $(BESIDE) -m "not weekly and not site" -n $(WORKERS) --dist loadscope \
		--no-loadscope-reorder --junitxml=_build/tests.xml --nbval-lax --nbval-current-env --nbval-cell-timeout 900 || status=$$?; \
		$(PY) tools/statements.py _build/tests.xml || status=$$?; \
		$(PY) tools/execution.py --workers $(WORKERS) --strict || status=$$?; \
		$(BUILD) --all > _build/book.log 2>&1 & beside=$$!; \
		$(PY) -m pytest $(BESIDE) || status=$$?; \
		wait $$beside || built=$$?; beside=; cat _build/book.log; [ $$built = 0 ] || $(FORGET_PAGES); \
		$(PY) -m pytest tests -m "site and not weekly" -n $(WORKERS) --dist worksteal || status=$$?; \
		exit $$status

notebooks: env  ## Refresh the paired .ipynb and their verdicts' outputs
	$(PY) tools/notebooks.py --workers $(WORKERS)

students: env  ## Write each chapter without solutions and outputs into build/students
	$(PY) tools/students.py

slides: env  ## Execute every chapter and make slides of each in build/slides
	$(PY) tools/execution.py --workers $(WORKERS)
	$(PY) tools/slides.py

record: env  ## Record the runs that take minutes into book/results; resumes, and leaves what is up to date
	OMP_NUM_THREADS=1 $(PY) tools/record.py --workers $(WORKERS)

bench: env  ## Print the tables of speed and accuracy of the engine and of training on this machine
	$(PY) benchmarks/engine.py
	$(PY) benchmarks/training.py

# No environment: the machine's own torch knows its GPU. PARTS="tests map" runs only those.
gpu:  ## Run on a GPU all that waits for one, in eight minutes at most, with PYTHON as it is; results in _build/gpu
	PYTHONPATH=src $(PYTHON) benchmarks/gpu.py $(if $(PARTS),--parts $(PARTS))

lint: env  ## Check the code with ruff and the notebook pairs
	$(PY) -m ruff check .
	$(PY) tools/notebooks.py --check

clean:  ## Delete what was built (the environment stays)
	rm -rf _build .pytest_cache .ruff_cache .hypothesis build
