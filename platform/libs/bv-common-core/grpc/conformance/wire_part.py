"""One wrong thing at a time, to every method: what comes back, whether the connection and the server go on.

A row is a group, a name, what must come back, and how the call differs from a good one. GOOD stands for what the method's
good call gives. Rows of CORE are answered by the gRPC core before our code sees them, and not as the specification says;
they are here so that a change is seen, and because the server must live on all the same.
"""
import gzip
import random

from raw_client import WAIT_S, Client, field, headers_for, message, varint
from targets import EACH, STREAM

GOOD, EMPTY = "good", "empty"
CORE = "as the gRPC core answers, not the specification"
OK, UNKNOWN, INVALID, DEADLINE, EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 0, 2, 3, 4, 8, 12, 13, 14


def nested(depth):
    body = b""
    for _ in range(depth):
        body = field(2, body)
    return field(17, body)


# ---- messages: behind a good one, so that the rest of it is right ----

TAIL_ROWS = [
    ("truncated tag", b"\x80", INVALID),
    ("tag of eleven bytes", b"\xff" * 11, INVALID),
    ("field number 0", b"\x00\x00", INVALID),
    ("field number 0 in five bytes", b"\x80\x80\x80\x80\x00\x00", INVALID),
    ("field number 2^29", b"\x80\x80\x80\x80\x10\x00", INVALID),
    ("wire type 6", b"\xc6\x3e\x00", INVALID),
    ("wire type 7", b"\xc7\x3e\x00", INVALID),
    ("group that does not end", b"\xc3\x3e", INVALID),
    ("group, which proto3 has not", b"\xc3\x3e\xc4\x3e", INVALID),
    ("end of a group that did not begin", b"\xc4\x3e", INVALID),
    ("truncated varint", b"\xc0\x3e\x80", INVALID),
    ("varint of eleven bytes", b"\xc0\x3e" + b"\x80" * 10 + b"\x01", INVALID),
    ("truncated 32 bits", b"\xc5\x3eabc", INVALID),
    ("truncated 64 bits", b"\xc1\x3eabcdefg", INVALID),
    ("length beyond the end", b"\xc2\x3e\x05a", INVALID),
    ("length 2^31", b"\xc2\x3e" + varint(1 << 31) + b"a", INVALID),
    ("length 2^32 + 1", b"\xc2\x3e" + varint((1 << 32) + 1) + b"a", INVALID),
    ("length 2^63", b"\xc2\x3e" + varint(1 << 63) + b"a", INVALID),
    ("length -1", b"\xc2\x3e" + varint((1 << 64) - 1) + b"a", INVALID),
    ("unknown field, varint", field(1000, 1), GOOD),
    ("unknown field, bytes", field(1000, b"\xff\x00"), GOOD),
    ("unknown field, 32 bits", b"\xc5\x3eabcd", GOOD),
    ("unknown field, 64 bits", b"\xc1\x3eabcdefgh", GOOD),
    ("unknown field, largest number", field((1 << 29) - 1, 1), GOOD),
    ("1,000 unknown fields", field(1000, 1) * 1000, GOOD),
    ("nothing but depth: 10,000 levels in an unknown field", b"\xc2\x3e" + varint(20000) + b"\x12\x02" * 10000, GOOD),
]
TEXTS = [("invalid UTF-8", b"\xff"), ("overlong UTF-8", b"\xc0\xaf"), ("a surrogate", b"\xed\xa0\x80"), ("cut UTF-8", b"\xe2\x82"),
         ("beyond U+10FFFF", b"\xf4\x90\x80\x80"), ("U+0000", b"a\0b")]


def filled(body, size):
    """With an unknown field behind it that brings it to that size."""
    return body + field(1000, b"p" * (size - len(body) - 5))


def message_rows(target, method):
    wrong, right = method.effective, method.harmless
    yield "message", "as it should be", GOOD, message(right())
    yield "message", "empty", EMPTY, message(b"")
    for name, tail, expected in TAIL_ROWS:
        yield "message", name, expected, message((right if expected == GOOD else wrong)() + tail)
    if method.text_field:
        for name, text in TEXTS:
            yield "message", "text with " + name, INVALID, message(wrong() + field(method.text_field, text))
        yield "message", "text as a number", INVALID, message(wrong() + field(method.text_field, 1))
    if method.name == "Peer/Echo":
        yield "message", "60 levels", GOOD, message(nested(60))
        yield "message", "65 levels", INVALID, message(nested(65))
        yield "message", "10,000 levels", INVALID, message(nested(10000))
    yield "message", "of the largest size", GOOD, message(filled(right(), target.message_bytes_max))
    yield "message", "one byte too large", EXHAUSTED, message(filled(wrong(), target.message_bytes_max + 1))
    yield "message", "of 5 MB", EXHAUSTED, message(wrong() + field(1000, b"p" * (5 << 20)))
    chance = random.Random(method.path)
    for number in range(20):
        body = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 60)))
        yield "message", f"random bytes {number}", (INVALID, GOOD, EMPTY, INTERNAL, "open"), message(b"\x80" * (number % 2) + body)


