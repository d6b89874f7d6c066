#!/usr/bin/env python3
"""What checking 10,000 instances every 10 s costs, beside HAProxy doing the same.

Each contestant in turn checks the same nginx over loopback; its CPU is read from /proc/PID/stat over a window that
begins when it is past its first round, the checks it made in that window from nginx's own count of requests.

    python3 bench/health/run.py [--seconds 30] [--count 10000] [--interval 10000] [--only NAME]

Needs nginx, haproxy and `cargo build --release -p ellie-health --example checker`.
"""
import argparse, os, pathlib, re, shutil, signal, subprocess, tempfile, time, urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")
BODY = ('{"status":"healthy","timestamp":"2024-01-15T10:30:00Z","uptime":3600,"version":"1.0.0",'
        '"memory":{"used":128,"total":512,"percentage":25},"dependencies":{"redis":true,"database":true}}')
PORTS = range(18_201, 18_211)
STATUS = 18_200

NGINX = """
daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/error.log;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
  access_log off; keepalive_timeout 600s; keepalive_requests 1000000; default_type application/json;
  client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
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


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) / TICK, int(fields[12]) / TICK


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def requests():
    """Requests that nginx has answered; the question itself is among them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{STATUS}/", timeout=5) as answer:
        return int(answer.read().split()[9])


def measure(name, command, args, log):
    with open(log, "w") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        start = requests()
        until = time.monotonic() + 60
        while requests() - start < args.count and time.monotonic() < until:
            if child.poll() is not None:
                raise SystemExit(f"{name} ended:\n{pathlib.Path(log).read_text()[-2000:]}")
            time.sleep(0.2)
        time.sleep(1.2 * args.interval / 1000)
        before, count, began = cpu(child.pid), requests(), time.monotonic()
        time.sleep(args.seconds)
        after, checks, took = cpu(child.pid), requests() - count - 1, time.monotonic() - began
        user, system = after[0] - before[0], after[1] - before[1]
        row = dict(name=name, checks=checks / took, core=100 * (user + system) / took, user=1e6 * user / checks,
                   system=1e6 * system / checks, each=1e6 * (user + system) / checks, rss=rss(child.pid))
        print(f"{name}: {row['checks']:.0f} checks/s, {row['core']:.2f} % of a core, {row['each']:.1f} us a check "
              f"({row['user']:.1f} user, {row['system']:.1f} system), {row['rss']:.0f} MiB", flush=True)
        return row
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--interval", type=int, default=10_000)
    parser.add_argument("--only", default="")
    parser.add_argument("--checker", default=str(ROOT / "target/release/examples/checker"))
    args = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="ellie-health-bench-")
    files = int(subprocess.check_output(["sh", "-c", "ulimit -n"]))
    if files < args.count + 200:
        raise SystemExit(f"{files} open files are too few for {args.count} kept connections: ulimit -n")
    (pathlib.Path(directory) / "nginx.conf").write_text(NGINX.format(
        dir=directory, files=files, status=STATUS, body=BODY,
        listen=" ".join(f"listen 127.0.0.1:{p} backlog=4096;" for p in PORTS)))
    servers = "\n".join(f"  server s{n} 127.0.0.1:{PORTS[n % len(PORTS)]} check" for n in range(args.count))
    (pathlib.Path(directory) / "haproxy.cfg").write_text(HAPROXY.format(
        dir=directory, files=files, interval=args.interval, servers=servers))
    nginx = subprocess.Popen(["nginx", "-c", f"{directory}/nginx.conf", "-e", f"{directory}/error.log"])
    addresses = [f"127.0.0.1:{p}" for p in PORTS]
    ours = lambda threads: [args.checker, str(args.count), str(args.interval), str(threads), "http", *addresses]
    contestants = {
        "ellie, in a runtime of 2 threads": ours(2),
        "ellie, in a runtime of 1 thread": ours(0),
        "haproxy": ["haproxy", "-db", "-f", f"{directory}/haproxy.cfg"],
    }
    rows = []
    try:
        for _ in range(50):
            try:
                requests()
                break
            except OSError:
                time.sleep(0.1)
        for n, (name, command) in enumerate(contestants.items()):
            if args.only in name:
                rows.append(measure(name, command, args, f"{directory}/{n}.log"))
                print(pathlib.Path(f"{directory}/{n}.log").read_text().strip().rsplit("\n", 1)[-1][:200], flush=True)
    finally:
        nginx.terminate()
        nginx.wait()
        shutil.rmtree(directory)
    print("\n| checker | checks/s | % of a core | us a check | user | system | MiB |\n|---|---|---|---|---|---|---|")
    for r in rows:
        print(f"| {r['name']} | {r['checks']:.0f} | {r['core']:.2f} | {r['each']:.1f} | {r['user']:.1f} | {r['system']:.1f} | {r['rss']:.0f} |")


main()
