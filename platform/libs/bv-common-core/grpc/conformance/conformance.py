#!/usr/bin/env python3
"""Wire conformance of bv_grpc, driven by what we did not write. README.md beside this file.

Parts: wire, connection, crowd, waiting, client; against grpc_peer (--peer), or the inventory of a real stack (--bv). h2spec: where someone has it.
Exit status: 0 when every case passed.
"""
import argparse
import sys
import time

import client_part
import connection_part
import crowd_part
import h2spec_part
import targets
import wire_part

PARTS = {
    "wire": lambda target, options: wire_part.run(target, options.only),
    "connection": lambda target, options: connection_part.run(target, options.only),
    "crowd": lambda target, options: crowd_part.run(target, options.full),
    "waiting": lambda target, options: crowd_part.run_waiting(target),
    "client": lambda target, options: client_part.run(options.peer) if isinstance(target, targets.Peer) else [],
    "h2spec": lambda target, options: h2spec_part.run(target, options.h2spec),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", help="the program grpc_peer")
    parser.add_argument("--bv", help="the program bv, for the inventory of a real stack")
    parser.add_argument("--h2spec", help="the program h2spec, for the part of that name")
    parser.add_argument("--full", action="store_true", help="larger crowds")
    parser.add_argument("--only", help="cases whose 'group: method: name' holds this")
    parser.add_argument("parts", nargs="+", choices=PARTS)
    options = parser.parse_args()
    makers = [lambda: targets.Peer(options.peer)] * bool(options.peer) + [lambda: targets.Inventory(options.bv)] * bool(options.bv)
    totals = []
    for make in makers:
        target = make()
        try:
            for part in options.parts:
                started = time.monotonic()
                rows = PARTS[part](target, options)
                totals.append((f"{target.name}: {part}", sum(r[1] for r in rows), sum(r[2] for r in rows), time.monotonic() - started))
                print(f"\n{target.name}: {part}")
                for name, passed, failed in rows:
                    print(f"  {name:<64} {passed:>6} passed{f', {failed} FAILED' if failed else ''}")
                sys.stdout.flush()
        finally:
            rows = target.end()
            totals += [(f"{target.name}: {name}", passed, failed, 0.0) for name, passed, failed in rows]
    print("\nTogether")
    for name, passed, failed, took_s in totals:
        print(f"  {name:<64} {passed:>6} passed{f', {failed} FAILED' if failed else ''}, {took_s:.1f} s")
    return 1 if sum(t[2] for t in totals) or not sum(t[1] for t in totals) else 0


if __name__ == "__main__":
    sys.exit(main())
