# A thin front of Meson: every target says what it needs and does the rest itself.
#
#   make            build into build/: the command, and the libraries beside it
#   make demo       watch a real program write (installs what is missing, as root)
#   make check      run all tests (installs what is missing, as root)
#   make check-kernels
#                   run them on other kernels, in emulated machines: Debian's 6.1 and
#                   6.12.95, and what KERNELS names (see tools/check-kernels)
#   make fuzz       look for mistakes until it is stopped or finds one; FOR=60 ends it
#                   after so many seconds
#   make bench      measure; NAME=collect-clean picks one
#   make format     lay out the C files; format-check only looks
#   make install    into DESTDIR and PREFIX
#   make clean      remove the build directory

BUILD ?= build
PREFIX ?= /usr/local
# Further arguments for a first "meson setup", for instance -Dwerror=true.
SETUP ?=

# What a command says matters only if it fails.
quiet = log=$$($(1) 2>&1) || { echo "$$log"; exit 1; }
quiet_build = $(call quiet,ninja -C $(BUILD))

.NOTPARALLEL:

all: have-packages $(BUILD)/build.ninja
	@ninja -C $(BUILD)

demo: get-packages $(BUILD)/build.ninja
	@echo "demo: building"
	@$(quiet_build)
	@tools/demo.sh $(BUILD)

check: get-packages $(BUILD)/build.ninja
	@echo "check: building"
	@$(quiet_build)
	@tools/check.py $(BUILD)

check-kernels: get-packages $(BUILD)/build.ninja
	@tools/packages.sh get kernels
	@ninja -C $(BUILD) --quiet
	@tools/check-kernels $(BUILD) 6.1 6.12.95 $(KERNELS)

fuzz:
	@tools/packages.sh need ci
	@tools/fuzz.sh $(FOR)

bench: have-packages $(BUILD)/build.ninja
	@$(quiet_build)
	@$(BUILD)/bench/bench $(NAME)

format:
	@tools/packages.sh need ci
	@tools/format.sh

format-check:
	@tools/packages.sh need ci
	@tools/format.sh check

install: have-packages $(BUILD)/build.ninja
	@meson configure $(BUILD) --prefix $(PREFIX)
	@$(quiet_build)
	@meson install -C $(BUILD) --no-rebuild --quiet $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))
	@test -n "$(DESTDIR)" || test "$$(id -u)" != 0 || ldconfig

clean:
	@rm -rf $(BUILD)

have-packages:
	@tools/packages.sh need

get-packages:
	@tools/packages.sh get

$(BUILD)/build.ninja:
	@echo "configuring $(BUILD)"
	@$(call quiet,meson setup $(BUILD) --prefix $(PREFIX) $(SETUP))

.PHONY: all demo check check-kernels fuzz bench format format-check install clean have-packages get-packages
