# SPDX-License-Identifier: MIT
#
# One Makefile for all: make [all|bpf|check|demo|test|bench|install|lint|clean]
#   V=1    show the commands       SAN=1  address and undefined-behaviour sanitizers (SAN=thread: races)
#   B=DIR  where to build          CC, CLANG, BPFTOOL, CFLAGS, DESTDIR, PREFIX as usual

MAKEFLAGS += --no-builtin-rules
# As many at once as there are processors; a make within a make shares the outer one's.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all bpf check demo test bench fuzz vm install lint clean setup-build setup-test

CC      := gcc
CXX     := g++
CLANG   ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PREFIX  ?= /usr/local
B       ?= build$(if $(filter thread,$(SAN)),-tsan,$(if $(SAN),-san))
ARCH    := $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(shell uname -m)))

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-8s %s\n' $(1) $(2)
endif

SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
WARN     := -Wall -Wextra -Werror
OPT      := -O2 -g $(if $(filter thread,$(SAN)),-fsanitize=thread,$(if $(SAN),$(SANFLAGS)))
# -iquote, not -I, for lib: its elf.h is not the system's.
COMMON   := -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 $(WARN)
TOOLS_CFLAGS  := $(COMMON) -I. -Itools -iquote tools/lib -I$(B)/gen
SERVER_CFLAGS := $(COMMON) -Wno-unused-parameter -DH2O_USE_LIBUV=0 -Iserver
TOOLS_LIBS  := -lbpf -ldw -lelf -lz -lprotobuf-c -lcapstone -lstdc++ -lm
SERVER_LIBS := -lh2o-evloop -lssl -lcrypto -ljansson -lsqlite3 -lsodium -lpthread
# The kernel's UAPI headers of Debian's multiarch layout; the same text for every architecture.
BPF_CFLAGS := -O2 -g $(WARN) -Wno-unused-parameter -Wno-missing-field-initializers -target bpf \
              -mcpu=v3 -I. -I/usr/include/$(shell $(CC) -print-multiarch)

all: $(B)/periscope $(B)/coworkingd

# ---------------------------------------------------------------- BPF objects ----

