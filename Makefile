# SPDX-License-Identifier: Apache-2.0
# quire: `make help` lists the targets. Objects go to build/$(VARIANT); V=1 shows the commands.

# As many jobs as there are processors, unless somebody says how many on the command line.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

VARIANT ?= release
B       := build/$(VARIANT)
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

.PHONY: all
all: $(addprefix build/$(VARIANT)/,quire quire-sim quire-top) ## build quire and its tools into build/release/

CC      := gcc
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wwrite-strings \
           -Wvla -Wpointer-arith -Wformat=2 -Wimplicit-fallthrough $(if $(WERROR),-Werror)
CFLAGS  ?= -O2 -g
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -I. -pthread $(WARN) $(CFLAGS) $(CFLAGS_$(VARIANT)) -fPIE \
           -fstack-protector-strong -MMD -MP
ALL_LDFLAGS = -pie -pthread -Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,--as-needed \
           $(LDFLAGS) $(CFLAGS_$(VARIANT))
SANITIZE := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_release := -D_FORTIFY_SOURCE=2 -ffunction-sections -fdata-sections
CFLAGS_asan := $(SANITIZE)
CFLAGS_fuzz := $(SANITIZE) -fsanitize=fuzzer-no-link

# The libraries are linked in, so that a guest's process starts fast, stays small, and the emulated
# hosts need one file; libc stays shared.
LIBS    := -l:libuv_a.a -l:libjansson.a -l:liblz4.a -l:libzstd.a -l:libz.a -l:libxxhash.a \
           -l:liburing.a -ldl -lm

MM      := $(patsubst mm/%.c,%,$(shell find mm -name '*.c'))
VMM     := $(patsubst vmm/%.c,%,$(filter-out vmm/cli/main.c,$(shell find vmm -name '*.c')))

MM_OBJ  := $(MM:%=$(B)/mm/%.o)
VMM_OBJ := $(VMM:%=$(B)/vmm/%.o)

$(B)/libquire-mm.a: $(MM_OBJ)
$(B)/libquire-vmm.a: $(VMM_OBJ)
$(B)/%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/quire: $(B)/vmm/cli/main.o $(B)/libquire-vmm.a $(B)/libquire-mm.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(LIBS)

# The tools that are programs of their own.

