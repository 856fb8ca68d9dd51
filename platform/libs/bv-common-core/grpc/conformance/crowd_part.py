"""Many at once, and peers that keep the server waiting: streams that never end, readers that take nothing, peers that vanish
without a FIN, connections that say nothing, more connections than descriptors. What is asserted: a client beside them is served
all the time, and the gauge of calls and the descriptors come back though none of them ever leaves by itself.
"""
import ctypes
import socket
import struct
import time

from raw_client import PATIENCE, PREFACE, Client, headers_for, message
from targets import EACH, STREAM, Peer

SO_ATTACH_FILTER = 26
GONE_S = 30.0  # the keepalive of the server is 10 s and 5 s more, an answer may wait 10 s for its reader


def vanish(client):
    """From now on nothing that arrives is seen by this end's TCP, as in a power cut."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    client.link.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(drop_all)))


def row(target, name, good, what=""):
    if not good:
        print(f"{target.name}: {name}: {what}")
    return name, int(good), int(not good)


def many_streams(target, count):
    """As many streams as that on one connection, of every method that ends, at once."""
    with Client(target.port) as client:
        client.alive()
        methods = [m for m in target.methods if m.kind not in (STREAM, EACH)]
        opened = []
        for i in range(count):
            method = methods[i % len(methods)]
            opened.append((client.open(headers_for(method.path)), method))
            client.data(opened[-1][0], message(method.harmless()))
        client.until(lambda: all(client.streams[s].over for s, _ in opened), 30)
        wrong = [client.streams[s].outcome() for s, m in opened if client.streams[s].outcome() != m.good]
    return row(target, f"{count} streams at once are answered", not wrong, f"{len(wrong)} are not: {wrong[:5]}")


def unfinished(target, count):
    """Streams whose message never comes; they hold no place of a call."""
    before = target.resident_bytes()
    with Client(target.port) as client:
        client.alive()
        method = target.methods[0]
        for i in range(count):
            stream_id = client.open(headers_for(method.path, grpc_timeout=None))
            client.data(stream_id, message(method.harmless())[:i % 5], end=False)
        alive, wrong, active = client.alive(), target.call_good(), target.active()
        grown = target.resident_bytes() - before
        print(f"{target.name}: {count} unfinished calls: memory +{grown >> 20} MB")
    left = target.await_active(0)
    return row(target, f"{count} calls that never finish hold nobody up", alive and not wrong and active <= 1 and left == 0 and grown < PATIENCE * 100 << 20,
               f"{wrong}, {active} active, {left} left, memory +{grown >> 20} MB")


def lingering(target):
    """Streams of questions that stay open have a limit of their own, far below that of calls."""
    method = next(m for m in target.methods if m.kind == EACH)
    with Client(target.port) as client:
        client.alive()
        opened = [client.open(headers_for(method.path, grpc_timeout=None)) for _ in range(target.calls_max + 100)]
        refused = client.until(lambda: sum(client.streams[s].outcome() == 8 for s in opened) >= target.calls_max)
        wrong = target.call_good()
    left = target.await_active(0)
    return row(target, "open streams of questions take no place of calls", refused and not wrong and left == 0, f"{refused} {wrong} {left}")


def out_of_descriptors(program):
    """More connections than descriptors: those that are there are served, and others again when there is room."""
    target = Peer(program, files_max=64)
    method = target.methods[0]
    try:
        with Client(target.port) as old:
            old.call(method.path, message(method.harmless()))
            crowd = [Client(target.port) for _ in range(100)]
            cpu_s = target.cpu_s()
            served = old.call(method.path, message(method.harmless())).outcome() == method.good
            time.sleep(1)
            cpu_s = target.cpu_s() - cpu_s
            for client in crowd:
                client.close()
            wrong = target.call_good()
    finally:
        ended = target.end()
    return [row(target, "without descriptors: who is there is served", served),
            row(target, "without descriptors: it does not spin", cpu_s < 0.5, f"{cpu_s:.2f} s of CPU in 1 s"),
            row(target, "descriptors again: newcomers are served", not wrong, wrong)] + ended


def run(target, full):
    count = 5000 if full else 1000
    count = min(count, target.calls_max)
    rows = [many_streams(target, count), many_streams(target, count), unfinished(target, count), lingering(target)]
    if isinstance(target, Peer):
        rows += out_of_descriptors(target.process.args[0])
    return rows


# ---- waiting ----

def windowless(target, method):
    """A reader that gives no window: its answers cannot leave."""
    client = Client(target.port, settings={4: 0})
    for _ in range(50):
        stream_id = client.open(headers_for(method.path, grpc_timeout=None))
        client.data(stream_id, message(method.harmless()))
    return client


def silent(target, said):
    client = Client(target.port, preface=None)
    client.send(said)
    return client


def vanished(target, method):
    client = Client(target.port)
    client.alive()
    for _ in range(5):
        stream_id = client.open(headers_for(method.path, grpc_timeout=None))
        client.data(stream_id, message(method.harmless()), end=method.kind != EACH)
    client.hear(1)
    vanish(client)
    return client


def run_waiting(target):
    files, before = target.files(), target.resident_bytes()
    methods = target.methods
    clients = [windowless(target, m) for m in methods if m.kind not in (STREAM, EACH)]
    gone = [silent(target, PREFACE[:size]) for size in (0, 1, 10, len(PREFACE)) for _ in range(5)]
    gone += [vanished(target, m) for m in methods]
    for client in gone[:20]:
        vanish(client)
    held, wrong = target.active(), target.call_good()
    rows = [row(target, "a client beside them is served", not wrong, wrong)]
    started = time.monotonic()
    end, left = started + GONE_S, held
    while left > 0 and time.monotonic() < end:
        for client in clients:  # these are there, and say so when they are asked
            client.hear(0)
        time.sleep(0.1)
        left = target.active()
    took_s = time.monotonic() - started
    rows.append(row(target, f"{held} calls whose peers vanished or take nothing end", held > 0 and left == 0, f"{left} of {held} are left after {took_s:.1f} s"))
    standing = [c for c in clients if not c.closed and c.alive()]
    rows.append(row(target, "readers that take nothing keep their connection", len(standing) == len(clients), f"{len(standing)} of {len(clients)}"))
    for client in clients:
        client.close()
    while target.files() > files + 1 and time.monotonic() < end:
        time.sleep(0.1)
    rows.append(row(target, f"{len(gone)} connections of vanished peers are closed", target.files() <= files + 1, f"descriptors {files}, {target.files()}"))
    print(f"{target.name}: {held} calls kept waiting were gone after {took_s:.1f} s, memory +{(target.resident_bytes() - before) >> 20} MB")
    for client in gone:
        client.close()
    return rows
