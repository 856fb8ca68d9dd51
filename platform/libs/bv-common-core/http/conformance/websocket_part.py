"""The WebSocket part (RFC 6455): the handshake, the framing and the reading of frames are those of
the Python package websockets; the sections and most cases are those of the Autobahn test suite.

A case sends its bytes and names every frame that must come back, in order, and how it ends. Nothing
is left to time: where a server must fail early, the rest of the message is never sent.
"""
import codecs
import json
import os
import random
import socket
import subprocess
from collections import namedtuple

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader
from websockets.uri import parse_uri

from echo_server import Server

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10

# wanted: [(opcode, payload)]; end: the close codes that are right, or BYE: the server stays, we say good-bye.
Case = namedtuple("Case", "section name data wanted end path")
BYE = None
FAILURES_MAX = 50


class RawFrame(Frame):
    """A frame of the package that may be wrong."""

    def check(self):
        pass


def frame(opcode, data=b"", fin=True, rsv=0, mask=True):
    return RawFrame(opcode, data, fin, bool(rsv & 4), bool(rsv & 2), bool(rsv & 1)).serialize(mask=mask)


def close(code, reason=b""):
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def head(opcode, size, encoding, fin=True):
    """A masked header (key 0) whose length is written in so many bytes."""
    first = bytes([(0x80 if fin else 0) | opcode])
    if encoding == 1:
        return first + bytes([0x80 | size]) + bytes(4)
    return first + bytes([0x80 | (126 if encoding == 2 else 127)]) + size.to_bytes(encoding, "big") + bytes(4)


class Wrong(Exception):
    pass


class Peer:
    """One connection: websockets does the handshake and reads the frames."""

    def __init__(self, server, path="/ws", **options):
        self.link = server.connect()
        self.protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{server.port}{path}"), **options)
        self.protocol.send_request(self.protocol.connect())
        self.link.sendall(b"".join(self.protocol.data_to_send()))
        self.reader = StreamReader()
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.link.recv(4096)
        answer, rest = data.split(b"\r\n\r\n", 1)
        self.protocol.receive_data(answer + b"\r\n\r\n")
        if self.protocol.handshake_exc:
            raise Wrong(f"the handshake fails: {self.protocol.handshake_exc}")
        self.reader.feed_data(rest)

    def send(self, data, pieces):
        low, high, dice = pieces or (len(data), len(data), random)
        at = 0
        try:
            while at < len(data):
                size = dice.randint(low, high)
                self.link.sendall(data[at:at + size])
                at += size
        except (BrokenPipeError, ConnectionResetError):
            pass

    def frame(self):
        """(opcode, payload), or None at the end."""
        parse = Frame.parse(self.reader.read_exact, mask=False)
        while True:
            try:
                next(parse)
            except StopIteration as done:
                return int(done.value.opcode), bytes(done.value.data)
            except EOFError:
                if self.reader.buffer:
                    raise Wrong("half a frame, then the end") from None
                return None
            except WebSocketException as bad:
                raise Wrong(f"a bad frame: {bad}") from None
            try:
                data = self.link.recv(1 << 20)
            except ConnectionResetError:
                raise Wrong("a reset") from None
            except socket.timeout:
                raise Wrong("nothing comes") from None
            if data:
                self.reader.feed_data(data)
            else:
                self.reader.feed_eof()

    def expect(self, opcode, data):
        seen = self.frame()
        if seen != (opcode, data):
            raise Wrong(f"wanted {Opcode(opcode).name} {data[:40]!r} of {len(data)}, saw {describe(seen)}")

    def expect_end(self, codes, answer=True):
        """answer: the server closes first."""
        seen = self.frame()
        if seen == (PONG, b"p"):  # of a ping before the fault: may be sent or not
            seen = self.frame()
        if seen is None or seen[0] != CLOSE:
            raise Wrong(f"wanted a close frame, saw {describe(seen)}")
        code = int.from_bytes(seen[1][:2], "big") if seen[1] else 1005
        try:
            seen[1][2:].decode()
        except UnicodeDecodeError:
            raise Wrong(f"the reason is no UTF-8: {seen[1][2:]!r}") from None
        if code not in codes:
            raise Wrong(f"closed with {code}, not {' or '.join(map(str, codes))}")
        if answer:
            self.send(frame(CLOSE, seen[1][:2]), None)
        if (last := self.frame()) is not None:
            raise Wrong(f"behind the close frame: {describe(last)}")


