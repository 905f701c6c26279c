#!/usr/bin/env bash
# Fuzzes everything that reads bytes: builds the targets for libFuzzer with a stable compiler, and runs
# each for a while. What a target found stays as a file whose path is printed, and the exit code is 1;
# it is 77 if libFuzzer cannot be had.
#
#     tests/fuzz/run.sh              all targets
#     tests/fuzz/run.sh image rows   these
#
# FOR   how many seconds each target runs, 60 if not given
#
# `cargo fuzz run -s none --fuzz-dir tests/fuzz TARGET` does much the same, where it is installed.
set -euo pipefail
cd "$(dirname "$0")"

FOR=${FOR:-60}
# The longest input, the memory of a target in MiB, and the seconds that one input may take.
LEN_MAX=20000
MEMORY_MAX=1024
INPUT_MAX=10

host=$(rustc -vV | sed -n 's/^host: //p')
base=$(cd ../.. && cd "${CARGO_TARGET_DIR:-target}" 2>/dev/null && pwd || echo "$PWD/../../target")
export CARGO_TARGET_DIR=$base/fuzz
# What `cargo fuzz -s none` gives: counters at each edge, and comparisons told to the fuzzer.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(sed -n '/^\[\[bin\]\]/,/^name/s/^name = "\(.*\)"/\1/p' Cargo.toml)

# The versions of the workspace around, and what comes on top.
cp ../../Cargo.lock Cargo.lock
if ! RUSTFLAGS="" timeout 120 cargo fetch --quiet --target "$host"; then
    echo "skipped: libFuzzer cannot be had, cargo fetch fails in $PWD"
    exit 77
fi
# With `--target`, the parts that run while building are built without counters.
cargo build --release --quiet --target "$host" "${targets[@]/#/--bin=}"

failed=()
for target in "${targets[@]}"; do
    seeds=$CARGO_TARGET_DIR/seeds/$target corpus=$CARGO_TARGET_DIR/corpus/$target
    found=$CARGO_TARGET_DIR/found/$target
    rm -rf "$seeds"
    mkdir -p "$seeds" "$corpus" "$found"
    log=$CARGO_TARGET_DIR/$target.log
    if ZONESYNC_FUZZ_SEEDS=$seeds timeout --kill-after=10 $((FOR + 120)) \
        "$CARGO_TARGET_DIR/$host/release/$target" "$corpus" "$seeds" -max_total_time="$FOR" \
        -max_len=$LEN_MAX -rss_limit_mb=$MEMORY_MAX -timeout=$INPUT_MAX -artifact_prefix="$found/" \
        -print_final_stats=1 -verbosity=0 >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        memory=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
        echo "fuzz $target: $runs inputs in $FOR s, at most $memory MiB, nothing found"
    else
        tail -40 "$log"
        echo "fuzz $target: FAILED, see $found"
        failed+=("$target")
    fi
done
[ ${#failed[@]} -eq 0 ]
