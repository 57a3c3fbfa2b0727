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

# None of these rows needs another.
row() # NAME COMMAND...
{
	left_out "$1" || check "$@"
}

# What a check says of a copy of the tree that something was planted in: it fails, and with these words.
finds() # CHECK WORDS
{
	local copy=$WORK/copy
	rm -rf "$copy"
	mkdir -p "$copy/build/release"
	cp -a mm vmm guest tools tests docs Makefile ./*.md "$copy/"
	cp -rs "$PWD/build/release/mm" "$PWD/build/release/vmm" "$copy/build/release/"
	cp -rs "$PWD/build/guest" "$copy/build/"
	"plant_$1" "$copy" || return
	! "tools/checks/${1%%_*}" "$copy" >"$WORK/said" 2>&1 && grep -F -- "$2" "$WORK/said"
}

plant_layers()
{
	echo '#include "mm/engine/mem.h"' >>"$1/mm/base/err.c"
}

plant_layers_spelling()
{
	echo '	# include"mm/engine/mem.h"' >>"$1/mm/base/err.c"
}

plant_layers_private()
{
	echo '#include "mm/store/impl.h"' >>"$1/vmm/cli/main.c"
}

plant_circles()
{
	echo 'int b(void); int a(void); int a(void) { return b(); }' >"$1/mm/base/planted_a.c"
	echo 'int b(void); int a(void); int b(void) { return a(); }' >"$1/mm/base/planted_b.c"
	(cd "$1" && for file in mm/base/planted_[ab].c; do
		cc -c -o "build/release/${file%.c}.o" "$file" || exit
	done)
}

plant_circles_upward()
{
	echo 'int vm_freeze(void); int planted(void); int planted(void) { return vm_freeze(); }' \
		>"$1/mm/base/planted_up.c"
	(cd "$1" && cc -c -o build/release/mm/base/planted_up.o mm/base/planted_up.c)
}

plant_tour_step()
{
	printf '\n| `store_put()` | `mm/engine/evict.c` | calls it |\n' >>"$1/docs/ARCHITECTURE.md"
}

plant_tour_function()
{
	echo '/* What calls planted_nowhere() is well. */' >>"$1/mm/base/err.c"
}

plant_tour_row()
{
	printf '\n## mm/base\n\n| file | what |\n|---|---|\n| `planted.c` | nothing |\n' >>"$1/docs/mm.md"
}

plant_tour_file()
{
	echo 'int planted;' >"$1/mm/base/planted.c"
}

# What takes long is known of all suites but unit tests of a second or less.
has_budgets()
{
	local suite missing=0
	for suite in tests/checks.sh tests/fuzz/fuzz.sh tests/system/*.sh; do
		grep -qE "^\\| .*$suite\` \\| *[0-9]+ " docs/tests.md && continue
		echo "$suite is in no row of the budget in docs/tests.md" >&2
		missing=1
	done
	return $missing
}

row "layers" tools/checks/layers
row "layers finds an include against the arrows" finds layers 'mm/base may not include mm/engine/mem.h'
row "layers finds it oddly spelled" finds layers_spelling 'mm/base may not include mm/engine/mem.h'
row "layers finds a private header that left its folder" finds layers_private 'is private to mm/store/'
row "circles" tools/checks/circles
row "circles finds two files that call each other" finds circles 'mm/base/planted_a.c'
row "circles finds a call upwards" finds circles_upward 'mm/base/planted_up.c may not use vm_freeze'
row "tour" tools/checks/tour
row "tour finds a function that is nowhere" finds tour_function 'there is no planted_nowhere()'
row "tour finds a step that is only a call" finds tour_step 'mm/engine/evict.c has no store_put()'
row "tour finds a row without its file" finds tour_row 'a row for mm/base/planted.c, which does not exist'
row "tour finds a file without its row" finds tour_file 'mm/base/planted.c: has no row'
row "sizes" tools/checks/sizes
row "format" tools/checks/format
mapfile -t found < <(scripts)
row "shellcheck of ${#found[@]} scripts" shellcheck -x -e SC2016 "${found[@]}"
# the fuzzers' libraries and the programs: all that there is, and most of it has been built so already
row "clang builds without warnings" make VARIANT=fuzz CC=clang WERROR=1 all fuzzers
# ctuuninitvar takes no notice of what is assigned under a condition
mkdir -p build/cppcheck
row "cppcheck" cppcheck --quiet --error-exitcode=1 --std=c11 -I. --inline-suppr \
	--cppcheck-build-dir=build/cppcheck \
	--suppress=missingIncludeSystem --suppress=unknownMacro --suppress=ctuuninitvar mm vmm
if command -v man >/dev/null; then
	row "manual page" bash -c '! man -l --warnings docs/quire.1 2>&1 >/dev/null | grep .'
else
	skip "manual page" "man is not installed"
fi
row "each suite has a budget" has_budgets
finish
