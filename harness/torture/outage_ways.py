"""How a dependency is taken away. A way is a context: inside, it is away; leaving brings it back. WAYS lists them."""
import contextlib
import ctypes
import os
import signal
import socket
import struct
import subprocess
import threading
import urllib.parse

from outage_stack import LabFault, SERVICES, await_ends, await_true, freeze, state, tell, tree

AGAIN_S = 0.1  # between two blows of a way that goes on
FULL_MB = 64
CONNECTIONS_MAX = 400  # more than the server lets in


@contextlib.contextmanager
def killed(stack, part):
    """kill -9 of its process tree. A service is started again by the stack's supervisor, a server by us."""
    pid = stack.pid(part)
    if stack.parts[part]["kind"] == "service":
        os.kill(pid, signal.SIGKILL)
        await_ends(part, [pid])
        yield
        return
    start = stack.starter(part)
    os.kill(pid, signal.SIGSTOP)  # it forks no more while its children are counted
    await_true(f"{part} stands still", 10, lambda: state(pid) in "TZ")
    pids = tree(pid)
    tell(pids, signal.SIGKILL)
    await_ends(part, pids)
    yield
    start()


@contextlib.contextmanager
def frozen(stack, part):
    """SIGSTOP: its sockets stay, and nothing answers."""
    pids = tree(stack.pid(part))
    try:
        freeze(pids)
        yield
    finally:
        tell(reversed(pids), signal.SIGCONT)


@contextlib.contextmanager
def going_on(blow):
    """blow() again and again, from a thread, until the context is left. A blow that fails is one that nobody felt."""
    stopping, blows = threading.Event(), []

    def run():
        while not stopping.is_set():
            with contextlib.suppress(OSError, LabFault):
                blow()
                blows.append(1)
            stopping.wait(AGAIN_S)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
    if len(blows) < 3:
        raise LabFault(f"only {len(blows)} blows fell")


@contextlib.contextmanager
def killed_again(stack, part):
    """kill -9 each time that it is back."""
    def blow():
        tell([stack.pid(part)], signal.SIGKILL)
    with going_on(blow):
        yield


@contextlib.contextmanager
def all_killed(stack, part):
    """Every service at once."""
    stack.refresh()
    pids = [stack.parts[service]["pid"] for service in SERVICES]
    tell(pids, signal.SIGKILL)
    await_ends(part, pids)
    yield


@contextlib.contextmanager
def all_frozen(stack, part):
    """Every process of the stack: clocks jump for all of them."""
    stack.refresh()
    pids = [pid for one in stack.parts.values() if one["pid"] for pid in tree(one["pid"])]
    try:
        freeze(pids)
        yield
    finally:
        tell(reversed(pids), signal.SIGCONT)


# ---- PostgreSQL ----

@contextlib.contextmanager
def stopped(stack, part):
    """pg_ctl stop -m fast: the server says 57P01 to every session, and ends."""
    pid, start = stack.pid(part), stack.starter(part)
    pids = tree(pid)
    os.kill(pid, signal.SIGINT)
    await_ends(part, pids)
    yield
    start()


BACKENDS = "from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"


