#!/usr/bin/env bash
# Runs every test there is, part by part. `make test` calls it.
#
#     tests/run.sh               all parts, in the order below
#     tests/run.sh format lint   these parts
#
# A part that fails does not stop the others. The exit code is 0 if none failed.
#
# PROPTEST_CASES      how many cases a property test tries
# ZONESYNC_FIXTURES   a folder with recorded data of real gateways, else looked for beside the checkout
# MIRI_MAX            how many seconds Miri may take
set -uo pipefail
cd "$(dirname "$0")/.."

export CARGO_TERM_COLOR=never
PARTS=(tools format lint docs test sim faults demo bench fuzz miri)
# The longest that a part may take, in seconds: a hang is a failure, too.
PART_MAX=1500
MIRI_MAX=${MIRI_MAX:-600}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# On a terminal Ctrl-C must reach what runs inside `timeout`.
foreground=()
[ -t 0 ] && foreground=(--foreground)

# Runs a command of bounded time, and keeps what it prints for the totals.
bounded() {
    local seconds=$1
    shift
    timeout "${foreground[@]}" --kill-after=10 "$seconds" "$@" 2>&1 | tee -a "$log"
    local code=${PIPESTATUS[0]}
    [ "$code" -eq 124 ] && echo "stopped: not done after $seconds s"
    return "$code"
}

skip() {
    echo "skipped: $*"
    return 77
}

# Programs that the build needs, and those that tests want, each with the Debian package that brings it.
# Where one of the latter is missing, its tests end early and say so.
NEEDED="gcc:gcc g++:g++ make:make nm:binutils readelf:binutils"
WANTED="redis-server:redis-server redis-sentinel:redis-sentinel openssl:openssl \
    keytool:openjdk-17-jdk-headless mariadbd:mariadb-server mariadb:mariadb-client initdb:postgresql"

# PostgreSQL keeps its programs out of the way.
have() {
    command -v "$1" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

# Prints the packages of those programs that are missing.
missing() {
    local pair
    for pair in "$@"; do
        have "${pair%%:*}" || echo "${pair#*:}"
    done
}

# Installs what is missing, where that can be done without asking.
part_tools() {
    local packages
    # shellcheck disable=SC2086
    packages=$(missing $NEEDED $WANTED | sort -u | tr '\n' ' ')
    [ -z "$packages" ] || install_packages "$packages"
    # shellcheck disable=SC2086
    packages=$(missing $NEEDED | sort -u | tr '\n' ' ')
    [ -z "$packages" ] || { echo "install $packages"; return 1; }
    if ! command -v cargo >/dev/null; then
        echo "there is no cargo: install Rust 1.95 or newer from https://rustup.rs"
        return 1
    fi
    cargo --version && gcc --version | head -1
}

install_packages() {
    local root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo -n)
    if ! command -v apt-get >/dev/null || ! "${root[@]}" true 2>/dev/null; then
        echo "missing, so that tests may skip: $1"
        return
    fi
    # Some packages start servers of their own; a policy for the while tells them not to. One that is
    # there already stays.
    local policy=/usr/sbin/policy-rc.d ours=
    if [ ! -e "$policy" ]; then
        ours=1
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
        "${root[@]}" chmod 755 "$policy"
    fi
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c \
        "apt-get update -qq && apt-get install -y -qq $1" || echo "not installed: $1"
    [ -z "$ours" ] || "${root[@]}" rm -f "$policy"
}

part_format() {
    bounded 60 cargo fmt --all --check && echo "format: ok"
}

part_lint() {
    # The simulator apart, so that all else is seen without the bugs that it plants.
    bounded "$PART_MAX" cargo clippy --locked --workspace --exclude zonesync-sim --all-targets \
        -- -D warnings &&
        bounded "$PART_MAX" cargo clippy --locked --package zonesync-sim --all-targets -- -D warnings
}

part_docs() {
    RUSTDOCFLAGS="-D warnings" bounded "$PART_MAX" \
        cargo doc --locked --workspace --no-deps --document-private-items
}