def describe(seen):
    return "the end" if seen is None else f"{Opcode(seen[0]).name} {seen[1][:60]!r} of {len(seen[1])}"


# ---- the cases ------------------------------------------------------------------------------

CASES = []


def case(section, name, data, wanted=(), end=BYE, path="/ws"):
    CASES.append(Case(section, name, data, list(wanted), end, path))


def framing():
    for opcode, kind in ((TEXT, "text"), (BINARY, "binary")):
        for size in (0, 1, 125, 126, 127, 128, 65535, 65536, 70000):
            data = (b"*" if opcode == TEXT else b"\xfe") * size
            case("1 framing", f"{kind} of {size}", frame(opcode, data), [(opcode, data)])
    for encoding, name in ((2, "two"), (8, "eight")):
        case("1 framing", f"a length written in {name} bytes without need", head(TEXT, 5, encoding) + b"hello", end=(1002,))
    case("1 framing", "a length of 2^63", head(BINARY, 1 << 63, 8), end=(1002,))
    case("1 framing", "not masked", frame(TEXT, b"hello", mask=False), end=(1002,))
    case("1 framing", "a ping that is not masked", frame(PING, b"", mask=False), end=(1002,))
    case("1 framing", "a close frame that is not masked", frame(CLOSE, b"\x03\xe8", mask=False), end=(1002,))
    many = b"".join(frame(TEXT, b"%d" % i) for i in range(500))
    case("1 framing", "500 messages in one piece", many, [(TEXT, b"%d" % i) for i in range(500)])


def pings():
    section = "2 pings and pongs"
    for name, data in (("empty", b""), ("text", b"hello"), ("binary", b"\0\xff\xfe\xfd\xfc\xfb\0\xff"), ("125 bytes", b"\xfe" * 125)):
        case(section, f"ping, {name}", frame(PING, data), [(PONG, data)])
    case(section, "ping of 126 bytes", frame(PING, b"x" * 126), end=(1002,))
    case(section, "pong of 126 bytes", frame(PONG, b"x" * 126), end=(1002,))
    case(section, "pongs that nobody asked for", frame(PONG) + frame(PONG, b"x") + frame(PING, b"y"), [(PONG, b"y")])
    numbers = [b"%d" % i for i in range(10)]
    case(section, "ten pings", b"".join(frame(PING, n) for n in numbers), [(PONG, n) for n in numbers])
    case(section, "a ping before and behind a message", frame(PING, b"a") + frame(TEXT, b"m") + frame(PING, b"b"),
         [(PONG, b"a"), (TEXT, b"m"), (PONG, b"b")])


def reserved():
    for rsv in range(1, 8):
        for opcode in (TEXT, BINARY, CLOSE, PING, PONG):
            case("3 reserved bits", f"{rsv} in {Opcode(opcode).name}", frame(opcode, b"", rsv=rsv), end=(1002,))
    case("3 reserved bits", "behind a good message", frame(TEXT, b"a") + frame(TEXT, b"b", rsv=4), [(TEXT, b"a")], (1002,))
    case("3 reserved bits", "in a continuation", frame(TEXT, b"a", fin=False) + frame(CONT, b"b", rsv=2), end=(1002,))
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        for data in (b"", b"reserved"):
            case("4 opcodes", f"{opcode} with {len(data)} bytes", frame(opcode, data), end=(1002,))
        case("4 opcodes", f"{opcode} behind a good message", frame(TEXT, b"a") + frame(opcode) + frame(PING), [(TEXT, b"a")], (1002,))


