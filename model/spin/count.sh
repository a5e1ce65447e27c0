#!/bin/sh
# Counts the states of lease.pml with Spin: count.sh WORKERS EXECUTIONS STEPS ATTEMPTS [pan compiler flags]
# Prints: distinct states, seconds, bytes of states and hash table (Spin's search stack is not counted). Needs spin and gcc; at most 5 workers and 3 executions.
set -eu
[ $# -ge 4 ] || { sed -n 2,3p "$0" >&2; exit 2; }
model=$(cd "$(dirname "$0")" && pwd)/lease.pml
bounds="-DW=$1 -DX=$2 -DS=$3 -DA=$4"
shift 4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# shellcheck disable=SC2086
spin $bounds -a "$model" >spin.log || { cat spin.log >&2; exit 1; }
gcc -w -O2 -DSAFETY -DNOREDUCE -DMEMLIM=8192 "$@" -o pan pan.c
# -E: a state in which everything has ended is no deadlock. -m, -w: room for the search stack and the hash table.
./pan -E -m10000000 -w23 >pan.log
if grep -q -e 'max search depth too small' -e 'out of memory' -e 'errors: [1-9]' pan.log; then
  cat pan.log >&2
  exit 1
fi
awk '
  /states, stored/ { states = $1 }
  /elapsed time/ { seconds = $4 }
  /actual memory usage for states|memory used for hash table/ { megabytes += $1 }
  END { printf "%d %s %d\n", states, seconds, megabytes * 1048576 }
' pan.log
