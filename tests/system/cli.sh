#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The command line: what bad input gets, exit statuses, and that nothing is left behind. Needs no
# guest but the microguest.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

run=("$QUIRE" run --serial none)

# --- bad usage: status 2 ---
expect "no command" 2 "" bash -c "$QUIRE >/dev/null 2>$WORK/help; status=\$?; grep -q usage $WORK/help && exit \$status"
expect "unknown command" 2 "fly: unknown command" "$QUIRE" fly
expect "unknown option" 2 "--fly: unknown option" "$QUIRE" run --fly
expect "no kernel given" 2 "--kernel: missing" "$QUIRE" run
expect "memory is no size" 2 "--memory lots: not a size" "$QUIRE" run --kernel x --memory lots
expect "cpus is no number" 2 "--cpus two: not a number" "$QUIRE" run --kernel x --cpus two
expect "unknown backing" 2 "--backing paper: unknown value" "$QUIRE" run --kernel x --backing paper
expect "stray operand" 2 "vmlinuz: unexpected" "$QUIRE" run --kernel x vmlinuz
expect "--help" 0 "" "$QUIRE" --help

# What is printed beside each command or option begins in one column, however many bytes stand before it;
# after one that reaches into that column it is on the next line.
aligned() # COLUMN COMMAND...
{
	local column=$1
	shift
	"$@" | LC_ALL=C tr -d '\200-\277' | awk -v at="$column" '
		after { bad += !/^ +[^ ]/ || match($0, /[^ ]/) != at; after = 0; next }
		/^  [a-z-]/ {
			rows++
			match($0, /^  [^ ]+( [^ ]+)*/)
			if (RLENGTH >= at - 1 && substr($0, at - 1, 1) != " ")
				after = 1
			else
				bad += substr($0, at - 1, 1) != " " || substr($0, at, 1) == " "
		}
		END { exit !rows || bad }'
}

check "--help is in columns" aligned 37 "$QUIRE" --help
check "image --help is in columns" aligned 37 "$QUIRE" image --help
for command in run ps pause resume powerdown quit stats limit reclaim translate checkpoint restore clone migrate \
	receive reset image qmp doctor; do
	expect "$command --help" 0 "" "$QUIRE" $command --help
	grep -q "^usage: quire $command" "$OUT" || not_ok "$command --help" "no usage line"
	grep -q "^options:" "$OUT" && check "$command --help is in columns" aligned 31 "$QUIRE" $command --help
done

for command in --help --version "run --help" "image --help" "image info --help"; do
	expect "$command that nobody can read" 1 "standard output: No space left" bash -c "$QUIRE $command >/dev/full"
done
expect "doctor that nobody can read" 1 "standard output: No space left" bash -c "$QUIRE doctor >/dev/full"

# --- bad usage of memory: status 2 ---
for backing in anon hugetlb; do
	for option in "--limit 32M" "--policy lru" "--swap none" "--swap $WORK/swap" "--store-limit 8M" \
		"--proactive stall" "--clean protect" "--trace-pages $WORK/trace"; do
		# shellcheck disable=SC2086
		expect "$option of $backing memory" 2 "${option%% *}: needs --backing memfd" \
			"$QUIRE" run --kernel x --backing $backing $option
	done
done
expect "a least limit without a limit" 2 "--limit-min: needs --limit" "$QUIRE" run --kernel x \
	--limit-min 8M
expect "a window without a trace" 2 "--trace-window: needs --trace-pages" "$QUIRE" run --kernel x \
	--trace-window 8
expect "limit is no size" 2 "--limit much: not a size" "$QUIRE" run --kernel x --limit much
expect "unknown policy" 2 "hope" "$QUIRE" run --kernel x --policy hope
expect "unknown proactive mode" 2 "--proactive very: unknown value" "$QUIRE" run --kernel x \
	--proactive very