BPF_TOOLS := $(patsubst bpf/%.bpf.c,%,$(wildcard bpf/*.bpf.c))
BPF_ARCHES := x86 arm64
BPF_OBJS := $(foreach a,$(BPF_ARCHES),$(foreach t,$(BPF_TOOLS),$(B)/bpf/$(a)/$(t).bpf.o))

bpf: $(BPF_OBJS)

define bpf_rule
$(B)/bpf/$(1)/%.raw.o: bpf/%.bpf.c
	$$(call say,BPF,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CLANG) $$(BPF_CFLAGS) -D__TARGET_ARCH_$(1) -MMD -MP -c $$< -o $$@
$(B)/bpf/$(1)/%.bpf.o: $(B)/bpf/$(1)/%.raw.o
	$$(Q)$$(BPFTOOL) gen object $$@ $$<
endef
$(foreach a,$(BPF_ARCHES),$(eval $(call bpf_rule,$(a))))

$(B)/gen/%.skel.h: $(B)/bpf/$(ARCH)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf | \
		sed 's|^	return err;$$|& /* NOLINT: what obj holds is freed with it */|' > $@

SKELS := $(BPF_TOOLS:%=$(B)/gen/%.skel.h)

# ---------------------------------------------------------------- periscope ----

LIB_SRCS  := $(wildcard tools/lib/*.c)
LIB_OBJS  := $(LIB_SRCS:tools/%.c=$(B)/tools/%.o) $(B)/gen/profile.pb-c.o
MAIN_OBJS := $(patsubst tools/%.c,$(B)/tools/%.o,$(wildcard tools/*.c))
GEN_HDRS  := $(SKELS) $(B)/gen/profile.pb-c.h $(B)/gen/web_flame.h \
             $(B)/gen/web_timeline.h $(B)/gen/syscalls.h

$(B)/gen/profile.pb-c.c $(B)/gen/profile.pb-c.h &: tools/lib/profile.proto
	$(call say,PROTOC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)protoc-c --proto_path=tools/lib --c_out=$(B)/gen profile.proto

# What the flame graph's file carries, without comments and indentation. In XML, `]]>` would end it.
FLAME_JS  := $(addprefix tools/web/flame_,model.js view.js ui.js controls.js)
FLAME_CSS := tools/web/flame.css
as_bytes   = sed 's/^[ 	]*//; /^\/\//d; /^$$/d' | od -An -v -tu1 | sed 's/ *\([0-9]\{1,\}\)/\1,/g'

$(B)/gen/web_flame.h: $(FLAME_JS) $(FLAME_CSS)
	$(call say,WEB,$@)
	$(Q)mkdir -p $(@D)
	$(Q)! grep -n ']]>' $^
	$(Q){ echo 'static const char web_flame_js[] = {'; \
	{ echo '(function () { "use strict";'; cat $(FLAME_JS); echo '})();'; } | $(as_bytes); \
	echo '};'; echo 'static const char web_flame_css[] = {'; cat $(FLAME_CSS) | $(as_bytes); \
	echo '};'; } > $@

# The same for the page that reads a timeline. In HTML, `</script` would end it.
TIMELINE_JS  := $(addprefix tools/web/timeline_,read.js model.js figures.js paint.js tracks.js \
                flame.js tables.js summary.js details.js items.js search.js app.js view.js input.js)
TIMELINE_CSS := tools/web/timeline.css

$(B)/gen/web_timeline.h: $(TIMELINE_JS) $(TIMELINE_CSS)
	$(call say,WEB,$@)
	$(Q)mkdir -p $(@D)
	$(Q)! grep -n '</script\|<!--' $^
	$(Q){ echo 'static const char web_timeline_js[] = {'; \
	{ echo '(function () { "use strict";'; cat $(TIMELINE_JS); echo '})();'; } | $(as_bytes); \
	echo '};'; echo 'static const char web_timeline_css[] = {'; \
	cat $(TIMELINE_CSS) | $(as_bytes); echo '};'; } > $@

# The names of this architecture's system calls: SYSCALL(name) for each.
$(B)/gen/syscalls.h:
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q){ echo '#include <asm/unistd.h>'; echo '#define SYSCALLS \'; \
	echo '#include <asm/unistd.h>' | $(CC) -E -dM - | \
		sed -n 's/^#define __NR_\([a-z][a-z0-9_]*\) .*/\1/p' | \
		grep -vx 'syscalls\|arch_specific_syscall' | sort | sed 's/.*/	SYSCALL(&) \\/'; \
	echo; } > $@

$(B)/tools/%.o: tools/%.c | $(GEN_HDRS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(OPT) $(TOOLS_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/gen/%.pb-c.o: $(B)/gen/%.pb-c.c
	$(call say,CC,$@)
	$(Q)$(CC) $(OPT) $(TOOLS_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/periscope: $(MAIN_OBJS) $(LIB_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(OPT) $(CFLAGS) $^ $(TOOLS_LIBS) $(LDFLAGS) -o $@

# ---------------------------------------------------------------- coworkingd ----

SERVER_OBJS := $(patsubst server/%.c,$(B)/server/%.o,$(wildcard server/*.c))

$(B)/server/pictures.o: $(wildcard server/data/imgs/*.png)

$(B)/server/%.o: server/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(OPT) $(SERVER_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# -rdynamic: functions keep their names in a stripped binary.
$(B)/coworkingd: $(SERVER_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(OPT) $(CFLAGS) -rdynamic $^ $(SERVER_LIBS) $(LDFLAGS) -o $@

# ---------------------------------------------------------------- tests ----

# Unit tests are always sanitized, whatever the rest is: their library is built a second time.
UT        := $(B)/unit
UNIT_LIB  := $(LIB_SRCS:tools/%.c=$(UT)/%.o) $(UT)/gen/profile.pb-c.o
UNIT_BINS := $(patsubst tests/unit/%.c,$(UT)/%,$(wildcard tests/unit/test_*.c))
UNIT_CC    = $(CC) -O1 -g $(SANFLAGS) $(TOOLS_CFLAGS) $(CFLAGS) -Itests/unit -MMD -MP

$(UT)/lib/%.o: tools/lib/%.c | $(GEN_HDRS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(UNIT_CC) -c $< -o $@

$(UT)/gen/%.o: $(B)/gen/%.c
	$(Q)mkdir -p $(@D)
	$(Q)$(UNIT_CC) -c $< -o $@

$(UT)/test_%.o: tests/unit/test_%.c | $(GEN_HDRS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(UNIT_CC) -c $< -o $@

$(UT)/libunit.a: $(UNIT_LIB)
	$(Q)rm -f $@ && ar rcs $@ $^

$(UNIT_BINS): %: %.o $(UT)/libunit.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(SANFLAGS) $< $(UT)/libunit.a $(TOOLS_LIBS) $(UNIT_LIBS_$(@F)) -lcmocka -o $@

# Programs with known answers. Options of one: a line `/* build: ... */` in its source.
WORKLOADS := $(patsubst tests/workloads/%.c,$(B)/workloads/%,$(wildcard tests/workloads/*.c))
workload_flags = $(shell sed -n 's|^/\* build: \(.*\) \*/$$|\1|p' $(1))

$(B)/workloads/%: tests/workloads/%.c tests/workloads/workload.h
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -O2 -g $(WARN) -D_GNU_SOURCE $< -o $@ -pthread -ldl \
		$(call workload_flags,$<)

# Traces of any length in which every number is known.
MAKE_TRACE := $(B)/make_trace

$(B)/make_trace.o: tests/synthetic/make_trace.c | $(GEN_HDRS)
	$(call say,CC,$@)
	$(Q)$(CC) $(OPT) $(TOOLS_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(MAKE_TRACE): $(B)/make_trace.o $(LIB_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(OPT) $(CFLAGS) $^ $(TOOLS_LIBS) $(LDFLAGS) -o $@

# libFuzzer's targets: make fuzz, then build/fuzz/trace FOLDER -max_total_time=600.
FUZZ_LIB  := $(LIB_SRCS:tools/%.c=$(B)/fuzz/%.o) $(B)/fuzz/gen/profile.pb-c.o
FUZZ_CC    = $(CLANG) -O1 -g -fsanitize=fuzzer-no-link,address,undefined $(TOOLS_CFLAGS) -Wno-error
FUZZERS   := $(patsubst tests/fuzz/fuzz_%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

fuzz: $(FUZZERS)

$(B)/fuzz/lib/%.o: tools/lib/%.c | $(GEN_HDRS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -MMD -MP -c $< -o $@

$(B)/fuzz/gen/%.o: $(B)/gen/%.c
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -c $< -o $@

$(FUZZERS): $(B)/fuzz/%: tests/fuzz/fuzz_%.c $(FUZZ_LIB)
	$(call say,LINK,$@)
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined -g $(TOOLS_CFLAGS) $^ $(TOOLS_LIBS) -o $@

# The kernel types that BPF reads, all of them, for the comparison with the running kernel's BTF.
$(B)/bpf/vmlinux_check.bpf.o: tests/unit/vmlinux_check.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -Ivmlinux -D__TARGET_ARCH_$(ARCH) -MMD -MP -c $< -o $@

# Programs of the live tests, with the library in them; and what they load.
LIVE_PROGS := $(patsubst tests/live/%.c,$(B)/live/%,$(filter-out %.bpf.c,$(wildcard tests/live/*.c))) \
              $(patsubst tests/live/%.bpf.c,$(B)/live/%.bpf.o,$(wildcard tests/live/*.bpf.c))

$(B)/live/%.bpf.o: tests/live/%.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -D__TARGET_ARCH_$(ARCH) -MMD -MP -c $< -o $@

$(B)/live/%: tests/live/%.c $(LIB_OBJS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(OPT) $(TOOLS_CFLAGS) $(CFLAGS) -MMD -MP $< $(LIB_OBJS) $(TOOLS_LIBS) -o $@

# No root, no BTF of the running kernel. The pages' tests wait for a browser while others compute; what
# one of them prints comes when it has ended.
CHECKS := check-unit check-pages check-convert
.PHONY: $(CHECKS)
check: all bpf $(UNIT_BINS) $(WORKLOADS) $(LIVE_PROGS) $(MAKE_TRACE) $(B)/bpf/vmlinux_check.bpf.o
	$(Q)$(MAKE) --no-print-directory --output-sync=target $(CHECKS)
check-unit:
	$(Q)tests/run-unit $(B)
	$(Q)python3 tests/bench/test_arithmetic.py
check-pages:
	$(Q)printf 'tests/browser/test_%s\n' 'flame.py $(B)' 'timeline.py $(B)' \
		'timeline_picture.py $(B)' 'timeline.py $(B) firefox' \
		'timeline_picture.py $(B) firefox' | xargs -P 2 -L 1 python3
check-convert:
	$(Q)python3 tests/convert/test_convert.py $(B)
	$(Q)python3 tests/convert/test_viewers.py $(B)

# The same, and the live tests on the running kernel.
test: setup-test
	$(Q)$(MAKE) --no-print-directory check
	$(Q)tests/run-live $(B)

setup-build:
	$(Q)scripts/setup build

setup-test:
	$(Q)scripts/setup build
	$(Q)scripts/setup test

demo: setup-build
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/demo $(B)

# Cost and completeness, perf beside us. BENCH: sections and options, as scripts/bench takes them.
bench:
	$(Q)scripts/setup build bench
	$(Q)$(MAKE) --no-print-directory all $(MAKE_TRACE)
	$(Q)scripts/bench $(B) $(BENCH)
	$(Q)scripts/bench_flame.py $(B)

# Older kernels, each in an emulated guest. VM: which, as tests/vm/run takes them (VM='6.1 6.12').
vm:
	$(Q)scripts/setup build vm
	$(Q)$(MAKE) --no-print-directory all bpf $(WORKLOADS) $(LIVE_PROGS) $(UT)/test_vmlinux \
		$(B)/bpf/vmlinux_check.bpf.o
	$(Q)tests/vm/run $(B) $(VM)

lint:
	$(Q)scripts/lint

COMMANDS = $(patsubst tools/cmd_%.c,%,$(wildcard tools/cmd_*.c))

install: $(B)/periscope $(B)/coworkingd
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(B)/periscope $(B)/coworkingd $(DESTDIR)$(PREFIX)/bin
	$(foreach c,$(COMMANDS),ln -sf periscope $(DESTDIR)$(PREFIX)/bin/periscope-$(c);)
	install -m 644 $(wildcard tools/man/*.1) $(DESTDIR)$(PREFIX)/share/man/man1

clean:
	rm -rf build build-san build-tsan

# For scripts that need what is set here: make print-TOOLS_CFLAGS
print-%:
	@echo '$($*)'

-include $(shell find $(B) -name '*.d' 2>/dev/null)
