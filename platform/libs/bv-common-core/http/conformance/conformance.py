#!/usr/bin/env python3
"""Wire conformance of bv_http, driven by what we did not write. README.md beside this file.

Parts: http, websocket, slow, halfopen against http_echo; services: slow clients of two real services;
autobahn: the Autobahn test suite, if it is installed. Exit status: 0 when every case passed.
"""
import argparse
import os
import sys
import time

import autobahn_part
import halfopen_part
import http_part
import slow_part

HERE = os.path.dirname(os.path.abspath(__file__))


def run_http(options):
    rows, cases = http_part.run(options.echo, os.path.join(HERE, "requests.txt"), options.only)
    return f"HTTP: {cases} requests, each delivered in up to {len(http_part.DELIVERIES)} ways", rows


def run_websocket(options):
    try:
        import websocket_part
    except ModuleNotFoundError as missing:
        raise SystemExit(f"the Python package {missing.name} is missing: make deps GROUP=test") from None
    rows, cases = websocket_part.run(options.echo, HERE, options.node_tools, options.full, options.only)
    return f"WebSocket: {cases} cases, each delivered in up to 4 ways", rows


PARTS = {
    "http": run_http,
    "websocket": run_websocket,
    "slow": lambda o: ("Slow clients", slow_part.run(o.echo, o.full)),
    "halfopen": lambda o: ("Half-open connections", halfopen_part.run(o.echo, o.full)),
    "services": lambda o: ("Slow clients of real services", slow_part.run_services(o.bv)),
    "autobahn": lambda o: ("Autobahn test suite", autobahn_part.run(o.echo, o.wstest)),
}


def line(name, passed, failed, note=""):
    print(f"  {name:<52} {passed:>6} passed{f', {failed} FAILED' if failed else ''}{note}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--echo", required=True, help="the program http_echo")
    parser.add_argument("--bv", help="the program bv, for the part services")
    parser.add_argument("--wstest", help="how to start Autobahn's wstest, for the part autobahn")
    parser.add_argument("--node-tools", help="node_modules with ws; without it that client is left out")
    parser.add_argument("--full", action="store_true", help="large messages too, and slow clients for 30 s")
    parser.add_argument("--only", help="cases whose 'group: name' holds this")
    parser.add_argument("parts", nargs="+", choices=PARTS)
    options = parser.parse_args()
    totals = []
    for part in options.parts:
        started = time.monotonic()
        title, rows = PARTS[part](options)
        print(f"\n{title}")
        for name, passed, failed in rows:
            line(name, passed, failed)
        totals.append((part, sum(r[1] for r in rows), sum(r[2] for r in rows), time.monotonic() - started))
        sys.stdout.flush()
    print("\nTogether")
    for part, passed, failed, took_s in totals:
        line(part, passed, failed, f", {took_s:.1f} s")
    return 1 if sum(t[2] for t in totals) or not sum(t[1] for t in totals) else 0


if __name__ == "__main__":
    sys.exit(main())
