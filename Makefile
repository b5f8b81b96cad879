# Every target sets up what it needs in $(VENV), from Python 3.11+ and pip alone; no compiler is called.
#
#   make PYTHON=python3.13 test      another interpreter (after `make clean`)
#   make EXTRA=mic test              one more extra in the environment (mic compiles PyAudio)
#
# The environment gets the wheel, not the checkout, so that tests and demo see what a user would install: a package or
# data file that the wheel lacks fails here. It is installed anew when a source file changed. `make dev` is the exception.

PYTHON ?= python3
VENV   ?= .venv
EXTRA  ?=
ARGS   ?=

PIP    := $(VENV)/bin/python -m pip --disable-pip-version-check -qq
LOCKED := --constraint constraints.txt --no-build-isolation

# The stamp of an environment that has these extras.
comma  := ,
has     = $(VENV)/.has-$(1)$(addprefix $(comma),$(EXTRA))

# Folders are in the list, so that a removed file counts as a change; "/." keeps proto/ apart from the target proto.
SOURCES := pyproject.toml constraints.txt LICENSE __init__.py py.typed \
           $(shell find engine/. kernels/. proto/. clients/. -name __pycache__ -prune -o \( -type d -o -type f \) -print 2>/dev/null)

.PHONY: help demo test check conformance bench bench-readme gpu format proto lock dev clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(call has,images$(comma)report)  ## noisy speech through a server, then an image in tiles, live: latencies, an enhanced WAV, a report
	@$(VENV)/bin/wavetile demo $(ARGS)

test: $(call has,auth$(comma)channelz$(comma)dashboard$(comma)images$(comma)load$(comma)metrics$(comma)report$(comma)telemetry$(comma)test$(comma)uvloop)  ## run the tests, in two processes
	@$(VENV)/bin/wavetile warmup
	@$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

check: $(call has,auth$(comma)channelz$(comma)check$(comma)dashboard$(comma)images$(comma)load$(comma)metrics$(comma)report$(comma)telemetry$(comma)test$(comma)uvloop)  ## formatting, lint, types, then the tests
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python
	@$(VENV)/bin/wavetile warmup
	@$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

conformance: $(call has,test)  ## run ONNX's conformance suite: passed, failed, skipped by suite and operator
	@$(VENV)/bin/python -m tests.conformance.report $(ARGS)

bench: $(call has,bench$(if $(QUICK),,$(comma)peers))  ## every model beside its peers, one thread; QUICK=1: in a minute
	@$(VENV)/bin/python tests/benchmarks/run.py $(if $(QUICK),--quick) $(if $(QUICK)$(ARGS),,--json benchmark-results/latest.json --markdown benchmark-results/latest.md) $(ARGS)

bench-readme: $(call has,bench)  ## keep the last full `make bench` as the README's figures
	@test ! -f benchmark-results/latest.json || cp benchmark-results/latest.json tests/benchmarks/results.json
	@$(VENV)/bin/python tests/benchmarks/readme.py

# With the interpreter's own packages: a machine with a card has them, and often no network to install others.
gpu:  ## the back end "cuda" on this machine's card: problems, memory checks, times beside torch; PYTHON=... has CuPy
	@PYTHON="$(PYTHON)" sh tests/gpu/run.sh $(ARGS)

format: $(call has,auth$(comma)channelz$(comma)check$(comma)dashboard$(comma)images$(comma)load$(comma)metrics$(comma)report$(comma)telemetry$(comma)test$(comma)uvloop)  ## rewrite the formatting and what ruff can mend
	@$(VENV)/bin/ruff check --fix-only --quiet .
	@$(VENV)/bin/ruff format .

# The generator is older than the runtime (proto/generate.py says why), and needs an environment of its own.
proto: $(VENV)-proto/.created  ## generate proto's stubs again
	@$(VENV)-proto/bin/python proto/generate.py

dev: $(VENV)/.created  ## an environment that runs the checkout itself (editable), with every tool
	@echo "installing wavetile, editable, into $(VENV)"
	@$(PIP) install $(LOCKED) --editable ".[auth,bench,channelz,check,dashboard,images,load,metrics,report,telemetry,test,uvloop]"
	@rm -f $(VENV)/.has-*  # so that the next `make test` installs the wheel again

# A lock for Python 3.11, the oldest supported, holds for the newer ones too: nothing there needs an older package.
lock:  ## resolve every dependency again and rewrite constraints.txt
	@echo "resolving every dependency in $(VENV)-lock"
	@rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip -qq install --upgrade "setuptools>=77"
	@$(VENV)-lock/bin/python -m pip -qq install --no-build-isolation ".[auth,bench,channelz,check,dashboard,images,load,metrics,peers,report,telemetry,test,uvloop]"
	@{ echo "# The exact set that the tests ran with: every extra but mic, cuda and cuda12. Written by \`make lock\`; not for editing."; \
	   $(VENV)-lock/bin/python -m pip freeze --all --exclude pip --exclude wavetile; } > constraints.txt.new
	@mv constraints.txt.new constraints.txt
	@rm -rf $(VENV)-lock build wavetile.egg-info

clean:  ## remove the environment and all that was built
	rm -rf $(VENV) $(VENV)-lock $(VENV)-proto build dist wavetile.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("wavetile needs Python 3.11 or newer: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	@echo "creating the environment $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --constraint constraints.txt setuptools
	@touch $@

$(VENV)-proto/.created: proto/generate.py
	@echo "creating the generator's environment $(VENV)-proto"
	@$(PYTHON) -m venv $(VENV)-proto
	@$(VENV)-proto/bin/python -m pip -qq install "grpcio-tools==$$(sed -n 's/^GENERATOR = "\(.*\)"/\1/p' proto/generate.py)"
	@touch $@

# The stem is the list of extras. A stale build folder would put removed modules into the wheel.
$(VENV)/.has-%: $(VENV)/.created $(SOURCES)
	@echo "installing wavetile[$*] into $(VENV) (the first time this takes a minute or two)"
	@rm -rf build wavetile.egg-info
	@$(PIP) install $(LOCKED) ".[$*]"
	@rm -rf build wavetile.egg-info
	@touch $@