expect "unknown failure point" 2 "QUIRE_FAULT: .*moon" env QUIRE_FAULT=moon "$QUIRE" run --kernel x
expect "limit of whom" 2 "limit: needs a guest's name and a size" "$QUIRE" limit 32M
expect "a limit that is no size" 2 "limit: 3Q: not a size" "$QUIRE" limit vm 3Q
expect "a limit below its least" 2 "--min: more than the limit" "$QUIRE" limit vm 8M --min 9M
expect "a limit beyond numbers" 2 "limit: 9000000T: not a size" "$QUIRE" limit vm 9000000T
expect "reclaim of whom" 2 "reclaim: needs a guest's name and a size" "$QUIRE" reclaim vm
expect "reclaim of no size" 2 "reclaim: all: not a size" "$QUIRE" reclaim vm all
expect "translate of whom" 2 "translate: needs a guest's name and an address" "$QUIRE" translate 0x1000
for address in x1 -1 0x 0x10000000000000000 "0x1 "; do
	expect "translate '$address'" 2 "translate: $address: not an address" "$QUIRE" translate vm -- "$address"
done
expect "translate for two accesses" 2 "--write, --fetch: give one" "$QUIRE" translate vm 0 --write --fetch
expect "translate by a vCPU that is no number" 2 "--cpu two: not a number" "$QUIRE" translate vm 0 --cpu two
expect "translate of nobody" 1 "no guest is named nobody" "$QUIRE" translate nobody 0
expect "limit of nobody" 1 "no guest is named nobody" "$QUIRE" limit nobody 32M

# --- images of guests ---
expect "image without an action" 2 "image: what with it" "$QUIRE" image
expect "image with another" 2 "image: shrink: unknown action" "$QUIRE" image shrink x
expect "image of nothing" 2 "image verify: needs the directory" "$QUIRE" image verify
expect "image info of none" 1 "$WORK/none: cannot open it" "$QUIRE" image info "$WORK/none"
mkdir "$WORK/image"
expect "image verify of an empty directory" 1 "no image of a guest" "$QUIRE" image verify "$WORK/image"
expect "image flatten of an empty directory" 1 "no image of a guest" "$QUIRE" image flatten "$WORK/image" \
	--to "$WORK/flat"
check "nothing was made for it" test ! -e "$WORK/flat"
seq 1000 >"$WORK/image/00000001.link"
expect "image verify of a text" 1 "00000001.link: not a link" "$QUIRE" image verify "$WORK/image"
expect "image link that is no number" 2 "--link last: not a number" "$QUIRE" image flatten x --link last

