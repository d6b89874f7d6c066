#!/usr/bin/env python3
"""What an open page of the dashboard costs the server, as a share of one core.

    ELLIE_BIN=target/release/ellie python3 bench/ui/run.py [-n ROUNDS] [--seconds 30] [SCENARIO…]

A round is one window without a reader of the stream and one with it, in turns, so that whatever else the machine does
hits both alike. CPU is the process's own (user and system time of /proc/PID/stat, finished threads included); the cost
is the difference of the two windows. A window with a reader begins after its first snapshot, one without it after the
server has stopped making frames for those who might come back. What opening a page costs is told by itself.

SCENARIO (all of them if none is named):
  demo     `ellie demo` with its traffic and faults; a window is a round of them, 40 s
  fleet    1,000 instances of 100 services; every second 10 of them are replaced, drained, undrained or weighted anew
  traffic  the same with a route to each service, and a request to each of them every second
  page     as `fleet`, with the page of an instance open beside it, which asks for its details every five seconds
  logs     `ellie up` with a process that writes 20 lines a second, and its log open, which is asked for every second
"""
import argparse, http.client, http.server, json, os, pathlib, platform, signal, socket, statistics
import subprocess, sys, tempfile, threading, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("ELLIE_BIN", ROOT / "target/release/ellie"))
TICK = os.sysconf("SC_CLK_TCK")
SERVICES, EACH = 100, 10
WRITER = """[[processes]]
name = "writer"
command = ["sh", "-c", "while :; do echo a line of a log is about as long as this one, give or take a few words; sleep 0.05; done"]
"""
# The stream goes on for 15 s without a reader, for those who come back.
LINGER = 17
# After so many seconds the demo's faults begin again: a window has each of them once.
DEMO_ROUND = 40


def cpu(pid):
    """Seconds of CPU so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Ellie:
    def __init__(self, scenario, folder):
        self.api, self.dashboard, self.gateway = [f"127.0.0.1:{port}" for port in free_ports(3)]
        listen = [f"--{name}-listen={getattr(self, name)}" for name in ("api", "dashboard", "gateway")]
        mode = ["demo"] if scenario == "demo" else ["serve", "--ephemeral"]
        if scenario == "logs":
            config = pathlib.Path(folder, "ellie.toml")
            config.write_text(WRITER)
            mode = ["up", "--ephemeral", f"--config={config}"]
        self.token = "token-of-the-benchmark-0123456789-0123456789"
        env = {**os.environ, "ELLIE_AUTH__OPERATOR_TOKEN": self.token}
        with open(f"{folder}/log", "w") as log:
            self.process = subprocess.Popen([str(BINARY.resolve()), *mode, *listen], cwd=folder, env=env,
                                            stdout=log, stderr=subprocess.STDOUT)
        self.pid = self.process.pid
        while not self.answers():
            if self.process.poll() is not None:
                sys.exit(f"{BINARY} {mode[0]} ended: {pathlib.Path(folder, 'log').read_text()}")
            time.sleep(0.05)

    def answers(self):
        try:
            return self.client(self.dashboard).call("GET", "/api/health")
        except OSError:
            return None

    def client(self, address=None):
        return Client(address or self.api, self.token)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Client:
    """One kept connection."""

    def __init__(self, address, token):
        self.connection, self.token = http.client.HTTPConnection(address), token

    def call(self, method, path, body=None):
        head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json",
                "Accept-Encoding": "gzip, deflate, br"}
        self.connection.request(method, path, None if body is None else json.dumps(body), head)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
        return text


class Reader(threading.Thread):
    """An open page's stream: read as it comes, counted and thrown away."""

    def __init__(self, ellie):
        super().__init__(daemon=True)
        host, port = ellie.dashboard.rsplit(":", 1)
        self.socket, self.bytes, self.began = socket.create_connection((host, int(port))), 0, threading.Event()
        self.socket.sendall(f"GET /api/ui/stream HTTP/1.1\r\nHost: {ellie.dashboard}\r\nAccept: text/event-stream\r\n"
                            "Accept-Encoding: gzip, deflate, br\r\n\r\n".encode())
        self.start()

    def run(self):
        seen = b""
        try:
            while data := self.socket.recv(1 << 16):
                self.bytes += len(data)
                if not self.began.is_set():
                    seen += data
                    if b"event: tick" in seen:
                        self.began.set()
        except OSError:
            pass

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Steady(threading.Thread):
    """Does something so many times a second until it is stopped."""

    def __init__(self, per_second, work):
        super().__init__(daemon=True)
        self.period, self.work, self.over, self.done = 1 / per_second, work, threading.Event(), 0
        self.start()

    def run(self):
        due = time.monotonic()
        while not self.over.wait(max(0, due - time.monotonic())):
            self.work(self.done)
            self.done, due = self.done + 1, due + self.period

    def close(self):
        self.over.set()
        self.join()


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