# Everything that cargo knows: rules, stores, a zone, the command line, the header, C programs under
# AddressSanitizer, the rules without std, and the examples in the documentation.
part_test() {
    local recorded=${ZONESYNC_FIXTURES:-../shared/fixtures}
    [ -d "$recorded" ] || echo "skipped: tests on recorded data of real gateways: none in $recorded"
    bounded "$PART_MAX" cargo test --locked --workspace --exclude zonesync-sim --no-fail-fast
}

# Whole zones under faults: the simulator's own tests, each deliberate bug, then 1,000 seeds.
part_sim() {
    bounded "$PART_MAX" cargo test --release --locked --package zonesync-sim --no-fail-fast
    local code=$?
    bounded "$PART_MAX" make --no-print-directory sim && return "$code"
}

part_demo() {
    bounded "$PART_MAX" make --no-print-directory demo ARGS=--fast
}

part_bench() {
    bounded "$PART_MAX" make --no-print-directory bench SIZE=small
}

# Zones of processes on a real Redis, each fault once.
part_faults() {
    command -v redis-server >/dev/null || { skip "there is no redis-server"; return; }
    bounded "$PART_MAX" make --no-print-directory faults
}

# Bad bytes for everything that reads bytes, a few seconds each.
part_fuzz() {
    FOR=5 bounded "$PART_MAX" tests/fuzz/run.sh
}

# The one file of the state with unsafe code, in an interpreter that sees undefined behaviour.
part_miri() {
    command -v rustup >/dev/null || { skip "Miri needs rustup"; return; }
    if ! cargo +nightly miri --version >/dev/null 2>&1; then
        timeout 180 rustup --quiet component add --toolchain nightly miri rust-src >/dev/null 2>&1 ||
            { skip "no nightly toolchain with Miri: rustup toolchain install nightly -c miri"; return; }
    fi
    bounded "$MIRI_MAX" cargo +nightly miri test --locked --package zonesync --no-default-features \
        --lib state::payload
    local code=$?
    [ "$code" -eq 124 ] && { skip "Miri took longer than $MIRI_MAX s"; return; }
    return "$code"
}

passed=0 failed=0 ignored=0
failures=() summary=()

# Adds up the `test result:` lines of the part that just ran.
count() {
    local sums
    sums=$(awk '/^test result:/ { p += $4; f += $6; i += $8 } END { print p + 0, f + 0, i + 0 }' "$log")
    read -r part_passed part_failed part_ignored <<<"$sums"
    passed=$((passed + part_passed))
    failed=$((failed + part_failed))
    ignored=$((ignored + part_ignored))
}

[ $# -gt 0 ] && PARTS=("$@")
for part in "${PARTS[@]}"; do
    if ! declare -F "part_$part" >/dev/null; then
        echo "there is no part '$part'" >&2
        exit 2
    fi
done
for part in "${PARTS[@]}"; do
    echo
    echo "== $part"
    : >"$log"
    begun=$SECONDS
    "part_$part"
    code=$?
    count
    case $code in
    0) outcome=ok ;;
    77) outcome=skipped ;;
    *)
        outcome=FAILED
        failures+=("$part")
        # What fails without a test to its name counts as one.
        [ "$part_failed" -gt 0 ] || failed=$((failed + 1))
        ;;
    esac
    line=$(printf '%-8s %-8s %5d s' "$part" "$outcome" $((SECONDS - begun)))
    [ "$part_passed" -gt 0 ] && line+="   $part_passed passed, $part_failed failed, $part_ignored ignored"
    summary+=("$line")
    echo "== $line"
done

echo
echo "== totals"
printf '%s\n' "${summary[@]}"
[ ${#failures[@]} -gt 0 ] && echo "failed parts: ${failures[*]}"
echo "in $SECONDS s: $passed passed, $failed failed, $ignored ignored"
echo "$passed passed, $failed failed"
[ ${#failures[@]} -eq 0 ]
