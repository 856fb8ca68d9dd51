"""The servers under test and their methods: grpc_peer, and the inventory of a real stack."""
import ctypes
import itertools
import json
import os
import signal
import subprocess
import sys
import time

from raw_client import WAIT_S, Client, field, message, varint

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../http/conformance"))
from echo_server import Serving  # noqa: E402

PR_SET_PDEATHSIG = 1
UNARY, STREAM, EACH = "ends by itself", "stays open", "one answer per message"


def zigzag(value):
    return (value << 1) ^ (value >> 63)


class Method:
    """One RPC. harmless: a request that is answered with `good` and changes no stock; effective: one that would.

    empty: the status of the empty request, None: it stays open.
    """

    def __init__(self, path, kind, harmless, good=0, empty=0, effective=None, text_field=0):
        self.path, self.kind, self.good, self.empty, self.text_field = path, kind, good, empty, text_field
        self.harmless = harmless if callable(harmless) else lambda: harmless
        self.effective = effective or self.harmless

    @property
    def name(self):
        return self.path.rsplit(".", 1)[1]


STANDARD = [
    Method("/grpc.health.v1.Health/Check", UNARY, field(1, "grpc.health.v1.Health"), text_field=1),
    Method("/grpc.health.v1.Health/Watch", STREAM, field(1, "grpc.health.v1.Health"), text_field=1),
    Method("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", EACH, field(7, "x"), text_field=1),
    Method("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", EACH, field(7, "x"), text_field=1),
]


class Target:
    """grpc_methods, message_bytes_max and what to look at from outside; port is the one of gRPC."""

    def call_good(self):
        """None, or what is wrong with a good call on a connection of its own."""
        try:
            with Client(self.port) as client:
                method = self.methods[0]
                stream = client.call(method.path, message(method.harmless()))
                return None if stream.outcome() == method.good else f"a good call: {stream.outcome()} {stream.text()}"
        except OSError as error:
            return f"a good call: {error!r}"

    def await_active(self, wanted, deadline_s=WAIT_S):
        """Waits until that many calls are being served; how many are."""
        end = time.monotonic() + deadline_s
        while True:
            now = self.active()
            if now <= wanted or time.monotonic() > end:
                return now
            time.sleep(0.02)

    def files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        """Rows of its end."""
        return []


class Peer(Target):
    name, message_bytes_max, calls_max = "grpc_peer", 1 << 20, 1000
    PATH = "/bitvelocity.peer.v1.Peer/"
    methods = [
        Method(PATH + "Echo", UNARY, field(14, "x"), text_field=14),
        Method(PATH + "Meta", UNARY, field(1, "te"), text_field=1),
        Method(PATH + "Fail", UNARY, field(1, 5) + field(2, "no"), good=5, empty=13, text_field=2),
        Method(PATH + "Delay", UNARY, field(1, 1)),
        Method(PATH + "Count", UNARY, field(1, 2)),
    ] + STANDARD

    def __init__(self, program, files_max=0):
        import resource
        limit = lambda: files_max and resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))
        end_with_parent = lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        self.process = subprocess.Popen([program, "serve"], stdout=subprocess.PIPE, text=True,
                                        preexec_fn=lambda: (end_with_parent(), limit()))
        self.port, self.pid = int(self.process.stdout.readline()), self.process.pid

    def active(self):
        with Client(self.port) as client:
            stream = client.call(self.PATH + "Metrics", message(b""))
        if stream.outcome() != 0:
            print(f"{self.name}: no metrics: {stream.outcome()} {stream.text()}")
            return self.calls_max
        text = stream.replies()[0].decode(errors="replace")
        return next(int(float(line.split()[1])) for line in text.splitlines() if line.startswith("bv_grpc_server_active ")) - 1

    def stock(self):
        return None

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "none within 20 s"
        if status != 0:
            print(f"{self.name}: exit status {status}")
        return [("the server ends cleanly", int(status == 0), int(status != 0))]


class Inventory(Target):
    name, message_bytes_max, calls_max = "inventory", 64 * 1024, 8192
    PATH = "/bitvelocity.inventory.v1.Inventory/"
    SKU = "CONFORMANCE-1"

    def __init__(self, bv):
        self.bv, self.stack, numbers = bv, f"grpc-conformance-{os.getpid()}", itertools.count(1)
        started = subprocess.run([bv, "up", "inventory", "--name", self.stack, "--json"], stdout=subprocess.PIPE, check=False)
        if started.returncode != 0:
            raise SystemExit("the stack does not start")
        self.part = next(p for p in json.loads(started.stdout)["parts"] if p["name"] == "inventory")
        self.pid = self.part["pid"]

        def order():
            return f"01890000-0000-7000-8000-{next(numbers):012x}"

        def line(quantity):
            return field(3, field(1, self.SKU) + field(2, quantity))

        def adjust(delta):
            return field(1, self.SKU) + varint(2 << 3) + varint(zigzag(delta)) + field(3, "conformance") + field(4, order())

        self.methods = [
            Method(self.PATH + "GetLevels", UNARY, field(1, self.SKU), empty=3, text_field=1),
            Method(self.PATH + "Reserve", UNARY, lambda: field(1, order()) + line(1000), empty=3, effective=lambda: field(1, order()) + line(1),
                   text_field=2),
            Method(self.PATH + "Commit", UNARY, lambda: field(1, order()), empty=3, text_field=2),
            Method(self.PATH + "Release", UNARY, lambda: field(1, order()) + field(2, "conformance"), empty=3, text_field=2),
            Method(self.PATH + "Adjust", UNARY, lambda: adjust(-1000000000), empty=3, effective=lambda: adjust(1), text_field=3),
            Method(self.PATH + "Watch", STREAM, field(1, self.SKU), empty=None, text_field=1),
        ] + STANDARD
        self.port = int(self.part["grpc_addr"].rsplit(":", 1)[1])
        self.serving = Serving(self.part["port"], self.pid)
        with Client(self.port) as client:
            stream = client.call(self.PATH + "Adjust", message(adjust(50)))
            assert stream.outcome() == 0, stream.text()

    def active(self):
        return int(self.serving.metric("bv_grpc_server_active"))

    def stock(self):
        with Client(self.port) as client:
            return client.call(self.PATH + "GetLevels", message(field(1, self.SKU))).replies()

    def end(self):
        subprocess.run([self.bv, "down", "--name", self.stack], stdout=subprocess.DEVNULL, check=False)
        return []
