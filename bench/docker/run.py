#!/usr/bin/env python3
"""How soon a container gets traffic after it can serve, and how soon it gets none after it was killed.

Starts a Docker daemon of its own in namespaces of its own (root needed), so nothing else on the machine is touched:

    cargo build --release -p ellie-server
    bench/docker/run.py [--ellie target/release/ellie] [-n 20]

Clocks: one process reads all of them. `serves` is when a direct request to the container is answered first, `found` when
a request through the gateway is; both are tried every 2 ms. `kill` is when the call to the daemon is sent, `gone` when
ellie's API no longer knows the instance, asked every 2 ms. Beside it, requests go through the gateway one after the
other to a service of which one of two containers is killed.
"""
import argparse, http.client, json, os, pathlib, shutil, socket, statistics, subprocess, sys, tempfile, threading, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
INSIDE = "ELLIE_BENCH_DOCKER"


def outside(arguments):
    with tempfile.TemporaryDirectory(prefix="ellie-bench-docker-") as folder:
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                   "--mount-proc", "sh", "-c", 'ip link set lo up && "$@"; exit $?', "sh", sys.executable, __file__]
        environment = dict(os.environ, **{INSIDE: folder})
        environment["PATH"] += ":/usr/sbin:/sbin"
        return subprocess.run(command + arguments, env=environment, check=False).returncode


class Unix(http.client.HTTPConnection):
    """The daemon's API on its socket."""

    def __init__(self, path):
        super().__init__("docker")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Bench:
    def __init__(self, folder, ellie):
        self.folder = pathlib.Path(folder)
        self.socket = self.folder / "docker.sock"
        self.endpoint = f"unix://{self.socket}"
        self.children = []
        self.daemon()
        self.ellie(ellie)

    def spawn(self, command, log):
        out = open(self.folder / log, "wb")
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.children.append(child)
        return child

    def docker(self, *arguments, **more):
        environment = dict(os.environ, HOME=str(self.folder), DOCKER_HOST=self.endpoint)
        ran = subprocess.run(["docker", *arguments], env=environment, capture_output=True, check=False, **more)
        if ran.returncode != 0:
            sys.exit(f"docker {' '.join(arguments)}: {ran.stderr.decode()}")
        return ran.stdout.decode().strip()

    def daemon(self):
        (self.folder / "daemon.json").write_text("{}")
        at = lambda name: str(self.folder / name)
        self.spawn(["dockerd", "--data-root", at("data"), "--exec-root", at("run"), "-p", at("pid"), "--config-file",
                    at("daemon.json"), "-H", self.endpoint], "dockerd.log")
        until(lambda: self.socket.exists(), "the daemon")
        until(lambda: ask(Unix(self.socket), "GET", "/_ping")[0] == 200, "the daemon's answer")
        image = self.folder / "image"
        image.mkdir()
        source = ROOT / "crates/ellie-server/tests/common/docker/backend.c"
        subprocess.run(["gcc", "-O1", "-static", "-pthread", "-o", image / "backend", source], check=True)
        tar = subprocess.run(["tar", "-C", image, "-c", "."], capture_output=True, check=True).stdout
        self.docker("import", "-c", 'ENTRYPOINT ["/backend"]', "-c", "EXPOSE 8080", "-", "backend", input=tar)
        self.docker("network", "create", "--subnet", "172.30.0.0/24", "bench")

    def ellie(self, binary):
        config = self.folder / "ellie.toml"
        config.write_text(f"""
[[routes]]
path = "/one/*"
service_name = "one"
[[routes]]
path = "/two/*"
service_name = "two"
[providers.docker]
enabled = true
endpoint = "{self.endpoint}"
""")
        self.api, self.gateway = 25000, 28000
        self.spawn([binary, "serve", "--ephemeral", "--config", config, "--api-listen", f"127.0.0.1:{self.api}",
                    "--gateway-listen", f"127.0.0.1:{self.gateway}", "--dashboard-listen", "127.0.0.1:0"], "ellie.log")
        until(lambda: any(p["up"] for p in (self.get("/providers") or {"providers": []})["providers"]), "ellie")

    def get(self, path):
        status, body = ask(http.client.HTTPConnection("127.0.0.1", self.api), "GET", path)
        return json.loads(body) if status == 200 else None

    def run(self, name, service, ip):
        return self.docker("run", "-d", "--name", name, "--network", "bench", "--ip", ip, "-l",
                           f"service.name={service}", "-l", "service.healthEndpoint=/health", "backend")[:12]

    def through(self, service):
        return ask(http.client.HTTPConnection("127.0.0.1", self.gateway), "GET", f"/{service}/x")[0]

    def end(self):
        ids = self.docker("ps", "-aq").split()
        if ids:
            self.docker("rm", "-f", *ids)
        for child in reversed(self.children):
            child.kill()
            child.wait()


