# What people run. Each target says in one line what it does: `make` lists them.

.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help demo

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## /  \1	/p' $(MAKEFILE_LIST)

demo: ## Show a zone of three nodes at work, with timings.
	cargo build --release --quiet --package zonesync --bin zonesync
	$(TARGET)/release/zonesync demo
