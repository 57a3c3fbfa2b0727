#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `quire translate` on the microguest, whose tables are known: low memory is mapped one to one, in pages of 4 KiB
# below 2 MiB and of 2 MiB up to 4 GiB; what it works on begins at 512 GiB.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

if [ ! -w /dev/kvm ]; then
	skip "translations of real guests" "/dev/kvm cannot be used here"
	finish
	exit
fi

end_guests_at_exit

ARENA=0x8000000000
start=("$QUIRE" run --kernel "$MICRO" --memory 64M --append "job=verify passes=0 size=16M map=4k" --detach --name)

# Translate, for ARGUMENTS; each of PATTERNS must match a line.
shows() # "ARGUMENTS" PATTERN...
{
	local arguments pattern
	read -ra arguments <<<"$1"
	shift
	"$QUIRE" translate "${arguments[@]}" >"$WORK/shown" || return 1
	for pattern in "$@"; do
		grep -qE -- "$pattern" "$WORK/shown" || {
			echo "no line matches $pattern" >&2
			return 1
		}
	done
}

lines() # PATTERN
{
	grep -cE -- "$1" "$WORK/shown"
}

# The states of pages, as `quire stats` has them.
states()
{
	"$QUIRE" qmp vm x-quire-memory | sed -n '/"pages": {/,/}/p'
}

expect "a guest starts" 0 "" "${start[@]}" vm
wait_until shows "vm $ARENA" "^$ARENA is at "

# --- what is mapped ---
check "a page of 2 MiB" shows "vm 0x201234" \
	"^0x201234 is at 0x201234, in a page of 2M: writable, for users, executable$" \
	"^PML4E +0 " "^PDPTE +0 " "^PDE +1 +0x[0-9a-f]+008 +0x2000[0-9a-f]{2}  P W U .*PS"
check "has no PTE" test "$(lines '^PTE .*P W U')" = 0
check "a page of 4 KiB" shows "vm 0x1234" "^0x1234 is at 0x1234, in a page of 4K" \
	"^PTE +1 +0x[0-9a-f]+008 +0x1[0-9a-f]{3}  P W U"
check "a page of work" shows "vm $ARENA" "^PML4E +1 " "^PDE +0 " "^PTE +0 .* P W U A" \
	"^page +0x[0-9a-f]+ +resident +4K +0x[0-9a-f]+37  R W X A D"
check "its second step" shows "vm $ARENA" "^the second step of the page" "^PTE .* 0x[0-9a-f]+37  R W X A D$"
check "a number like any other" shows "vm 4660" "^vCPU 0, paging 4-level: read by supervisor of 0x1234$"
check "for another access" shows "vm 0x1234 --user --write" ": write by user of 0x1234$" "^0x1234 is at 0x1234"
check "for an instruction" shows "vm 0x1234 --fetch --cpu 0" ": fetch by supervisor of 0x1234$"
if "$QUIRE" doctor --json | grep -q '"paging": "shadow"'; then
	check "what a miss costs" shows "vm $ARENA" \
		"^KVM shadows the guest's tables here: .* at most 4 memory references"
else
	check "what a miss costs" shows "vm $ARENA" \
		"at most 24 memory references: 4 levels of the guest's tables, 4 of"
	check "and on a page of 2 MiB" shows "vm 0x201234" "at most 19 memory references: 3 levels"
fi
check "no memory behind it" shows "vm 0xfee00000" "^0xfee00000 is at 0xfee00000" "^page +0xfee00000 +no memory"

check "an offset in a segment" shows "vm fs:0x1234" "^fs:0x1234, base 0x[0-9a-f]+: linear address 0x[0-9a-f]+$" \
	"^0x[0-9a-f]+ is at 0x"
check "whose end it is beyond" shows "vm ds:0x800000000000" \
	"^0x800000000000 is not in the segment: a general-protection fault before any table is read$"
expect "a segment that is none" 2 "hs:1: not an address" "$QUIRE" translate vm hs:1

# --- what is not ---
check "what is not mapped" shows "vm 0x4000000000" \
	"^0x4000000000 is not mapped: page fault, error code 0x0 \(read by supervisor: not present\)$" \
	"^PDPTE +256 .* 0x0  -"
check "for a user's write" shows "vm 0x4000000000 --user --write" "error code 0x6 \(write by user: not present\)$"
check "the end of the address space" shows "vm 0xffffffffffffffff" "^0xffffffffffffffff is not mapped: page fault"
check "what is not canonical" shows "vm 0x800000000000" "^0x800000000000 is not canonical: "
check "has no entries" test "$(wc -l <"$WORK/shown")" = 3

# --- what is stored ---
"$QUIRE" pause vm
"$QUIRE" reclaim vm 64M >/dev/null
states >"$WORK/before"
check "a page that was pushed out" shows "vm $ARENA" "^page +0x[0-9a-f]+ +stored +4K +0x0  -$" \
	"^$ARENA is at 0x[0-9a-f]+, in a page of 4K"
check "its tables are stored, and read" test "$(lines '^P.* P W U A.* stored +4K +0x0  -$')" = 4
states >"$WORK/after"
check "and all stay where they are" cmp "$WORK/before" "$WORK/after"
"$QUIRE" resume vm
check "it comes back" wait_until shows "vm $ARENA" "^page +0x[0-9a-f]+ +resident"

# --- JSON ---
json_is() # EXPRESSION ARGUMENT...
{
	local expression=$1
	shift
	"$QUIRE" translate "$@" --json | jq -e "$expression"
}
if command -v jq >/dev/null; then
	check "JSON of a page" json_is '.outcome == "mapped" and .page.at == "0x201234" and .page.size == 2097152 and
		[.steps[].level] == ["PML4E", "PDPTE", "PDE"] and (.steps | all(.second.entries | length == 4))' \
		vm 0x201234
	check "JSON counts the map" json_is '.map["4K"] | .present > 1000 and .present >= .writable and
		.present >= .accessed and .present <= 16384' vm 0
	check "JSON of none" json_is '.outcome == "page-fault" and .fault.code == 6 and .page == null' \
		vm 0xffff800000000000 --user --write
else
	skip "translations in JSON" "jq is not installed"
fi
check "QMP takes numbers, too" bash -c \
	"$QUIRE qmp vm x-quire-translate '{\"address\": 4660}' | grep -q '\"at\": \"0x1234\"'"

# --- what fails ---
expect "a vCPU too many" 1 "vCPU 1: the guest has 1, counted from 0" "$QUIRE" translate vm 0 --cpu 1
expect "a guest that is none" 1 "no guest is named nobody" "$QUIRE" translate nobody 0

# --- other guests ---
expect "a guest that never ran" 0 "" "${start[@]}" new --paused
check "has no tables" shows "new 0x1000" "^vCPU 0, paging off: " "^page +0x1000 +absent" "^0x1000 is at 0x1000"
expect "memory without an engine" 0 "" "${start[@]}" anon --backing anon
wait_until shows "anon $ARENA" "^$ARENA is at "
check "is mapped" shows "anon $ARENA" "^page +0x[0-9a-f]+ +mapped +4K +0x[0-9a-f]+37  R W X$"
check "and nothing else is said of it" test "$(lines ' (resident|absent) ')" = 0

finish
