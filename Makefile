# What people run. Each target says in one line what it does: `make` lists them.

.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help build demo test bench sim faults soak fuzz

# A bench prints the figure of its name, and may print others that begin with it: `lookup` prints
# `lookup-half`. The simulator, which deliberate bugs can be planted in, is built apart from all others.
benches = $(filter-out soak,$(shell sed -n '/^\[\[bench\]\]/,/^name/s/^name = "\(.*\)"/\1/p' $(1)))
figure = $(subst -,_,$(FIGURE))
named = $(or $(filter $(figure),$(1)),$(foreach bench,$(1),$(if $(filter $(bench)_%,$(figure)),$(bench))))
wanted = $(if $(FIGURE),$(call named,$(call benches,$(1))),$(call benches,$(1)))
FIGURES = $(call wanted,tests/Cargo.toml)
SIM_FIGURES = $(call wanted,tests/sim/Cargo.toml)

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## /  \1	/p' $(MAKEFILE_LIST)

build: ## Build the command line and the C library for use, into target/release.
	cargo build --release --locked --package zonesync --package zonesync-ffi

demo: ## Show a zone of three nodes at work, with timings. ARGS=--fast for a short one.
	cargo build --release --locked --quiet --package zonesync --bin zonesync
	$(TARGET)/release/zonesync demo $(ARGS)

test: ## Run every test there is; PARTS="format lint" runs some.
	tests/run.sh $(PARTS)

bench: ## Measure all figures, or FIGURE=name alone. SIZE=small takes seconds.
	@test -n "$(FIGURES)$(SIM_FIGURES)" || { echo "no figure is called $(FIGURE)"; exit 2; }
	@$(if $(FIGURES),cargo bench --locked --quiet --package zonesync-tests $(FIGURES:%=--bench %))
	@$(if $(SIM_FIGURES),cargo bench --locked --quiet --package zonesync-sim $(SIM_FIGURES:%=--bench %))

sim: ## Simulate a zone: 1,000 seeds, or SEED=n, SEEDS=a..b, FOR=seconds, BUG=, SCENARIO=.
	@cargo run --release --locked --quiet --package zonesync-sim -- $(if $(SEED),--seed $(SEED)) \
	    $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FOR),--for $(FOR)) $(if $(BUG),--bug $(BUG)) \
	    $(if $(SCENARIO),--scenario $(SCENARIO))

fuzz: ## Feed bad bytes to everything that reads bytes, FOR=60 seconds each; TARGETS="image rows".
	@FOR=$(or $(FOR),60) tests/fuzz/run.sh $(TARGETS)

faults: ## Zones of processes through faults on real Redis: all, or FAULT=name, TIMES=n.
	@cargo build --release --locked --quiet --package zonesync --bin zonesync
	@ZONESYNC_BIN=$(TARGET)/release/zonesync cargo run --release --locked --quiet \
	    --package zonesync-tests --bin faults

# Nodes and their threads come and go here. With few arenas the RSS tells what is held, and not how
# many arenas the allocator has opened for threads that are gone.
soak: ## Run a zone for FOR=600 seconds and hold its promises against it.
	@MALLOC_ARENA_MAX=2 cargo bench --locked --quiet --package zonesync-tests --bench soak
