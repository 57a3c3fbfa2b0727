# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# What tests/lab/inside.sh needs in an emulated host, as options for quire-lab. To be sourced in the
# root of the tree.
carried=()
for file in tests/lab/inside.sh build/guest/micro.elf build/linux/vmlinuz build/linux/initrd build/release/quire \
	build/release/tests/mm/x86/test_ptwalk_kvm build/release/tests/mm/x86/test_ptwalk_cpu; do
	carried+=(--file "$PWD/$file")
done