# ---- frames of gRPC ----

def frame_rows(method):
    wrong, right = method.effective, method.harmless
    none = OK if method.kind == EACH else INVALID
    cut = (none, INVALID)
    yield "frame", "no message", none, b"", {}
    yield "frame", "prefix cut", cut, b"\0\0\0", {}
    yield "frame", "prefix larger than what comes", cut, message(wrong(), size=len(wrong()) + 9), {}
    yield "frame", "gzip, which is not offered", UNIMPLEMENTED, message(gzip.compress(wrong()), 1), {"grpc_encoding": "gzip"}
    yield "frame", "deflate, which is not offered", UNIMPLEMENTED, message(b"x", 1), {"grpc_encoding": "deflate"}
    yield "frame", "gzip that is none", UNIMPLEMENTED, message(b"nonsense", 1), {"grpc_encoding": "gzip"}
    yield "frame", "gzip bomb, 60 MB", UNIMPLEMENTED, message(gzip.compress(bytes(60 << 20)), 1), {"grpc_encoding": "gzip"}
    yield "frame", "identity", GOOD, message(right()), {"grpc_encoding": "identity"}


def library_rows(method):
    """What the specification wants, what the core does."""
    right = method.harmless
    loose = (GOOD, EMPTY, INVALID, "open")
    yield "compressed without an encoding: INTERNAL", loose, message(right(), 1), {}
    yield "unknown encoding: UNIMPLEMENTED", loose, message(right(), 1), {"grpc_encoding": "snappy"}
    yield "flag 2: INTERNAL", loose, message(right(), 2), {}
    yield "flag 255: INTERNAL", loose, message(right(), 255), {}
    if method.kind != EACH:
        yield "two messages: UNIMPLEMENTED", GOOD, message(right()) * 2, {}
    for kind in (None, "", "text/html", "application/json", "application/grpcfoo", "application/grpc-web"):
        yield f"content type {kind}: 415", GOOD, message(right()), {"content_type": kind}
    for timeout in ("-1S", "abc", "999999999H", "1", "S", "1X", "", "1.5S", " 1S", "+1S", "0x1S", "9" * 30 + "S"):
        yield f"timeout '{timeout}': INTERNAL", GOOD, message(right()), {"grpc_timeout": timeout}
    for name in ("connection", "X-Upper", "_unknown"):
        yield f"header {name}: PROTOCOL_ERROR", GOOD, message(right()), {name: "x"}
    for value in ("!!!!", "Y", "YWJj,YWJj", "\xff"):
        yield f"binary metadata {value}: this call alone", (UNAVAILABLE, "closed"), message(method.effective()), {"x_bin": value}
    yield "metadata of 200 kB: this call alone", (EXHAUSTED, "closed"), message(method.effective()), {"x_large": "v" * (200 << 10)}
    for how in ("GET", "PUT", "HEAD", "CONNECT", "post", "", None):
        yield f"method {how}: 405 or PROTOCOL_ERROR", UNKNOWN, message(method.effective()), {"_method": how}
    for te in (None, "gzip", "trailers, deflate", ""):
        yield f"te {te}: INTERNAL", UNKNOWN, message(method.effective()), {"te": te}
    for key in ("_path", "_scheme", "_authority"):
        yield f"no {key[1:]}: PROTOCOL_ERROR", UNKNOWN, message(method.effective()), {key: None}


# ---- headers ----

