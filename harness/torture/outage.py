#!/usr/bin/env python3
"""Takes one dependency after the other away from the order service, in many ways, while clients go on placing orders, and asserts what a
client may rely on: every answer is a success or a 503/504 problem with Retry-After, within the service's deadline; afterwards the platform recovers by
itself, a repeated key gives the one order it made, no acknowledged order is lost, none stays PENDING, stock balances, every event arrives; and
nothing is left behind: no service burns CPU, holds more descriptors, sockets or threads than before, or grows with every case.

Usage: outage.py [--repeat N] BUILD_DIR [CASE...]      CASE is DEPENDENCY[/HOW][:SECONDS]: postgres, redis/killed, postgres/frozen:14
Prints one row per case, and medians when repeated; exit 1 when a promise was broken, 2 when the lab itself failed.
"""
import sys

sys.dont_write_bytecode = True

import argparse
import dataclasses
import http.client
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import threading
import time

import outage_ways as ways
from outage_stack import Broken, LabFault, LeftBehind, SERVICES, Stack, await_true

CLIENTS = 6
PACE_S = 0.05
WARM_S = 0.5
ANSWER_S = 11.5  # the service's own deadline of a request is 10 s
AT_ONCE_S = 0.5
SETTLE_S = 20
REST_S = 15  # until idle connections are closed
CPU_MAX = 0.15  # of a core, at rest
TRIES = 3  # a pool that fills, or a worker thread more, is seen once; a leak each time
GROWTHS = 5  # cases in a row
GROWTH_KB = 64  # in each of them
KEPT_KB = {"inventory": 0.6}  # per order: its cache of the last 16384 reservations fills up
LOST = "hang or reset"


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    part: str
    how: str
    seconds: float
    way: object
    readyz: dict = dataclasses.field(default_factory=dict)  # what /readyz of which service must say meanwhile (else it may stay ready)
    answer_s: float = ANSWER_S
    resets: bool = False  # the order service itself goes: its clients' connections may break
    refuses_at_once: bool = False  # what comes once it is known to be away does not wait
    mounts: bool = False

    @property
    def name(self):
        return f"{self.part}/{self.how}"


NO_POSTGRES = {"order": "PostgreSQL", "product": "PostgreSQL", "inventory": "PostgreSQL", "notification": "PostgreSQL"}
CASES = [
    Case("postgres", "killed", 2.0, ways.killed, NO_POSTGRES),
    Case("postgres", "frozen", 8.0, ways.frozen, {"order": "PostgreSQL"}),
    Case("postgres", "hung", 14.0, ways.frozen, {"order": "PostgreSQL"}, refuses_at_once=True),
    Case("postgres", "stopped", 2.0, ways.stopped, NO_POSTGRES),
    Case("postgres", "backends", 3.0, ways.backends),
    Case("postgres", "crash", 1.0, ways.crash),
    Case("postgres", "full", 3.0, ways.full, mounts=True),
    Case("postgres", "readonly", 3.0, ways.readonly),
    Case("postgres", "locks", 3.0, ways.locks),
    Case("postgres", "connections", 4.0, ways.connections, NO_POSTGRES),
    Case("redis", "killed", 1.5, ways.killed, {"product": "Redis"}),
    Case("redis", "frozen", 3.0, ways.frozen, {"product": "Redis"}),
    Case("redis", "resets", 3.0, ways.resets),
    Case("redis", "full", 2.0, ways.redis_full),
    Case("redis", "readonly", 2.0, ways.redis_readonly),
    Case("redis", "masterdown", 2.0, ways.redis_masterdown),
    Case("kafka", "killed", 1.5, ways.killed, {"order": "Kafka", "inventory": "Kafka", "notification": "Kafka"}),
    Case("kafka", "frozen", 5.0, ways.frozen, {"order": "Kafka"}),
    Case("kafka", "hung", 15.0, ways.frozen, {"order": "Kafka"}),
    Case("inventory", "killed", 1.0, ways.killed),
    Case("inventory", "frozen", 4.0, ways.frozen, {"order": "inventory"}),
    Case("inventory", "again", 4.0, ways.killed_again),
    Case("auth", "killed", 1.0, ways.killed),
    Case("auth", "frozen", 3.0, ways.frozen),
    Case("all", "killed", 1.0, ways.all_killed, resets=True),
    Case("all", "frozen", 12.0, ways.all_frozen, answer_s=ANSWER_S + 12.0),
]


