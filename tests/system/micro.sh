#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The microguest on a machine: every job, both page sizes, one to four CPUs, little memory and
# memory above 4 GiB; and that what must fail does fail, with its own exit value and its own words.
#
#   tests/system/micro.sh              with quire
#   VMM=qemu tests/system/micro.sh     with QEMU's microvm on KVM: the same guest, the same rows
#   VMM=tcg tests/system/micro.sh      with QEMU's microvm on no KVM at all
#
# A row gives what the guest is started with, the value it must end with (guest/abi.h) and an
# extended regular expression that one of its lines must match.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

VMM=${VMM:-quire}
PASS=0 WRONG=3 OPTIONS=4 MEMORY=5 CPUS=6

# Start the guest on the chosen machine; its output goes to $OUT. Returns the value it ended with,
# or something above 127 when the machine itself failed.
start() # MEMORY CPUS APPEND
{
	local status accel=kvm
	if [ "$VMM" = quire ]; then
		timely "$QUIRE" run --kernel "$MICRO" --memory "$1" --cpus "$2" --append "$3" \
			>"$OUT" 2>"$ERR" </dev/null
		return
	fi
	[ "$VMM" = tcg ] && accel=tcg
	timely qemu-system-x86_64 -accel $accel -smp "$2" -m "$1" -kernel "$MICRO" -append "$3" \
		-M microvm,x-option-roms=off,pit=on,pic=on,rtc=on -nodefaults -no-user-config \
		-display none -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=1 \
		>"$OUT" 2>"$ERR" </dev/null
	status=$?
	[ $((status % 2)) = 1 ] || return 255
	return $((status / 2))
}

row() # NAME MEMORY CPUS APPEND VALUE PATTERN
{
	local value last='^micro: pass$'
	left_out "$1" && return
	[ "$5" = $PASS ] || last='^micro: FAIL '
	start "$2" "$3" "$4"
	value=$?
	if [ $value != "$5" ]; then
		not_ok "$1" "value $value, not $5: $(tail -n 2 "$OUT" "$ERR" | tr '\n' ' ')"
	elif ! tail -n 1 "$OUT" | grep -qE "$last"; then
		not_ok "$1" "last line: $(tail -n 1 "$OUT")"
	elif ! grep -qE "$6" "$OUT"; then
		not_ok "$1" "no line matches $6: $(cat "$OUT")"
	else
		ok "$1"
	fi
}

if [ "$VMM" != tcg ] && ! { : <>/dev/kvm; } 2>/dev/null; then
	skip "microguest" "/dev/kvm cannot be opened"
	finish
	exit
fi

# --- every job, page size and number of CPUs ---
for cpus in 1 2 4; do
	for map in 2m 4k; do
		on="map=$map cpus=$cpus size=16M"
		name="$map, $cpus CPUs"
		row "fill, $name" 32M $cpus "job=fill $on" $PASS '^micro: fill 4096 pages'
		row "verify, $name" 32M $cpus "job=verify passes=3 $on" $PASS \
			'^micro: verify 12288 pages'
		row "access, $name" 32M $cpus "job=access ops=20000 $on" $PASS \
			'^micro: access 20000 pages .* [0-9]{4,5} writes [0-9]{4,5} reads'
		row "churn, $name" 32M $cpus "job=churn ops=2000 $on" $PASS \
			'^micro: churn 2[0-9]{3} pages .* [89][0-9]{2} faults'
		row "edge, $name" 32M $cpus "job=edge passes=5 $on" $PASS \
			'^micro: edge 20480 pages .* 20480 writes 0 reads'
	done
done
row "nothing at all" 32M 1 "job=none" $PASS pass
row "more CPUs than used" 32M 4 "job=verify size=4M cpus=2" $PASS '^micro: cpus 2 '

# --- access patterns, page contents, pace ---
for pattern in sweep random zipf shift; do
	row "$pattern" 64M 2 "job=access pattern=$pattern ops=50000 shift=0.02 theta=1.2 size=16M cpus=2" \
		$PASS '^micro: access 50000 pages'
done
# what takes a time takes no less of it, however slow the machine is
row "a time" 32M 2 "job=access time=0.2 size=16M cpus=2" $PASS '^micro: access [0-9]+ pages (0\.[2-9]|[1-9])'
row "idle" 32M 1 "job=access pattern=idle time=0.2 beat=1" $PASS '^micro: access 0 pages (0\.[2-9]|[1-9])'
row "zeros, repeats, copies" 32M 1 "job=access ops=20000 size=16M zero=20 same=20 dup=20 random=80" \
	$PASS '^micro: verify 4096 pages'
row "writes at a rate" 32M 1 "job=access rate=5 write=100 ops=1001 size=4M" $PASS \
	'^micro: access 1001 pages (0\.[2-9]|[1-9])'
row "heartbeat and status" 32M 2 "job=access time=0.3 beat=1 status=100 size=8M cpus=2" $PASS \
	'^micro: status [0-9.]+ s .* beats [1-9][0-9]* max gap'
