#!/usr/bin/env python3
"""The figures of the spine, each beside a peer that does the same in the same run, interleaved; medians of the rounds.

  boot       time and memory of the whole stack from warm caches
  orders     POST /v1/orders per CPU-second of services + PostgreSQL (fsync on), beside pgbench writing the same rows
  products   GET /v1/products/{sku} per CPU-second of the service, beside nginx sending the same bytes; with and without idle connections
  scenario   wall and CPU of the story
  runner     a scenario of 12 steps against a trivial server, beside k6 and curl
  runner-many  500 REST scenarios in one run, one at a time and eight: wall, CPU, peak memory of bv (goal 200 MB), size of results.jsonl
  report     the page of 500 scenarios, of 5,000 messages in one scenario and of a red story, in Chromium (make deps GROUP=test)

Usage: bench.py BUILD_DIR [PART]…     ROUNDS, SECONDS_EACH, CONNECTIONS and IDLE in the environment change the run.
The figures go to reports/out/bench/figures.json as well."""
import json
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = int(os.environ.get("SECONDS_EACH", "5"))
CONNECTIONS = int(os.environ.get("CONNECTIONS", "128"))
IDLE = int(os.environ.get("IDLE", "4000"))
TICKS = os.sysconf("SC_CLK_TCK")
SKUS = ["MUG-BLUE", "MUG-GREEN", "MUG-TRAVEL", "TEAPOT-IRON", "KETTLE-1L", "GRINDER-HAND", "BEANS-FILTER", "TEA-SENCHA",
        "LAMP-DESK", "LAMP-FLOOR", "CHAIR-TASK", "DESK-SIT", "SHELF-OAK", "NOTEBOOK-A5", "PEN-GEL", "BACKPACK-20"]
figures = {}


def say(text):
    print(text, flush=True)


