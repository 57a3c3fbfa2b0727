#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Stock Linux on shadow page tables (--mmu shadow), directly on this host's KVM, whatever it is: to its init and to
# its end, with checked workloads, with processes that come and go, under a limit, on each console. In all of them
# every shadow entry is compared with the guest's tables again and again (QUIRE_CHECK_MMU).
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

if [ ! -w /dev/kvm ]; then
	skip "Linux on shadow page tables" "/dev/kvm cannot be used here"
	finish
	exit
fi

end_guests_at_exit
export QUIRE_CHECK_MMU=1

# Linux with APPEND; its output goes to $OUT. The rest are options.
linux() # APPEND OPTION...
{
	local append=$1
	shift
	timely "$QUIRE" run --kernel build/linux/vmlinuz --initrd build/linux/initrd --memory 256M \
		--append "quiet $append" "$@"
}

# It must end with STATUS and print PATTERN.
row() # NAME STATUS PATTERN APPEND OPTION...
{
	local name=$1 status=$2 pattern=$3 got
	shift 3
	linux "$@" >"$OUT" 2>"$ERR" </dev/null
	got=$?
	if [ $got = "$status" ] && grep -q "$pattern" "$OUT"; then
		ok "$name"
	else
		not_ok "$name" "status $got: $(tail -n 5 "$OUT" "$ERR" | tr '\n' ' ')"
	fi
}

row "two processors, a checked workload" 0 'linux: pass' quire.run=job=verify,size=32M,cpus=2 --mmu shadow --cpus 2
row "a wrong page is found" 3 'FAIL wrong pages: 1' quire.run=job=verify,size=4M,corrupt=5 --mmu shadow
row "reboot ends quire" 0 'init reached' quire.run=reboot --mmu shadow

# --- under a limit ---
# Started in the background, as start() does: NAME APPEND OPTION...
background()
{
	local name=$1 append=$2
	shift 2
	start "$name" run --kernel build/linux/vmlinuz --initrd build/linux/initrd --memory 256M \
		--append "quiet $append" --mmu shadow "$@"
	pid=${process[$name]}
}

QUIRE_CHECK_MEMORY=1 background limited quire.run=job=verify,size=96M,stop=1 --limit 64M
wait_for_line "$WORK/limited.out" 'linux: fill' "$pid"
"$QUIRE" qmp limited x-quire-memory >"$WORK/last"
evicted=$(jq '.. | .evicted? // empty' "$WORK/last" | head -n 1)
tell_stop limited
while kill -0 "$pid" 2>/dev/null; do
	"$QUIRE" qmp limited x-quire-memory >"$WORK/now" 2>/dev/null && mv "$WORK/now" "$WORK/last"
	sleep 0.5
done
gone limited
status=$?
peak=$(jq '.peak' "$WORK/last")
if [ $status = 0 ] && grep -q 'linux: pass' "$WORK/limited.out" && [ "${evicted:-0}" -gt 1000 ] &&
	[ "$peak" -le $((66 * 1048576)) ]; then
	ok "96 MiB of pages under a limit of 64 for all"
else
	not_ok "96 MiB of pages under a limit of 64 for all" "status $status peak $peak evicted $evicted"
fi

# --- processes that come and go, and mappings ---
# (the shell asks where the cursor is, and takes the next key for the answer)
# shellcheck disable=SC2016 # the guest expands it
churn='    echo begun; i=0; while [ $i -lt 12 ]; do ls -l /bin | sort | tail -n 1 >/dev/null;
	(cat /proc/self/maps | wc -l) >/dev/null; i=$((i+1)); done
	dd if=/dev/zero of=/tmp/f bs=1M count=24 2>/dev/null; md5sum /tmp/f; echo churned $i'
background forks "" --cpus 2
forks=$pid
exec 9>"$WORK/forks.in"
says() { wait_for_line "$WORK/forks.out" "$1" "$forks"; }
mmu() { "$QUIRE" qmp forks x-quire-mmu "$@" >"$WORK/mmu"; }
says '/root #'
echo "$churn" >&9
says '^begun'
check "the self-check finds nothing while it works" mmu '{"check": true}'
check "it compared thousands of entries, and all agree" \
	jq -e '.check.disagreements == 0 and .check.entries > 5000' "$WORK/mmu"
check "processes came and went" says '^churned 12'
check "24 MiB of zeros are that" says "^$(head -c 25165824 /dev/zero | md5sum | cut -d ' ' -f 1) "
check "once more, afterwards" mmu '{"check": true}'
check "no entry disagrees" jq -e '.check.disagreements == 0' "$WORK/mmu"
expect "a power button is not there" 1 "no power button" "$QUIRE" powerdown forks
check "translate knows the segments of its kernel" sh -c "'$QUIRE' translate forks gs:0 |
	grep -qE '^gs:0x0, base 0x[0-9a-f]+: linear address 0x[0-9a-f]+$'"
check "translate shows the shadow entry" sh -c "'$QUIRE' translate forks 0xffffffff81000000 |
	grep -q 'the processor walks shadow tables instead'"
echo "    poweroff -f" >&9
exec 9>&-
check "it powers off from inside" wait_for_exit "$forks"

finish
