"""h2spec, the conformance suite of HTTP/2, where someone has it. gRPC answers only calls of gRPC, and its core reads HTTP/2 loosely:
h2spec-known.txt lists the cases that it fails, so that a change of the core is seen, and the server must live on after each.
"""
import os
import re
import subprocess

KNOWN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "h2spec-known.txt")


def failed_cases(text):
    """"8.1.2.6. 1": section and number of each case that failed, from the list at the end."""
    section, failed = "", set()
    for line in text.split("Failures:", 1)[-1].splitlines():
        title = re.match(r" *(([0-9]+[.])+) [A-Z]", line)
        suite = re.match(r"(Generic|Hypertext|HPACK)", line)
        case = re.match(r" *\u00d7 ([0-9]+): ", line)
        if suite:
            name = suite[1].lower()
        if title:
            section = title[1]
        if case:
            failed.add(f"{name} {section} {case[1]}")
    return failed


def run(target, program):
    if not program:
        raise SystemExit("--h2spec names no program")
    done = subprocess.run([program, "-p", str(target.port), "-o", "1", "-P", target.methods[0].path], stdout=subprocess.PIPE, text=True, check=False)
    total = re.search(r"([0-9]+) tests, ([0-9]+) passed", done.stdout)
    with open(KNOWN, encoding="ascii") as file:
        known = {line.strip() for line in file if line.strip() and not line.startswith("#")}
    new = failed_cases(done.stdout) - known
    for case in sorted(new):
        print(f"{target.name}: h2spec: {case} fails")
    wrong, active = target.call_good(), target.await_active(0)
    if wrong or active:
        print(f"{target.name}: h2spec: afterwards {wrong}, {active} calls are left")
    return [("cases of h2spec as the specification has them", int(total[2]) if total else 0, len(new) + int(not total)),
            ("the server lives on", int(not wrong and not active), int(bool(wrong or active)))]