row "longest gap" 32M 2 "job=access time=0.3 gap=1 status=100 size=8M cpus=2" $PASS \
	'^micro: status .* wrong 0 gap [1-9][0-9]* us$'
row "and at the end" 32M 1 "job=verify gap=1 size=8M passes=20" $PASS '^micro: gap [1-9][0-9]* us$'
row "an edge in the middle of a round" 32M 2 "job=edge passes=0 time=0.3 status=100 size=16M cpus=2" \
	$PASS '^micro: edge [1-9][0-9]* pages'

# --- memory: the least, all, and above the hole below 4 GiB ---
row "16 MiB" 16M 1 "job=verify map=4k" $PASS '^micro: verify 3584 pages'
row "all of 128 MiB" 128M 2 "job=verify cpus=2" $PASS '^micro: verify 32256 pages'
row "above 4 GiB, large pages" 6G 2 "job=verify skip=5G size=64M cpus=2" $PASS \
	'^micro: verify 16384 pages'
row "above 4 GiB, small pages" 6G 1 "job=verify skip=5G size=16M map=4k" $PASS \
	'^micro: verify 4096 pages'
row "address above 4 GiB" 6G 1 "job=verify skip=5G size=16M corrupt=9" $WRONG \
	'^micro: wrong page 9 at 0x1[0-9a-f]{8}: '

# --- what the verifier must find ---
row "flipped bit" 32M 1 "job=verify size=8M corrupt=7" $WRONG \
	'^micro: wrong page 7 at 0x[0-9a-f]+: corrupt from byte 2050, expected 0x[0-9a-f]+, found 0x'
row "stale page" 32M 1 "job=verify size=8M corrupt=7 damage=stale" $WRONG \
	'^micro: wrong page 7 at 0x[0-9a-f]+: stale, expected generation 2, found 1$'
row "foreign page" 32M 1 "job=verify size=8M corrupt=7 damage=foreign" $WRONG \
	'^micro: wrong page 7 at 0x[0-9a-f]+: foreign, .* found page 8 generation 1$'
row "lost page" 32M 1 "job=verify size=8M corrupt=7 damage=lost" $WRONG \
	'^micro: wrong page 7 at 0x[0-9a-f]+: lost, expected generation 1, found zeros$'
row "zero page not zero" 32M 1 "job=verify size=8M corrupt=7 zero=100" $WRONG \
	'^micro: wrong page 7 .*corrupt from byte 2050, expected 0x0, found 0x10000$'
row "repeated word, stale" 32M 1 "job=verify size=8M corrupt=7 same=100 damage=stale" $WRONG \
	'^micro: wrong page 7 .*: stale, expected generation 2, found 1$'
row "copy, flipped bit" 32M 1 "job=verify size=8M corrupt=7 dup=100" $WRONG \
	'^micro: wrong page 7 .*: corrupt from byte 2050'
row "another CPU's page, small pages" 32M 4 "job=verify size=16M map=4k cpus=4 corrupt=4000" $WRONG \
	'^micro: wrong page 4000 .*: corrupt'
row "found while accessing" 32M 1 "job=access write=0 ops=20000 size=8M corrupt=7" $WRONG \
	'^micro: wrong page 7 .*: corrupt'
row "edge, flipped bit" 32M 1 "job=edge size=8M corrupt=7" $WRONG \
	'^micro: wrong page 7 at 0x[0-9a-f]+: corrupt from byte 2050, expected 0x'
row "edge, a round behind" 32M 2 "job=edge passes=0 size=8M cpus=2 corrupt=1030 damage=stale" $WRONG \
	'^micro: wrong page 1030 at 0x[0-9a-f]+: stale, expected generation 1, found 0$'
row "edge, foreign page" 32M 1 "job=edge size=8M corrupt=7 damage=foreign" $WRONG \
	'^micro: wrong page 7 at 0x[0-9a-f]+: corrupt from byte 8, expected 0x7, found 0x8$'
row "edge, lost page" 32M 1 "job=edge passes=0 size=8M corrupt=7 damage=lost" $WRONG \
	'^micro: wrong page 7 at 0x[0-9a-f]+: lost, expected generation 1, found zeros$'
row "edge, zero page not zero" 32M 1 "job=edge size=8M corrupt=7 zero=100" $WRONG \
	'^micro: wrong page 7 .*corrupt from byte 2050, expected 0x0, found 0x10000$'
row "endless verify ends on it" 32M 2 "job=verify passes=0 size=8M corrupt=7 cpus=2" $WRONG \
	'^micro: FAIL wrong pages: 1$'

# --- what cannot be done ---
row "unknown option" 32M 1 "job=verify speed=9" $OPTIONS 'FAIL unknown option: speed=9$'
row "bad value" 32M 1 "cpus=17" $OPTIONS 'FAIL bad value: cpus=17$'
row "another program's option" 32M 1 "job=none virtio_mmio.device=4K@0xd0000000:12" $PASS pass
row "more memory than there is" 32M 1 "size=1G" $MEMORY 'FAIL less memory than size='
row "more CPUs than there are" 32M 2 "cpus=3 size=4M" $CPUS 'FAIL only 2 of 3 CPUs started$'
finish
