#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The microguest as a Xen PV guest, on shadow page tables: its jobs on one and two processors, little
# memory and memory above 4 GiB, page tables changed in every way there is, attempts to reach what is
# not the guest's, memory under a limit; and that what must fail does fail. A row is as in
# tests/system/micro.sh, and may end with options for quire.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

export QUIRE_CHECK_MEMORY=1 TMPDIR=$WORK
PASS=0 WRONG=3 OPTIONS=4 MEMORY=5 CPUS=6

row() # NAME MEMORY CPUS APPEND VALUE PATTERN OPTION...
{
	local name=$1 memory=$2 cpus=$3 append=$4 want=$5 pattern=$6 value last='^micro: pass$'
	left_out "$1" && return
	shift 6
	[ "$want" = $PASS ] || last='^micro: FAIL '
	timely "$QUIRE" run --mmu shadow --kernel "$MICRO" --memory "$memory" --cpus "$cpus" \
		--append "$append" "$@" >"$OUT" 2>"$ERR" </dev/null
	value=$?
	if [ $value != "$want" ]; then
		not_ok "$name" "value $value, not $want: $(tail -n 4 "$OUT" "$ERR" | tr '\n' ' ')"
	elif ! tail -n 1 "$OUT" | grep -qE "$last"; then
		not_ok "$name" "last line: $(tail -n 1 "$OUT")"
	elif ! grep -qE "$pattern" "$OUT"; then
		not_ok "$name" "no line matches $pattern: $(cat "$OUT")"
	else
		ok "$name"
	fi
}

if ! { : <>/dev/kvm; } 2>/dev/null; then
	skip "microguest on shadow tables" "/dev/kvm cannot be opened"
	finish
	exit
fi

# --- which entry it is given ---
row "Xen's clock, small pages" 32M 1 "job=fill size=4M map=2m" $PASS ' map 4k clock xen, '
check "PVH, if nobody asks for anything else" bash -c '"$1" run --kernel "$2" --memory 32M \
	--append "job=fill size=4M" </dev/null | grep -E " map 2m clock (kvm-clock|interval timer),"' - \
	"$QUIRE" "$MICRO"
row "nothing at all" 32M 1 "job=none" $PASS pass

# --- every job on one, two and four processors ---
for cpus in 1 2 4; do
	on="cpus=$cpus size=16M"
	row "fill, $cpus CPUs" 32M $cpus "job=fill $on" $PASS '^micro: fill 4096 pages'
	row "verify, $cpus CPUs" 32M $cpus "job=verify passes=3 $on" $PASS '^micro: verify 12288 pages'
	row "access, $cpus CPUs" 32M $cpus "job=access ops=20000 $on" $PASS '^micro: access 20000 pages'
	row "edge, $cpus CPUs" 32M $cpus "job=edge passes=5 $on" $PASS '^micro: edge 20480 pages'
done
row "more CPUs than used" 32M 4 "job=verify size=4M cpus=2" $PASS '^micro: cpus 2 '
row "heartbeat and status" 32M 2 "job=access time=0.3 beat=1 status=100 size=8M cpus=2" $PASS \
	'^micro: status [0-9.]+ s .* beats [1-9][0-9]* max gap'

# --- memory ---
row "16 MiB" 16M 1 "job=verify" $PASS '^micro: verify 3072 pages'
row "all of 128 MiB" 128M 2 "job=verify cpus=2" $PASS '^micro: verify 31232 pages'
row "above 4 GiB" 6G 2 "job=verify skip=5G size=64M cpus=2" $PASS '^micro: verify 16384 pages'
row "address above 4 GiB" 6G 1 "job=verify skip=5G size=16M corrupt=9" $WRONG \
	'^micro: wrong page 9 at 0x1[0-9a-f]{8}: '

# --- page tables in motion, by calls one by one and together, and by writes ---
for how in "" "batch=8" "batch=512" "how=write" "how=write batch=8" "how=write batch=512"; do
	for cpus in 1 2; do
		row "churn ${how:-one by one}, $cpus CPUs" 32M $cpus "job=churn ops=1500 cpus=$cpus $how" $PASS \
			'^micro: churn [12][0-9]{3} pages .* [2-9][0-9]{2} faults, [0-9]{4} entries changed'
	done
done
# long enough for one processor to meet what the other has changed
row "churn, more of it" 64M 2 "job=churn ops=10000 cpus=2 batch=8" $PASS '^micro: churn 1[0-9]{4} '
row "churn by writes, more of it" 64M 2 "job=churn ops=10000 cpus=2 how=write batch=8" $PASS \
	'^micro: churn 1[0-9]{4} '

# --- what is not the guest's ---
row "attack" 32M 1 "job=attack" $PASS '^micro: attack: pass$'
row "attack, memory above 4 GiB" 5G 2 "job=attack cpus=2" $PASS '^micro: attack: pass$'
expect "attack has no meaning by PVH" $OPTIONS '' "$QUIRE" run --mmu ept --kernel "$MICRO" \
	--append job=attack

# --- a limit ---
row "48 MiB in 16" 96M 1 "job=verify passes=2 size=48M" $PASS '^micro: verify 24576 pages' --limit 16M
row "48 MiB in 16, two CPUs" 96M 2 "job=access ops=20000 size=48M cpus=2" $PASS \
	'^micro: access 20000 pages' --limit 16M
row "churn in 16 MiB" 96M 1 "job=churn ops=1500 batch=32" $PASS '^micro: churn 1' --limit 16M

# --- what must be found, and what cannot be done ---
row "flipped bit" 32M 2 "job=verify size=8M corrupt=7 cpus=2" $WRONG \
	'^micro: wrong page 7 at 0x[0-9a-f]+: corrupt from byte 2050, expected 0x[0-9a-f]+, found 0x'
row "stale page" 32M 1 "job=verify size=8M corrupt=7 damage=stale" $WRONG \
	'^micro: wrong page 7 at 0x[0-9a-f]+: stale, expected generation 2, found 1$'
row "unknown option" 32M 1 "job=verify speed=9" $OPTIONS 'FAIL unknown option: speed=9$'
row "more memory than there is" 32M 1 "size=1G" $MEMORY 'FAIL less memory than size='
row "more CPUs than there are" 32M 2 "cpus=3 size=4M" $CPUS 'FAIL only 2 of 3 CPUs started$'
finish
