#!/usr/bin/env bash
# Wire conformance of bv_http and bv_grpc, all parts. Usage: conformance.sh BUILD_DIR [WSTEST] [H2SPEC]
# WSTEST starts Autobahn's wstest, H2SPEC is the program h2spec; empty: left out.
set -euo pipefail
build=${1:?usage: conformance.sh BUILD_DIR [WSTEST] [H2SPEC]}
wstest=${2:-}
h2spec=${3:-}
cd "$(dirname "$0")/../.."
deps=$(scripts/local-dev/deps.sh --where)
parts=(http websocket slow halfopen services)
options=(--full --echo "$build/tests/http_echo" --bv "$build/bin/bv" --node-tools "$deps/node-tools-1/node_modules")
if [ -n "$wstest" ]; then
    parts+=(autobahn)
    options+=(--wstest "$wstest")
fi
export PYTHONPATH=$deps/python-tools-2 PYTHONDONTWRITEBYTECODE=1
failed=0
echo "== bv_http"
python3 platform/libs/bv-common-core/http/conformance/conformance.py "${options[@]}" "${parts[@]}" || failed=1

parts=(wire connection crowd waiting client)
options=(--full --peer "$build/tests/grpc_peer" --bv "$build/bin/bv")
if [ -n "$h2spec" ]; then
    parts+=(h2spec)
    options+=(--h2spec "$h2spec")
fi
echo
echo "== bv_grpc"
python3 platform/libs/bv-common-core/grpc/conformance/conformance.py "${options[@]}" "${parts[@]}" || failed=1
exit $failed
