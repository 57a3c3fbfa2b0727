#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest on shadow page tables as its owner sees it: stock Linux boots and works on them while its
# tables are checked each second; what x-quire-mmu and stats say of it; who chooses them, and what
# doctor says; that a check finds a table that is wrong.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

if [ ! -w /dev/kvm ]; then
	skip "guests on shadow tables" "/dev/kvm cannot be used here"
	finish
	exit
fi
if ! command -v jq >/dev/null; then
	skip "guests on shadow tables" "jq is not installed"
	finish
	exit
fi

end_guests_at_exit
export QUIRE_CHECK_MMU=1

# To be followed by more options.
linux=("$QUIRE" run --kernel build/linux/vmlinuz --initrd build/linux/initrd --memory 128M)
micro=("$QUIRE" run --kernel "$MICRO" --memory 32M --append 'job=verify passes=0 size=4M' --detach)

mmu_is() # NAME EXPRESSION [ARGUMENTS]
{
	"$QUIRE" qmp "$1" x-quire-mmu ${3:+"$3"} >"$WORK/mmu" && jq -e "$2" "$WORK/mmu"
}

# --- who chooses ---
"$QUIRE" doctor --json >"$WORK/doctor"
auto=$(jq -r '."mmu-auto"' "$WORK/doctor") how=$(jq -r .how "$WORK/doctor")
check "doctor says how Linux runs" jq -e '."runs-stock-linux" and (.how == "ept" or .how == "shadow")' "$WORK/doctor"
check "and to a person what auto takes" bash -c "'$QUIRE' doctor | grep -qE '^  --mmu auto +$auto '"
expect "Linux by default" 0 "" "${linux[@]}" --paused --detach --name auto
check "is on $auto" mmu_is auto ".mode == \"$auto\""
expect "it goes" 0 "" "$QUIRE" quit auto
note=
[ "$how" = ept ] || note="note: this host's KVM emulates kernel code and stock Linux will not boot on it"
expect "Linux by --mmu ept" 0 "$note" "${linux[@]}" --mmu ept --paused --detach --name ept
check "is so" mmu_is ept '. == {mode: "ept"}'
expect "it goes" 0 "" "$QUIRE" quit ept
expect "another --mmu" 2 "--mmu tlb: unknown value" "${linux[@]}" --mmu tlb

# --- nothing to count ---
expect "a guest on KVM's paging" 0 "" "${micro[@]}" --mmu ept --name plain
check "has no more to say" mmu_is plain '. == {mode: "ept"}'
expect "and nothing to check" 1 "guest plain: has no shadow tables of ours to check \(run it with --mmu" \
	"$QUIRE" qmp plain x-quire-mmu '{"check": true}'
check "stats shows nothing of it" bash -c "'$QUIRE' stats plain >$OUT && ! grep -q ^mmu $OUT"
expect "it goes" 0 "" "$QUIRE" quit plain

# --- Linux ---
mkfifo "$WORK/keys"
exec 3<>"$WORK/keys"
"${linux[@]}" --mmu shadow --name vm --append console=ttyS0 >"$WORK/serial" 2>"$WORK/said" <&3 &
pid=$!
says() # WORDS
{
	wait_for_line "$WORK/serial" "$1" $pid
}
check "Linux gets to its shell" says '/root #'
echo 'work job=access size=16M write=40 time=0 ops=0 & echo told $((40 + 2))' >&3
check "which does what it is told" says '^told 42'
check "and works" says '^linux: fill'
said_once() # WORDS
{
	[ "$(grep -c "$1" "$WORK/serial")" = 1 ]
}
check "the kernel's words come once" said_once "Run /init as init process"
check "it was told of its processors and console" \
	said_once 'Command line: nr_cpus=1 noreplace-smp console=hvc0[[:space:]]*$'
plausible='.mode == "shadow" and .traps.UD > 10000 and .traps.PF > 100 and .traps.GP > 100
	and .traps.UD >= .syscalls and .traps.PF >= ([."shadow-faults"[]] | add)
	and ."shadow-faults".fill > 100 and ."shadow-faults".guest > 0
	and ([."shadow-faults"[]] | add) == .traps.PF
	and .prefills > 1000 and .unsyncs > 0 and .syscalls > 100 and .events > 0 and .interrupts > 0
	and .emulated > 100 and .emulated <= .traps.GP
	and .hypercalls.mmu_update.count > 1000 and .hypercalls.mmu_update.ns > 1000000
	and .hypercalls.iret.count > 100 and ([.hypercalls[].count] | min) > 0
	and ."fault-ns" > 1000000 and ."hypercall-ns" > ."hypercalls".mmu_update.ns
	and ([.tables.kernel[]] | min) > 0 and ([.tables.user[]] | min) > 0
	and ([.tables.kernel[], .tables.user[]] | add) < .tables.made
	and .tables.entries > 4096 and ."tables"."arena-pages" > .tables."free-pages"'
check "its numbers are plausible" wait_until mmu_is vm "$plausible"
cp "$WORK/mmu" "$WORK/before"
sound='.check.disagreements == 0 and .check.first == null and .check.tables > 50 and .check.entries > 4096'
check "its tables are sound" mmu_is vm "$sound" '{"check": true}'
check "it goes on" wait_until bash -c "'$QUIRE' qmp vm x-quire-mmu >'$WORK/after' &&
	jq -e --slurpfile before '$WORK/before' '.traps.interrupt > \$before[0].traps.interrupt' '$WORK/after'"
expect "pause" 0 "" "$QUIRE" pause vm
check "they are so while it is paused" mmu_is vm "$sound" '{"check": true}'
expect "resume" 0 "" "$QUIRE" resume vm
stats_tells()
{
	"$QUIRE" stats vm >"$WORK/stats" &&
		grep -qE '^mmu       shadow: [0-9]+ tables of the kernel, [0-9]+ of processes, ' "$WORK/stats" &&
		grep -qE '^  traps +[0-9]+: .*UD [0-9]+, .*PF [0-9]+' "$WORK/stats" &&
		grep -qE '^  faults +[0-9]+ in [0-9.]+ m?s: guest [0-9]+, fill ' "$WORK/stats"
}
check "stats tells a person" stats_tells
check "stats --json has all of it" bash -c "'$QUIRE' stats vm --json | jq -e '.mmu | $plausible'"
expect "quit" 0 "" "$QUIRE" quit vm
ends_well()
{
	wait $pid && ! grep -q disagree "$WORK/said"
}
check "it ends well" ends_well

# --- a defect ---
expect "a table that does not follow the guest's is found" 1 \
	"its shadow tables disagree with its own in [0-9]+ places" \
	env QUIRE_FAULT=mmu-entry "${linux[@]}" --mmu shadow --serial none --append quire.run=poweroff
finish