def fragments():
    section = "5 fragmentation"
    part = lambda opcode, data, fin=False: frame(opcode, data, fin=fin)
    case(section, "a ping in two", part(PING, b"a") + part(CONT, b"b", True), end=(1002,))
    case(section, "a pong in two", part(PONG, b"a") + part(CONT, b"b", True), end=(1002,))
    case(section, "a close frame in two", part(CLOSE, b"\x03") + part(CONT, b"\xe8", True), end=(1002,))
    for opcode in (TEXT, BINARY):
        kind = Opcode(opcode).name
        case(section, f"{kind} in two", part(opcode, b"one") + part(CONT, b"two", True), [(opcode, b"onetwo")])
        case(section, f"{kind} in two, a ping between", part(opcode, b"one") + frame(PING, b"p") + part(CONT, b"two", True),
             [(PONG, b"p"), (opcode, b"onetwo")])
        case(section, f"{kind} in five, pings between",
             part(opcode, b"1") + part(CONT, b"2") + frame(PING, b"p") + part(CONT, b"3") + part(CONT, b"4") + frame(PING, b"q") +
             part(CONT, b"5", True), [(PONG, b"p"), (PONG, b"q"), (opcode, b"12345")])
        case(section, f"{kind} in empty parts", part(opcode, b"") + part(CONT, b"") + part(CONT, b"", True), [(opcode, b"")])
        case(section, f"{kind} in 1,000 parts", part(opcode, b"x") + part(CONT, b"x") * 998 + part(CONT, b"x", True), [(opcode, b"x" * 1000)])
        case(section, f"{kind} within {kind}", part(opcode, b"one") + frame(opcode, b"two"), end=(1002,))
    for fin in (True, False):
        for data in (b"", b"x"):
            case(section, f"a continuation of nothing, {'last' if fin else 'first'}, {len(data)} bytes", part(CONT, data, fin), end=(1002,))
    case(section, "a continuation behind a message", frame(TEXT, b"a") + part(CONT, b"b", True), [(TEXT, b"a")], (1002,))
    case(section, "a continuation behind the last part", part(TEXT, b"a") + part(CONT, b"b", True) + part(CONT, b"c", True), [(TEXT, b"ab")], (1002,))
    case(section, "binary within text", part(TEXT, b"one") + frame(BINARY, b"two"), end=(1002,))
    case(section, "close within a message", part(TEXT, b"one") + close(1000), [], (1000,))


GOOD_TEXTS = [b"", b"a", "κόσμε".encode(), "Hello-µ@ßöäüàá-UTF-8!!".encode(), b"\0", b"\x7f", b"\xc2\x80", b"\xdf\xbf", b"\xe0\xa0\x80",
              b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"\xef\xb7\x90", b"\xf0\x90\x80\x80",
              b"\xf0\x9f\xbf\xbe", b"\xf3\xa0\x80\x81", b"\xf4\x8f\xbf\xbf", b"\xef\xbb\xbfbom"]
