# SPDX-License-Identifier: Apache-2.0
# A thin front for meson, ninja and the scripts in tools/: nothing is decided here.
#   make demo   build everything and show a first container (fresh Debian 12, root)
#   make check  all checks and tests; the last line is "N passed, N failed, N skipped"

BUILD ?= build
PREFIX ?= /usr/local
MESON_ARGS ?=

.PHONY: all demo build check bench install fmt clean

all: build

demo:
	@tools/install-deps demo
	@$(MAKE) --no-print-directory compile
	@tools/demo $(BUILD)

build:
	@tools/install-deps build
	@$(MAKE) --no-print-directory compile

.PHONY: compile
compile:
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) --prefix=$(PREFIX) $(MESON_ARGS)
	@ninja -C $(BUILD)
	@cd $(BUILD) && for p in src/main/coracle*; do \
		if test -f "$$p" && test -x "$$p"; then ln -sfn "$$p" "$${p##*/}"; fi; done

check:
	@tools/install-deps check
	@tools/check

bench:
	@tools/install-deps bench
	@$(MAKE) --no-print-directory compile
	@bench/run.sh $(BUILD)
	@bench/pull.sh $(BUILD)
	@bench/daily.sh $(BUILD)
	@bench/net.sh $(BUILD)

install: compile
	@meson install -C $(BUILD) --no-rebuild

fmt:
	@tools/check-format --fix

clean:
	@rm -rf $(BUILD) build-*
