# SPDX-License-Identifier: GPL-2.0-only
# keyfilter. `make help` lists the targets; V=1 shows the commands; O=DIR builds elsewhere.

O       ?= build
PREFIX  ?= /usr/local
VERSION := 0.1.0

all:
MAKEFLAGS += --no-builtin-rules
PATH      := $(PATH):/usr/sbin:/sbin

CLANG   ?= clang
BPFTOOL ?= bpftool
ifeq ($(origin CC),default)
CC      := gcc
endif
PKGS    := libbpf libxdp sqlite3 libmnl libmicrohttpd jansson libsystemd libcurl
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)

Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2);)
# Asked once, and not before a recipe needs the answer: `make check` installs pkg-config itself.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $$(shell pkg-config --libs $(PKGS)))$(PKG_LIBS)

CFLAGS   ?= -O2 -g
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
ALLFLAGS  = -std=gnu11 $(WARN) -D_GNU_SOURCE -DKF_VERSION='"$(VERSION)"' -DKF_PREFIX='"$(PREFIX)"' \
            -Iinclude -Iuserspace/lib -iquote userspace/daemon -I$(O) $(PKG_CFLAGS)
MULTIARCH = $(shell $(CC) -print-multiarch)
BPFFLAGS  = -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Werror -Wno-unused-function \
            -fno-strict-aliasing -Iinclude -Ibpf -I/usr/include/$(MULTIARCH)
SANITIZE := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
            -fno-omit-frame-pointer