BAD_TEXTS = [b"\x80", b"\xbf", b"\x80\xbf\x80", b"\xc0", b"\xc1\xbf", b"\xfe", b"\xff", b"\xfe\xfe\xff\xff", b"\xf5\x80\x80\x80",
             b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf",
             b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80", b"\xc2", b"\xe1\x80",
             b"\xe1\x80 ", b"\xf1\x80\x80", b"\xf1\x80", b"\xf1", b"\xc2a", b"\xe2\x28\xa1", b"\xf0\x28\x8c\xbc", b"\xf0\x90\x28\xbc",
             b"\xf0\x90\x8c\x28", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"]
BAD_TEXTS += [bytes([lead]) + b" " for lead in range(0xc0, 0x100, 5)]


def offence(data):
    """How many bytes make it wrong whatever follows; None: it only ends too early."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    for at in range(len(data)):
        try:
            decoder.decode(data[at:at + 1])
        except UnicodeDecodeError:
            return at + 1
    return None


def utf8():
    section = "6 UTF-8"
    for data in GOOD_TEXTS:
        case(section, f"good: {data!r}", frame(TEXT, data), [(TEXT, data)])
        for at in range(1, len(data)):
            case(section, f"good: {data!r} in two at {at}", frame(TEXT, data[:at], fin=False) + frame(CONT, data[at:]), [(TEXT, data)])
        parts = [bytes([b]) for b in data] or [b""]
        each = frame(TEXT, b"", fin=False) + b"".join(frame(CONT, p, fin=False) + frame(PING, p) for p in parts) + frame(CONT, b"")
        case(section, f"good: {data!r} byte by byte, pings between", each, [(PONG, p) for p in parts] + [(TEXT, data)])
    for data in BAD_TEXTS:
        case(section, f"bad: {data!r}", frame(TEXT, data), end=(1007,))
        case(section, f"bad: {data!r} as binary is good", frame(BINARY, data), [(BINARY, data)])
        case(section, f"bad: {data!r} behind a good start", frame(TEXT, b"good", fin=False) + frame(CONT, data), end=(1007,))
        case(section, f"bad: {data!r} byte by byte", b"".join(
            frame(CONT if at else TEXT, data[at:at + 1], fin=at + 1 == len(data)) for at in range(len(data))), end=(1007,))
        wrong = offence(data)
        if wrong:
            case(section, f"bad: {data!r}, the message is not complete", frame(TEXT, data[:wrong], fin=False), end=(1007,))
            case(section, f"bad: {data!r}, the frame is not complete", head(TEXT, 2000, 2) + data[:wrong], end=(1007,))
            case(section, f"bad: {data!r}, a good part first", frame(TEXT, b"\xce", fin=False) + frame(PING, b"p") + frame(CONT, b"\xba", fin=False) +
                 frame(CONT, data[:wrong], fin=False), end=(1007,))


def closing():
    section = "7 close"
    case(section, "without a code", frame(CLOSE), [], (1005, 1000))
    case(section, "half a code", frame(CLOSE, b"\x03"), [], (1002,))
    for size in (0, 1, 122, 123):
        case(section, f"a reason of {size}", close(1000, b"r" * size), [], (1000,))
    case(section, "a reason of 124", close(1000, b"r" * 124), [], (1002,))
    case(section, "a reason in Greek", close(1000, "κόσμε".encode()), [], (1000, 1007))  # wslay 1.1.1 misreads one that comes in pieces
    for data in (b"\xff", b"\xce", b"ok\xed\xa0\x80ok", b"\xc0\xaf"):
        case(section, f"a reason that is no UTF-8: {data!r}", close(1000, data), [], (1007, 1002))
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        for reason in (b"", b"why"):
            case(section, f"code {code}{' with a reason' if reason else ''}", close(code, reason), [], (code,))
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 65535):
        for reason in (b"", b"why"):
            case(section, f"code {code}{' with a reason' if reason else ''}", close(code, reason), [], (1002,))
    case(section, "behind a message", frame(TEXT, b"a") + close(1000), [(TEXT, b"a")], (1000,))
    case(section, "twice", close(1000) + close(1001), [], (1000,))
    for name, more in (("a ping", frame(PING)), ("a message", frame(TEXT, b"x")), ("garbage", b"\xff" * 50), ("an HTTP request", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")):
        case(section, f"{name} behind it is not answered", close(1000) + more, [], (1000,))
    for code in (1000, 1001, 1008, 1011, 3000, 4999):
        case(section, f"by the server, {code}", frame(TEXT, b"close %d" % code), [], (code,))


def limits(large):
    section = "9 limits"
    sizes = [1 << 18, 1 << 20] + ([4 << 20, 8 << 20, 16 << 20] if large else [])
    for size in sizes:
        for opcode in (TEXT, BINARY):
            data = b"*" * size
            case(section, f"{Opcode(opcode).name} of {size}", frame(opcode, data), [(opcode, data)])
            for part in (64, 4096, 65536) if size <= 4 << 20 else (65536,):
                pieces = [data[at:at + part] for at in range(0, size, part)]
                out = b"".join(frame(opcode if at == 0 else CONT, p, fin=at + 1 == len(pieces)) for at, p in enumerate(pieces))
                case(section, f"{Opcode(opcode).name} of {size} in parts of {part}", out, [(opcode, data)])
    limited = "/ws/limited"
    for opcode in (TEXT, BINARY):
        kind = Opcode(opcode).name
        case(section, f"{kind} at the limit", frame(opcode, b"x" * 1024), [(opcode, b"x" * 1024)], path=limited)
        case(section, f"{kind} past the limit", frame(opcode, b"x" * 1025), [], (1009,), limited)
        case(section, f"{kind} past the limit, announced", head(opcode, 1025, 2) + b"x", [], (1009,), limited)
        case(section, f"{kind} past the limit by 2^63, announced", head(opcode, (1 << 63) - 1, 8) + b"x", [], (1009,), limited)
        case(section, f"{kind} at the limit in two", frame(opcode, b"x" * 512, fin=False) + frame(CONT, b"x" * 512), [(opcode, b"x" * 1024)], path=limited)
        case(section, f"{kind} past the limit in two", frame(opcode, b"x" * 1024, fin=False) + frame(CONT, b"x"), [], (1009,), limited)
        case(section, f"{kind} past the limit in many", frame(opcode, b"x", fin=False) + frame(CONT, b"x", fin=False) * 1024, [], (1009,), limited)
        case(section, f"{kind}: a ping does not count", frame(opcode, b"x" * 1024, fin=False) + frame(PING, b"p" * 125) + frame(CONT, b""),
             [(PONG, b"p" * 125), (opcode, b"x" * 1024)], path=limited)


def build(large):
    CASES.clear()
    for part in (framing, pings, reserved, fragments, utf8, closing):
        part()
    limits(large)


# ---- running them ---------------------------------------------------------------------------

def converse(server, one, pieces):
    peer = Peer(server, one.path)
    try:
        peer.send(one.data, pieces)
        for opcode, data in one.wanted:
            peer.expect(opcode, data)
        if one.end is BYE:
            peer.send(frame(PING, b"still there"), None)
            peer.expect(PONG, b"still there")
            peer.send(close(1000), None)
            peer.expect_end((1000,), answer=False)
        else:
            peer.expect_end(one.end, answer=one.data[0] != 0x88)
    finally:
        peer.link.close()


def run_table(program, seed, only):
    rows = {}
    dice = random.Random(seed)
    servers = {"whole": Server(program), "one": Server(program, read_bytes=1)}
    deliveries = [("in one piece", "whole", None, None), ("byte by byte", "whole", (1, 1), 3000),
                  ("in random pieces", "whole", (1, 997), 1 << 20), ("read byte by byte", "one", None, 100000)]
    for one in CASES:
        if only and only not in f"{one.section}: {one.name}":
            continue
        row = rows.setdefault(one.section, [0, 0])
        if sum(bad for _, bad in rows.values()) >= FAILURES_MAX:
            print("websocket: enough failures, the rest is left out")
            break
        for name, server, pieces, bytes_max in deliveries:
            if bytes_max and len(one.data) > bytes_max:
                continue
            try:
                converse(servers[server], one, pieces and (*pieces, dice))
                row[0] += 1
            except (Wrong, OSError) as wrong:
                row[1] += 1
                print(f"websocket: {one.section}: {one.name}, {name}: {wrong}")
    return rows, servers


def attempt(rows, section, name, function, *arguments):
    row = rows.setdefault(section, [0, 0])
    try:
        function(*arguments)
        row[0] += 1
    except (Wrong, OSError, AssertionError) as wrong:
        row[1] += 1
        print(f"websocket: {section}: {name}: {wrong!r}")


def subprotocol(server):
    peer = Peer(server, subprotocols=["x", "echo.v1"])
    assert peer.protocol.subprotocol == "echo.v1", peer.protocol.subprotocol
    peer.link.close()


def no_extension(server):
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
    peer = Peer(server, extensions=[ClientPerMessageDeflateFactory()])
    assert peer.protocol.extensions == [], peer.protocol.extensions
    peer.send(frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4), None)
    peer.expect_end((1002,))
    peer.link.close()


def gone_without_a_word(server):
    before = server.stats()["streamsClosed"]
    peer = Peer(server)
    peer.send(frame(TEXT, b"half", fin=False), None)
    peer.link.shutdown(socket.SHUT_WR)
    assert peer.frame() is None
    peer.link.close()
    after = server.stats()
    assert (after["streamsClosed"], after["lastClose"]) == (before + 1, 1006), after


def close_unanswered(server):
    """A peer that does not answer the close frame is cut."""
    peer = Peer(server)
    peer.send(frame(TEXT, b"close 3001"), None)
    peer.expect(CLOSE, (3001).to_bytes(2, "big") + b"as you wish")
    assert peer.frame() is None
    peer.link.close()


def flood(server):
    """Pings from a peer that reads nothing: what is owed to it is bounded."""
    peer = Peer(server, "/ws/limited")
    peer.link.settimeout(1.0)
    before = server.resident_bytes()
    data, sent, peak = frame(PING, b"p" * 125) * 4000, 0, 0
    try:
        while sent < 200 << 20:
            peer.link.sendall(data)
            sent += len(data)
            peak = max(peak, server.resident_bytes())
    except OSError:
        pass
    grown = max(0, peak - before)
    peer.link.close()
    assert sent < 200 << 20, "it takes pings without end from a peer that reads nothing"
    assert grown < 24 << 20, f"it grew by {grown} bytes"


def node_client(program, script, tools):
    """The package ws, of Node: each line it prints is a case."""
    server = Server(program)
    done = subprocess.run(["node", script, str(server.port)], env={**os.environ, "NODE_PATH": tools}, capture_output=True, text=True,
                          timeout=120, check=False)
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for one in results:
        if not one["good"]:
            print(f"websocket: ws of Node: {one['name']}: {one['detail']}")
    status = server.stop()
    if not results or done.returncode != 0 or status != 0:
        print(f"websocket: ws of Node: exit {done.returncode}, server {status}\n{done.stderr[-2000:]}")
        return [0, 1]
    return [sum(r["good"] for r in results), sum(not r["good"] for r in results)]


def run(program, here, node_tools=None, large=False, only=None, seed=1):
    build(large)
    rows, servers = run_table(program, seed, only)
    if not only:
        whole = servers["whole"]
        for name, function in (("a subprotocol", subprotocol), ("permessage-deflate is not agreed on", no_extension)):
            attempt(rows, "10 negotiation", name, function, whole)
        for name, function in (("the end without a close frame is 1006", gone_without_a_word), ("a close frame that is not answered", close_unanswered)):
            attempt(rows, "7 close", name, function, whole)
        attempt(rows, "9 limits", "a flood of pings", flood, whole)
        if node_tools:
            rows["the client ws of Node"] = node_client(program, os.path.join(here, "node_client.js"), node_tools)
    for name, server in servers.items():
        attempt(rows, "the servers end cleanly", f"server '{name}' has connections left", lambda: server.await_connections(1) == 1 or 1 / 0)
        if server.stop() != 0:
            rows["the servers end cleanly"][1] += 1
    return [(name, good, bad) for name, (good, bad) in rows.items()], len(CASES)