# ---- clients ----

def ask(port, method, path, body=None, headers=None, timeout=ANSWER_S):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


class Clients:
    """Each places orders with keys of its own over one connection, and keeps what it was told."""

    def __init__(self, stack, token, sku, prefix, case):
        self.port, self.token, self.sku, self.prefix, self.case = stack.port("order"), token, sku, prefix, case
        self.told = {}  # key -> order id, None until it is known
        self.complaints = []
        self.tally = {"2xx": 0, "503": 0, "reset": 0, "other": 0}
        self.slowest = 0.0
        self.refused_s = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def order(self, connection, key):
        body = json.dumps({"items": [{"sku": self.sku, "quantity": 1}]})
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json", "idempotency-key": f'"{key}"'}
        connection.request("POST", "/v1/orders", body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def complain(self, text):
        if len(self.complaints) < 5:
            self.complaints.append(text)

    def judge(self, key, status, headers, body, seconds):
        with self.lock:
            self.slowest = max(self.slowest, seconds)
            order_id = json.loads(body).get("orderId") if body else None
            if status == 201:
                self.told[key] = order_id
                self.tally["2xx"] += 1
                return
            self.told.setdefault(key, None)
            problem = headers.get("content-type") == "application/problem+json"
            if status in (503, 504) and problem and headers.get("retry-after", "").isdigit():
                self.tally["503"] += 1
                self.refused_s.append(seconds)
                return
            self.tally["other"] += 1
            self.complain(f"{key}: {status} {headers.get('content-type')} retry-after={headers.get('retry-after')} {body[:200]!r}")

    def run(self, number):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.case.answer_s)
        count = 0
        while not self.stopping.wait(PACE_S):
            key = f"{self.prefix}-{number}-{count}"
            count += 1
            started = time.monotonic()
            try:
                self.judge(key, *self.order(connection, key), time.monotonic() - started)
            except (OSError, http.client.HTTPException) as fault:
                connection.close()
                with self.lock:
                    self.told.setdefault(key, None)
                    if self.case.resets and not isinstance(fault, TimeoutError):
                        self.tally["reset"] += 1
                        continue
                    self.tally["other"] += 1
                    self.complain(f"{key}: {LOST} after {time.monotonic() - started:.1f} s: {fault!r}")
        connection.close()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def repeat_all(self):
        """Every key again, until each has its order; what was acknowledged before must be the same order."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        end = time.monotonic() + SETTLE_S
        for key, before in list(self.told.items()):
            while True:
                status, _, body = self.order(connection, key)
                if status == 201:
                    break
                if time.monotonic() > end or status not in (409, 429, 503, 504):
                    raise Broken(f"key {key} still gets {status} {body[:200]!r}")
                time.sleep(0.05)
            order_id = json.loads(body)["orderId"]
            if before and before != order_id:
                raise Broken(f"key {key} was answered with order {before} and now with {order_id}")
            self.told[key] = order_id
        connection.close()


class Readiness:
    """What /readyz of every service says, all the time."""

    def __init__(self, stack):
        self.stack, self.said, self.stopping = stack, {}, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping.wait(0.1):
            for service in SERVICES:
                try:
                    status, _, body = ask(self.stack.port(service), "GET", "/readyz", timeout=1)
                except (OSError, http.client.HTTPException):
                    continue  # it is the one that was taken away
                self.said.setdefault(service, set()).add((status, body.decode()))

    def stop(self):
        self.stopping.set()
        self.thread.join()

    def named(self, service, what):
        return any(what in text for _, text in self.said.get(service, ()))


# ---- one case ----

def login(stack, name):
    body = json.dumps({"username": name, "password": stack.env["BV_DEMO_PASSWORD"]})
    status, _, answer = ask(stack.port("auth"), "POST", "/v1/login", body, {"content-type": "application/json"})
    if status != 200:
        raise LabFault(f"login as {name}: {status}")
    return json.loads(answer)["accessToken"]


def fixture(stack, staff, sku):
    body = json.dumps({"sku": sku, "name": sku, "priceMinor": 100, "currency": "EUR"})
    headers = {"content-type": "application/json", "authorization": f"Bearer {staff}"}
    status, _, answer = ask(stack.port("product"), "POST", "/v1/products", body, headers)
    if status != 201:
        raise LabFault(f"product {sku}: {status} {answer[:200]!r}")


def recovered(stack, clients):
    """Every service is ready again, and an order goes through."""
    try:
        ready = all(ask(stack.port(service), "GET", "/readyz", timeout=2)[0] == 200 for service in SERVICES)
        connection = http.client.HTTPConnection("127.0.0.1", clients.port, timeout=ANSWER_S)
        key = f"{clients.prefix}-probe-{time.monotonic_ns()}"
        clients.told[key] = None
        return ready and clients.order(connection, key)[0] == 201
    except (OSError, http.client.HTTPException):
        return False


def equal(what, got, wanted):
    if str(got) != str(wanted):
        raise Broken(f"{what}: {got}, not {wanted}")


def check_books(stack, clients, sku, on_hand):
    keys, like = len(clients.told), f"'{clients.prefix}-%'"
    where = f"from orders where idempotency_key like {like}"
    await_true("no order is PENDING", SETTLE_S, lambda: stack.sql("order", f"select count(*) {where} and state = 'PENDING'") == "0")
    equal("orders", stack.sql("order", f"select count(*), count(distinct idempotency_key) {where} and state = 'RESERVED'"), f"{keys}|{keys}")
    ids = set(stack.sql("order", f"select order_id {where}").split())
    equal("acknowledged orders that are lost", len(set(clients.told.values()) - ids), 0)
    equal("stock", stack.sql("inventory", f"select on_hand, reserved from stock where sku = '{sku}'"), f"{on_hand}|{keys}")
    equal("ledger", stack.sql("inventory", f"select sum(delta_on_hand), sum(delta_reserved), max(version) from ledger where sku = '{sku}'"),
          f"{on_hand}|{keys}|{keys + 1}")
    for service in ("order", "inventory", "product"):
        await_true(f"the outbox of {service} is empty", SETTLE_S, lambda: stack.sql(service, "select count(*) from outbox") == "0")
    await_true("every event of every order has come", SETTLE_S, lambda: events_of(stack, ids) == {2: keys} or None)


def events_of(stack, ids):
    """How many orders have how many live messages."""
    wanted = "'{" + ",".join(ids) + "}'::uuid[]"
    rows = stack.sql("notification", "select told, count(*) from (select count(*) as told from live_messages "
                     f"where (data::json->>'orderId')::uuid = any({wanted}) group by data::json->>'orderId') as t group by told").splitlines()
    return {int(row.split("|")[0]): int(row.split("|")[1]) for row in rows}


# ---- what is left behind ----

class Rest:
    """Watches what the services hold while nothing is asked of them."""

    def __init__(self, stack):
        self.stack = stack
        self.grown = {}  # service -> (pid, memory, growths in a row)
        self.before = {}

    def begin(self):
        self.before = self.stack.held()

    def more(self):
        """Who holds more than before the case; a text."""
        return "; ".join(f"{service} has {len(getattr(now, what))} {what}, {len(getattr(self.before[service], what))} before "
                         f"(more: {dict(now.kinds(what) - self.before[service].kinds(what))})"
                         for service, now in self.stack.held().items() for what in ("descriptors", "threads")
                         if len(getattr(now, what)) > len(getattr(self.before[service], what)))

    def check(self, orders):
        """orders: how many were placed since the last check."""
        left = [""]

        def nothing_more():
            left[0] = self.more()
            return not left[0]
        try:
            await_true("no service holds more than before", REST_S, nothing_more)
        except Broken as fault:
            raise LeftBehind(f"{fault}: {left[0]}") from fault
        await_true(lambda: f"no service burns CPU: {left[0]}", 3.5, lambda: self.idle(left))
        self.judge_memory(orders)

    def idle(self, left):
        first, began = self.stack.held(), time.monotonic()
        time.sleep(1)
        second, seconds = self.stack.held(), time.monotonic() - began
        shares = {service: (second[service].cpu_ticks - first[service].cpu_ticks) / os.sysconf("SC_CLK_TCK") / seconds for service in SERVICES}
        left[0] = ", ".join(f"{service} {share:.0%}" for service, share in shares.items())
        return max(shares.values()) < CPU_MAX

    def judge_memory(self, orders):
        """Memory that is kept for later stops growing; a leak does not."""
        leaks = []
        for service, now in self.stack.held().items():
            pid, memory_kb, growths = self.grown.get(service, (now.pid, 0, 0))
            allowed_kb = memory_kb + GROWTH_KB + KEPT_KB.get(service, 0) * orders
            growths = growths + 1 if pid == now.pid and memory_kb and now.memory_kb > allowed_kb else 0
            self.grown[service] = (now.pid, now.memory_kb, growths)
            if growths >= GROWTHS:
                leaks.append(f"{service} has {now.memory_kb} KiB, {memory_kb} before")
        if os.environ.get("OUTAGE_SHOW"):
            print("  " + " ".join(f"{service}:{held.memory_kb}" for service, held in self.stack.held().items()), flush=True)
        if leaks:
            raise Broken(f"memory grows with each of {GROWTHS} cases: " + "; ".join(leaks))


# ---- running ----

def run_case(stack, tokens, rest, number, case):
    """Returns requests, 2xx, 503, slowest, recovery."""
    name, on_hand = f"{case.part}-{case.how}-{number}", 1000000
    sku = name.upper()
    fixture(stack, tokens["staff"], sku)
    stack.put_in_stock(sku, on_hand)
    rest.begin()
    clients, readiness = Clients(stack, tokens["customer"], sku, name, case), None
    try:
        time.sleep(WARM_S)
        if clients.tally["2xx"] != sum(clients.tally.values()) or clients.tally["2xx"] == 0:
            raise Broken(f"it is not well before anything was taken away: {clients.tally} {clients.complaints}")
        readiness = Readiness(stack)
        with case.way(stack, case.part):
            time.sleep(case.seconds)
            started = time.monotonic()
        await_true("the platform recovers", SETTLE_S, lambda: recovered(stack, clients))
        recovery = time.monotonic() - started
        time.sleep(WARM_S)
    finally:
        clients.stop()
        if readiness:
            readiness.stop()
    tally = clients.tally
    figures = (sum(tally.values()), tally["2xx"], tally["503"], clients.slowest, recovery)
    print_row(case, figures, tally["reset"], tally["other"])
    if tally["other"]:
        raise Broken("; ".join(clients.complaints))
    if case.refuses_at_once and statistics.median(clients.refused_s or [ANSWER_S]) > AT_ONCE_S:
        raise Broken(f"a refusal takes {statistics.median(clients.refused_s or [ANSWER_S]):.1f} s, {len(clients.refused_s)} of them")
    for service, what in case.readyz.items():
        if not readiness.named(service, what):
            raise Broken(f"/readyz of {service} did not name {what}: {sorted(readiness.said.get(service, ()))}")
    clients.repeat_all()
    check_books(stack, clients, sku, on_hand)
    rest.check(len(clients.told))
    return figures


def print_row(case, figures, reset, other):
    requests, good, busy, slowest, recovery = figures
    print(f"{case.name:<20} {requests:>8.0f} {good:>6.0f} {busy:>6.0f} {reset:>6} {other:>6} {slowest:>9.1f} s {recovery:>7.1f} s", flush=True)


def print_head():
    print(f"{'case':<20} {'requests':>8} {'2xx':>6} {'503':>6} {'reset':>6} {'other':>6} {'slowest':>11} {'recovery':>9}", flush=True)


def chosen(words):
    if not words:
        return CASES
    found = []
    for word in words:
        name, _, seconds = word.partition(":")
        matching = [case for case in CASES if name in (case.part, case.name)]
        if not matching:
            raise LabFault(f"no case {name}; there are {', '.join(case.name for case in CASES)}")
        found += [dataclasses.replace(case, seconds=float(seconds)) if seconds else case for case in matching]
    return found


def warm_up(stack, tokens):
    """What is opened at first use is open before anything is compared."""
    fixture(stack, tokens["staff"], "WARM")
    stack.put_in_stock("WARM", 1000000)
    clients = Clients(stack, tokens["customer"], "WARM", "warm", CASES[0])
    time.sleep(2 * WARM_S)
    clients.stop()
    clients.repeat_all()
    check_books(stack, clients, "WARM", 1000000)


def run(build, cases, repeat):
    broken, figures, number = [], {}, 0
    stack = Stack(build)
    try:
        tokens, rest = {name: login(stack, name) for name in ("customer", "staff")}, Rest(stack)
        warm_up(stack, tokens)
        print_head()
        for case in [case for _ in range(repeat) for case in cases]:
            for tries_left in reversed(range(TRIES)):
                number += 1
                try:
                    figures.setdefault(case, []).append(run_case(stack, tokens, rest, number, case))
                    break
                except Broken as fault:
                    if isinstance(fault, LeftBehind) and tries_left:
                        print(f"  again, {fault}", flush=True)
                        continue
                    broken.append(f"{case.name}: {fault}")
                    print(f"  BROKEN {broken[-1]}", flush=True)
                    break
                finally:
                    while stack.after_case:
                        stack.after_case.pop()()
    finally:
        stack.down()
    if repeat > 1:
        print(f"\nmedians of {repeat}")
        print_head()
        for case, rows in figures.items():
            print_row(case, [statistics.median(column) for column in zip(*rows)], "", "")
    if broken:
        print(f"{len(broken)} of {number} outages broke a promise", file=sys.stderr)
    else:
        print(f"{number} outages: no lost order, no double order, stock balanced, every event delivered, nothing left behind")
    return 1 if broken else 0


def in_own_mounts(cases):
    """A small file system is mounted where only this stack sees it; a case that cannot have one is left out with a word."""
    if not any(case.mounts for case in cases) or os.environ.get("OUTAGE_MOUNTS") == "own":
        return cases
    how = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount"]
    probe = "import ctypes, sys; sys.exit(ctypes.CDLL(None).mount(b'outage', b'/mnt', b'tmpfs', 0, b'size=1m'))"
    if shutil.which("unshare") and subprocess.run([*how, sys.executable, "-c", probe], capture_output=True).returncode == 0:
        os.environ["OUTAGE_MOUNTS"] = "own"
        os.execvp("unshare", [*how, sys.executable, *sys.argv])
    for case in cases:
        if case.mounts:
            print(f"{case.name}: skipped, this user may not mount a small file system")
    return [case for case in cases if not case.mounts]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    try:
        return run(options.build.resolve(), in_own_mounts(chosen(options.cases)), options.repeat)
    except LabFault as fault:
        print(f"outage: {fault}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
