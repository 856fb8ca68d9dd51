"""The HTTP part: every case of requests.txt, delivered in several ways, over raw sockets.

What is asserted for each: the statuses in order and nothing behind them, whether the connection
stays usable or ends (with an end of the stream, never a reset), that as many requests reached a
handler as got 200 or 101, and that none reached /smuggled. A connection that stays open is asked
once more: the answer must be to that question. Every delivery must come to the same result.
"""
import json
import random
import re
import socket
from collections import namedtuple

from echo_server import Server

Case = namedtuple("Case", "group name request statuses end checks line")
Delivery = namedtuple("Delivery", "name server send_bytes before behind only bytes_max")

DELIVERIES = [
    #        name                              server   sent in     before behind only   largest case
    Delivery("in one piece",                   "whole", None,       False, False, None,    None),
    Delivery("behind another request",         "whole", None,       True,  False, None,    None),
    Delivery("with a request behind it",       "whole", None,       False, True,  "close", None),
    Delivery("byte by byte",                   "whole", (1, 1),     False, False, None,    4096),
    Delivery("in random pieces",               "whole", (1, 40),    False, False, None,    40000),
    Delivery("in large random pieces",         "whole", (1, 30000), False, False, None,    None),
    Delivery("read byte by byte",              "one",   None,       False, False, None,    250000),
    Delivery("read byte by byte, one behind",  "one",   None,       False, True,  "close", 250000),
    Delivery("read by seven bytes",            "seven", None,       True,  False, None,    None),
]
FAILURES_MAX = 200
BEFORE = b"GET /echo/before HTTP/1.1\r\nHost: a\r\n\r\n"
BEHIND = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
AFTER = b"GET /echo/after HTTP/1.1\r\nHost: a\r\n\r\n"

ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\", '"': b'"'}


def unescape(text):
    """\\r \\n \\t \\0 \\\\ \\" \\xHH, and {N*text} for N times text; other characters as UTF-8."""
    out, i = b"", 0
    while i < len(text):
        if text[i] == "\\" and text[i + 1] == "x":
            out += bytes([int(text[i + 2:i + 4], 16)])
            i += 4
        elif text[i] == "\\":
            out += ESCAPES[text[i + 1]]
            i += 2
        elif repeat := re.compile(r"\{(\d+)\*").match(text, i):
            start, depth, i = repeat.end(), 1, repeat.end()
            while depth:
                depth += {"{": 1, "}": -1}.get(text[i], 0)
                i += 1
            out += unescape(text[start:i - 1]) * int(repeat.group(1))
        else:
            out += text[i].encode()
            i += 1
    return out


def odd_backslashes(text):
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def read_expectation(text, where):
    words = text.split()
    end = words.pop() if words else ""
    statuses = []
    for word in words:
        times, _, word = word.rpartition("*")
        head = word.startswith("HEAD:")
        statuses += [(int(word.removeprefix("HEAD:")), head)] * int(times or 1)
    if end not in ("open", "close", "wait", "tunnel"):
        raise SystemExit(f"{where}: an expectation ends in open, close, wait or tunnel, not in {end!r}")
    return statuses, end


def read_table(path):
    cases, group, names = [], None, set()
    name, request, line_of = None, b"", 0
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file.read().split("\n"), 1):
            if line.startswith("== "):
                group = line[3:]
            elif line.startswith("["):
                name, request, line_of = line[1:-1], b"", number
                if (group, name) in names:
                    raise SystemExit(f"{path}:{number}: there is another case of this name")
                names.add((group, name))
            elif line.startswith("|"):
                text = line[2:]
                open_end = odd_backslashes(text)
                request += unescape(text[:-1]) if open_end else unescape(text) + b"\r\n"
            elif line.startswith("=> "):
                statuses, end = read_expectation(line[3:], f"{path}:{number}")
                cases.append(Case(group, name, request, statuses, end, [], line_of))
            elif line.startswith("   "):
                what, _, value = line.strip(" ").partition(" ")
                cases[-1].checks.append((what, unescape(value)))
            elif line and not line.startswith("#"):
                raise SystemExit(f"{path}:{number}: no line of a case: {line!r}")
    return cases


# ---- reading what comes back ----------------------------------------------------------------

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [\x20-\x7e]*")
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([\x20-\x7e]*)")


class Wrong(Exception):
    pass


class Reader:
    """Responses off a socket, strictly."""

    def __init__(self, link):
        self.link, self.data, self.ended = link, b"", False

    def more(self):
        try:
            data = self.link.recv(1 << 20)
        except ConnectionResetError:
            raise Wrong(f"a reset, {len(self.data)} bytes unparsed") from None
        except socket.timeout:
            raise Wrong(f"neither answer nor end; unparsed: {self.data[:80]!r}") from None
        self.ended = self.ended or not data
        self.data += data
        return bool(data)

    def response(self, head_only):
        """(status, fields, body), or None at a clean end."""
        while b"\r\n\r\n" not in self.data:
            if not self.more():
                if self.data:
                    raise Wrong(f"half a response: {self.data[:80]!r}")
                return None
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        first, *rest = head.split(b"\r\n")
        matched = STATUS_LINE.fullmatch(first)
        if not matched:
            raise Wrong(f"no status line: {first[:80]!r}")
        status, fields = int(matched.group(1)), {}
        for line in rest:
            field = FIELD.fullmatch(line)
            if not field or field.group(1).lower() in fields:
                raise Wrong(f"a bad or repeated field: {line[:80]!r}")
            fields[field.group(1).lower()] = field.group(2)
        self.check_fields(status, fields)
        size = 0 if head_only or status < 200 or status in (204, 304) else int(fields[b"content-length"])
        while len(self.data) < size:
            if not self.more():
                raise Wrong("half a body")
        body, self.data = self.data[:size], self.data[size:]
        return status, fields, body

    @staticmethod
    def check_fields(status, fields):
        if status >= 200 and b"date" not in fields:
            raise Wrong("no Date")
        framed = b"content-length" in fields
        if framed == (status < 200 or status == 204):
            raise Wrong(f"Content-Length and {status}")
        if status >= 400 and fields.get(b"content-type") != b"application/problem+json":
            raise Wrong("an error without application/problem+json")

    def rest(self):
        while not self.ended:
            self.more()
        return self.data