def header_rows(method):
    wrong, right = message(method.effective()), message(method.harmless())
    service = method.path.rsplit("/", 1)[0]
    for path in ("", "/", "*", "nope", "/a/b", "/a/b/c", method.path + "/", method.path.lower(), method.path + "?a=1", service,
                 service + "/", service + "/Nothing", "//", "/" + "x" * 6000, method.path + "\xff"):
        yield f"path '{path[:40]}'", UNIMPLEMENTED, wrong, {"_path": path}
    for host in ("", "x y", "[::1", "a" * 300, "user@host:99999", "169.254.169.254"):
        yield f"authority '{host[:20]}'", GOOD, right, {"_authority": host}
    yield "Host in place of authority", GOOD, right, {"_authority": None, "host": "a"}
    for timeout in ("99999999H", "20000m", "1M"):
        yield f"timeout {timeout}", GOOD, right, {"grpc_timeout": timeout}
    for timeout in ("0n", "0S"):
        yield f"timeout {timeout}", DEADLINE, wrong, {"grpc_timeout": timeout}
    for timeout in ("1n", "1u"):
        yield f"timeout {timeout}", (DEADLINE, GOOD), right, {"grpc_timeout": timeout}
    yield "metadata of 4 kB", GOOD, right, {"x_large": "v" * 4096}
    for kilobytes in (9, 16, 40):
        yield f"metadata of {kilobytes} kB", EXHAUSTED, wrong, {"x_large": "v" * (kilobytes << 10)}
    yield "300 metadata entries", EXHAUSTED, wrong, {f"x_{i}": "v" * 30 for i in range(300)}
    for value in ("YQ", "YQ==", "YQ=", ""):
        yield f"binary metadata '{value}'", GOOD, right, {"x_bin": value}
    for value in ("garbage", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 4000):
        yield f"traceparent '{value[:20]}'", GOOD, right, {"traceparent": value}
    yield "long correlation id", GOOD, right, {"correlation_id": "c" * 4000}
    yield "reserved metadata", GOOD, right, {"grpc_foo": "x"}


# ---- judging ----

def expected_of(method, wanted):
    out = set()
    for one in wanted if isinstance(wanted, tuple) else (wanted,):
        if one == GOOD:
            out.add("open" if method.kind == STREAM else method.good)
        elif one == EMPTY:
            out.add("open" if method.empty is None or method.path.endswith("Health/Watch") else method.empty)
        else:
            out.add(one)
    return out


def attempt(target, method, body, changes, pieces, lasting):
    """What came back. A stream that gives its first message is open: it is reset. lasting: the connection must live on."""
    with Client(target.port) as client:
        if not client.alive():
            return "no connection", ""
        stream_id = client.open(headers_for(method.path, **changes))
        if pieces:
            for at in range(0, len(body), pieces):
                client.data(stream_id, body[at:at + pieces], end=at + pieces >= len(body))
        else:
            client.data(stream_id, body)
        stream = client.streams[stream_id]
        client.until(lambda: stream.over or (method.kind == STREAM and stream.replies()), WAIT_S)
        outcome = stream.outcome()
        if not stream.over:
            outcome = "closed" if client.closed else "open" if stream.replies() else "nothing"
            client.reset(stream_id)
        if lasting and not client.alive():
            return f"{outcome}, but the connection is dead", stream.text()
        return outcome, stream.text()


class Judge:
    def __init__(self, target, only):
        self.target, self.only, self.rows, self.shown = target, only, {}, 0

    def check(self, group, name, good, what):
        passed, failed = self.rows.get(group, (0, 0))
        self.rows[group] = (passed + int(good), failed + int(not good))
        if not good:
            self.shown += 1
            if self.shown <= 40:
                print(f"{self.target.name}: {group}: {name}: {what}")

    def wants(self, group, name):
        return not self.only or self.only in f"{group}: {name}"

    def attempt(self, group, method, name, wanted, body, changes, pieces=0):
        title = f"{method.name}: {name}"
        if not self.wants(group, title):
            return
        outcome, text = attempt(self.target, method, body, changes, pieces, group != CORE)
        wanted = expected_of(method, wanted)
        self.check(group, title, outcome in wanted, f"{outcome} {text!r}, expected {' or '.join(map(str, wanted))}")
        wrong = self.target.call_good()
        if wrong:
            self.check(group, title, False, f"afterwards {wrong}")

    def result(self):
        return [(group, passed, failed) for group, (passed, failed) in self.rows.items()]


def run(target, only=None):
    judge = Judge(target, only)
    stock, files = target.stock(), target.files()
    for method in target.methods:
        for group, name, wanted, body in message_rows(target, method):
            judge.attempt(group, method, name, wanted, body, {})
        for group, name, wanted, body, changes in frame_rows(method):
            judge.attempt(group, method, name, wanted, body, changes)
        for pieces in (1, 3):
            judge.attempt("frame", method, f"in pieces of {pieces}", GOOD, message(method.harmless()), {}, pieces)
        for name, wanted, body, changes in header_rows(method):
            judge.attempt("header", method, name, wanted, body, changes)
        for name, wanted, body, changes in library_rows(method):
            judge.attempt(CORE, method, name, wanted, body, changes)
    active = target.await_active(0)
    judge.check("afterwards", "calls", active == 0, f"{active} calls are still being served")
    judge.check("afterwards", "stock", target.stock() == stock, "the stock has changed")
    judge.check("afterwards", "descriptors", target.files() <= files + 2, f"{files} descriptors before, {target.files()} after")
    return judge.result()
