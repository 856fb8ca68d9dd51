"""Our client, when its peer dies, hangs, or lies behind something that takes everything and passes nothing on. grpc_peer ask calls ten
times a second; between it and a server is a proxy that can go deaf. Asserted: what each call comes to, and that calls succeed again.
"""
import ctypes
import selectors
import signal
import socket
import subprocess
import threading
import time

from targets import PR_SET_PDEATHSIG, Peer

BACK_S = 25.0  # the keepalive of the client is 10 s and 5 s more


class Proxy:
    """Passes bytes on, except for connections that have gone deaf: those take what comes and say nothing any more."""

    def __init__(self, port):
        self.port_behind, self.deaf, self.pairs = port, set(), {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.selector, self.running = selectors.DefaultSelector(), True
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while self.running:
            for key, _ in self.selector.select(0.1):
                link = key.fileobj
                if link is self.listener:
                    self.accept()
                else:
                    self.move(link)

    def accept(self):
        link, _ = self.listener.accept()
        try:
            behind = socket.create_connection(("127.0.0.1", self.port_behind), 2)
        except OSError:
            link.close()
            return
        self.pairs[link], self.pairs[behind] = behind, link
        for one in (link, behind):
            self.selector.register(one, selectors.EVENT_READ)

    def move(self, link):
        try:
            data = link.recv(65536)
            if data and link not in self.deaf:
                self.pairs[link].sendall(data)
        except OSError:
            data = b""
        if not data and link in self.deaf:
            self.selector.unregister(link)
        elif not data:
            other = self.pairs.get(link)
            for one in (link, other):
                if one in self.pairs:
                    self.selector.unregister(one)
                    del self.pairs[one]
                    one.close()

    def go_deaf(self):
        self.deaf |= set(self.pairs)

    def cut(self):
        for link in list(self.pairs):
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Asker:
    def __init__(self, program, port):
        end_with_parent = lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        self.process = subprocess.Popen([program, "ask", f"127.0.0.1:{port}"], stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent)
        self.answers = []
        self.thread = threading.Thread(target=lambda: self.answers.extend(iter(self.next, "")), daemon=True)
        self.thread.start()

    def next(self):
        return self.process.stdout.readline().strip()

    def until(self, answer, wait_s, count=5):
        """Waits for so many of that answer in a row, from now on; what came before them, or None."""
        at, end = len(self.answers), time.monotonic() + wait_s
        while time.monotonic() < end:
            new = self.answers[at:]
            if len(new) >= count and new[-count:] == [answer] * count:
                return set(new)
            time.sleep(0.02)
        return None


def row(name, good, what=""):
    if not good:
        print(f"client: {name}: {what}")
    return name, int(good), int(not good)


def timed(asker, name, act, bad, wait_s=BACK_S):
    """After the act calls fail with nothing but `bad`, then succeed again."""
    started = time.monotonic()
    act()
    while time.monotonic() < started + 2 and asker.answers[-1:] == ["ok"]:
        time.sleep(0.01)
    seen = asker.until("ok", wait_s)
    return row(f"{name}: calls succeed again", seen is not None and seen <= bad | {"ok"},
               f"after {time.monotonic() - started:.1f} s: {seen or asker.answers[-5:]}")


def run(program):
    server = Peer(program)
    proxy = Proxy(server.port)
    asker = Asker(program, proxy.port)
    rows = [row("calls succeed", asker.until("ok", 10) is not None)]
    rows.append(timed(asker, "the connection is cut", proxy.cut, {"BV_E_UNAVAILABLE"}))
    rows.append(timed(asker, "the way goes deaf", proxy.go_deaf, {"BV_E_UNAVAILABLE", "BV_E_TIMEOUT"}))
    server.process.send_signal(signal.SIGSTOP)
    frozen = asker.until("BV_E_TIMEOUT", 10)
    refused = asker.until("BV_E_UNAVAILABLE", BACK_S)
    rows.append(row("a frozen server: calls time out, then fail at once", frozen is not None and refused is not None, f"{frozen} {refused}"))
    rows.append(timed(asker, "the server thaws", lambda: server.process.send_signal(signal.SIGCONT), {"BV_E_UNAVAILABLE", "BV_E_TIMEOUT"}))
    server.process.kill()
    server.process.wait()
    dead = asker.until("BV_E_UNAVAILABLE", 10)
    rows.append(row("a dead server: calls fail at once", dead is not None))
    second = Peer(program)
    proxy.port_behind = second.port
    rows.append(row("another one: calls succeed again", asker.until("ok", BACK_S) is not None))
    asker.process.send_signal(signal.SIGTERM)
    rows.append(row("the client ends cleanly", asker.process.wait(10) == 0))
    proxy.running = False
    return rows + second.end()
