#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The walker of page tables against KVM's own and against the processor, in the emulated host named: its
# KVM has every kind of paging, and with NPT or EPT it is the processor itself that walks.
cd "$(dirname "$0")/../.." || exit 1
kvm=build/release/tests/mm/x86/test_ptwalk_kvm cpu=build/release/tests/mm/x86/test_ptwalk_cpu
exec tools/quire-lab --host "$1" --timeout 900 --file $kvm --file $cpu \
	-- sh -c "export CMOCKA_MESSAGE_OUTPUT=TAP; $kvm; status=\$?; $cpu && exit \$status"