TOOL_OBJ = $(patsubst %.c,$(B)/%.o,$(wildcard tools/$(1)/*.c))

$(B)/libquire-sim.a: $(call TOOL_OBJ,sim)
$(B)/quire-sim: $(B)/tools/quire-sim.o $(B)/libquire-sim.a $(B)/libquire-mm.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(LIBS)

$(B)/quire-top: $(B)/tools/quire-top.o $(call TOOL_OBJ,top) $(B)/libquire-mm.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(LIBS) -lncursesw -ltinfo

# It runs only where there is AVX2 (mm/codec/sum.c).
$(B)/mm/codec/sum_avx2.o: ALL_CFLAGS += -mavx2
# mm/ deals in sizes: there a silent narrowing is an error.
$(B)/mm/%.o: WARN += -Wconversion
$(B)/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

include guest/guest.mk
include guest/linux/linux.mk

.PHONY: guests
guests: $(MICRO) linux-guest ## build the guests: build/guest/micro.elf, build/linux/

# Unit tests: one program for each tests/FOLDER/test_NAME.c. It links the libraries, so that it pulls in
# what it tests and can put fakes in place of the rest.

UNIT      := $(patsubst tests/%.c,%,$(shell find tests -name 'test_*.c'))
UNIT_BIN   = $(UNIT:%=$(B)/tests/%)
FIXTURE   := $(shell find tests/lib tests/mm tests/vmm guest/work -name '*.c' ! -name 'test_*')
TEST_OBJ   = $(FIXTURE:%.c=$(B)/%.o)
OWN_LIBS   = $(addprefix $(B)/libquire-,test.a vmm.a sim.a mm.a)

$(B)/libquire-test.a: $(TEST_OBJ)
$(UNIT_BIN): $(B)/tests/%: $(B)/tests/%.o $(OWN_LIBS)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(LIBS) -lcmocka

# Programs that test scripts use.

HELPER_BIN := $(addprefix $(B)/tests/,images proxy)

$(HELPER_BIN): $(B)/tests/%: $(B)/tests/system/helper/%.o $(B)/libquire-mm.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(LIBS)

.PHONY: unit
unit: $(UNIT_BIN) $(HELPER_BIN)

# Fuzzers: one for each tests/fuzz/fuzz_NAME.c, with its corpus in tests/fuzz/corpus/NAME.

FUZZ      := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN   = $(FUZZ:%=$(B)/tests/fuzz/fuzz_%)
T         ?= load
TIME      ?= 60

$(FUZZ_BIN): $(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(OWN_LIBS)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -fsanitize=fuzzer $(LIBS)

.PHONY: fuzzers fuzz fuzz-quick
fuzzers: $(FUZZ_BIN)

fuzz: ## fuzz one reader: make fuzz T=load TIME=60
	$(Q)$(MAKE) VARIANT=fuzz CC=clang fuzzers
	@mkdir -p build/corpus/$(T)
	build/fuzz/tests/fuzz/fuzz_$(T) -max_total_time=$(TIME) build/corpus/$(T) tests/fuzz/corpus/$(T)

fuzz-quick: ## replay the fuzzers' corpora, and a little more
	$(Q)$(MAKE) VARIANT=fuzz CC=clang fuzzers
	$(Q)tests/run tests/fuzz/fuzz.sh

# Programs of the benchmarks.

BENCH_BIN := $(addprefix build/release/tools/,floor timeto faults store evict first.elf ticks.elf)

build/release/tools/%.elf: tools/bench/%.S
	@mkdir -p $(@D)
	$(Q)$(CC) -nostdlib -static -no-pie -Wl,-Ttext=0x100000,-e,start,-N,--build-id=none \
		-Wl,-z,noexecstack,--no-warn-rwx-segments -o $@ $<
build/release/tools/%: build/release/tools/bench/%.o build/release/libquire-mm.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(LIBS)

# What users and continuous integration run.

.PHONY: demo check check-more check-full check-lab bench overcommit install
demo: ## install what is missing, build, and show what quire does here
	$(Q)tools/demo

# Everything that the tests need is built first: nothing else then competes with what they time.
.PHONY: test-programs
test-programs:
	$(Q)$(MAKE) WERROR=1 all unit guests
	$(Q)$(MAKE) WERROR=1 VARIANT=asan all unit
	$(Q)$(MAKE) WERROR=1 VARIANT=fuzz CC=clang all fuzzers

# What `make check` runs of the unit tests: sanitized, or plain where a test asks KVM, measures time or
# looks at what the compiler makes of it; both where threads race, or the sanitizers leave a row out.
# `make check-full` adds the other half.
BOTH   := mm/engine/test_mem mm/policy/test_policy
PLAIN  := $(BOTH) $(addprefix mm/,codec/test_sum x86/test_ptwalk_cpu x86/test_ptwalk_kvm) \
	$(addprefix vmm/,inspect/test_translate kvm/test_cpuid migrate/test_first_pages \
	migrate/test_line_probe migrate/test_moves migrate/test_sender migrate/test_throttle pv/test_cr3 \
	state/test_state)
ASAN   := $(filter-out $(filter-out $(BOTH),$(PLAIN)),$(UNIT))

# tests/system/NAME.sh each
SYSTEM := cli console control translate micro mmu plan netns shadow shadow_micro shadow_state sim top

# Repetitions are for check-full, one is enough to see that it works.
CHECK  := tests/checks.sh tests/fuzz/fuzz.sh $(SYSTEM:%=tests/system/%.sh) \
	$(PLAIN:%=build/release/tests/%) $(ASAN:%=build/asan/tests/%) \
	"QUIRE=build/asan/quire tests/system/cli.sh" \
	"SOAK=12 tests/system/checkpoint.sh" "MOVES=5 tests/system/migrate.sh" \
	"CLONES=20 tests/system/clone.sh" "SOAK=3 tests/system/overcommit.sh" \
	"tests/lab/lab.sh --guests amd-npt walker doctor micro linux limits checkpoints moves shells shadow"

MORE   := $(filter-out $(PLAIN:%=build/release/tests/%),$(UNIT:%=build/release/tests/%)) \
	$(filter-out $(ASAN:%=build/asan/tests/%),$(UNIT:%=build/asan/tests/%)) \
	"QUIRE_STRESS_SECONDS=30 build/release/tests/mm/engine/test_mem" \
	"QUIRE_STRESS_SECONDS=30 build/asan/tests/mm/engine/test_mem" \
	"QUIRE=build/asan/quire tests/system/control.sh" "SIM=build/asan/quire-sim tests/system/sim.sh" \
	"FUZZ_SECONDS=60 tests/fuzz/fuzz.sh" \
	"SOAK=120 tests/system/checkpoint.sh" "MOVES=60 tests/system/migrate.sh" \
	"CLONES=300 tests/system/clone.sh" "SOAK=60 tests/system/overcommit.sh" \
	"tests/lab/lab.sh amd-npt" "tests/lab/guests.sh amd-npt" "tests/lab/guests.sh intel-ept doctor walker"

check: ## install what is missing, build, and pass the tests: in ten minutes on two processors
	$(Q)tools/install-deps build check lab
	$(Q)$(MAKE) test-programs
	$(Q)tests/run $(CHECK)

# What check-full has and check has not.
check-more:
	$(Q)tools/install-deps build check lab
	$(Q)$(MAKE) test-programs
	$(Q)tests/run --limit 3600 $(MORE)

check-full: ## the same and the soaks, with more of the sanitizers, the fuzzers and the emulated hosts
	$(Q)tools/install-deps build check lab
	$(Q)$(MAKE) test-programs
	$(Q)tests/run --limit 3600 $(CHECK) $(MORE)

check-lab: ## run the guests in all four emulated hosts
	$(Q)tools/install-deps build lab
	$(Q)$(MAKE) all guests
	$(Q)$(MAKE) unit
	$(Q)tests/run --limit 3600 $(foreach host,amd-npt amd-shadow intel-ept intel-shadow, \
		"tests/lab/lab.sh $(host)" "tests/lab/guests.sh $(host)")

bench: ## print ratios against the peers
	$(Q)tools/install-deps build lab report
	$(Q)$(MAKE) all guests $(BENCH_BIN)
	$(Q)tools/bench/run
	$(Q)tools/bench/memory
	$(Q)tools/bench/checkpoint
	$(Q)tools/bench/migrate
	$(Q)tools/bench/shadow

overcommit: ## four guests under one limit: build/overcommit/report.html, with plots
	$(Q)tools/install-deps build report
	$(Q)$(MAKE) all $(MICRO)
	$(Q)tools/overcommit

PREFIX ?= /usr/local
install: all ## install quire and its manual under PREFIX
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(addprefix build/release/,quire quire-sim quire-top)
	install -D -m 644 docs/quire.1 $(DESTDIR)$(PREFIX)/share/man/man1/quire.1

-include $(shell find build -name '*.d' 2>/dev/null)

.PHONY: clean help
clean: ## remove build/
	rm -rf build

help: ## show this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
