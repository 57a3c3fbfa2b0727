# SPDX-License-Identifier: Apache-2.0
# The plots of the overcommit report. Called with
#	dir      where NAME.csv (columns.jq), NAME.host, NAME.curve and sum.csv are, and plots/ is
#	names    of guests that have samples
#	limits   sum of all limits in bytes
#	memories sum of all guests' memory in bytes
#	memory   of one guest, in bytes
#	hosts    names of guests that the host has counted pages of
#	wide     names of guests whose samples have a working set
#	curves   names of guests that have a miss-ratio curve

MiB(x) = x / 1048576.0
colour(i) = word('#0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9 #999999 #000000', (i - 1) % 8 + 1)
file(name) = dir . '/' . name . '.csv'
out(name) = dir . '/plots/' . name . '.svg'

set datafile separator ','
set key outside right top Left reverse samplen 2
set grid lc rgb '#dddddd' lw 0.5
set border 3 lc rgb '#888888'
set tics nomirror
set xlabel 'seconds'
set style fill solid noborder

# ---- one plot for each guest ----

do for [i = 1:words(names)] {
	n = word(names, i)

	set terminal svg size 720,260 dynamic font 'sans-serif,12' background 'white' name 'memory' . i
	set output out('memory-' . n)
	set title n . ': memory in use'
	set ylabel 'MiB'
	set yrange [0:*]
	if (strstrt(' ' . hosts . ' ', ' ' . n . ' ')) {
		plot file(n) using 1:(MiB($3 + $4)) every ::1 with filledcurves y1=0 lc rgb '#f0b27a' title 'store', \
			'' using 1:(MiB($3)) every ::1 with filledcurves y1=0 lc rgb '#7fb3d5' title 'resident', \
			'' using 1:(MiB($2)) every ::1 with lines lw 2 lc rgb '#c0392b' title 'limit', \
			'' using 1:(MiB($28)) every ::1 with lines lw 1 lc rgb '#1b2631' title 'guest memory, by host'
	} else {
		plot file(n) using 1:(MiB($3 + $4)) every ::1 with filledcurves y1=0 lc rgb '#f0b27a' title 'store', \
			'' using 1:(MiB($3)) every ::1 with filledcurves y1=0 lc rgb '#7fb3d5' title 'resident', \
			'' using 1:(MiB($2)) every ::1 with lines lw 2 lc rgb '#c0392b' title 'limit'
	}

	set terminal svg size 720,260 dynamic font 'sans-serif,12' background 'white' name 'states' . i
	set output out('states-' . n)
	set title n . ': states of its pages'
	set yrange [0:*]
	p(x) = MiB(x * 4096.0)
	plot file(n) using 1:(p($8 + $7 + $9 + $10 + $11 + $6)) every ::1 with filledcurves y1=0 lc rgb '#eeeeee' \
			title 'absent', \
		'' using 1:(p($8 + $7 + $9 + $10 + $11)) every ::1 with filledcurves y1=0 lc rgb '#2e86c1' \
			title 'stored', \
		'' using 1:(p($8 + $7 + $9 + $10)) every ::1 with filledcurves y1=0 lc rgb '#c0392b' title 'evicting', \
		'' using 1:(p($8 + $7 + $9)) every ::1 with filledcurves y1=0 lc rgb '#f4d03f' title 'idle', \
		'' using 1:(p($8 + $7)) every ::1 with filledcurves y1=0 lc rgb '#58d68d' title 'resident, filling'
}

do for [i = 1:words(wide)] {
	n = word(wide, i)
	set terminal svg size 720,220 dynamic font 'sans-serif,12' background 'white' name 'wss' . i
	set output out('wss-' . n)
	set title n . ': working set, estimated from samples, with its 95% interval'
	set ylabel '% of memory'
	set yrange [0:100]
	plot file(n) using 1:(100 * $22):(100 * $23) every ::1 with filledcurves lc rgb '#aed6f1' \
			title '95% interval', \
		'' using 1:(100 * $21) every ::1 with lines lw 2 lc rgb '#1f618d' title 'estimate', \
		'' using 1:(100 * $2 / memory) every ::1 with lines lw 1 lc rgb '#c0392b' title 'limit'
}

# ---- all guests together ----

set terminal svg size 720,260 dynamic font 'sans-serif,12' background 'white' name 'sum'
set output out('sum')
set title 'all guests: memory in use against the limits'
set ylabel 'MiB'
set yrange [0:*]
plot dir . '/sum.csv' using 1:(MiB($3)) with filledcurves y1=0 lc rgb '#f0b27a' title 'store', \
	'' using 1:(MiB($2)) with filledcurves y1=0 lc rgb '#7fb3d5' title 'resident', \
	'' using 1:(MiB(limits)) with lines lw 2 lc rgb '#c0392b' title 'sum of limits', \
	'' using 1:(MiB(memories)) with lines lw 2 dt 2 lc rgb '#555555' title 'sum of memory'

set terminal svg size 720,260 dynamic font 'sans-serif,12' background 'white' name 'faults'
set output out('faults')
set title 'faults on stored pages'
set ylabel 'per second'
set yrange [0:*]
plot for [i = 1:words(names)] file(word(names, i)) using 1:19 every ::1 with lines lw 1.5 lc rgb colour(i) \
	title word(names, i)

set terminal svg size 720,260 dynamic font 'sans-serif,12' background 'white' name 'latency'
set output out('latency')
set title '99% of faults so far took less than (solid: store, dashed: swap)'
set ylabel 'microseconds'
set logscale y
set yrange [1:*]
us(x) = x > 0 ? x / 1000.0 : NaN
plot 1 notitle lc rgb '#ffffff' lw 0.1, \
	for [i = 1:words(names)] file(word(names, i)) using 1:(us($16)) every ::1 with lines lw 1.5 lc rgb colour(i) \
	title word(names, i), \
	for [i = 1:words(names)] file(word(names, i)) using 1:(us($17)) every ::1 with lines dt 2 \
	lc rgb colour(i) notitle
unset logscale y

set terminal svg size 720,260 dynamic font 'sans-serif,12' background 'white' name 'ratio'
set output out('ratio')
set title 'stored pages: contents to what they cost'
set ylabel 'to 1'
set yrange [0:*]
plot for [i = 1:words(names)] file(word(names, i)) using 1:12 every ::1 with lines lw 1.5 lc rgb colour(i) \
	title word(names, i)

if (words(curves) > 0) {
	set terminal svg size 720,260 dynamic font 'sans-serif,12' background 'white' name 'curve'
	set output out('curve')
	set title 'miss-ratio curve at the end: faults a second by memory'
	set xlabel '% of memory'
	set ylabel 'faults per second'
	set yrange [0:*]
	set xrange [0:100]
	plot for [i = 1:words(curves)] dir . '/' . word(curves, i) . '.curve' using (100 * $1):2 with linespoints \
		pt 7 ps 0.3 lw 1.5 lc rgb colour(i) title word(curves, i)
}
set output
