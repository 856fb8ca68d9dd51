# Thin wrappers over one program, build/<preset>/bin/bv. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PRESET ?= $(if $(BREAK),dev,release)
BUILD := build/$(PRESET)
BV := $(BUILD)/bin/bv
DEPS := scripts/local-dev/deps.sh
STORY ?= order-flow
ARGS ?=
WSTEST ?=
H2SPEC ?=

.PHONY: help deps build scenario test test-san test-clang break-check outage torture conformance up down status logs doctor bench fuzz fresh-check lint docs format clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 22

deps: ## install what GROUP needs (scenario, test, bench, san, lint, fresh); prints it first
	@$(DEPS) $(or $(GROUP),scenario test)

build: ## compile with PRESET (release)
	@$(DEPS) scenario
	@[ -e $(BUILD)/build.ninja ] || echo "first build of $(BUILD): one to three minutes on two cores, up to 300 MB of disk; later ones take seconds"
	@mkdir -p build && cmake --preset $(PRESET) > $(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@cmake --build $(BUILD) $(if $(TARGETS),--target $(TARGETS))

scenario: ## run STORY on real servers and write reports/out/latest/index.html; BREAK=NAME plants a bug
	@$(MAKE) --no-print-directory build $(if $(BREAK),TARGETS=bv-programs)
	@$(BV) scenario $(STORY) $(ARGS)

test: PRESET := dev
test: ## unit, contract, fuzz-replay and integration tests, then the story
	@$(DEPS) test
	@$(MAKE) --no-print-directory build PRESET=dev TARGETS="all bv-tests"
	@scripts/local-dev/test.sh build/dev

test-san: ## the same tests under address, undefined behaviour and leak sanitizers; threads under the thread sanitizer
	@$(DEPS) test san
	@$(MAKE) --no-print-directory build PRESET=tsan TARGETS=bv-tsan
	@ctest --test-dir build/tsan -L tsan --output-on-failure
	@$(MAKE) --no-print-directory build PRESET=asan TARGETS="all bv-tests"
	@scripts/local-dev/test.sh build/asan

test-clang: ## compile everything with clang, warnings as errors, and run the unit tests
	@$(DEPS) test san
	@$(MAKE) --no-print-directory build PRESET=clang TARGETS="all bv-tests"
	@ctest --test-dir build/clang -L unit --output-on-failure -j2

break-check: ## plant each bug that BREAK knows, and see the story turn red at the right hop
	@$(DEPS) scenario
	@$(MAKE) --no-print-directory build PRESET=dev TARGETS=bv-programs
	@scripts/local-dev/break-check.sh build/dev

torture: ## kill services at every crash point 50 times under load; nothing lost, nothing doubled
	@$(DEPS) test
	@$(MAKE) --no-print-directory build PRESET=dev TARGETS=bv-programs
	@build/dev/bin/bv torture $(ARGS)

conformance: PRESET := dev
conformance: ## bv_http and bv_grpc on the wire against foreign clients, slow and vanished peers; WSTEST=Autobahn's H2SPEC=h2spec
	@$(DEPS) test
	@$(MAKE) --no-print-directory build PRESET=dev TARGETS="bv-programs http_echo grpc_peer"
	@scripts/local-dev/conformance.sh build/dev "$(WSTEST)" "$(H2SPEC)"

outage: ## take each dependency away, in twenty-six ways, while orders come in; nothing lost, nothing left behind
	@$(DEPS) test
	@$(MAKE) --no-print-directory build
	@python3 harness/torture/outage.py $(BUILD) $(ARGS)

up: build ## start the stack for hands-on work; prints every URL
	@$(BV) up $(if $(BREAK),--set all.BV_BREAK=$(BREAK)) $(ARGS)

down: $(BV) ## stop it
	@$(BV) down $(ARGS)

status: $(BV) ## pid, port, memory, CPU and health of each process
	@$(BV) status $(ARGS)

logs: $(BV) ## logs of SERVICE (all of them without)
	@$(BV) logs $(SERVICE) $(ARGS)

doctor: ## check this machine and say how to fix what is missing
	@$(MAKE) --no-print-directory build
	@$(BV) doctor

bench: ## the figures: boot, orders beside pgbench, products beside nginx, scenario
	@$(DEPS) scenario bench
	@$(MAKE) --no-print-directory build
	@python3 scripts/local-dev/bench.py $(BUILD) $(ARGS)

# SECONDS is also a variable of the shell: only one given on the command line counts.
fuzz: ## run fuzz TARGET (all without), SECONDS=60 each; fuzz/README.md says what they assert
	@$(DEPS) fuzz
	@$(MAKE) --no-print-directory build PRESET=fuzz TARGETS=$(if $(TARGET),$(TARGET)_fuzz,bv-fuzz)
	@scripts/local-dev/fuzz.sh build/fuzz $(if $(findstring command,$(origin SECONDS)),$(SECONDS),60) $(TARGET)

fresh-check: ## both README commands in a minimal Debian 12, as root and as a sudo user
	@$(DEPS) fresh
	@scripts/local-dev/fresh-check.sh

lint: ## format, size alarms, workflow files, shell scripts
	@$(DEPS) lint
	@scripts/local-dev/lint.sh

docs: build ## rewrite the tables of the READMEs that are printed from our own
	@scripts/local-dev/docs.sh $(BUILD)

format: ## rewrite every C file in the project's format
	@git ls-files '*.c' '*.h' | xargs clang-format-16 -i

# What asks a stack never builds: PRESET says whose bv is meant.
$(BV):
	@echo "$@ is not built yet: make build, or make up" >&2; exit 2

.DEFAULT:
	@echo "there is no target '$@': make help lists them" >&2; exit 2

clean: ## remove the build trees (caches and reports stay)
	@rm -rf build
