# SPDX-License-Identifier: Apache-2.0
# How the microguest is built: build/guest/micro.elf, freestanding, whatever the variant of the
# rest.
#
# It may use no register that its kernel part does not save (only the general ones), no red zone
# under a stack that exceptions use, and nothing of a C library but the compiler's own headers.

MICRO     := build/guest/micro.elf
MICRO_SRC := $(addprefix guest/micro/,entry.S main.c kernel.c boot.c clock.c memory.c cpus.c churn.c \
             change.c string.c xen_entry.S xen.c xen_end.c xen_boot.c xen_mmu.c attack.c attack_try.c \
             attack_tables.c attack_code.S) $(addprefix guest/work/,work.c say.c check.c edge.c \
             pulse.c page.c pattern.c zipf.c options.c line.c)
MICRO_OBJ := $(patsubst guest/%,build/guest/%.o,$(MICRO_SRC))
MICRO_LD  := guest/micro/link.ld

MICRO_CFLAGS := -std=c11 $(WARN) -Wconversion -O2 -g -I. -m64 -march=x86-64 -mcmodel=small \
             -ffreestanding -fno-pie -fno-stack-protector -fcf-protection=none -fno-builtin \
             -fno-asynchronous-unwind-tables -mno-red-zone -mgeneral-regs-only -MMD -MP

$(MICRO): $(MICRO_OBJ) $(MICRO_LD)
	$(call say,LD,$@)
	$(Q)$(CC) -nostdlib -static -no-pie -Wl,-T,$(MICRO_LD) -Wl,--build-id=none -Wl,-z,noexecstack \
		-Wl,-z,max-page-size=4096 -o $@ $(MICRO_OBJ)

build/guest/%.o: guest/%
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(MICRO_CFLAGS) -c -o $@ $<
