# Getuige: set-up, demo, tests, measurements. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# Where the identities of an image's devices are born: memory or tpm (docs/SETTINGS.md, "Identity").
IDENTITY ?= memory
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

# The tests start some hundred programs: each is compiled once, also where the surroundings say otherwise.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run simulate live dock image setup-image flash test lint typecheck rooms compiled unit bench soak rig vectors docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(STAMP) ## install what is missing: system packages (apt) and .venv/ (pip, hash-pinned)

$(STAMP): requirements/dev.lock requirements/tpm.lock tools/setup.sh
	@bash tools/setup.sh "$(PYTHON)" "$(VENV)"
	@touch $@

run: $(STAMP) ## the main job on simulated hardware: press, record 10 s, stop, verify, export
	@$(PY) -m tools.demo

simulate: $(STAMP) ## hold the device in the terminal: keys are the button
	@$(PY) -m tools.demo --simulate

live: $(STAMP) ## live view: simulated device, real broker, a page at a local address; SECONDS=20 ends by itself
	@$(PY) -m tools.live $(if $(SECONDS),--seconds $(SECONDS))

dock: $(STAMP) ## the end of a shift: two devices dock, one is pulled; receipts, review, audit, a bundle for court
	@$(PY) -m tools.dock

image: $(STAMP) ## make a device's image: BASE=base.img BOARD=zero2w OUTPUT=bodycam.img; no root rights, no mounts
	@$(PY) -m hardware.image --base "$(BASE)" --board "$(BOARD)" --output "$(OUTPUT)" --identity "$(IDENTITY)" $(IMAGE_OPTIONS)

setup-image: $(STAMP) ## install the emulator that `make image` compiles the image's Python with
	@command -v qemu-aarch64-static >/dev/null || { echo "setup-image: installing qemu-user-static"; \
		$(SUDO) apt-get -qq update; $(SUDO) apt-get -qq install -y --no-install-recommends qemu-user-static >/dev/null; }

flash: $(STAMP) ## write an image to cards: IMAGE=bodycam.img DEVICE="/dev/sdX /dev/sdY"; asks first, reads back
	@$(PY) -m hardware.flash write --image "$(IMAGE)" $(foreach card,$(DEVICE),--device "$(card)")

test: $(STAMP) ## everything that a change must pass
	@$(MAKE) --no-print-directory -j2 --output-sync=target lint typecheck rooms compiled
	@$(MAKE) --no-print-directory unit

lint: $(STAMP) ## ruff: lint and format
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

typecheck: $(STAMP) ## mypy, strict
	@$(VENV)/bin/mypy

rooms: $(STAMP) ## import-linter: which room may import which
	@$(VENV)/bin/lint-imports

compiled: $(STAMP)
	@mkdir -p build && $(PY) -m pytest --collect-only -qq >build/compiled.log || { cat build/compiled.log; exit 1; }

unit: $(STAMP) ## the tests, more at once than there are cores, as many wait; branch coverage of storage/ and station/
	@$(PY) -m pytest -n 4 --dist worksteal --cov --cov-report=term --cov-fail-under=95

bench: $(STAMP) ## measure against the limits of this machine; writes build/bench/
	@$(PY) -m tools.bench

soak: $(STAMP) ## the long tests: every crash point, power cuts, twelve hours, the image's root on arm64 (over an hour)
	@$(PY) -m tools.soak.crash
	@$(PY) -m tools.soak.power
	@$(PY) -m tools.soak.shift
	@$(PY) -m tools.soak.arm

rig: $(STAMP) ## picamera2 and PyAudio for real, in a Debian trixie root (built once)
	@bash tools/rig/run

vectors: $(STAMP) ## make the test vectors anew
	@$(PY) -m tests.vectors.make

docs: $(STAMP) ## make the pictures and the officer's cards anew
	@command -v dot >/dev/null || { echo "make docs: the drawing of the states needs graphviz (apt install graphviz)"; exit 1; }
	@$(PY) -m tools.docs

clean: ## remove what was built (not the virtual environment or the rig)
	@rm -rf build .coverage* .hypothesis .mypy_cache .ruff_cache
