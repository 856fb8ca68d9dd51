"""The Autobahn test suite itself, where someone has it: it needs Python 2, so nothing here installs it."""
import json
import os
import shlex
import subprocess
import tempfile

from echo_server import Server, ended

SECTIONS = {"1": "framing", "2": "pings and pongs", "3": "reserved bits", "4": "opcodes", "5": "fragmentation", "6": "UTF-8", "7": "close",
            "9": "limits", "10": "automatic fragmentation"}
GOOD = {"OK", "INFORMATIONAL", "NON-STRICT"}


def run(program, wstest):
    server = Server(program)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        spec = {"outdir": folder, "servers": [{"agent": "bv_http", "url": f"ws://127.0.0.1:{server.port}/ws", "options": {"version": 18}}],
                "options": {"failByDrop": False}, "cases": [f"{s}.*" for s in SECTIONS], "exclude-cases": [], "exclude-agent-cases": {}}
        path = os.path.join(folder, "spec.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(spec, file)
        subprocess.run([*shlex.split(wstest), "-m", "fuzzingclient", "-s", path], stdout=subprocess.DEVNULL, check=True, cwd=folder)
        with open(os.path.join(folder, "index.json"), encoding="utf-8") as file:
            results = json.load(file)["bv_http"]
    for name, result in results.items():
        row = rows.setdefault(name.split(".")[0], [0, 0])
        good = result["behavior"] in GOOD and result["behaviorClose"] in GOOD
        row[not good] += 1
        if not good:
            print(f"autobahn: {name}: {result['behavior']}, close {result['behaviorClose']}")
    ordered = sorted(rows.items(), key=lambda row: int(row[0]))
    return [(f"{number} {SECTIONS[number]}", good, bad) for number, (good, bad) in ordered] + [ended(server)]
