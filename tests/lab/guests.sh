#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The guests on KVM with hardware behind it: boots the emulated host named (amd-npt, amd-shadow,
# intel-ept, intel-shadow) once and runs tests/lab/inside.sh there, whose result lines come through;
# of its parts those that are named, else all.
cd "$(dirname "$0")/../.." || exit 1
exec tools/quire-lab --host "$1" --timeout 3000 --file build/release/quire \
	--file build/guest/micro.elf --file build/linux/vmlinuz --file build/linux/initrd \
	-- sh tests/lab/inside.sh "$@"