def ask(connection, method, path, timeout=5):
    try:
        connection.timeout = timeout
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def until(condition, what, pause=0.002):
    """When it held first."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited in vain for {what}")
        time.sleep(pause)
    return time.monotonic()


def found_after(bench, n):
    """Seconds from a container's first own answer to the first through the gateway, and from `docker run`."""
    gaps, totals = [], []
    for turn in range(n):
        ip, at = f"172.30.0.{10 + turn}", {}
        direct = lambda: ask(http.client.HTTPConnection(ip, 8080), "GET", "/health", 0.05)[0] == 200
        watch = [threading.Thread(target=lambda: at.update(serves=until(direct, "the container"))),
                 threading.Thread(target=lambda: at.update(found=until(lambda: bench.through("one") == 200, "ellie")))]
        begun = time.monotonic()
        for thread in watch:
            thread.start()
        bench.run(f"one-{turn}", "one", ip)
        for thread in watch:
            thread.join()
        gaps.append(at["found"] - at["serves"])
        totals.append(at["found"] - begun)
        bench.docker("rm", "-f", f"one-{turn}")
        until(lambda: bench.through("one") != 200, "its end")
    return gaps, totals


def gone_after(bench, n):
    """Seconds from the call of `docker kill` until ellie knows the instance no more; what requests met meanwhile."""
    bench.run("stays", "two", "172.30.0.200")
    times, statuses, over = [], {}, threading.Event()

    def send():
        while not over.is_set():
            status = bench.through("two")
            statuses[status] = statuses.get(status, 0) + 1

    until(lambda: bench.through("two") == 200, "the one that stays")
    sender = threading.Thread(target=send)
    sender.start()
    for turn in range(n):
        id = bench.run(f"two-{turn}", "two", "172.30.0.201")
        path = f"/services/two/instances/{id}"
        until(lambda: (bench.get(path) or {}).get("standing") == "routable", "the one that is killed")
        killed = time.monotonic()
        call = threading.Thread(target=lambda: ask(Unix(bench.socket), "POST", f"/containers/{id}/kill"))
        call.start()
        times.append(until(lambda: bench.get(path) is None, "its end") - killed)
        call.join()
        bench.docker("rm", "-f", id)
    over.set()
    sender.join()
    return times, statuses


def show(what, seconds):
    ms = sorted(s * 1000 for s in seconds)
    print(f"| {what} | {len(ms)} | {ms[0]:.0f} | {statistics.median(ms):.0f} | {ms[-1]:.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ellie", default=str(ROOT / "target/release/ellie"))
    parser.add_argument("-n", type=int, default=20, help="containers of each kind")
    options = parser.parse_args()
    if not shutil.which(options.ellie):
        sys.exit(f"{options.ellie} is not there: cargo build --release -p ellie-server")
    folder = os.environ.get(INSIDE)
    if not folder:
        sys.exit(outside(sys.argv[1:]))
    bench = Bench(folder, str(pathlib.Path(options.ellie).resolve()))
    try:
        gaps, totals = found_after(bench, options.n)
        times, statuses = gone_after(bench, options.n)
    finally:
        bench.end()
    print("| | containers | least ms | median ms | most ms |")
    print("|---|---|---|---|---|")
    show("serves -> found", gaps)
    show("docker run -> found", totals)
    show("kill -> gone", times)
    print(f"requests beside the kills, by status: {dict(sorted(statuses.items()))}")


if __name__ == "__main__":
    main()