@contextlib.contextmanager
def backends(stack, part):
    """pg_terminate_backend of every session, every 50 ms."""
    statement = f"do $$ begin loop perform pg_terminate_backend(pid) {BACKENDS}; perform pg_stat_clear_snapshot(); perform pg_sleep(0.05); end loop; end $$"
    process = subprocess.Popen(stack.psql("order") + [statement], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield
        if process.poll() is not None:
            raise LabFault(f"psql ended early: {process.stderr.read()[-300:]!r}")
    finally:
        end_session(stack, process)


def end_session(stack, process):
    """A session that sleeps in the server does not notice that its client is gone."""
    process.kill()
    process.communicate()

    def gone():
        with contextlib.suppress(LabFault):  # it may be the quicker one to end a session
            return stack.sql("order", f"select count(pg_terminate_backend(pid)) {BACKENDS} and application_name = 'psql'") == "0"
    await_true("the foreign session ends", 10, gone)


@contextlib.contextmanager
def crash(stack, part):
    """kill -9 of one backend: the server says 57P02 to all others, and recovers."""
    pid = int(stack.sql("order", f"select pid {BACKENDS} and application_name <> 'psql' limit 1"))
    victims = [child for child in tree(stack.pid(part))[1:] if own_number(child) == pid]
    tell(victims, signal.SIGKILL)
    await_ends("the backend", victims)
    yield


def own_number(pid):
    """The number that a process has in its own PID namespace."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as lines:
            return next(int(line.split()[-1]) for line in lines if line.startswith("NSpid:"))
    except (OSError, StopIteration):
        return 0


@contextlib.contextmanager
def readonly(stack, _):
    """As a server that a failover has made a standby: every write says 25006."""
    def say(statement):
        stack.sql("order", statement)
        stack.sql("order", "select pg_reload_conf()")
    say("alter system set default_transaction_read_only = on")
    try:
        yield
    finally:
        say("alter system reset default_transaction_read_only")


@contextlib.contextmanager
def locks(stack, _):
    """A foreign session holds the tables of orders and of stock."""
    held = [("order", "orders"), ("inventory", "stock")]
    processes = []
    try:
        for database, table in held:
            processes.append(subprocess.Popen(stack.psql(database) + [f"begin; lock table {table} in access exclusive mode; select pg_sleep(60)"],
                                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for database, table in held:
            await_true(f"{table} is locked", 10, lambda: stack.sql(
                database, f"select count(*) from pg_locks where relation = '{table}'::regclass and mode = 'AccessExclusiveLock' and granted") == "1")
        yield
    finally:
        for process in processes:
            end_session(stack, process)


class Eater:
    """Sessions of a foreign client, by hand: PostgreSQL 15, 55.7 "Message Formats"."""

    def __init__(self, stack):
        url = urllib.parse.urlparse(stack.env["BV_ORDER_PG_URL"])
        self.address = ("127.0.0.1", stack.port("postgres"))
        words = ["user", url.username or "bv", "database", url.path.lstrip("/"), "application_name", "eater"]
        body = struct.pack("!i", 196608) + b"".join(word.encode() + b"\0" for word in words) + b"\0"
        self.hello = struct.pack("!i", len(body) + 4) + body
        self.sessions = []

    @staticmethod
    def message(stream):
        kind = stream.read(1)
        return kind, stream.read(struct.unpack("!i", stream.read(4))[0] - 4) if kind else b""

    def one_more(self):
        """False when the server lets nobody in."""
        connection = socket.create_connection(self.address, timeout=5)
        connection.sendall(self.hello)
        stream = connection.makefile("rb")
        while True:
            kind, _ = self.message(stream)
            if kind == b"Z":
                self.sessions.append((connection, stream))
                return True
            if kind in (b"E", b""):
                connection.close()
                return False

    def eat(self):
        while len(self.sessions) < CONNECTIONS_MAX and self.one_more():
            pass

    def say(self, statement):
        """How many rows came."""
        connection, stream = self.sessions[0]
        body, rows = statement.encode() + b"\0", 0
        connection.sendall(b"Q" + struct.pack("!i", len(body) + 4) + body)
        while (kind := self.message(stream)[0]) not in (b"Z", b""):
            rows += kind == b"D"
        return rows

    def end(self):
        for connection, stream in self.sessions:
            stream.close()
            connection.close()


@contextlib.contextmanager
def connections(stack, _):
    """A foreign client has every session that the server allows, and the services' own end: 53300."""
    eater = Eater(stack)
    try:
        eater.eat()

        def all_eaten():  # some of the others are quicker
            eater.say(f"select pg_terminate_backend(pid) {BACKENDS} and application_name <> 'eater'")
            eater.eat()
            return eater.say(f"select 1 {BACKENDS} and application_name <> 'eater'") == 0
        await_true("every session is eaten", 10, all_eaten)
        yield
    finally:
        eater.end()


def mount(source, target, options):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), os.fsencode(target), b"tmpfs", 0, options.encode()) != 0:
        raise LabFault(f"cannot mount {target}: {os.strerror(ctypes.get_errno())}")


def unmount(target):
    ctypes.CDLL(None).umount2(os.fsencode(target), 2)


def fill(path):
    with open(path, "wb", buffering=0) as filler:
        for block in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(block))


@contextlib.contextmanager
def full(stack, part):
    """The tables stand on a small file system of their own, and something else fills it: writes say 53100. The log has room."""
    small, databases = stack.run / "data" / "small", ("order", "inventory", "notification")
    owner = os.stat(f"/proc/{stack.pid(part)}")

    def move(source, target):
        for database in databases:
            for kind in ("table", "index"):
                stack.sql(database, f"alter {kind} all in tablespace {source} set tablespace {target}")
    small.mkdir()
    mount("outage", small, f"size={FULL_MB}m,mode=0700,uid={owner.st_uid},gid={owner.st_gid}")
    try:
        stack.sql("order", f"create tablespace small location '{small}'")
        move("pg_default", "small")
        try:
            fill(small / "filler")
            yield
        finally:
            (small / "filler").unlink(missing_ok=True)
    finally:
        stack.after_case.append(lambda: (move("small", "pg_default"), stack.sql("order", "drop tablespace small"), unmount(small), small.rmdir()))


# ---- Redis ----

class Redis:
    def __init__(self, stack):
        self.connection = socket.create_connection(("127.0.0.1", stack.port("redis")), timeout=5)
        self.stream = self.connection.makefile("rb")

    def say(self, command):
        self.connection.sendall(command.encode() + b"\r\n")
        answer = self.stream.readline()
        if answer[:1] not in (b"+", b":"):
            raise LabFault(f"Redis: {command}: {answer!r}")

    def end(self):
        self.stream.close()
        self.connection.close()


@contextlib.contextmanager
def redis_told(stack, away, back):
    redis = Redis(stack)
    try:
        for command in away:
            redis.say(command)
        yield
    finally:
        for command in back:
            redis.say(command)
        redis.end()


@contextlib.contextmanager
def resets(stack, _):
    """CLIENT KILL of everybody, again and again."""
    redis = Redis(stack)
    try:
        with going_on(lambda: redis.say("CLIENT KILL TYPE normal SKIPME yes")):
            yield
    finally:
        redis.end()


def redis_full(stack, _):
    """Writes say -OOM."""
    return redis_told(stack, ["CONFIG SET maxmemory 1"], ["CONFIG SET maxmemory 128mb"])


def redis_readonly(stack, _):
    """A failover made it a replica: writes say -READONLY."""
    return redis_told(stack, ["REPLICAOF 127.0.0.1 1"], ["REPLICAOF NO ONE"])


def redis_masterdown(stack, _):
    """A replica without its master that serves nothing stale: everything says -MASTERDOWN."""
    return redis_told(stack, ["CONFIG SET replica-serve-stale-data no", "REPLICAOF 127.0.0.1 1"],
                      ["REPLICAOF NO ONE", "CONFIG SET replica-serve-stale-data yes"])
