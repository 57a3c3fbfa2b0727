# SPDX-License-Identifier: Apache-2.0
# How long a guest stands still for a checkpoint, against its size. gnuplot -e sets `file` (lines
# "place MiB median worst"), `out` and `places`.
set terminal svg size 720,300 dynamic font 'sans-serif,12' background 'white' name 'pause'
set output out
set title 'A live checkpoint: how long the guest stands still'
set xlabel 'memory that the guest has filled, MiB'
set ylabel 'ms'
set logscale x 2
set yrange [0:*]
set grid ytics lc rgb '#dddddd'
set key top left
of(place) = sprintf("< awk -F '\\t' '$1 == \"%s\"' '%s'", place, file)
plot for [i = 1:words(places)] of(word(places, i)) using 2:3 with linespoints lw 2 pt 7 ps 0.6 \
		title 'to ' . word(places, i) . ', median', \
	for [i = 1:words(places)] of(word(places, i)) using 2:4 with points pt 1 \
		title 'to ' . word(places, i) . ', worst', \
	2 with lines lw 1 lc rgb '#c0392b' title 'target'