# ---- one case, one delivery -----------------------------------------------------------------

def send(link, data, delivery, dice):
    low, high = delivery.send_bytes or (len(data), len(data))
    at = 0
    while at < len(data):
        size = max(1, dice.randint(low, high))
        try:
            link.sendall(data[at:at + size])
        except (BrokenPipeError, ConnectionResetError):
            return  # it has been refused meanwhile; what it said can be read
        at += size


def check(case, what, value, response):
    status, fields, body = response
    echo = json.loads(body) if fields.get(b"content-type") == b"application/json" else {}
    seen = [((f["name"] or "") + ": " + (f["value"] or "")).encode().rstrip() for f in echo.get("fields", [])]
    name, _, wanted = value.partition(b": ")
    if what in ("method", "path", "tail", "query", "body"):
        good = echo.get(what) == value.decode()
        found = echo.get(what)
    elif what == "field":
        good, found = value in seen, seen
    elif what == "nofield":
        good, found = not any(s.lower().startswith(value.lower() + b":") for s in seen), seen
    elif what == "header":
        found = fields.get(name.lower())
        good = found == wanted
    elif what == "noheader":
        found = fields.get(name.lower())
        good = found is None
    else:
        raise SystemExit(f"line {case.line}: no check {what}")
    if not good:
        raise Wrong(f"{what}: wanted {value[:60]!r}, saw {str(found)[:80]}")


def converse(case, delivery, link, dice):
    """Returns how many requests the handlers should have seen."""
    reader = Reader(link)
    wanted = ([(200, False)] if delivery.before else []) + case.statuses
    data = (BEFORE if delivery.before else b"") + case.request + (BEHIND if delivery.behind else b"")
    send(link, data, delivery, dice)
    if case.end == "wait":
        link.shutdown(socket.SHUT_WR)
    last, handled = None, 0
    for number, (status, head_only) in enumerate(wanted):
        last = reader.response(head_only)
        if last is None:
            raise Wrong(f"{number} answers, then the end")
        if last[0] != status:
            raise Wrong(f"answer {number + 1} is {last[0]}, not {status}: {last[2][-200:].decode(errors='replace')}")
        handled += status in (200, 101)
        closing = last[1].get(b"connection") == b"close"
        final = number + 1 == len(wanted) and case.end == "close"
        if status >= 200 and closing != final:
            raise Wrong(f"answer {number + 1} says Connection: {'close' if closing else 'nothing'}")
    for what, value in case.checks:
        check(case, what, value, last)
    if case.end == "open":
        link.sendall(AFTER)
        last = reader.response(False)
        if last is None or last[0] != 200 or json.loads(last[2]).get("tail") != "after":
            raise Wrong(f"it did not stay open: {last}")
        if reader.data:
            raise Wrong(f"bytes behind the last answer: {reader.data[:80]!r}")
        return handled + 1
    if case.end == "tunnel":
        link.shutdown(socket.SHUT_WR)
        if b"HTTP/1" in reader.rest():
            raise Wrong("an HTTP answer inside the WebSocket")
    elif reader.rest():
        raise Wrong(f"bytes behind the last answer: {reader.data[:80]!r}")
    return handled


def deliver(case, delivery, server, dice):
    """None, or what is wrong."""
    before = server.stats()
    link = server.connect()
    try:
        handled = converse(case, delivery, link, dice)
    except Wrong as wrong:
        return str(wrong)
    finally:
        link.close()
    after = server.stats()
    if after["smuggled"] != before["smuggled"]:
        return "A SMUGGLED REQUEST REACHED ITS HANDLER"
    if after["handled"] - before["handled"] != handled:
        return f"{after['handled'] - before['handled']} requests reached a handler, not {handled}"
    return None


def run(program, table, only=None, seed=1):
    """Rows (section, passed, failed); prints each failure."""
    cases = [c for c in read_table(table) if not only or only in f"{c.group}: {c.name}"]
    dice = random.Random(seed)
    servers = {"whole": Server(program), "one": Server(program, read_bytes=1), "seven": Server(program, read_bytes=7)}
    rows, failures = {}, 0
    for case in cases:
        row = rows.setdefault(case.group, [0, 0])
        if failures >= FAILURES_MAX:
            print("requests.txt: enough failures, the rest is left out")
            break
        for delivery in DELIVERIES:
            if delivery.only and delivery.only != case.end:
                continue
            if delivery.bytes_max and len(case.request) > delivery.bytes_max:
                continue
            wrong = deliver(case, delivery, servers[delivery.server], dice)
            row[wrong is not None] += 1
            if wrong:
                failures += 1
                print(f"{table.rsplit('/', 1)[-1]}:{case.line}: {case.group}: {case.name}, {delivery.name}: {wrong}")
    result = [(f"{name}", passed, failed) for name, (passed, failed) in rows.items()]
    for name, server in servers.items():
        left = server.await_connections(1)
        result.append((f"server '{name}' ends with nothing open", int(left == 1), int(left != 1)))
        status = server.stop()
        result.append((f"server '{name}' ends cleanly", int(status == 0), int(status != 0)))
    return result, len(cases)
