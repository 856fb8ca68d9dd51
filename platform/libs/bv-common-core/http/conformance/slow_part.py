"""Slow clients: crowds that send their header or body a byte a second, read their answer a byte a
second, keep a connection or a WebSocket and say nothing; while a client beside them asks all the time.

Asserted: the client beside them gets every answer; the slow ones are cut when their deadline has
passed and not before, with 408 where a request was begun; memory stays under what the answers in
flight take; every descriptor comes back. Latencies are printed, not judged.
"""
import errno
import http.client
import json
import multiprocessing
import os
import resource
import select
import socket
import subprocess
import time

from echo_server import Server, Serving, ended

BIG_BYTES = 256 << 10
LATE_S = 4.0  # a busy machine may be this late with a deadline
GRACE_BYTES = 96 << 20

# kind: what is said at once, and whether a byte follows each second, is read each second, or neither
HEADER, BODY, READING, IDLE, WEBSOCKET = "header", "body", "reading", "idle", "websocket"
OPENING = {
    HEADER: "GET {page} HTTP/1.1\r\nHost: a\r\nX-Slow: ",
    BODY: "POST {form} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n{fields}\r\n",
    READING: "GET {big} HTTP/1.1\r\nHost: a\r\n{fields}\r\n",
    IDLE: "",
    WEBSOCKET: "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
}


class Slow:
    def __init__(self, kind, address, opening):
        self.kind, self.heard = kind, b""
        self.link = socket.socket()
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.link.setblocking(False)
        self.link.connect_ex(address)
        self.opening, self.began = opening.encode(), None
        if kind == IDLE:
            self.began = time.monotonic()

    def tick(self):
        """A second has passed. Returns how it ended, or None."""
        try:
            if self.began is None:
                if self.link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    return "refused"
                self.link.send(self.opening)
                self.began = time.monotonic()
            elif self.kind in (HEADER, BODY):
                self.link.send(b"x")
            if self.kind == READING:
                data = self.link.recv(1)
                return "end" if not data else None
            return None
        except BlockingIOError:
            return None
        except OSError as error:
            return "not connected" if error.errno == errno.ENOTCONN else "cut"

    def hear(self):
        """Something came. Returns how it ended, or None."""
        try:
            data = self.link.recv(4096)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        self.heard += data
        if data:
            return None
        if self.heard.startswith(b"HTTP/1.1 408 "):
            return "408"
        return "end" if not self.heard else f"after {self.heard[:30]!r}"


class Crowd:
    """So many of each kind, renewed when they are cut."""

    def __init__(self, address, targets, kinds, each):
        self.address, self.targets = address, targets
        self.poll, self.members = select.epoll(), {}
        self.ended = {kind: [] for kind in kinds}
        for kind in kinds:
            for _ in range(each):
                self.add(kind)

    def add(self, kind):
        slow = Slow(kind, self.address, OPENING[kind].format(**self.targets))
        self.members[slow.link.fileno()] = slow
        # A slow reader watches for the cut only: the bytes are taken by its tick.
        self.poll.register(slow.link.fileno(), select.EPOLLRDHUP if kind == READING else select.EPOLLIN)

    def remove(self, slow, how):
        # One that said nothing yet, since we were late, was cut as an idle one: that is no answer to its kind.
        if slow.began is not None or how != "end":
            self.ended[slow.kind].append((how, time.monotonic() - (slow.began or time.monotonic())))
        self.forget(slow)
        self.add(slow.kind)

    def forget(self, slow):
        number = slow.link.fileno()
        self.poll.unregister(number)
        del self.members[number]
        slow.link.close()

    def run(self, seconds, each_tick):
        end, next_tick = time.monotonic() + seconds, 0.0
        while (now := time.monotonic()) < end:
            if now >= next_tick:
                next_tick = now + 1.0
                for slow in list(self.members.values()):
                    if how := slow.tick():
                        self.remove(slow, how)
                each_tick()
            for number, _ in self.poll.poll(max(0.0, min(next_tick, end) - time.monotonic())):
                slow = self.members.get(number)
                if slow is None:
                    continue
                how = "cut" if slow.kind == READING else slow.hear()
                if how:
                    self.remove(slow, how)

    def leave(self):
        for slow in list(self.members.values()):
            self.forget(slow)
        self.poll.close()


def probe(port, page, form, fields, pipe):
    """Asks without a pause worth the name until told to stop; sends back latencies and failures."""
    latencies, failures, number = [], [], 0
    link = None
    while not pipe.poll(0.005):
        started = time.monotonic()
        number += 1
        try:
            if link is None or number % 10 == 0:
                link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            if form and number % 2:
                link.request("POST", form, b"{}", {"Content-Type": "application/json", **fields})
            else:
                link.request("GET", page, headers=fields)
            answer = link.getresponse()
            answer.read()
            if answer.status != 200:
                failures.append(f"status {answer.status}")
        except OSError as error:
            failures.append(repr(error))
            link = None
        except http.client.HTTPException as error:
            failures.append(repr(error))
            link = None
        latencies.append(time.monotonic() - started)
    pipe.send((latencies, failures))


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000


def allow_files(wanted):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(wanted, 1024)), hard))
    return min(hard, wanted)


def judge(kind, ended, deadline_s, seconds, each):
    """(good, bad) of those that were cut, and the first wrong one."""
    wanted = {HEADER: ("408",), BODY: ("408",), IDLE: ("end",), WEBSOCKET: ()}[kind]
    good, bad, wrong = 0, 0, ""
    for how, after_s in ended:
        if how in wanted and deadline_s - 0.2 <= after_s <= deadline_s + LATE_S:
            good += 1
        else:
            bad += 1
            wrong = f"{how!r} after {after_s:.2f} s, the deadline is {deadline_s:.2f} s"
    if kind != WEBSOCKET and 2 * deadline_s + 1 < seconds and len(ended) < each / 2:
        bad, wrong = bad + 1, f"only {len(ended)} were cut in {seconds:g} s"
    return good, bad, wrong


