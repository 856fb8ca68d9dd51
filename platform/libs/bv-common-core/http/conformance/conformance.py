#!/usr/bin/env python3
"""Wire conformance of bv_http, driven by what we did not write. README.md beside this file.

usage: conformance.py --echo PROGRAM [--only TEXT] PART...
parts: http, websocket, slow, halfopen
"""
import argparse
import os
import sys
import time

import halfopen_part
import http_part
import slow_part

HERE = os.path.dirname(os.path.abspath(__file__))


def summary(title, rows, took_s):
    passed, failed = sum(r[1] for r in rows), sum(r[2] for r in rows)
    print(f"\n{title}")
    for name, good, bad in rows:
        print(f"  {name:<46} {good:>6} passed{f', {bad} FAILED' if bad else ''}")
    print(f"  {'together':<46} {passed:>6} passed, {failed} failed, in {took_s:.1f} s")
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--echo", required=True)
    parser.add_argument("--only")
    parser.add_argument("--node-tools", help="node_modules with ws; without it that client is left out")
    parser.add_argument("--full", action="store_true", help="large messages, and slow clients for 30 s")
    parser.add_argument("parts", nargs="+")
    options = parser.parse_args()
    failed = 0
    for part in options.parts:
        started = time.monotonic()
        if part == "http":
            rows, cases = http_part.run(options.echo, os.path.join(HERE, "requests.txt"), options.only)
            failed += summary(f"HTTP: {cases} cases", rows, time.monotonic() - started)
        elif part == "websocket":
            import websocket_part  # needs the package websockets
            rows, cases = websocket_part.run(options.echo, HERE, options.node_tools, options.full, options.only)
            failed += summary(f"WebSocket: {cases} cases", rows, time.monotonic() - started)
        elif part == "slow":
            failed += summary("Slow clients", slow_part.run(options.echo, options.full), time.monotonic() - started)
        elif part == "halfopen":
            failed += summary("Half-open connections", halfopen_part.run(options.echo), time.monotonic() - started)
        else:
            parser.error(f"no part {part}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