# --- moving guests ---
for address in pigeon:home tcp:host tcp:host:http tcp::1 tcp:host:70000 tcp:[::1:1 unix: /tmp/socket ""; do
	expect "receive at '$address'" 2 "not a|needs brackets|is missing" "$QUIRE" receive "$address"
	expect "migrate to '$address'" 2 "not a|needs brackets|is missing" "$QUIRE" migrate vm "$address"
done
expect "receive where" 2 "receive: needs an address" "$QUIRE" receive
expect "receive at two addresses" 2 "receive: needs an address" "$QUIRE" receive unix:a unix:b
expect "receive a guest that waits" 2 "--paused: the guest is as it was" "$QUIRE" receive --paused unix:a
expect "receive with a key that is not there" 1 "key file $WORK/none: No such file" "$QUIRE" receive "unix:$WORK/wire" \
	--tls-psk "$WORK/none"
expect "receive somewhere, with a key that is not there" 1 "key file $WORK/none: No such file" timeout "$HUNG" \
	"$QUIRE" receive defer --tls-psk "$WORK/none"
expect "receive in no directory" 1 "unix:$WORK/none/wire: cannot listen there" "$QUIRE" receive \
	"unix:$WORK/none/wire"
expect "migrate whom" 2 "migrate: needs a guest's name and an address" "$QUIRE" migrate
expect "migrate where" 2 "migrate: needs a guest's name and an address" "$QUIRE" migrate vm
expect "migrate in two ways at once" 2 "--precopy, --postcopy, --hybrid, --plan: give one" "$QUIRE" migrate vm unix:a \
	--postcopy --hybrid
expect "migrate with another --late" 2 "--late never: unknown value" "$QUIRE" migrate vm unix:a --late never
expect "migrate in no time" 2 "--time-limit soon: not a time" "$QUIRE" migrate vm unix:a --time-limit soon
expect "migrate with a bandwidth that is none" 2 "--bandwidth wide: not a size" "$QUIRE" migrate vm unix:a \
	--bandwidth wide
expect "migrate with streams that are no number" 2 "--streams many: not a number" "$QUIRE" migrate vm unix:a \
	--streams many
expect "migrate with a key that is not there" 2 "--tls-psk $WORK/none: No such file" "$QUIRE" migrate vm unix:a \
	--tls-psk "$WORK/none"
for streams in 0 17; do
	expect "migrate by $streams streams" 2 "--streams $streams: give 1 to 16" "$QUIRE" migrate vm unix:a \
		--streams $streams
done
expect "migrate to a directory" 2 "file:$WORK: not an address" "$QUIRE" migrate vm "file:$WORK"
expect "recover nobody from a directory" 1 "no guest is named nobody" "$QUIRE" migrate nobody "file:$WORK" --recover
expect "migrate nobody" 1 "no guest is named nobody" "$QUIRE" migrate nobody unix:a

# --- bad images and files: status 1 ---
printf 'not a kernel at all, but long enough to look at: %s\n' "$(seq 1000)" >"$WORK/text"
: >"$WORK/empty"
head -c 300 "$MICRO" >"$WORK/short"
expect "kernel missing" 1 "No such file" "${run[@]}" --kernel "$WORK/none"
expect "kernel is a directory" 1 "$WORK: " "${run[@]}" --kernel "$WORK"
expect "kernel empty" 1 "$WORK/empty: " "${run[@]}" --kernel "$WORK/empty"
expect "kernel is a text" 1 "$WORK/text: " "${run[@]}" --kernel "$WORK/text"
expect "kernel truncated" 1 "$WORK/short: " "${run[@]}" --kernel "$WORK/short"
mkfifo "$WORK/fifo"
expect "kernel is a pipe" 1 "$WORK/fifo: " "${run[@]}" --kernel "$WORK/fifo"
expect "initrd missing" 1 "No such file" "${run[@]}" --kernel "$MICRO" --initrd "$WORK/none"
truncate -s 100M "$WORK/big"
expect "initrd does not fit" 1 "$WORK/big: " "${run[@]}" --kernel "$MICRO" --initrd "$WORK/big" \
	--memory 64M
expect "command line too long" 1 "command line" "${run[@]}" --kernel "$MICRO" \
	--append "$(head -c 100000 /dev/zero | tr '\0' x)"
expect "a name with control characters prints clean" 1 "\\?\\?" "${run[@]}" \
	--kernel "$WORK/"$'\e\n'

# --- impossible machines: status 1 ---
expect "memory too small" 1 "--memory" "${run[@]}" --kernel "$MICRO" --memory 8M
expect "memory not a multiple" 1 "--memory" "${run[@]}" --kernel "$MICRO" --memory 17M
expect "memory too large" 1 "--memory" "${run[@]}" --kernel "$MICRO" --memory 2048T
expect "a limit too small to run" 1 "limit: .* too little" "${run[@]}" --kernel "$MICRO" --limit 1M
expect "a least limit above the limit" 1 "limit: " "${run[@]}" --kernel "$MICRO" --limit 8M \
	--limit-min 9M
expect "no processors" 1 "--cpus 0" "${run[@]}" --kernel "$MICRO" --cpus 0
expect "too many processors" 1 "--cpus 17" "${run[@]}" --kernel "$MICRO" --cpus 17
expect "name with a slash" 1 "a/b" "${run[@]}" --kernel "$MICRO" --name a/b
expect "serial of no kind" 1 "--serial paper" "$QUIRE" run --kernel "$MICRO" --serial paper
expect "serial file in no directory" 1 "--serial file:" "$QUIRE" run --kernel "$MICRO" \
	--serial "file:$WORK/none/x"
expect "log in no directory" 1 "--log" "${run[@]}" --kernel "$MICRO" --log "$WORK/none/x"
expect "no such guest" 1 "nobody" "$QUIRE" pause nobody

# --- no usable KVM ---
if unshare -m true 2>/dev/null; then
	expect "no /dev/kvm" 1 "/dev/kvm: no such device" unshare -m bash -c \
		"mount -t tmpfs none /dev && ${run[*]} --kernel $MICRO"
	expect "/dev/kvm is not KVM" 1 "/dev/kvm: " unshare -m bash -c \
		"mount --bind /dev/null /dev/kvm && ${run[*]} --kernel $MICRO"
	chmod 755 "$WORK"
	mkdir -m 700 "$WORK/nobody" && chown 65534 "$WORK/nobody"
	cp "$QUIRE" "$MICRO" "$WORK"
	if [ "$(stat -c %a /dev/kvm)" = 600 ]; then
		expect "no permission for /dev/kvm" 1 "permission denied" \
			env QUIRE_RUNTIME_DIR="$WORK/nobody" setpriv --reuid 65534 --clear-groups \
			"$WORK/quire" run --serial none --kernel "$WORK/micro.elf"
	else
		skip "no permission for /dev/kvm" "everybody may open it here"
	fi
else
	skip "no /dev/kvm" "mount namespaces need root"
fi

if [ ! -w /dev/kvm ]; then
	skip "guests" "/dev/kvm cannot be used here"
	finish
	exit
fi

# --- real guests ---
expect "a guest that passes" 0 "" "${run[@]}" --kernel "$MICRO" --append job=none
check "nothing is left in the runtime directory" test -z "$(ls "$QUIRE_RUNTIME_DIR")"
expect "full disk under the serial port" 1 "serial output: No space left" "$QUIRE" run \
	--kernel "$MICRO" --append 'job=verify passes=1 size=1M' --serial file:/dev/full
# A guest that prints its last line and ends: which of both is noticed first does not matter.
last_words()
{
	local i
	for ((i = 0; i < 20; i++)); do
		"$QUIRE" run --kernel "$MICRO" --append 'job=none' --serial "$1" 2>/dev/null </dev/null
		[ $? = "$2" ] || return 1
	done
}
check "last words on a full disk" last_words file:/dev/full 1
check "last words on another" last_words "file:$WORK/last" 0
expect "a reader that goes away" 0 "" bash -c "$QUIRE run --kernel $MICRO --append \
	'job=verify passes=0 size=1M status=1' 2>$WORK/pipe | head -n 1 >/dev/null; grep -q 'Broken pipe' $WORK/pipe"

# A signal, at any moment of a guest's life: status 1, one line or none, and nothing left.
signals_end_it()
{
	local delay pid status
	for delay in 0 0.001 0.002 0.003 0.005 0.01 0.05 0.3; do
		"${run[@]}" --kernel "$MICRO" --append 'job=verify passes=0 size=1M' &
		pid=$!
		sleep $delay
		kill -INT $pid
		wait $pid
		status=$?
		# 130: the shell's word for a process that had not yet set up its handler
		[ $status = 1 ] || [ $status = 130 ] || return 1
		[ -z "$(ls "$QUIRE_RUNTIME_DIR")" ] || return 1
	done
}
set -m # background jobs would ignore SIGINT otherwise
check "Ctrl-C at any moment" signals_end_it
set +m

finish
