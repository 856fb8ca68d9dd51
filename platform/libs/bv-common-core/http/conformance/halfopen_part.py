"""Half-open connections: the peer vanishes without a FIN, as in a power cut. A filter on the
client's socket drops every segment that arrives, so nothing is acknowledged or reset, and the
client says no more. The server has to find out by its own deadlines; its gauge of connections says
that it did.
"""
import ctypes
import socket
import struct
import time

from echo_server import Server, ended

SO_ATTACH_FILTER = 26
EACH = 20
WAIT_S = 30.0

UPGRADE = ("GET {} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
KINDS = [
    # what                                       is said                                         answered before
    ("before a request",                         "",                                             False),
    ("within a header",                          "GET /echo HTTP/1.1\r\nHost: ",                 False),
    ("within a body",                            "POST /raw HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", False),
    ("between requests",                         "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n",        True),
    ("while a reply is owed",                    "GET /later?ms=-1 HTTP/1.1\r\nHost: a\r\n\r\n", False),
    ("within a large reply",                     "GET /big?bytes=300000 HTTP/1.1\r\nHost: a\r\n\r\n", True),
    ("on a WebSocket with pings",                UPGRADE.format("/ws/alive"),                    True),
    ("on a WebSocket without pings",             UPGRADE.format("/ws"),                          True),
    ("on an event stream with heartbeats",       "GET /sse HTTP/1.1\r\nHost: a\r\n\r\n",         True),
    ("while a close frame waits for its answer", UPGRADE.format("/ws"),                          "close"),
]


def vanish(link):
    """From now on nothing that arrives is seen by this end's TCP."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    link.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def open_one(server, said, answered):
    link = server.connect(receive_bytes=4096)
    link.sendall(said.encode())
    if answered:
        link.recv(1)
    if answered == "close":
        link.recv(4096)
        link.sendall(b"\x81\x8a\0\0\0\0close 3001")
    return link


def vanish_all(server, title, kinds):
    """Row of one round: so many of each of these kinds vanish at once."""
    count = EACH * len(kinds)
    server.stats()
    files = server.files()
    links = [open_one(server, said, answered) for _, said, answered in kinds for _ in range(EACH)]
    arrived = server.await_connections(count + 1)
    for link in links:
        vanish(link)
    started = time.monotonic()
    left = server.await_connections(1, WAIT_S)
    took_s = time.monotonic() - started
    good = arrived == count + 1 and left == 1 and server.metric("bv_http_connections") == 1 and server.files() <= files
    if not good:
        print(f"half-open: {title}: {arrived - 1} of {count} came, {left - 1} are still open after {took_s:.1f} s, "
              f"descriptors {files} and {server.files()}, gauge {server.metric('bv_http_connections'):g}")
    for link in links:
        link.close()
    return f"{title}, free after {took_s:.1f} s", count if good else 0, 0 if good else count


def run(program, full=False):
    """full: each kind by itself."""
    server = Server(program, header_timeout_ms=2000, body_timeout_ms=2000, idle_timeout_ms=2000, write_timeout_ms=2500,
                    request_timeout_ms=2000, send_buffer=16384)
    rounds = [(kind[0], [kind]) for kind in KINDS] if full else [(f"{len(KINDS)} kinds at once", KINDS)]
    rows = [vanish_all(server, title, kinds) for title, kinds in rounds]
    rows.append(ended(server))
    return rows
