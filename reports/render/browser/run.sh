#!/bin/sh
# Runs one script of this folder with the browser's tools, or says which command brings what is missing.
# Usage: run.sh SCRIPT BV_REPORT TOOLS [ARGUMENT...]    TOOLS is the folder node-tools-1 of the dependencies.
here=$(dirname "$0")
script=$1 report=$2 tools=$3
missing=
command -v node >/dev/null || missing="Node.js"
[ -x "${BV_CHROMIUM:-/usr/bin/chromium}" ] || missing="${missing:+$missing, }Chromium"
for package in playwright-core axe-core html-validate; do
    [ -d "$tools/node_modules/$package" ] || missing="${missing:+$missing, }$package"
done
if [ -n "$missing" ]; then
    echo "The report's browser test lacks $missing: run \`make deps GROUP=test\`." >&2
    exit 1
fi
if [ ! -x "$report" ]; then
    echo "$report is not built: run \`make build PRESET=dev\`." >&2
    exit 1
fi
shift
exec node "$here/$script" "$@"
