#!/usr/bin/env python3
"""Takes one dependency after the other away from the order service, killed and frozen, while clients go on placing orders, and asserts what a
client may rely on: every answer is a success or a 503/504 problem with Retry-After, within the service's deadline; afterwards the platform recovers by
itself, a repeated key gives the one order it made, no acknowledged order is lost, none stays PENDING, stock balances, every event arrives.

Usage: outage.py BUILD_DIR [CASE...]      CASE is DEPENDENCY[/HOW[:SECONDS]]: postgres, redis/killed, postgres/frozen:14
Prints one row per case; exit 1 when a promise was broken, 2 when the lab itself failed.
"""
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

CLIENTS = 6
PACE_S = 0.05
WARM_S = 0.5
ANSWER_S = 11.5  # the service's own deadline of a request is 10 s
SETTLE_S = 20
START_S = 20
SERVICES = ("auth", "product", "inventory", "order", "notification")
LOST = "hang or reset"

# dependency: how it is taken away and for how long, and what /readyz of which service must say meanwhile (None: it may stay ready)
CASES = [
    ("postgres", "killed", 2.0, {"order": "PostgreSQL", "product": "PostgreSQL", "inventory": "PostgreSQL", "notification": "PostgreSQL"}),
    ("postgres", "frozen", 8.0, {"order": "PostgreSQL"}),
    ("redis", "killed", 1.5, {"product": "Redis"}),
    ("redis", "frozen", 3.0, {"product": "Redis"}),
    ("kafka", "killed", 1.5, {"order": "Kafka", "inventory": "Kafka", "notification": "Kafka"}),
    ("kafka", "frozen", 5.0, {"order": "Kafka"}),
    ("inventory", "killed", 1.0, {}),
    ("inventory", "frozen", 4.0, {"order": "inventory"}),
    ("auth", "killed", 1.0, {}),
    ("auth", "frozen", 3.0, {}),
]


class LabFault(Exception):
    pass


class Broken(Exception):
    pass


# ---- processes ----