def press(title, server, targets, deadlines, each, seconds, probing, files_spare=0):
    """One run against a server of any kind; returns rows. files_spare: descriptors that it may open for itself meanwhile."""
    each = min(each, (allow_files(each * len(deadlines) + 500) - 500) // len(deadlines))
    timeouts = server.metric("bv_http_timeouts_total")
    files_before, before = server.files(), server.resident_bytes()
    ours, theirs = multiprocessing.Pipe()
    asking = multiprocessing.Process(target=probe, args=(server.port, *probing, theirs))
    asking.start()
    peaks = []
    crowd = Crowd(("127.0.0.1", server.port), targets, list(deadlines), each)
    crowd.run(seconds, lambda: peaks.append((server.resident_bytes(), server.files())))
    ours.send("stop")
    latencies, failures = ours.recv()
    asking.join()
    timeouts = server.metric("bv_http_timeouts_total") - timeouts
    crowd.leave()
    rows = []
    for kind, deadline_s in deadlines.items():
        if kind == READING:  # they cannot see that they are cut while they have not read what was sent
            good = int(timeouts) - sum(how == "408" for ended in crowd.ended.values() for how, _ in ended)
            bad, wrong = (each - good, "they were not cut") if good < each and seconds > 2 * deadline_s + 1 else (0, "")
        else:
            good, bad, wrong = judge(kind, crowd.ended[kind], deadline_s, seconds, each)
        if bad:
            print(f"{title}: {kind}: {bad} wrong, {wrong}")
        rows.append((f"{each} slow: {kind}, {good} cut", int(not bad), int(bad > 0)))
    for failure in failures[:3]:
        print(f"{title}: the client beside them: {failure}")
    rows.append((f"the client beside them, {len(latencies)} requests", len(latencies) - len(failures), len(failures)))
    rows += settle(title, server, files_before + files_spare, before, peaks, each)
    print(f"{title}: {each} of each of {len(deadlines)} kinds for {seconds:g} s; the client beside them: p50 {percentile(latencies, .5):.2f} ms, "
          f"p99 {percentile(latencies, .99):.2f} ms, max {max(latencies) * 1000:.2f} ms")
    return rows


def settle(title, server, files_before, before, peaks, each):
    end = time.monotonic() + 15
    while server.files() > files_before and time.monotonic() < end:
        time.sleep(0.02)
    files_after, after = server.files(), server.resident_bytes()
    peak, files_peak = max(p[0] for p in peaks), max(p[1] for p in peaks)
    print(f"{title}: memory {before >> 20} MB before, {peak >> 20} MB at most, {after >> 20} MB after; "
          f"descriptors {files_before}, {files_peak}, {files_after}")
    bounded = peak - before < each * BIG_BYTES + GRACE_BYTES
    return [("memory is bounded", int(bounded), int(not bounded)),
            ("every descriptor came back", int(files_after <= files_before), int(files_after > files_before))]


def run_services(bv, seconds=30.0):
    """The same against two real services of a stack, with the deadlines that they run with."""
    name = f"conformance-{os.getpid()}"
    started = subprocess.run([bv, "up", "product", "auth", "--name", name, "--json"], stdout=subprocess.PIPE, check=False)
    if started.returncode != 0:
        return [("the stack starts", 0, 1)]
    stack = json.loads(started.stdout)
    part = {p["name"]: Serving(p["port"], p["pid"]) for p in stack["parts"]}
    targets = {"page": "/v1/products", "form": "/oauth2/token", "big": "/v1/products?limit=100", "fields": ""}
    body = OPENING[BODY].replace("application/json", "application/x-www-form-urlencoded").replace("100000", "4000")
    try:
        rows = press("product", part["product"], targets, {HEADER: 10.0, READING: 60.0, IDLE: 60.0}, 400, seconds,
                     ("/v1/products?limit=3", None, {}), files_spare=16)
        OPENING[BODY], kept = body, OPENING[BODY]
        rows += press("auth", part["auth"], targets, {HEADER: 10.0, BODY: 30.0, IDLE: 60.0}, 400, seconds,
                      ("/.well-known/jwks.json", None, {}), files_spare=16)
        OPENING[BODY] = kept
    finally:
        subprocess.run([bv, "down", "--name", name], stdout=subprocess.DEVNULL, check=False)
    return rows


def run(program, full=False):
    scale = 5.0 if full else 1.5
    options = {"header_timeout_ms": int(scale * 1000), "body_timeout_ms": int(scale * 1500), "idle_timeout_ms": int(scale * 1200),
               "write_timeout_ms": int(scale * 1000), "send_buffer": 16384}
    server = Server(program, **options)
    targets = {"page": "/echo", "form": "/raw", "big": f"/big?bytes={BIG_BYTES}", "fields": ""}
    deadlines = {HEADER: scale, BODY: scale * 1.5, READING: scale, IDLE: scale * 1.2, WEBSOCKET: 0}
    rows = press("slow clients", server, targets, deadlines, 1000 if full else 200, 30.0 if full else 5.0, ("/echo/probe", "/raw", {}))
    left = server.await_connections(1)
    rows.append(("the gauge is back", int(left == 1), int(left != 1)))
    rows.append(ended(server))
    return rows
