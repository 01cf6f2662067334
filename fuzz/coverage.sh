#!/bin/sh
# Cargo's RUSTC_WORKSPACE_WRAPPER: compiles the workspace's crates with the counters that libFuzzer reads.
# Build scripts run without libFuzzer, so they have none.
case "$*" in
*"--crate-name build_script_"*) exec "$@" ;;
esac
exec "$@" \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 \
    --cfg fuzzing