def parent_of(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def tree(pid):
    """pid and everything below it, parents first."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            children.setdefault(parent_of(entry), []).append(int(entry))
    found = [pid]
    for one in found:
        found.extend(children.get(one, []))
    return found


def tell(pids, what):
    for pid in pids:
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            pass


def state(pid):
    """One letter, as ps has it; Z also when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def await_true(what, seconds, condition):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise Broken(f"not within {seconds} s: {what}")


# ---- the stack ----

class Stack:
    def __init__(self, build):
        self.bv = build / "bin" / "bv"
        self.name = f"outage-{os.getpid()}"
        self.again = []
        settings = ("order.BV_SWEEP_AGE=2s,order.BV_SWEEP_INTERVAL=200ms,notification.BV_LIVE_KEEP_COUNT=100000,"
                    "all.BV_ACCESS_LOG=0")
        if os.environ.get("BREAK"):  # a planted bug of test builds: some promise must break
            settings += f",all.BV_BREAK={os.environ['BREAK']}"
        up = subprocess.run([self.bv, "up", "--name", self.name, "--json", "--restart", "--set", settings], capture_output=True, text=True)
        if up.returncode != 0:
            raise LabFault(f"the stack did not start: {up.stderr[-500:]}")
        self.json = json.loads(up.stdout)
        self.parts = {part["name"]: part for part in self.json["parts"]}
        self.env = {}
        for line in (pathlib.Path(self.json["run"]) / "env" / "stack.env").read_text().splitlines():
            key, equals, value = line.partition("=")
            if equals:
                self.env[key] = value

    def url(self, service):
        return self.parts[service]["url"]

    def port(self, service):
        return int(self.url(service).partition("?")[0].rstrip("/").rpartition(":")[2].partition("/")[0])

    def pid(self, part):
        """As it is now: the supervisor may have started it again."""
        if self.parts[part]["kind"] == "service":
            status = subprocess.run([self.bv, "status", "--name", self.name, "--json"], capture_output=True, text=True)
            for one in json.loads(status.stdout)["parts"]:
                self.parts.get(one["name"], {})["pid"] = one["pid"]
        return self.parts[part]["pid"]

    def take_away(self, part, how):
        """Returns what brings it back."""
        pid = self.pid(part)
        if how == "frozen":
            pids = tree(pid)
            tell(pids, signal.SIGSTOP)
            await_true(f"{part} stands still", 10, lambda: all(state(one) in "TZ" for one in pids))
            return lambda: tell(reversed(pids), signal.SIGCONT)
        if self.parts[part]["kind"] == "service":
            os.kill(pid, signal.SIGKILL)
            await_true(f"{part} ends", 10, lambda: state(pid) == "Z")
            return lambda: None  # the supervisor starts it again
        proc = pathlib.Path(f"/proc/{pid}")
        argv = proc.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        if part == "redis":  # it has overwritten its command line
            argv = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port("redis")), "--save", "", "--appendonly", "no"]
        environ = dict(entry.split(b"=", 1) for entry in proc.joinpath("environ").read_bytes().split(b"\0") if b"=" in entry)
        cwd, owner = os.readlink(proc / "cwd"), proc.stat()
        os.kill(pid, signal.SIGSTOP)  # it forks no more while its children are counted
        await_true(f"{part} stands still", 10, lambda: state(pid) in "TZ")
        pids = tree(pid)
        tell(pids, signal.SIGKILL)
        await_true(f"{part} ends", 10, lambda: all(state(one) == "Z" for one in pids))
        return lambda: self.start_again(part, argv, environ, cwd, owner)

    def start_again(self, part, argv, environ, cwd, owner):
        """Until its port accepts; what the kernel still holds of the dead one (a port, shared memory) may refuse the first start."""
        who = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.getuid() == 0 else {}
        port, end = self.port(part), time.monotonic() + START_S
        while True:
            if part == "postgres":  # its lock file names a process of the namespace that it ran in
                pathlib.Path(os.fsdecode(argv[argv.index(b"-D") + 1]), "postmaster.pid").unlink(missing_ok=True)
            with open(self.parts[part]["log"], "ab") as log:
                process = subprocess.Popen(argv, env=environ, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **who)
            self.again.append(process)
            self.parts[part]["pid"] = process.pid
            while process.poll() is None and not accepts(port):
                if time.monotonic() > end:
                    raise LabFault(f"{part} does not accept on port {port} {START_S} s after its start: {self.tail(part)}")
                time.sleep(0.02)
            if process.poll() is None:
                return
            if time.monotonic() > end:
                raise LabFault(f"{part} does not start again (exit {process.returncode}): {self.tail(part)}")
            time.sleep(0.1)

    def tail(self, part):
        return pathlib.Path(self.parts[part]["log"]).read_text(errors="replace")[-600:]

    def sql(self, database, statement):
        url = self.env[f"BV_{database.upper()}_PG_URL"]
        asked = subprocess.run(["psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement], capture_output=True, text=True)
        if asked.returncode != 0:
            raise LabFault(f"psql {database}: {asked.stderr.strip()}")
        return asked.stdout.strip()

    def put_in_stock(self, sku, on_hand):
        self.sql("inventory", f"insert into stock values ('default', '{sku}', {on_hand}, 0, 1); "
                 "insert into ledger (tenant, sku, version, delta_on_hand, delta_reserved, on_hand, reserved, cause, at) "
                 f"values ('default', '{sku}', 1, {on_hand}, 0, {on_hand}, 0, 'ADJUST', now())")

    def down(self):
        subprocess.run([self.bv, "down", "--name", self.name], capture_output=True)
        for process in self.again:
            tell(tree(process.pid), signal.SIGKILL)
            process.wait()


# ---- clients ----

def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


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

    def __init__(self, stack, token, sku, prefix):
        self.port, self.token, self.sku, self.prefix = stack.port("order"), token, sku, prefix
        self.told = {}  # key -> (status, order id)
        self.complaints = []
        self.tally = {"2xx": 0, "503": 0, "other": 0}
        self.slowest = 0.0
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
                return
            self.tally["other"] += 1
            self.complain(f"{key}: {status} {headers.get('content-type')} retry-after={headers.get('retry-after')} {body[:200]!r}")

    def run(self, number):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
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


def run_case(stack, tokens, number, dependency, how, seconds, readyz):
    name, on_hand = f"{dependency}-{how}-{number}", 1000000
    sku = name.upper()
    fixture(stack, tokens["staff"], sku)
    stack.put_in_stock(sku, on_hand)
    clients = Clients(stack, tokens["customer"], sku, name)
    readiness, bring_back = None, lambda: None
    try:
        time.sleep(WARM_S)
        if clients.tally["503"] + clients.tally["other"] > 0 or clients.tally["2xx"] == 0:
            raise Broken(f"it is not well before anything was taken away: {clients.tally} {clients.complaints}")
        readiness = Readiness(stack)
        bring_back = stack.take_away(dependency, how)
        time.sleep(seconds)
        again, bring_back = bring_back, lambda: None
        started = time.monotonic()
        again()
        await_true("the platform recovers", SETTLE_S, lambda: recovered(stack, clients))
        recovery = time.monotonic() - started
        time.sleep(WARM_S)
    finally:
        clients.stopping.set()
        bring_back()
        clients.stop()
        if readiness:
            readiness.stop()
    tally = clients.tally
    print(f"{dependency:<10} {how:<7} {sum(tally.values()):>8} {tally['2xx']:>6} {tally['503']:>6} {tally['other']:>6} {clients.slowest:>9.1f} s {recovery:>7.1f} s", flush=True)
    if tally["other"]:
        raise Broken("; ".join(clients.complaints))
    for service, what in readyz.items():
        if not readiness.named(service, what):
            raise Broken(f"/readyz of {service} did not name {what}: {sorted(readiness.said.get(service, ()))}")
    clients.repeat_all()
    check_books(stack, clients, sku, on_hand)


def chosen(words):
    if not words:
        return CASES
    found = []
    for word in words:
        name, _, seconds = word.partition(":")
        matching = [case for case in CASES if name in (case[0], f"{case[0]}/{case[1]}")]
        if not matching:
            raise LabFault(f"no case {name}; there are {', '.join(f'{case[0]}/{case[1]}' for case in CASES)}")
        found += [(case[0], case[1], float(seconds or case[2]), case[3]) for case in matching]
    return found


def run(build, words):
    cases, broken = chosen(words), []
    stack = Stack(build)
    try:
        tokens = {name: login(stack, name) for name in ("customer", "staff")}
        print(f"{'dependency':<10} {'how':<7} {'requests':>8} {'2xx':>6} {'503':>6} {'other':>6} {'slowest':>11} {'recovery':>9}")
        for number, (dependency, how, seconds, readyz) in enumerate(cases, 1):
            try:
                run_case(stack, tokens, number, dependency, how, seconds, readyz)
            except Broken as fault:
                broken.append(f"{dependency} {how}: {fault}")
                print(f"  BROKEN {broken[-1]}", flush=True)
    finally:
        stack.down()
    if broken:
        print(f"{len(broken)} of {len(cases)} outages broke a promise", file=sys.stderr)
    else:
        print(f"{len(cases)} outages: no lost order, no double order, stock balanced, every event delivered")
    return 1 if broken else 0


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return run(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:])
    except LabFault as fault:
        print(f"outage: {fault}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
