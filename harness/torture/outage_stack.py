"""The stack that outages happen to, and its processes: how they stand still, end, and start again; what they hold of the machine."""
import collections
import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

START_S = 20
SERVICES = ("auth", "product", "inventory", "order", "notification")


class LabFault(Exception):
    pass


class Broken(Exception):
    pass


class LeftBehind(Broken):
    """A service holds more than before. At first sight that may be a pool that filled: only what grows again is a leak."""


# ---- processes ----

def stat(pid):
    """The fields of /proc/PID/stat from the state on; [] when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return []


def text_of(path):
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return ""


def state(pid):
    """One letter, as ps has it; Z also when it is gone."""
    return (stat(pid) or ["Z"])[0]


def tree(pid):
    """pid and everything below it, parents first."""
    if pid <= 1:
        raise LabFault(f"no process has the number {pid}")
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := stat(entry)):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found = [pid]
    for one in found:
        found.extend(children.get(one, []))
    return found


def tell(pids, what):
    """0 is our own process group, 1 whoever began everything: never those."""
    pids = list(pids)
    if any(pid <= 1 for pid in pids):
        raise LabFault(f"no process to signal: {pids}")
    for pid in pids:
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            pass


def freeze(pids):
    tell(pids, signal.SIGSTOP)
    await_true("it stands still", 10, lambda: all(state(one) in "TZ" for one in pids))


def await_ends(part, pids):
    await_true(f"{part} ends", 10, lambda: all(state(one) == "Z" for one in pids))


def await_true(what, seconds, condition):
    """what: a text, or what gives one when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise Broken(f"not within {seconds} s: {what() if callable(what) else what}")


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


@dataclasses.dataclass
class Held:
    """What one process holds of the machine."""
    pid: int
    descriptors: list  # what they lead to
    threads: list  # their names
    memory_kb: int  # anonymous and resident
    cpu_ticks: int

    def kinds(self, what):
        """What it has how many of: sockets, pipes and files, or threads by name."""
        return collections.Counter(re.sub(r"[:\[].*", "", one) for one in getattr(self, what))

    @staticmethod
    def by(pid):
        folder = f"/proc/{pid}/fd"
        links = []
        for entry in os.listdir(folder):
            try:
                links.append(os.readlink(f"{folder}/{entry}"))
            except OSError:
                pass  # closed meanwhile
        fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        ticks = stat(pid)
        return Held(pid, links, [text_of(f"/proc/{pid}/task/{task}/comm") for task in os.listdir(f"/proc/{pid}/task")], int(fields["RssAnon"].split()[0]),
                    int(ticks[11]) + int(ticks[12]))


# ---- the stack ----

class Stack:
    def __init__(self, build):
        self.bv = build / "bin" / "bv"
        self.name = f"outage-{os.getpid()}"
        self.again = []
        self.after_case = []  # what a way leaves to be undone when nobody asks any more
        settings = ("order.BV_SWEEP_AGE=2s,order.BV_SWEEP_INTERVAL=200ms,notification.BV_LIVE_KEEP_COUNT=100000,"
                    "all.BV_ACCESS_LOG=0")
        if os.environ.get("BREAK"):  # a planted bug of test builds: some promise must break
            settings += f",all.BV_BREAK={os.environ['BREAK']}"
        up = subprocess.run([self.bv, "up", "--name", self.name, "--json", "--restart", "--set", settings], capture_output=True, text=True)
        if up.returncode != 0:
            raise LabFault(f"the stack did not start: {up.stderr[-500:]}")
        self.json = json.loads(up.stdout)
        self.run = pathlib.Path(self.json["run"])
        self.parts = {part["name"]: part for part in self.json["parts"]}
        self.env = {}
        for line in (self.run / "env" / "stack.env").read_text().splitlines():
            key, equals, value = line.partition("=")
            if equals:
                self.env[key] = value

    def port(self, part):
        return int(self.parts[part]["url"].partition("?")[0].rstrip("/").rpartition(":")[2].partition("/")[0])

    def refresh(self):
        """The supervisor may have started services again."""
        status = subprocess.run([self.bv, "status", "--name", self.name, "--json"], capture_output=True, text=True)
        for one in json.loads(status.stdout)["parts"]:
            if one["name"] in self.parts and self.parts[one["name"]]["kind"] == "service":
                self.parts[one["name"]]["pid"] = one["pid"]

    def pid(self, part):
        if self.parts[part]["kind"] == "service":
            self.refresh()
        return self.parts[part]["pid"]

    def held(self):
        """By service; raises Broken for one that does not run."""
        self.refresh()
        try:
            return {service: Held.by(self.parts[service]["pid"]) for service in SERVICES}
        except (OSError, IndexError, KeyError) as fault:
            raise Broken(f"a service does not run: {fault!r}") from fault

    def starter(self, part):
        """Call it while the server runs; returns what starts it again once it has ended."""
        pid = self.pid(part)
        proc = pathlib.Path(f"/proc/{pid}")
        argv = proc.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        if part == "redis":  # it has overwritten its command line
            argv = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port("redis")), "--save", "", "--appendonly", "no"]
        environ = dict(entry.split(b"=", 1) for entry in proc.joinpath("environ").read_bytes().split(b"\0") if b"=" in entry)
        cwd, owner = os.readlink(proc / "cwd"), proc.stat()
        return lambda: self.start_again(part, argv, environ, cwd, owner)

    def start_again(self, part, argv, environ, cwd, owner):
        """Until its port accepts; what the kernel still holds of the dead one (a port, shared memory) may refuse the first start."""
        who = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.getuid() == 0 else {}
        port, end = self.port(part), time.monotonic() + START_S
        while True:
            if part == "postgres":  # its lock file names a process of the namespace that it ran in
                pathlib.Path(os.fsdecode(argv[argv.index(b"-D") + 1]), "postmaster.pid").unlink(missing_ok=True)
            with open(self.parts[part]["log"], "ab") as log:
                process = subprocess.Popen(argv, env=environ, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **who)
            self.again.append(process)
            self.parts[part]["pid"] = process.pid
            while process.poll() is None and not accepts(port):
                if time.monotonic() > end:
                    raise LabFault(f"{part} does not accept on port {port} {START_S} s after its start: {self.tail(part)}")
                time.sleep(0.02)
            if process.poll() is None:
                return
            if time.monotonic() > end:
                raise LabFault(f"{part} does not start again (exit {process.returncode}): {self.tail(part)}")
            time.sleep(0.1)

    def tail(self, part):
        return pathlib.Path(self.parts[part]["log"]).read_text(errors="replace")[-600:]

    def psql(self, database):
        """The command line up to the statement."""
        return ["psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", "-d", self.env[f"BV_{database.upper()}_PG_URL"], "-c"]

    def sql(self, database, statement):
        asked = subprocess.run(self.psql(database) + [statement], capture_output=True, text=True)
        if asked.returncode != 0:
            raise LabFault(f"psql {database}: {asked.stderr.strip()}")
        return asked.stdout.strip()

    def put_in_stock(self, sku, on_hand):
        self.sql("inventory", f"insert into stock values ('default', '{sku}', {on_hand}, 0, 1); "
                 "insert into ledger (tenant, sku, version, delta_on_hand, delta_reserved, on_hand, reserved, cause, at) "
                 f"values ('default', '{sku}', 1, {on_hand}, 0, {on_hand}, 0, 'ADJUST', now())")

    def down(self):
        subprocess.run([self.bv, "down", "--name", self.name], capture_output=True)
        for process in self.again:
            tell(tree(process.pid), signal.SIGKILL)
            process.wait()
