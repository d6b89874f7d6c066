#!/usr/bin/env python3
"""What an upstream that goes away and comes back costs the clients of the gateway.

Three nginx are registered by the command line, wrk loads them through the gateway of a release build, and one of them
is stopped and started again: by `kill -9`, by SIGTERM (nginx drops what is under way) and by SIGQUIT (it finishes it).
The others and the load go on. Everything is on default settings but the checks, which are made every second.

    cargo build --release && python3 bench/failover/run.py [--ellie PATH] [--strategy NAME] [--connections 16]

Needs nginx and wrk. Prints one row a way of stopping:
  failed      answers to wrk other than 2xx, and socket errors
  retried     tries that failed on the stopped instance and were made again on another
  gone after  from the signal to the last try that the stopped instance was sent
  checks      checks of the new process before its first request
  back after  from the first check that the new process answered to its first request
"""
import argparse, json, os, pathlib, re, shutil, signal, socket, subprocess, tempfile, time, urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PATH = os.environ["PATH"] + ":/usr/sbin"

NGINX = """
daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format at '$msec $request_uri'; access_log {dir}/access.log at;
  client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d;
  scgi_temp_path {dir}/e;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 'hello'; }} }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, condition, seconds=20):
    end = time.time() + seconds
    while time.time() < end:
        if result := condition():
            return result
        time.sleep(0.005)
    raise SystemExit(f"not within {seconds} s: {what}")


class Upstream:
    def __init__(self, folder, name):
        self.name, self.dir, self.port = name, folder / name, free_port()
        self.dir.mkdir()
        (self.dir / "conf").write_text(NGINX.format(dir=self.dir, port=self.port))
        self.start()

    def start(self):
        (self.dir / "access.log").write_text("")
        self.process = subprocess.Popen(
            [shutil.which("nginx", path=PATH) or "nginx", "-c", self.dir / "conf", "-e", self.dir / "error.log"])

    def log(self):
        lines = (line.split() for line in (self.dir / "access.log").read_text().splitlines())
        return [(float(line[0]), line[1]) for line in lines if len(line) == 2]


class Ellie:
    def __init__(self, binary, folder, strategy):
        self.binary, self.dir = binary, folder
        (folder / "ellie.toml").write_text(
            '[api]\nlisten = "127.0.0.1:0"\n[gateway]\nlisten = "127.0.0.1:0"\n[dashboard]\nenabled = false\n'
            f'[health]\ninterval = "1s"\n[load_balancing]\nstrategy = "{strategy}"\n')
        self.process = subprocess.Popen([binary, "serve"], cwd=folder, stdout=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline()
        self.api, self.gateway = (re.search(rf"{name}=(\S+)", ready)[1] for name in ("api", "gateway"))

    def cli(self, *words):
        subprocess.run([self.binary, "--server", self.api, *words], cwd=self.dir, check=True,
                       stdout=subprocess.DEVNULL)

    def get(self, path):
        with urllib.request.urlopen(self.api + path) as answer:
            return json.load(answer)

    def tries_failed(self, name):
        i = self.get("/services/stats")["loadBalancer"]["services"]["web"]["instances"].get(name, {})
        return i.get("failures", 0) + i.get("timeouts", 0)

    def status(self, name):
        return self.get(f"/services/web/instances/{name}")["status"]


def number(pattern, text):
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def measure(args, how, folder):
    ellie = Ellie(args.ellie, folder, args.strategy)
    upstreams = [Upstream(folder, f"web-{n}") for n in (1, 2, 3)]
    load = None
    try:
        for u in upstreams:
            ellie.cli("register", "web", "--id", u.name, "--port", str(u.port), "--health", "/health", "--wait")
        ellie.cli("routes", "add", "/web/*", "web", "--target-path", "/")
        load = subprocess.Popen(["wrk", "-t", "1", "-c", str(args.connections), "-d", "60s", "--timeout", "10s",
                                 f"{ellie.gateway}/web/x"], stdout=subprocess.PIPE, text=True)
        victim = upstreams[1]
        until("load on all", lambda: all(len(u.log()) > 500 for u in upstreams))
        before = ellie.tries_failed(victim.name)
        stopped = time.time()
        victim.process.send_signal(how)
        # Tries that it still gets fail, for nothing listens there any more.
        last, failed = stopped, before
        while ellie.status(victim.name) != "unhealthy" or time.time() < stopped + 3:
            now = ellie.tries_failed(victim.name)
            if now != failed:
                last, failed = time.time(), now
            time.sleep(0.002)
        victim.process.wait()
        victim.start()
        until("traffic is back", lambda: sum(path != "/health" for _, path in victim.log()) > 100)
        log = victim.log()
        first = next(n for n, (_, path) in enumerate(log) if path != "/health")
        load.send_signal(signal.SIGINT)
        report = load.stdout.read()
        stats = ellie.get("/services/stats")["gateway"]
        return {
            "requests": number(r"(\d+) requests in", report),
            "failed": number(r"Non-2xx or 3xx responses: (\d+)", report)
            + sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", report)),
            "retried": stats["retries"],
            "gone": (last - stopped) * 1000,
            "checks": first,
            "back": (log[first][0] - log[0][0]) * 1000,
        }
    finally:
        for process in [load] * bool(load) + [u.process for u in upstreams] + [ellie.process]:
            process.kill()
            process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ellie", default=TARGET / "release/ellie", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("--strategy", default="health_based")
    parser.add_argument("--connections", default=16, type=int)
    args = parser.parse_args()
    print("| stopped by | requests | failed | retried | gone after | checks | back after |\n|---|---|---|---|---|---|---|")
    for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGQUIT):
        with tempfile.TemporaryDirectory() as folder:
            r = measure(args, how, pathlib.Path(folder))
        print(f"| {how.name} | {r['requests']} | {r['failed']} | {r['retried']} | {r['gone']:.0f} ms "
              f"| {r['checks']} | {r['back']:.0f} ms |", flush=True)


if __name__ == "__main__":
    main()
