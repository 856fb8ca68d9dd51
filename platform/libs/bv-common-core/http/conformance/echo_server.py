"""Servers under test, http_echo above all: what every part of the conformance tests shares."""
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import time

ATTEMPT_S = 5.0  # a reply that takes longer is a failure of its own


PR_SET_PDEATHSIG = 1


def end_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Serving:
    """Any program that serves by bv_http and has /metrics."""

    def __init__(self, port, pid):
        self.port, self.pid = port, pid
        self.control = None

    def connect(self, receive_bytes=0):
        link = socket.socket()
        link.settimeout(ATTEMPT_S)
        if receive_bytes:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        link.connect(("127.0.0.1", self.port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def ask(self, target):
        """The body of a GET on the control connection, which the server may have closed as idle."""
        if self.control is not None and select.select([self.control], [], [], 0)[0]:
            self.control.close()
            self.control = None
        if self.control is None:
            self.control = self.connect()
        self.control.sendall(f"GET {target} HTTP/1.1\r\nHost: control\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, body = data.split(b"\r\n\r\n", 1)
        size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        while len(body) < size:
            body += self._more()
        return body

    def _more(self):
        data = self.control.recv(65536)
        if not data:
            raise ConnectionError("the control connection was closed")
        return data

    def metric(self, name):
        for line in self.ask("/metrics").decode().splitlines():
            if line.startswith((name + " ", name + "{")):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def connections(self):
        return int(self.metric("bv_http_connections"))

    def await_connections(self, wanted, deadline_s=10.0):
        """Waits until that many are open, the control connection included; returns how many are."""
        end = time.monotonic() + deadline_s
        while True:
            now = self.connections()
            if now == wanted or time.monotonic() > end:
                return now
            time.sleep(0.01)

    def files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Server(Serving):
    """One http_echo; with stop() it must end by itself, cleanly: then the sanitizers have spoken."""

    def __init__(self, program, **options):
        arguments = [program]
        for key, value in options.items():
            arguments += ["--" + key.replace("_", "-"), str(value)]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent)
        line = self.process.stdout.readline().split()
        if len(line) != 2 or line[0] != "port":
            raise SystemExit(f"{program} does not start")
        super().__init__(int(line[1]), self.process.pid)

    def stats(self):
        return json.loads(self.ask("/stats"))

    def connections(self):
        return self.stats()["connections"]

    def stop(self):
        """Exit status; 0 is the only good one."""
        if self.control is not None:
            self.control.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return -1


def ended(server):
    """The row of its end."""
    status = server.stop()
    return "the server ends cleanly", int(status == 0), int(status != 0)
