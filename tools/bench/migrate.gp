# SPDX-License-Identifier: Apache-2.0
# A pre-copy migration against the rate at which the guest writes: how long the guest stands still, and
# how long all of it takes. gnuplot -e sets `file` (lines "vmm MiB/s ms s"), `out` and `vmms`, who is
# in it.
set terminal svg size 720,480 dynamic font 'sans-serif,12' background 'white' name 'migrate'
set output out
set datafile separator "\t"
set multiplot layout 2,1
set logscale x 2
set grid ytics lc rgb '#dddddd'
set key top left
set yrange [0:*]
of(vmm) = sprintf("< awk -F '\\t' '$1 == \"%s\"' '%s'", vmm, file)
set title 'Pre-copy: how long the guest stands still, as it sees it'
set ylabel 'ms'
plot for [vmm in vmms] of(vmm) using 2:3 with linespoints lw 2 pt 7 ps 0.6 title vmm
set title 'and how long all of it takes'
set xlabel 'MiB written a second'
set ylabel 's'
plot for [vmm in vmms] of(vmm) using 2:4 with linespoints lw 2 pt 7 ps 0.6 title vmm
unset multiplot
