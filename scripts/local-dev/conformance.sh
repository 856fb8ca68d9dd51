#!/usr/bin/env bash
# Wire conformance of bv_http, all parts. Usage: conformance.sh BUILD_DIR [WSTEST]; WSTEST starts Autobahn's wstest, empty: left out.
set -euo pipefail
build=${1:?usage: conformance.sh BUILD_DIR [WSTEST]}
wstest=${2:-}
cd "$(dirname "$0")/../.."
deps=$(scripts/local-dev/deps.sh --where)
parts=(http websocket slow halfopen services)
options=(--full --echo "$build/tests/http_echo" --bv "$build/bin/bv" --node-tools "$deps/node-tools-1/node_modules")
if [ -n "$wstest" ]; then
    parts+=(autobahn)
    options+=(--wstest "$wstest")
fi
PYTHONPATH=$deps/python-tools-1 PYTHONDONTWRITEBYTECODE=1 \
    python3 platform/libs/bv-common-core/http/conformance/conformance.py "${options[@]}" "${parts[@]}"