def name(n):
    return f"service-{n % SERVICES:03}"


def registration(n, port, version):
    return {"name": name(n), "id": f"{name(n)}-{n // SERVICES}", "host": "127.0.0.1", "port": port,
            "version": f"1.0.{version}", "tags": ["eu", "production"], "zone": f"zone-{n % 3}",
            "healthCheck": {"type": "none"}}


def fleet(ellie, scenario):
    """Fills the registry; what goes on while it is measured."""
    port = 9
    if scenario == "traffic":
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
    client, count = ellie.client(), SERVICES * EACH
    for start in range(0, count, 100):
        some = [registration(n, port, 0) for n in range(start, start + 100)]
        client.call("POST", "/services/batch", {"registrations": some})

    changes = ellie.client()

    def change(n):
        # A prime step, so that the changes go round all services.
        i = n // 4 * 37 % count
        at = f"/services/{name(i)}/instances/{name(i)}-{i // SERVICES}"
        match n % 4:
            case 0: changes.call("PUT", f"{at}/drain", {})
            case 1: changes.call("POST", "/services", registration(i, port, n))
            case 2: changes.call("PUT", f"{at}/undrain", {})
            case _: changes.call("PUT", f"{at}/weight", {"weight": n % 9 + 1})

    work = [Steady(10, change)]
    if scenario == "traffic":
        for n in range(SERVICES):
            client.call("POST", "/routes", {"id": name(n), "path": f"/{name(n)}/*", "serviceName": name(n)})
        gate = ellie.client(ellie.gateway)
        work.append(Steady(SERVICES, lambda n: gate.call("GET", f"/{name(n)}/x")))
    return work


def page(ellie, scenario):
    """What an open page asks for beside the stream, and how often."""
    client = ellie.client(ellie.dashboard)
    match scenario:
        case "page": return Steady(0.2, lambda _: client.call("GET", f"/api/ui/instance/{name(0)}/{name(0)}-0"))
        case "logs": return Steady(1, lambda _: client.call("GET", "/api/processes/writer/logs?tail=400"))
        case _: return None


def measure(scenario, args):
    args = argparse.Namespace(**vars(args))
    if scenario == "demo":
        args.seconds = DEMO_ROUND
    with tempfile.TemporaryDirectory() as folder:
        ellie = Ellie(scenario, folder)
        try:
            work = [] if scenario in ("demo", "logs") else fleet(ellie, scenario)
            # Past the first checks, and in the demo past the first opening of the breaker.
            time.sleep(5)
            rounds = [one(ellie, scenario, args) for _ in range(args.n)]
            for steady in work:
                steady.close()
        finally:
            ellie.stop()
    closed, opened, first, rate = zip(*rounds)
    costs = [b - a for a, b in zip(closed, opened)]
    print(f"{scenario:8} without {100 * statistics.median(closed):.2f} %, with {100 * statistics.median(opened):.2f} %, "
          f"cost {100 * statistics.median(costs):.2f} % of a core ({100 * min(costs):.2f} to {100 * max(costs):.2f}); "
          f"opening {1e3 * statistics.median(first):.0f} ms; {statistics.median(rate) / 1024:.1f} KiB/s", flush=True)


def one(ellie, scenario, args):
    time.sleep(LINGER)
    closed = window(ellie, args)
    before = cpu(ellie.pid)
    since = time.monotonic()
    readers = [Reader(ellie) for _ in range(args.readers)]
    for reader in readers:
        if not reader.began.wait(30):
            sys.exit("the stream does not begin")
    # Without what would have been done anyway.
    first = max(0, cpu(ellie.pid) - before - closed * (time.monotonic() - since))
    beside = page(ellie, scenario)
    got = sum(r.bytes for r in readers)
    opened = window(ellie, args)
    rate = (sum(r.bytes for r in readers) - got) / args.seconds / args.readers
    for reader in readers:
        reader.close()
    if beside:
        beside.close()
    return closed, opened, first, rate


def window(ellie, args):
    """The share of a core over one window."""
    before, since = cpu(ellie.pid), time.monotonic()
    time.sleep(args.seconds)
    return (cpu(ellie.pid) - before) / (time.monotonic() - since)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=3, metavar="ROUNDS")
    parser.add_argument("--seconds", type=float, default=30, help="of a window")
    parser.add_argument("--readers", type=int, default=1, help="open at the same time")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", default=["demo", "fleet", "traffic", "page", "logs"])
    args = parser.parse_args()
    # What it started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"{BINARY.name} on {os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}; "
          f"{args.n} rounds of 2 windows of {args.seconds:g} s, {args.readers} open", flush=True)
    for scenario in args.scenarios:
        measure(scenario, args)


if __name__ == "__main__":
    main()
