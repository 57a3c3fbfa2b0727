# SPDX-License-Identifier: Apache-2.0
# The house (docs/ARCHITECTURE.md): which folder may use which. layers and circles read this.
#
#   may(FROM, PATH)    may the file FROM use what the file PATH has?
#   room(PATH)         the folder that stands for a path in the table
#
# A folder that is not in the table may use nothing and be used by nobody.

# The room of a path: mm/store, vmm/pv, guest, tools; a file in vmm/ itself is a room of its own.
function room(path,   part, n) {
	n = split(path, part, "/")
	if (part[1] == "guest") return "guest"
	if (part[1] == "mm") return n > 2 ? "mm/" part[2] : path
	if (part[1] == "vmm" && n == 2) sub(/\.c$/, ".h", path)
	if (part[1] == "vmm") return n > 2 ? "vmm/" part[2] : path
	return part[1] == "tools" ? "tools" : ""
}
function may(file, path,   from, to) {
	from = room(file)
	to = room(path)
	if (!(from in known) || !(to in known)) return 0
	if (from == to || (from, to) in allowed) return 1
	if (to ~ /^mm\//) return from ~ /^vmm\// || from == "tools"
	return from ~ /^vmm\// && path == "guest/abi.h"
}

# A folder of mm/, and what it may use besides base.
function mm_row(row,   words, n, i) {
	n = split(row, words, " ")
	known["mm/" words[1]]
	allowed["mm/" words[1], "mm/base"]
	for (i = 2; i <= n; i++) allowed["mm/" words[1], "mm/" words[i]]
}
# vmm/ from the top: each may use what stands below it, and all of mm/.
function vmm_order(list,   words, n, i, j) {
	n = split(list, words, " ")
	for (i = 1; i <= n; i++) {
		known["vmm/" words[i]]
		for (j = i + 1; j <= n; j++) allowed["vmm/" words[i], "vmm/" words[j]]
	}
}
# Neighbours in that list that do not know of each other.
function vmm_apart(a, b) {
	delete allowed["vmm/" a, "vmm/" b]
	delete allowed["vmm/" b, "vmm/" a]
}

BEGIN {
	mm_row("base")
	mm_row("codec")
	mm_row("policy")
	mm_row("x86")
	mm_row("swap")
	mm_row("space   codec")
	mm_row("wire    codec")
	mm_row("store   codec swap")
	mm_row("shadow  x86")
	mm_row("image   codec space")
	mm_row("engine  codec policy space store swap")
	vmm_order("cli control machine run checkpoint migrate inspect state pv vm boot devices kvm " \
		"shutdown.h version.h")
	vmm_apart("checkpoint", "migrate")
	vmm_apart("inspect", "state")
	known["guest"]
	known["tools"]
}