DAEMON_SRC := $(wildcard userspace/daemon/*.c userspace/daemon/*/*.c)
CTL_SRC    := $(wildcard userspace/ctl/*.c)
LIB_SRC    := $(wildcard userspace/lib/*.c)
BPF_OBJ    := $(patsubst bpf/%.bpf.c,$(O)/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
SKELETONS  := $(BPF_OBJ:.bpf.o=.skel.h)
TOOLS      := $(patsubst tools/%.c,$(O)/tools/%,$(wildcard tools/*.c))
UNIT       := $(patsubst tests/unit/%.c,$(O)/tests/unit/%,$(wildcard tests/unit/*_test.c))
PACKET     := $(addprefix $(O)/tests/packet/,packet_test concurrency_test body_test stack_test)
PACKET_SRC := $(filter-out %.bpf.c %/concurrency_test.c %/body_test.c %/stack_test.c,$(wildcard tests/packet/*.c))
WORLD_SRC  := $(addprefix tests/packet/,abuse.c frame.c world.c world_answers.c)
FLOOD      := $(O)/tests/bench/flood
BENCH      := $(addprefix $(O)/tests/,$(addprefix bench/,bench.bpf.o bench_tc.bpf.o packet_bench flood) packet/body.bpf.o)

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all clean help tests check check-boot check-lossy check-vm demo bench bench-revoke fuzz lint deps deps-run deps-check ready

all: $(O)/keyfilterd $(O)/keyfilterctl $(BPF_OBJ) $(TOOLS) ## build into O= (build/)

# What is missing is named, instead of the first command that fails for the want of it.
ready:
	@for tool in $(CLANG) $(CC) $(BPFTOOL) pkg-config; do command -v $$tool > /dev/null || \
		{ echo "$$tool is missing; 'make deps' installs what building needs" >&2; exit 1; }; done
	@pkg-config --exists --print-errors $(PKGS) || \
		{ echo "a library is missing; 'make deps' installs what building needs" >&2; exit 1; }

# ---- the data path ------------------------------------------------------------------------------

$(O)/bpf/%.bpf.o: bpf/%.bpf.c | ready
	@mkdir -p $(@D)
	$(call say,BPF,$@)$(CLANG) $(BPFFLAGS) -MMD -MP -MT $@ -c $< -o $@

$(O)/bpf/%.skel.h: $(O)/bpf/%.bpf.o
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name $(notdir $*) > $@

# ---- the controller and the tool ----------------------------------------------------------------
# Twice: as they are installed, and with sanitizers for the unit tests.

define objects
$(O)/$(1)/userspace/%.o: userspace/%.c | $(SKELETONS)
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)$(CC) $$(ALLFLAGS) $(2) -MMD -MP -c $$< -o $$@

$(O)/$(1)/lib.a: $(patsubst %.c,$(O)/$(1)/%.o,$(LIB_SRC))
$(O)/$(1)/daemon.a: $(patsubst %.c,$(O)/$(1)/%.o,$(filter-out %/main.c,$(DAEMON_SRC)))
$(O)/$(1)/ctl.a: $(patsubst %.c,$(O)/$(1)/%.o,$(filter-out %/main.c,$(CTL_SRC)))
# P: members by their whole path, or of several key.o only the last would be in it.
$(O)/$(1)/%.a:
	$$(call say,AR,$$@)rm -f $$@ && $(AR) crsP $$@ $$^
endef
$(eval $(call objects,obj,$(CFLAGS) $(HARDEN)))
$(eval $(call objects,san,$(SANITIZE)))

# .incbin, which -MMD does not see
$(O)/obj/userspace/daemon/store/open.o $(O)/san/userspace/daemon/store/open.o: \
	$(wildcard userspace/daemon/store/schema*.sql)

# $(1) flags, $(2) sources and objects: not $^, which -MMD fills with what a source includes
link = $(call say,LINK,$@)$(CC) $(1) $(LDFLAGS) $(2) $(filter %.a,$^) -o $@

$(O)/keyfilterd: $(O)/obj/userspace/daemon/main.o $(O)/obj/daemon.a $(O)/obj/lib.a
	$(call link,$(CFLAGS) -pie -Wl$(comma)-z$(comma)relro$(comma)-z$(comma)now,$<) $(PKG_LIBS)

$(O)/keyfilterctl: $(O)/obj/userspace/ctl/main.o $(O)/obj/ctl.a $(O)/obj/lib.a
	$(call link,$(CFLAGS) -pie -Wl$(comma)-z$(comma)relro$(comma)-z$(comma)now,$<) $(PKG_LIBS)

comma := ,

$(O)/tools/%: tools/%.c $(O)/obj/daemon.a $(O)/obj/lib.a
	@mkdir -p $(@D)
	$(call link,$(ALLFLAGS) $(CFLAGS) -MMD -MP,$<) $(PKG_LIBS) -lpthread

# ---- tests --------------------------------------------------------------------------------------

$(O)/tests/unit/%: tests/unit/%.c $(O)/san/ctl.a $(O)/san/daemon.a $(O)/san/lib.a
	@mkdir -p $(@D)
	$(call link,$(ALLFLAGS) $(SANITIZE) -Wno-missing-prototypes -MMD -MP,$<) $(PKG_LIBS) -lcmocka -lpthread

$(O)/tests/packet/packet_test: $(PACKET_SRC)
$(O)/tests/packet/concurrency_test: tests/packet/concurrency_test.c $(WORLD_SRC)
$(O)/tests/packet/body_test: tests/packet/body_test.c
$(O)/tests/packet/stack_test: tests/packet/stack_test.c $(WORLD_SRC)
$(PACKET): $(wildcard tests/packet/*.h include/keyfilter/*.h)
	@mkdir -p $(@D)
	$(call link,$(ALLFLAGS) $(SANITIZE),$(filter %.c,$^)) $(PKG_LIBS) -lpthread

$(O)/tests/%.bpf.o: tests/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$@)$(CLANG) $(BPFFLAGS) -MMD -MP -MT $@ -c $< -o $@

$(FLOOD): tests/bench/flood.c
	@mkdir -p $(@D)
	$(call link,$(ALLFLAGS) $(CFLAGS),$<)

$(O)/tests/bench/packet_bench: tests/bench/packet_bench.c tests/bench/body.c $(WORLD_SRC)
	@mkdir -p $(@D)
	$(call link,$(ALLFLAGS) $(CFLAGS),$(filter %.c,$^)) $(PKG_LIBS)

tests: all $(UNIT) $(PACKET) $(addprefix $(O)/tests/packet/,concurrency.bpf.o body.bpf.o) $(FLOOD) ## build the tests

deps: ## install what building needs (Debian packages), as root (sudo is asked where it is not)
	@$(SUDO) scripts/deps.sh build

deps-run: ## install what an installed keyfilterd needs on a machine that did not build it
	@$(SUDO) scripts/deps.sh run

deps-check: ## install what the tests need beside, a JDK and node among it
	@$(SUDO) scripts/deps.sh build check

check: ## run the tests, as root (sudo is asked where it is not); T=PATTERN for some of them
	@$(SUDO) scripts/deps.sh build check
	@$(MAKE) --no-print-directory tests
	@$(SUDO) scripts/check.sh $(O) '$(T)'

check-boot: ## what `make install` installs, under a systemd of its own: boot, restart, uninstall
	@$(SUDO) scripts/deps.sh build boot
	@$(MAKE) --no-print-directory all
	@$(SUDO) scripts/check.sh $(O) '^e2e/installed$$'

LOSSY := KF_REQUESTS=1000 KF_ROUNDS=5 KF_MODES="none native generic tc" KF_TIMEOUT=3600 KF_VERBOSE=1
check-lossy: ## 5,000 requests in each mode and without the filter, while packets are lost, in turns
	@$(SUDO) scripts/deps.sh build check
	@$(MAKE) --no-print-directory tests
	@$(SUDO) env $(LOSSY) scripts/check.sh $(O) '^e2e/lossy$$'

check-vm: ## the same data path on Debian's kernels 6.1 and 6.12, in qemu
	@$(SUDO) scripts/deps.sh build check vm
	@$(MAKE) --no-print-directory tests
	@$(SUDO) tests/vm/run.sh $(O)

demo: ## build it and watch it work between two network namespaces, as root
	@$(SUDO) scripts/deps.sh build demo
	@$(MAKE) --no-print-directory all
	@$(SUDO) scripts/demo.sh $(O)

bench: ## measure, one JSON object a line
	@$(SUDO) scripts/deps.sh build check >&2
	@$(MAKE) --no-print-directory all $(BENCH) >&2
	@$(SUDO) tests/bench/run.sh $(O)

bench-revoke: all ## how long a revocation takes while others keep the controller busy, as a table
	@$(SUDO) scripts/deps.sh build check >&2
	@$(SUDO) env KF_BUILD=$(abspath $(O)) tests/bench/revoke_load.sh

fuzz: $(addprefix $(O)/tests/fuzz/,http1_fuzz chunk_fuzz response_fuzz body_fuzz) ## fuzz the readers, SECONDS=60 each
	@for f in http1 chunk response body; do mkdir -p $(O)/tests/fuzz/$$f && \
		$(O)/tests/fuzz/$${f}_fuzz -max_total_time=$(or $(SECONDS),60) -print_final_stats=1 \
		-artifact_prefix=$(O)/tests/fuzz/ $(O)/tests/fuzz/$$f tests/fuzz/corpus/$$f || exit 1; done

$(O)/tests/fuzz/%: tests/fuzz/%.c
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)$(CLANG) -std=gnu11 -O1 -g -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=undefined -Iinclude -MMD -MP $< -ljansson -o $@

lint: ## check the rules of the house, clang-format and clang-tidy among them (scripts/lint.sh)
	@$(SUDO) scripts/deps.sh build lint
	@$(MAKE) --no-print-directory all
	@scripts/lint.sh $(O)

include scripts/install.mk

clean: ## remove what was built
	rm -rf $(O)

help: ## this list
	@grep -hE '^[a-z0-9_-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 16

-include $(shell find $(O) -name '*.d' 2>/dev/null)
