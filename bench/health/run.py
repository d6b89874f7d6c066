#!/usr/bin/env python3
"""What checking 10,000 instances every 10 s costs, beside HAProxy 2.8 doing the same.

All contestants run at the same time, each with an nginx of its own to check, so that whatever else the machine does
hits all alike; the contestants share one core, the nginxes the other. A round is one interval long. CPU is the
scheduler's own count in nanoseconds (/proc/PID/task/*/schedstat), the checks are those that nginx has answered.
The ratio is the median of the rounds' ratios to the last contestant, with the least and the greatest.

    python3 bench/health/run.py [-n ROUNDS] [--count 10000] [--interval 10000] [CONTESTANT…]

CONTESTANT: ellie (the checker alone, in a runtime of one thread), ellie-2 (of two threads), haproxy (one thread),
PATH (a checker built otherwise). Needs nginx and an HAProxy (bench/gateway/setup.sh gets 2.8); builds the checker.
"""
import argparse, os, pathlib, re, shutil, signal, statistics, subprocess, tempfile, time, urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = pathlib.Path(os.environ.get("BENCH_DIR", pathlib.Path.home() / ".cache/ellie-bench")) / "bin"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BODY = ('{"status":"healthy","timestamp":"2024-01-15T10:30:00Z","uptime":3600,"version":"1.0.0",'
        '"memory":{"used":128,"total":512,"percentage":25},"dependencies":{"redis":true,"database":true}}')
# Loopback has 28,000 ports a pair of addresses: ten listeners hold ten times as many connections.
LISTENERS = 10

NGINX = """
daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/error.log;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; }}
http {{
  access_log off; keepalive_timeout 600s; keepalive_requests 1000000; default_type application/json;
  client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d;
  scgi_temp_path {dir}/e;
  server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}
  server {{ {listen} location /health {{ return 200 '{body}'; }} }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 100
  fd-hard-limit {files}
  stats socket {dir}/haproxy.sock
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
  timeout check 5s
backend checked
  option httpchk
  http-check send meth GET uri /health ver HTTP/1.1 hdr Host localhost
  default-server inter {interval}ms fall 2 rise 1
{servers}
"""


def haproxy():
    found = [str(p) for p in sorted(PEERS.rglob("haproxy")) if p.is_file()]
    return (found + [shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin") or "haproxy"])[0]


def nginx():
    return shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") or "nginx"


class Contestant:
    def __init__(self, name, n, args, files):
        self.name, self.dir, self.log = name, f"{args.dir}/{n}", f"{args.dir}/{n}/log"
        os.mkdir(self.dir)
        self.status, ports = args.port + 20 * n, [args.port + 20 * n + 1 + p for p in range(LISTENERS)]
        pathlib.Path(self.dir, "nginx.conf").write_text(NGINX.format(
            dir=self.dir, files=files, connections=files - 100, status=self.status, body=BODY,
            listen=" ".join(f"listen 127.0.0.1:{p} backlog=4096;" for p in ports)))
        self.nginx = self.spawn(args.cores[-1], [nginx(), "-c", f"{self.dir}/nginx.conf", "-e", f"{self.dir}/error.log"])
        self.wait(lambda: self.requests() or True, 10)
        if name == "haproxy":
            servers = "\n".join(f"  server s{i} 127.0.0.1:{ports[i % LISTENERS]} check" for i in range(args.count))
            pathlib.Path(self.dir, "haproxy.cfg").write_text(HAPROXY.format(
                dir=self.dir, files=files, interval=args.interval, servers=servers))
            command = [haproxy(), "-db", "-f", f"{self.dir}/haproxy.cfg"]
        else:
            threads = {"ellie-2": "2"}.get(name, "0")
            binary = name if "/" in name else str(TARGET / "release/examples/checker")
            command = [binary, str(args.count), str(args.interval), threads, "http"]
            command += [f"127.0.0.1:{p}" for p in ports]
        self.child = self.spawn(args.cores[0], command)

    def spawn(self, core, command):
        pin = ["taskset", "-c", str(core)]
        return subprocess.Popen(pin + command, stdout=open(self.log, "a"), stderr=subprocess.STDOUT)

    def wait(self, condition, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if condition():
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"{self.name}: not ready within {seconds} s:\n{pathlib.Path(self.log).read_text()[-1000:]}")

    def requests(self):
        """Requests that its nginx has answered, this one included."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status}/", timeout=5) as answer:
            self.asked = getattr(self, "asked", 0) + 1
            return int(answer.read().split()[9])

    def read(self):
        if self.child.poll() is not None:
            raise SystemExit(f"{self.name} ended:\n{pathlib.Path(self.log).read_text()[-1000:]}")
        tasks = pathlib.Path(f"/proc/{self.child.pid}/task").iterdir()
        cpu = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
        return time.monotonic(), cpu, self.requests() - self.asked

    def memory(self):
        status = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def end(self):
        for process in (self.child, self.nginx):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=9, help="rounds")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--interval", type=int, default=10_000, help="ms")
    parser.add_argument("--port", type=int, default=26_000, help="the first of the ports that are used")
    parser.add_argument("contestants", nargs="*", default=["ellie", "ellie-2", "haproxy"])
    args = parser.parse_args()
    args.cores = sorted(os.sched_getaffinity(0))[:2]
    files = int(subprocess.check_output(["sh", "-c", "ulimit -n $(ulimit -Hn); ulimit -n"]))
    if files < args.count + 200:
        raise SystemExit(f"{files} open files are too few for {args.count} kept connections: ulimit -n")
    if {"ellie", "ellie-2"} & set(args.contestants):
        build = ["cargo", "build", "--release", "--quiet", "-p", "ellie-health", "--example", "checker"]
        subprocess.run(build, cwd=ROOT, check=True)
    args.dir = tempfile.mkdtemp(prefix="ellie-health-bench-")
    running = []
    try:
        for n, name in enumerate(args.contestants):
            running.append(Contestant(name, n, args, files))
        for c in running:
            c.wait(lambda c=c: c.requests() - c.asked >= args.count, 60)
        time.sleep(1.2 * args.interval / 1000)
        rounds = []
        for n in range(args.n):
            before = [c.read() for c in running]
            time.sleep(args.interval / 1000)
            figures = []
            for c, old in zip(running, before):
                took, cpu, checks = (b - a for a, b in zip(old, c.read()))
                figures.append((1e6 * cpu / checks, 100 * cpu / took, checks / took))
            rounds.append(figures)
            print(f"round {n + 1}: " + ", ".join(f"{c.name} {f[0]:.1f} us" for c, f in zip(running, figures)), flush=True)
        print(f"\n{subprocess.check_output([haproxy(), '-v'], text=True).splitlines()[0]}" if "haproxy" in args.contestants else "")
        print("| checker | checks/s | % of a core | us a check | ratio (least to greatest) | MiB |\n|---|---|---|---|---|---|")
        for i, c in enumerate(running):
            each, core, rate = (statistics.median(r[i][k] for r in rounds) for k in range(3))
            ratios = [r[i][0] / r[-1][0] for r in rounds]
            print(f"| {c.name} | {rate:.0f} | {core:.2f} | {each:.1f} | {statistics.median(ratios):.2f} "
                  f"({min(ratios):.2f} to {max(ratios):.2f}) | {c.memory():.0f} |")
        for c in running:
            last = pathlib.Path(c.log).read_text().strip().rsplit("\n", 1)[-1]
            if last.startswith("checks "):
                print(f"{c.name}: {last}")
    finally:
        for c in running:
            c.end()
        shutil.rmtree(args.dir)


if __name__ == "__main__":
    main()
