#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each fuzzer over its corpus, then a few thousand inputs of its own from a fixed seed. `make fuzz`
# goes on for as long as you like.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

replay() # NAME
{
	build/fuzz/tests/fuzz/fuzz_"$1" -runs=0 "tests/fuzz/corpus/$1"
}

try_more() # NAME
{
	mkdir -p "$WORK/$1"
	build/fuzz/tests/fuzz/fuzz_"$1" -seed=1 -runs=20000 -max_total_time=10 \
		-artifact_prefix="$WORK/" "$WORK/$1" "tests/fuzz/corpus/$1"
}

for source in tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	name=${name#fuzz_}
	check "fuzz $name: corpus of $(find "tests/fuzz/corpus/$name" -type f | wc -l)" replay "$name"
	check "fuzz $name: more" try_more "$name"
done
finish
