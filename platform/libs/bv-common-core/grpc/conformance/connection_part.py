"""What is wrong with a whole connection: broken HTTP/2, peers that leave at every byte, floods. Beside them good calls go on."""
import struct
import time

from hyperframe import frame as frames

from raw_client import PATIENCE, PREFACE, WAIT_S, Client, headers_for, message
from wire_part import Judge

LATE_S = 5.0 * PATIENCE  # a good call beside a flood may take as long
BUSY = "too many calls at once"


def raw(kind, flags, stream_id, payload, size=None):
    size = len(payload) if size is None else size
    return struct.pack(">I", size)[1:] + bytes([kind, flags]) + struct.pack(">I", stream_id) + payload


DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)

# Before the connection stands: (name, what is said). The server must end it; what the core lets pass says so.
OPENINGS = [
    ("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)),
    ("zeros", bytes(100)),
    ("random text", b"hello, is anybody there?\r\n" * 4),
    ("preface with one byte wrong", PREFACE[:-1] + b"x" + raw(SETTINGS, 0, 0, b"")),
    ("preface, then no SETTINGS frame", PREFACE + raw(PING, 0, 0, b"12345678")),
    ("a PING of five bytes", PREFACE + raw(SETTINGS, 0, 0, b"") + raw(PING, 0, 0, b"12345")),
    ("a SETTINGS frame of five bytes", PREFACE + raw(SETTINGS, 0, 0, b"12345")),
    ("a SETTINGS frame on a stream", PREFACE + raw(SETTINGS, 0, 1, b"")),
    ("a SETTINGS frame with an illegal window", PREFACE + raw(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31))),
    ("a frame of 16 MB", PREFACE + raw(SETTINGS, 0, 0, b"") + raw(HEADERS, 4, 1, b"x" * 64, (1 << 24) - 1)),
    ("HEADERS on stream 0, which the core lets pass", PREFACE + raw(SETTINGS, 0, 0, b"") + raw(HEADERS, 4, 0, b"\x82")),
    ("CONTINUATION without HEADERS", PREFACE + raw(SETTINGS, 0, 0, b"") + raw(CONTINUATION, 4, 1, b"\x82")),
    ("a frame within a header block", PREFACE + raw(SETTINGS, 0, 0, b"") + raw(HEADERS, 0, 1, b"\x82") + raw(PING, 0, 0, b"12345678")),
    ("a header block that HPACK cannot read", PREFACE + raw(SETTINGS, 0, 0, b"") + raw(HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff\xff")),
    ("padding longer than the frame", PREFACE + raw(SETTINGS, 0, 0, b"") + raw(HEADERS, 4 | 8, 1, b"\xff\x82")),
    ("a window past 2^31, which the core lets pass", PREFACE + raw(SETTINGS, 0, 0, b"") + raw(WINDOW, 0, 0, struct.pack(">I", (1 << 31) - 1)) * 2),
    ("a window update of 0", PREFACE + raw(SETTINGS, 0, 0, b"") + raw(WINDOW, 0, 0, bytes(4))),
]


def openings(judge, target):
    for name, said in OPENINGS:
        if not judge.wants("broken HTTP/2", name):
            continue
        with Client(target.port, preface=None) as client:
            client.send(said)
            passes = name.endswith("lets pass")
            client.until(lambda c=client: c.closed or c.goaway not in (None, 0), 0.5 if passes else WAIT_S)
            how = "ended" if client.closed else f"GOAWAY {client.goaway}" if client.goaway else "nothing"
        judge.check("broken HTTP/2", name, passes == (how == "nothing"), how)
        after(judge, target, "broken HTTP/2", name)


def after(judge, target, group, name):
    wrong = target.call_good()
    if wrong:
        judge.check(group, name, False, f"afterwards {wrong}")


def whole_call(method):
    """All bytes of a good call, and where its parts end."""
    client = Client.__new__(Client)
    client.__dict__.update(encoder=__import__("hpack").Encoder(), frame_bytes=16384)
    data = frames.DataFrame(1, message(method.harmless()), flags=["END_STREAM"]).serialize()
    return PREFACE + frames.SettingsFrame(0).serialize() + client.headers_bytes(1, headers_for(method.path)) + data


def leavings(judge, target, method):
    """The peer leaves after every byte of a call, by FIN and by reset."""
    call = whole_call(method)
    for size in range(0, len(call) + 1):
        with Client(target.port, preface=None) as client:
            client.send(call[:size])
            if size % 2:
                client.link.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: a reset
    active = target.await_active(0)
    judge.check("peers that leave", f"{method.name}: after each of {len(call)} bytes", active == 0, f"{active} calls are left")
    after(judge, target, "peers that leave", method.name)


def cancellings(judge, target, method):
    """RST_STREAM at each moment of a call; the connection goes on."""
    body = message(method.harmless())
    with Client(target.port) as client:
        client.alive()
        for moment in range(5):
            for _ in range(20):
                stream_id = client.open(headers_for(method.path, grpc_timeout=None))
                if moment == 1:
                    client.data(stream_id, body[:3], end=False)
                if moment == 2:
                    client.data(stream_id, body[:-1] or b"", end=False)
                if moment >= 3:
                    client.data(stream_id, body, end=moment == 4)
                client.reset(stream_id)
            judge.check("cancelled", f"{method.name}: moment {moment}", client.alive(), "the connection is dead")
        stream = client.call(method.path, body) if method.kind != "stays open" else None
        judge.check("cancelled", f"{method.name}: the next call", stream is None or stream.outcome() == method.good, "is not answered")
        active = target.await_active(0)
    judge.check("cancelled", f"{method.name}: nothing is left", active == 0, f"{active} calls are left")


# ---- floods ----

def rapid_reset(client, method):
    headers = headers_for(method.path)
    for _ in range(10000):
        stream_id, client.next_id = client.next_id, client.next_id + 2
        if not client.send(client.headers_bytes(stream_id, headers, True) + frames.RstStreamFrame(stream_id, 8).serialize()):
            return


def repeat(data, count):
    def flood(client, _):
        for _ in range(count // 100):
            if not client.send(data * 100):
                return
            client.hear(0)
    return flood


def continuations(client, _):
    client.send(raw(HEADERS, 0, 1, b"\x82"))
    for _ in range(3000):
        if not client.send(raw(CONTINUATION, 0, 1, b"\x00\x01a\x7e\x80\x3f" + b"v" * 8190)):
            return


def hpack_bomb(client, method):
    """A header field of 4 kB that is kept in the table, referred to 4,000 times in a frame."""
    block = client.encoder.encode(headers_for(method.path))
    client.send(raw(HEADERS, 4 | 1, 1, block + b"\x40\x01a\x7f\x81\x1e" + b"v" * 4000))
    for stream_id in range(3, 203, 2):
        if not client.send(raw(HEADERS, 4 | 1, stream_id, b"\xbe" * 4000)):
            return


def empty_data(client, method):
    stream_id = client.open(headers_for(method.path))
    for _ in range(100):
        if not client.send(raw(DATA, 0, stream_id, b"") * 1000):
            return


def huge_messages(client, method):
    """Messages that say 1 GB, and 20 MB of each, until the server stops taking them."""
    end = time.monotonic() + 6.0
    for _ in range(20):
        stream_id = client.open(headers_for(method.path, grpc_timeout=None))
        client.data(stream_id, message(b"", size=1 << 30), end=False)
        for _ in range(20):
            if time.monotonic() > end or not client.data(stream_id, bytes(1 << 20), end=False, wait_s=1.0):
                return


FLOODS = [
    ("10,000 calls cancelled at once", rapid_reset, 200),
    ("20,000 PINGs", repeat(raw(PING, 0, 0, b"12345678"), 20000), 64),
    ("20,000 SETTINGS", repeat(raw(SETTINGS, 0, 0, struct.pack(">HI", 4, 70000)), 20000), 64),
    ("20,000 window updates", repeat(raw(WINDOW, 0, 0, struct.pack(">I", 1)), 20000), 64),
    ("20,000 frames of an unknown kind", repeat(raw(99, 0, 0, b"x" * 100), 20000), 64),
    ("20,000 priorities", repeat(raw(PRIORITY, 0, 1, struct.pack(">IB", 3, 9)), 20000), 64),
    ("a header block of 25 MB without end", continuations, 64),
    ("header fields that HPACK multiplies", hpack_bomb, 64),
    ("100,000 empty DATA frames", empty_data, 64),
    ("20 messages that say 1 GB, up to 400 MB of them sent", huge_messages, 200),
]


def floods(judge, target):
    method = target.methods[0]
    for name, flood, megabytes in FLOODS:
        if not judge.wants("floods", name):
            continue
        before, started = target.resident_bytes(), time.monotonic()
        with Client(target.port) as client:
            client.link.settimeout(LATE_S)
            client.alive()
            flood(client, method)
            asked = time.monotonic()
            wrong = target.call_good()
            while wrong and BUSY in wrong and time.monotonic() < asked + LATE_S:  # an answer as good as any, for a while
                time.sleep(0.01)
                wrong = target.call_good()
            judge.check("floods", name, not wrong, f"beside it {wrong}")
            late_s, grown = time.monotonic() - asked, target.resident_bytes() - before
        judge.check("floods", name + ": others are served", late_s < LATE_S, f"after {late_s:.1f} s")
        judge.check("floods", name + ": memory", grown < PATIENCE * megabytes << 20, f"{grown >> 20} MB more")
        active = target.await_active(0)
        judge.check("floods", name + ": nothing is left", active == 0, f"{active} calls are left")
        print(f"{target.name}: {name}: {time.monotonic() - started:.1f} s, the call beside it {late_s * 1000:.0f} ms, memory +{grown >> 20} MB")


def run(target, only=None):
    judge = Judge(target, only)
    files, stock = target.files(), target.stock()
    openings(judge, target)
    for method in target.methods:
        leavings(judge, target, method)
        cancellings(judge, target, method)
    floods(judge, target)
    judge.check("afterwards", "stock", target.stock() == stock, "the stock has changed")
    end = time.monotonic() + 10
    while target.files() > files + 2 and time.monotonic() < end:
        time.sleep(0.05)
    judge.check("afterwards", "descriptors", target.files() <= files + 2, f"{files} before, {target.files()} after")
    return judge.result()
