#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What can be said of the source without running it: layers, sizes, format, shell scripts, the
# manual, and that clang builds it without a warning too.
cd "$(dirname "$0")/.." || exit 1
. tests/lib/lib.sh

scripts()
{
	git ls-files --cached --others --exclude-standard | while read -r file; do
		[ -f "$file" ] && head -n 1 "$file" | grep -qE '^#!/bin/(ba)?sh|^#!/usr/bin/env bash' &&
			echo "$file"
	done
}

check "layers" tools/checks/layers
check "sizes" tools/checks/sizes
check "format" tools/checks/format
check "picture of a page" tools/page-picture --check
mapfile -t found < <(scripts)
check "shellcheck of ${#found[@]} scripts" shellcheck -x -e SC2016 "${found[@]}"
check "clang builds without warnings" make VARIANT=clang CC=clang WERROR=1 CFLAGS=-O1 all
# ctuuninitvar takes no notice of what is assigned under a condition
check "cppcheck" cppcheck --quiet --error-exitcode=1 --std=c11 -I. --inline-suppr \
	--suppress=missingIncludeSystem --suppress=unknownMacro --suppress=ctuuninitvar mm vmm
if command -v man >/dev/null; then
	check "manual page" bash -c '! man -l --warnings docs/quire.1 2>&1 >/dev/null | grep .'
else
	skip "manual page" "man is not installed"
fi
finish
