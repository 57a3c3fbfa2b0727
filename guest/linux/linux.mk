# SPDX-License-Identifier: Apache-2.0
# How the small Linux guest is built: build/linux/vmlinuz, which is Debian's stock kernel, and
# build/linux/initrd.
#
# Its programs are static, so that the initramfs needs no libraries.

LINUX      := build/linux
LINUX_WORK := $(addprefix $(LINUX)/guest/,linux/work_linux.o $(addprefix work/,work.o say.o check.o edge.o \
              pulse.o page.o pattern.o zipf.o options.o line.o))
LINUX_INIT := $(addprefix $(LINUX)/guest/linux/,init.o modules.o)
LINUX_CFLAGS := -std=c11 -D_GNU_SOURCE -I. -pthread $(WARN) -Wconversion -O2 -g \
              -ffunction-sections -fdata-sections -MMD -MP

.PHONY: linux-guest
linux-guest: $(LINUX)/vmlinuz $(LINUX)/initrd ## build the small Linux guest into build/linux/

# The kernel is fetched once; `make clean` forgets it.
build/kernel/vmlinuz:
	$(call say,FETCH,$(@D))
	$(Q)guest/linux/fetch-kernel $(@D)

$(LINUX)/vmlinuz: build/kernel/vmlinuz
	@mkdir -p $(@D)
	$(Q)cp $< $@

$(LINUX)/initrd: $(LINUX)/init $(LINUX)/work guest/linux/make-initrd guest/linux/stage-modules \
		build/kernel/vmlinuz
	$(call say,CPIO,$@)
	$(Q)guest/linux/make-initrd build/kernel/modules $(LINUX)/init $(LINUX)/work $@

$(LINUX)/init: $(LINUX_INIT)
$(LINUX)/work: $(LINUX_WORK)
$(LINUX)/init $(LINUX)/work:
	$(call say,LD,$@)
	$(Q)$(CC) -static -pthread -Wl,--gc-sections -o $@ $^

$(LINUX)/guest/%.o: guest/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINUX_CFLAGS) -c -o $@ $<

-include $(LINUX_INIT:.o=.d) $(LINUX_WORK:.o=.d)
