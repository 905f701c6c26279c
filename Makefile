# What people run. Each target says in one line what it does: `make` lists them.

.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help demo bench soak

# A figure has the name of its bench; the list of benches is that of tests/Cargo.toml.
BENCHES = $(shell sed -n '/^\[\[bench\]\]/,/^name/s/^name = "\(.*\)"/\1/p' tests/Cargo.toml)
FIGURES = $(or $(subst -,_,$(FIGURE)),$(filter-out soak,$(BENCHES)))

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## /  \1	/p' $(MAKEFILE_LIST)

demo: ## Show a zone of three nodes at work, with timings.
	cargo build --release --quiet --package zonesync --bin zonesync
	$(TARGET)/release/zonesync demo

bench: ## Measure all figures, or FIGURE=name alone. SIZE=small takes seconds.
	@cargo bench --quiet --package zonesync-tests $(FIGURES:%=--bench %)

soak: ## Run a zone for FOR=600 seconds and hold its promises against it.
	@cargo bench --quiet --package zonesync-tests --bench soak