def stat(pid):
    """(ppid, own ticks, ticks of reaped children) of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])


def cpu_seconds(pid):
    """CPU of a process, its living children (PostgreSQL's backends) and those it has reaped."""
    _, own, reaped = stat(pid)
    total = own + reaped
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent, ticks, _ = stat(entry)
            except (OSError, IndexError):
                continue
            if parent == pid:
                total += ticks
    return total / TICKS


class Stack:
    """The running stack as stack.json tells it."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.parts = {part["name"]: part for part in json.load(file)["parts"]}

    def cpu(self, *names):
        return {name: cpu_seconds(self.parts[name]["pid"]) for name in names}

    def url(self, name):
        return self.parts[name]["url"]


def psql(url, *arguments):
    subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", url, *arguments], check=True, stdout=subprocess.DEVNULL)


def login(stack, user):
    body = json.dumps({"username": user, "password": os.environ["BV_DEMO_PASSWORD"]}).encode()
    request = urllib.request.Request(stack.url("auth") + "/v1/login", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["accessToken"]


def wrk(url, connections, script=None, env=None):
    """(requests, answers that are no 2xx or 3xx, median ms, 99th percentile ms)"""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency"] + (["-s", script] if script else []) + [url]
    out = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **(env or {})}).stdout

    def milliseconds(name):
        value, unit = re.search(rf"\s{name}%\s+([\d.]+)(us|ms|s)", out).groups()
        return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]

    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return int(re.search(r"(\d+) requests in", out).group(1)), int(bad.group(1)) if bad else 0, milliseconds(50), milliseconds(99)


def median(rows, key):
    return statistics.median(row[key] for row in rows)


# ---- orders -------------------------------------------------------------------------------------------------------------------------


def peer_database(base):
    """Tables of orders and inventory in one database, the latter in a schema of its own."""
    url = re.sub(r"/[^/]*$", "/peer", base)
    migrations = os.path.join(ROOT, "platform/deploy/migrations")
    psql(base, "-c", "CREATE DATABASE peer")
    psql(url, "-f", f"{migrations}/orders/V001__orders.sql", "-c", "CREATE SCHEMA inventory", "-c", "SET search_path = inventory",
         "-f", f"{migrations}/inventory/V001__inventory.sql", "-f", f"{ROOT}/load/bench/peer-stock.sql")
    return url


def pgbench(stack, url, file):
    before, before_client = stack.cpu("postgres"), resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(["pgbench", "-n", "-M", "prepared", "-f", f"{ROOT}/load/bench/{file}", "-c", str(CONNECTIONS), "-j", "1", "-T", str(SECONDS), url],
                         check=True, capture_output=True, text=True).stdout
    after, after_client = stack.cpu("postgres"), resource.getrusage(resource.RUSAGE_CHILDREN)
    orders = int(re.search(r"actually processed: (\d+)", out).group(1))
    client = after_client.ru_utime + after_client.ru_stime - before_client.ru_utime - before_client.ru_stime
    cpu = after["postgres"] - before["postgres"] + client
    return {"orders": orders, "cpu_s": cpu, "per_cpu_s": orders / cpu, "per_s": orders / SECONDS}


def our_orders(stack, token, run):
    names = ("postgres", "order", "inventory", "product", "auth")
    before = stack.cpu(*names)
    requests, bad, p50, p99 = wrk(stack.url("order"), CONNECTIONS, f"{ROOT}/load/bench/orders.lua", {"TOKEN": token, "SKUS": " ".join(SKUS), "RUN": run})
    after = stack.cpu(*names)
    if bad:
        sys.exit(f"bench: {bad} of {requests} orders were refused: the figure would be worthless")
    each = {name: after[name] - before[name] for name in names}
    cpu = sum(each.values())
    return {"orders": requests, "cpu_s": cpu, "per_cpu_s": requests / cpu, "per_s": requests / SECONDS, "p50_ms": p50, "p99_ms": p99,
            "us": {name: 1e6 * value / requests for name, value in each.items()}}


def bench_orders(stack):
    base = os.environ["BV_TEST_PG_URL"]
    values = ", ".join(f"('default', '{sku}', 1000000000, 0, 1)" for sku in SKUS)
    psql(os.environ["BV_INVENTORY_PG_URL"], "-c", f"INSERT INTO stock (tenant, sku, on_hand, reserved, version) VALUES {values}")
    peer = peer_database(base)
    token = login(stack, "customer")
    ours, transactions, statements = [], [], []
    our_orders(stack, token, "warm")
    for number in range(ROUNDS):
        ours.append(our_orders(stack, token, f"r{number}"))
        transactions.append(pgbench(stack, peer, "peer-transaction.sql"))
        statements.append(pgbench(stack, peer, "peer-statement.sql"))
    ratio_tx = statistics.median(a["per_cpu_s"] / b["per_cpu_s"] for a, b in zip(ours, transactions))
    ratio_cte = statistics.median(a["per_cpu_s"] / b["per_cpu_s"] for a, b in zip(ours, statements))
    say(f"orders, {CONNECTIONS} connections, fsync on, medians of {ROUNDS} interleaved rounds of {SECONDS} s")
    say("                                     orders per CPU-s   orders per s    ratio")
    say(f"  POST /v1/orders, end to end        {median(ours, 'per_cpu_s'):10.0f}     {median(ours, 'per_s'):10.0f}"
        f"       (p50 {median(ours, 'p50_ms'):.1f} ms, p99 {median(ours, 'p99_ms'):.1f} ms)")
    say(f"  pgbench, one transaction each      {median(transactions, 'per_cpu_s'):10.0f}     {median(transactions, 'per_s'):10.0f}       {ratio_tx:.2f}x   (goal 3)")
    say(f"  pgbench, one statement each        {median(statements, 'per_cpu_s'):10.0f}     {median(statements, 'per_s'):10.0f}       {ratio_cte:.2f}x")
    say("  CPU per order: " + ", ".join(f"{name} {statistics.median(row['us'][name] for row in ours):.0f} us" for name in ours[0]["us"]))
    figures["orders"] = {"ours": ours, "transaction": transactions, "statement": statements, "ratio_transaction": ratio_tx, "ratio_statement": ratio_cte}


# ---- products -----------------------------------------------------------------------------------------------------------------------


class Nginx:
    """nginx that sends the same body and headers of the same size, one worker, access log on."""

    def __init__(self, body):
        self.folder = tempfile.mkdtemp(prefix="bv-bench-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = f"""daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log;
events {{ worker_connections 16000; }}
http {{ access_log {self.folder}/access.log combined buffer=64k flush=1s; keepalive_requests 100000000; keepalive_timeout 600s; server_tokens off;
  client_body_temp_path {self.folder}; proxy_temp_path {self.folder}; fastcgi_temp_path {self.folder}; uwsgi_temp_path {self.folder}; scgi_temp_path {self.folder};
  server {{ listen 127.0.0.1:{self.port} backlog=4096;
    location / {{ default_type application/json; add_header ETag '"1"'; add_header correlation-id 0123456789abcdef0123456789abcdef; return 200 '{body}'; }} }} }}
"""
        with open(f"{self.folder}/nginx.conf", "w", encoding="utf-8") as file:
            file.write(config)
        self.process = subprocess.Popen(["nginx", "-p", self.folder, "-c", f"{self.folder}/nginx.conf"])
        self.url = f"http://127.0.0.1:{self.port}/v1/products/MUG-BLUE"
        deadline = time.monotonic() + 5
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    sys.exit("bench: nginx did not start; see its error above")
                time.sleep(0.01)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        subprocess.run(["rm", "-r", self.folder], check=True)


def idle_connections(url, count):
    host, port = re.match(r"http://([\d.]+):(\d+)", url).groups()
    path = re.sub(r"^http://[^/]+", "", url)
    connections = []
    for _ in range(count):
        one = socket.create_connection((host, int(port)), 10)
        one.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        one.recv(4096)
        connections.append(one)
    return connections


def get_round(url, pid):
    before = cpu_seconds(pid)
    requests, bad, p50, p99 = wrk(url, 64)
    cpu = cpu_seconds(pid) - before
    if bad:
        sys.exit(f"bench: {bad} of {requests} answers of {url} were errors")
    return {"per_cpu_s": requests / cpu, "us": 1e6 * cpu / requests, "per_s": requests / SECONDS, "p50_ms": p50, "p99_ms": p99}


def compare_gets(stack, nginx, label, key):
    ours, peers = [], []
    url = stack.url("product") + "/v1/products/MUG-BLUE"
    for _ in range(ROUNDS):
        ours.append(get_round(url, stack.parts["product"]["pid"]))
        peers.append(get_round(nginx.url, nginx.process.pid))
    ratio = statistics.median(a["per_cpu_s"] / b["per_cpu_s"] for a, b in zip(ours, peers))
    say(f"  {label:34} {median(ours, 'us'):6.2f} us      {median(peers, 'us'):6.2f} us      {ratio:.2f}x   (goal 0.70)")
    figures[key] = {"ours": ours, "nginx": peers, "ratio": ratio}


def bench_products(stack):
    url = stack.url("product") + "/v1/products/MUG-BLUE"
    with urllib.request.urlopen(url) as answer:
        body = answer.read().decode()
    nginx = Nginx(body)
    try:
        say(f"GET /v1/products/MUG-BLUE, {len(body)} bytes, 64 connections, access log and metrics on, medians of {ROUNDS} interleaved rounds of {SECONDS} s")
        say("                                     product        nginx         requests per CPU-second")
        get_round(url, stack.parts["product"]["pid"])
        compare_gets(stack, nginx, "no idle connections", "products")
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
        idle = idle_connections(url, IDLE) + idle_connections(nginx.url, IDLE)
        compare_gets(stack, nginx, f"{IDLE} idle connections on each", "products_idle")
        for one in idle:
            one.close()
    finally:
        nginx.close()


# ---- boot and scenario --------------------------------------------------------------------------------------------------------------


class RunningStack:
    """A stack of its own for the length of a with block; its variables are in the environment meanwhile."""

    def __init__(self, bv, *arguments):
        self.bv, self.name, self.arguments = bv, f"bench-{os.getpid()}", arguments
        self.before = set(os.environ)

    def __enter__(self):
        out = subprocess.run([self.bv, "up", "--json", "--name", self.name, *self.arguments], check=True, stdout=subprocess.PIPE, text=True).stdout
        self.up = json.loads(out)
        with open(self.up["env_file"], encoding="utf-8") as file:
            for line in file:
                key, _, value = line.strip().partition("=")
                os.environ[key] = value.strip("\"'")
        return self

    def status(self):
        out = subprocess.run([self.bv, "status", "--json", "--name", self.name], check=True, stdout=subprocess.PIPE, text=True).stdout
        return {part["name"]: part for part in json.loads(out)["parts"]}

    def __exit__(self, *_):
        for key in [key for key in os.environ if key.startswith("BV_") and key not in self.before]:
            del os.environ[key]
        subprocess.run([self.bv, "down", "--name", self.name], check=True, capture_output=True)


def bench_boot(bv):
    rows = []
    for number in range(ROUNDS + 1):
        with RunningStack(bv) as stack:
            total = stack.status()["total"]
            if number > 0:  # the first one warms the caches
                rows.append({"boot_ms": stack.up["boot_ms"], "pss_mb": total["pss_bytes"] / 1e6, "rss_mb": total["rss_bytes"] / 1e6, "cpu_s": total["cpu_ms"] / 1000})
    say(f"boot of the whole stack, services included, warm caches, median of {ROUNDS}: {median(rows, 'boot_ms') / 1000:.2f} s (goal 5), {median(rows, 'cpu_s'):.1f} CPU-s, "
        f"{median(rows, 'pss_mb'):.0f} MB (goal 600; RSS with shared pages counted in each process {median(rows, 'rss_mb'):.0f} MB)")
    figures["boot"] = rows


def bench_scenario(bv):
    rows = []
    for _ in range(ROUNDS):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run([bv, "scenario", "order-flow"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        rows.append({"wall_s": time.monotonic() - started, "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime})
    say(f"bv scenario order-flow, boot and report included, median of {ROUNDS}: {median(rows, 'wall_s'):.1f} s wall, {median(rows, 'cpu_s'):.1f} s CPU")
    figures["scenario"] = rows


def save():
    path = os.path.join(ROOT, "reports/out/bench/figures.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    known = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            known = json.load(file)
    known.update(figures)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(known, file, indent=1)


# Twelve steps: five requests with their checks, an actor, a value that is saved.
SCENARIO = """Feature: twelve steps
  Scenario: five requests, checked
    Given actor web is rest at "{url}"
    When web gets "/a"
    Then web status == 200 and json "$.ok" == true
    When web gets "/b"
    Then web status == 200 and json "$.item.sku" == "MUG-BLUE"
    When web posts "/c"
      \"\"\"json
      {{ "sku": "MUG-BLUE", "quantity": 2 }}
      \"\"\"
    Then web status == 200 and json "$.item.price" == 1250
    And save price from web json "$.item.price"
    When web gets "/d?price=${{price}}"
    Then web status == 200 and header "content-type" == "application/json"
    When web gets "/e"
    Then web status == 200 and json "$.item.price" == ${{price}}
"""
K6 = """import http from 'k6/http';
import {{ check }} from 'k6';
export const options = {{ vus: 1, iterations: 1 }};
export default function () {{
  check(http.get('{url}/a'), {{ a: (r) => r.status === 200 && r.json('ok') === true }});
  check(http.get('{url}/b'), {{ b: (r) => r.status === 200 && r.json('item.sku') === 'MUG-BLUE' }});
  const c = http.post('{url}/c', JSON.stringify({{ sku: 'MUG-BLUE', quantity: 2 }}), {{ headers: {{ 'content-type': 'application/json' }} }});
  const price = c.json('item.price');
  check(c, {{ c: (r) => r.status === 200 && price === 1250 }});
  check(http.get(`{url}/d?price=${{price}}`), {{ d: (r) => r.status === 200 && r.headers['Content-Type'] === 'application/json' }});
  check(http.get('{url}/e'), {{ e: (r) => r.status === 200 && r.json('item.price') === price }});
}}
"""


def timed(command):
    """Wall and CPU seconds of a command, its own children included."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"bench: {' '.join(command)} ended with {process.returncode}")
    return {"wall_ms": 1000 * (time.monotonic() - started), "cpu_ms": 1000 * (usage.ru_utime + usage.ru_stime), "mb": usage.ru_maxrss / 1000}


def bench_runner(bv):
    rounds = 5 * ROUNDS
    deps = subprocess.run([os.path.join(ROOT, "scripts/local-dev/deps.sh"), "--where"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    nginx = Nginx('{"ok":true,"item":{"sku":"MUG-BLUE","price":1250}}')
    url = f"http://127.0.0.1:{nginx.port}"
    with tempfile.TemporaryDirectory() as directory:
        for name, text in (("twelve.feature", SCENARIO.format(url=url)), ("twelve.js", K6.format(url=url))):
            with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                file.write(text)
        try:
            one = ["curl", "-sf", "-o", os.devnull]
            gets = [piece for path in "abde" for piece in ("--next", *one[1:], f"{url}/{path}")]
            clients = {
                "bv": [bv, "scenario", os.path.join(directory, "twelve.feature"), "--out", os.path.join(directory, "out")],
                "k6": [os.path.join(deps, "k6-1.8.1/bin/k6"), "run", "--quiet", "--no-usage-report", "--address", "", os.path.join(directory, "twelve.js")],
                "curl": [*one, "-H", "content-type: application/json", "-d", '{"sku":"MUG-BLUE","quantity":2}', url + "/c", *gets],
            }
            if not os.access(clients["k6"][0], os.X_OK):
                say("  k6 is not there (it is built with Go: make deps GROUP=bench): its column is left out")
                del clients["k6"]
            rows = {name: [] for name in clients}
            for number in range(rounds + 1):
                for name, client in clients.items():
                    row = timed(client)
                    if number > 0:  # the first one warms the caches
                        rows[name].append(row)
        finally:
            nginx.close()
    say(f"a scenario of 12 steps (5 requests, 6 checks) against nginx on loopback, from start to end of the process, medians of {rounds} interleaved rounds")
    say("             wall ms     CPU ms      MB      beside k6: wall, CPU (goals 0.50, 0.25)")
    for name, list_of in rows.items():
        beside = ""
        if "k6" in rows and name != "k6":
            beside = "".join(f"{statistics.median(a[key] / b[key] for a, b in zip(list_of, rows['k6'])):8.2f}x" for key in ("wall_ms", "cpu_ms"))
        say(f"  {name:8} {median(list_of, 'wall_ms'):9.1f}  {median(list_of, 'cpu_ms'):9.1f}  {median(list_of, 'mb'):6.1f}  {beside}")
    say("  bv checks and records every message and writes results, JUnit and the page; curl checks nothing but the status")
    figures["runner"] = rows


def bench_services(bv, parts):
    with RunningStack(bv, "--durable", "auth", "product", "inventory", "order"):
        stack = Stack(os.environ["BV_STACK_JSON"])
        if "orders" in parts:
            bench_orders(stack)
        if "products" in parts:
            bench_products(stack)


def bench_report(bv):
    """Opens, scrolls and searches large reports; the figures are the best of ROUNDS, for the page shares the machine with its browser."""
    browser = os.path.join(ROOT, "reports/render/browser")
    where = subprocess.run([os.path.join(ROOT, "scripts/local-dev/deps.sh"), "--where"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    run = subprocess.run([os.path.join(browser, "run.sh"), "bench.mjs", os.path.join(os.path.dirname(bv), "bv-report"), os.path.join(where, "node-tools-1"),
                          os.path.join(ROOT, "reports/render/testdata/red")], stdout=subprocess.PIPE, text=True, env={**os.environ, "ROUNDS": str(ROUNDS)})
    *lines, last = run.stdout.splitlines() or [""]
    for line in lines:
        say("report: " + line)
    if run.returncode:
        say("report: not measured")
        return
    figures["report"] = json.loads(last)


def watched(command):
    """Wall seconds of a command and the peak memory of its own process (VmHWM), as /proc tells while it runs."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status", encoding="ascii", errors="replace") as file:
                found = re.search(r"VmHWM:\s*(\d+)", file.read())
            peak = max(peak, int(found.group(1)) if found else 0)
        except OSError:
            pass
        time.sleep(0.02)
    if process.returncode:
        sys.exit(f"bench: {' '.join(command)} ended with {process.returncode}")
    return {"wall_s": time.monotonic() - started, "peak_mb": peak / 1024}


def bench_runner_many(bv):
    rows = {}
    with RunningStack(bv, "auth", "product", "inventory", "order") as stack, tempfile.TemporaryDirectory() as directory:
        story, out = os.path.join(directory, "many.feature"), os.path.join(directory, "out")
        with open(story, "w", encoding="utf-8") as file:
            subprocess.run([sys.executable, os.path.join(ROOT, "load/bench/many-scenarios.py"), "500"], check=True, stdout=file)
        for jobs in (1, 8):
            row = watched([bv, "scenario", story, "--stack", stack.name, "--jobs", str(jobs), "--out", out])
            results = os.path.join(out, "results.jsonl")
            with open(results, encoding="utf-8") as file:
                row["cpu_s"] = json.loads(file.readlines()[-1])["cpuMs"] / 1000
            row["results_mb"] = os.path.getsize(results) / 1e6
            rows[jobs] = row
    say("500 scenarios of 12 steps (5 REST requests each) in one run of bv, on a stack that runs")
    say("     jobs   wall s   CPU s of bv   peak MB (goal 200)   results.jsonl MB")
    for jobs, row in rows.items():
        say(f"  {jobs:7} {row['wall_s']:8.1f} {row['cpu_s']:13.2f} {row['peak_mb']:20.1f} {row['results_mb']:18.1f}")
    figures["runner-many"] = rows


# A part that stands alone. "orders" and "products" share a stack.
PARTS = {"boot": bench_boot, "scenario": bench_scenario, "runner": bench_runner, "runner-many": bench_runner_many, "report": bench_report}


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    bv = os.path.join(sys.argv[1], "bin/bv")
    known = ["boot", "orders", "products", *(name for name in PARTS if name != "boot")]
    parts = sys.argv[2:] or known
    if not set(known).issuperset(parts):
        sys.exit(f"bench: unknown part among {parts}; there are {', '.join(known)}")
    if {"orders", "products"} & set(parts):
        bench_services(bv, parts)
    for name in PARTS:
        if name in parts:
            PARTS[name](bv)
    save()


main()
