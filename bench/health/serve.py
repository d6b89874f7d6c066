#!/usr/bin/env python3
"""What the whole of `ellie serve` costs while it checks 10,000 instances every 10 s and nobody asks it anything.

Ten nginx listeners stand for 10,000 instances, registered through the API and kept on disk as usual. The server's CPU is
utime and stime of /proc/PID/stat, all threads of it, over a minute that begins when all instances are healthy; what
it did meanwhile is told by its own statistics.

    cargo build --release && python3 bench/health/serve.py [--ellie PATH] [--count 10000] [--interval 10000] [--seconds 60]

Needs nginx. Ends with 1 where it took a tenth of a core or more.
"""
import argparse, json, os, pathlib, re, resource, subprocess, tempfile, time, urllib.request

from run import BODY, LISTENERS, NGINX, ROOT, TARGET, nginx


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ellie", default=TARGET / "release/ellie", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("--count", default=10_000, type=int)
    parser.add_argument("--interval", default=10_000, type=int, help="milliseconds")
    parser.add_argument("--seconds", default=60, type=int)
    parser.add_argument("--port", default=24_000, type=int, help="the first of nginx's ports")
    args = parser.parse_args()
    files = args.count + 1000
    # nginx and ellie inherit it; each needs one a connection and some more.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard), hard))
    ports = [args.port + 1 + n for n in range(LISTENERS)]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "nginx.conf").write_text(NGINX.format(
            dir=folder, files=files, connections=files - 100, status=args.port, body=BODY,
            listen=" ".join(f"listen 127.0.0.1:{p} backlog=4096;" for p in ports)))
        (folder / "ellie.toml").write_text(
            '[api]\nlisten = "127.0.0.1:0"\n[gateway]\nlisten = "127.0.0.1:0"\n[dashboard]\nlisten = "127.0.0.1:0"\n'
            f'[health]\ninterval = {args.interval}\n')
        peers = [subprocess.Popen([nginx(), "-c", folder / "nginx.conf", "-e", folder / "error.log"])]
        try:
            server = subprocess.Popen([args.ellie, "serve"], cwd=folder, stdout=subprocess.PIPE, text=True)
            peers.append(server)
            api = re.search(r"api=(\S+)", server.stdout.readline())[1]
            token = (folder / "ellie-data/operator.token").read_text().strip()

            def call(path, body=None):
                request = urllib.request.Request(api + path, json.dumps(body).encode() if body else None, {
                    "Authorization": f"Bearer {token}", "Content-Type": "application/json"})
                with urllib.request.urlopen(request) as answer:
                    return json.load(answer)

            for first in range(0, args.count, 1000):
                call("/services/batch", {"registrations": [
                    {"name": f"service-{i % 100}", "id": f"i{i}", "host": "127.0.0.1",
                     "port": ports[i % LISTENERS], "healthEndpoint": "/health"}
                    for i in range(first, min(first + 1000, args.count))]})
            while call("/services/stats")["registry"]["instances"]["healthy"] < args.count:
                time.sleep(0.5)
            # Checks part within the first interval.
            time.sleep(args.interval / 1000)
            before, began, checks = cpu_seconds(server.pid), time.monotonic(), call("/services/stats")["healthChecks"]
            time.sleep(args.seconds)
            after, took, now = cpu_seconds(server.pid), time.monotonic() - began, call("/services/stats")["healthChecks"]
            share = (after - before) / took
            done = now["completed"] - checks["completed"]
            memory = re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{server.pid}/status").read_text())[1]
            print("| checks/s | failed | late | % of a core | us a check | MiB |\n|---|---|---|---|---|---|")
            print(f"| {done / took:.0f} | {now['failed'] - checks['failed']} | {now['late'] - checks['late']} "
                  f"| {share * 100:.2f} | {(after - before) / done * 1e6:.1f} | {int(memory) / 1024:.0f} |")
            return 0 if share < 0.1 else 1
        finally:
            for peer in peers:
                peer.kill()
                peer.wait()


if __name__ == "__main__":
    raise SystemExit(main())
