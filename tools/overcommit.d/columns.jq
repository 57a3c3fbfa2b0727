# SPDX-License-Identifier: Apache-2.0
# Replies to x-quire-memory, one a line, each with the milliseconds of its question as its id, into
# columns. Lines that are something else, or were cut off when the guest ended, are passed over.
#
#	jq -Rnr -f columns.jq NAME.raw >NAME.csv

def heading: [
	"seconds", "limit", "resident", "store", "peak",				#  1 to  5
	"absent", "filling", "mapped", "idle", "evicting", "stored",			#  6 to 11
	"ratio", "back", "zero", "soft", "p99-store-ns", "p99-tier-ns", "evicted",	# 12 to 18
	"faults-per-second", "stall", "wss", "wss-low", "wss-high",			# 19 to 23
	"swap-used", "thrashing", "descriptors", "all-faults"				# 24 to 27
];

# faults on stored pages so far
def back: .faults.store.count + .faults.tier.count;

def row($before):
	(.t - ($before.t // .t)) as $passed |
	[
		.t, .limit, .resident, .store, .peak,
		.pages.absent, .pages.filling, .pages.resident, .pages.idle, .pages.evicting, .pages.stored,
		.contents.ratio, back, .faults.zero.count, .faults.soft.count,
		.faults.store["p99-ns"], .faults.tier["p99-ns"], .evicted,
		(if $passed > 0 then ((back - ($before | back)) / $passed | round) else 0 end),
		.stall, .["working-set"].share, .["working-set"].low, .["working-set"].high,
		(.swap["used-bytes"]? // 0), (if .thrashing then 1 else 0 end), .descriptors,
		([.faults[].count] | add)
	];

(heading | @csv | gsub("\""; "")),
(
	[
		inputs | fromjson? | objects
		| select((.id | type) == "number" and (.return | type) == "object" and .return.pages)
		| {t: (.id / 1000)} + .return
	]
	| . as $all | range(length) as $i | $all[$i]
	| row(if $i > 0 then $all[$i - 1] else null end) | @csv
)
