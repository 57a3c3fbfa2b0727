#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each fuzzer over its corpus, then a few thousand inputs of its own from a fixed seed (on a busy host
# as many as a minute has), or for so many seconds each. `make fuzz` goes on for as long as you like.
#
#   tests/fuzz/fuzz.sh                    what `make check` runs
#   FUZZ_SECONDS=60 tests/fuzz/fuzz.sh    so long for each, from a seed of its own
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

declare -A runs=([pv]=300) # one of its inputs is a guest's whole life; 5000 of any other

replay() # NAME
{
	build/fuzz/tests/fuzz/fuzz_"$1" -runs=0 "tests/fuzz/corpus/$1"
}

try_more() # NAME
{
	local end=(-seed=1 -runs="${runs[$1]:-5000}" -max_total_time=60)
	[ -z "${FUZZ_SECONDS:-}" ] || end=(-max_total_time="$FUZZ_SECONDS")
	mkdir -p "$WORK/$1" build/fuzz/found
	build/fuzz/tests/fuzz/fuzz_"$1" "${end[@]}" -artifact_prefix=build/fuzz/found/ "$WORK/$1" \
		"tests/fuzz/corpus/$1"
}

# None of them needs another.
row() # NAME COMMAND...
{
	left_out "$1" || check "$@"
}

for source in tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	name=${name#fuzz_}
	row "fuzz $name: corpus of $(find "tests/fuzz/corpus/$name" -type f | wc -l)" replay "$name"
	row "fuzz $name: more" try_more "$name"
done
finish
