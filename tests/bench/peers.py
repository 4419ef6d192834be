"""Other queues of Debian's, with the same disk: each sync takes as long (libdelaysync.so), and nothing is acknowledged before it."""
import json
import os
import shutil
import socket
import subprocess
import sys
import time

from programs import DELAY_US

# What is shown, and how it is started. Folder and socket are filled in.
PEERS = {
    "beanstalkd": ("beanstalkd -f0", ["beanstalkd", "-b", "{folder}", "-f0", "-l", "unix:{socket}"]),
    "redis": ("redis, appendfsync always", ["redis-server", "--port", "0", "--unixsocket", "{socket}", "--dir", "{folder}", "--appendonly", "yes",
                                            "--appendfsync", "always", "--save", "", "--loglevel", "warning", "--logfile", "{folder}/log"]),
}


def there():
    return [name for name, (_, command) in PEERS.items() if shutil.which(command[0])]


def measure(bench, peer, jobs, clients):
    """Jobs a second, each put in, taken, and deleted by one of so many clients, on a server that was just started."""
    folder, path = bench.path(), bench.path()
    os.mkdir(folder)
    preload = os.path.join(bench.programs, "libdelaysync.so")
    command = [word.format(folder=folder, socket=path) for word in PEERS[peer][1]]
    server = subprocess.Popen(command, env=dict(os.environ, LD_PRELOAD=preload, DELAYSYNC_US=str(DELAY_US)), stderr=subprocess.DEVNULL)
    try:
        wait_for(server, path, command)
        done = subprocess.run([os.path.join(bench.programs, "bench_peers"), peer, path, str(jobs), str(clients)], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"bench_peers {peer}: exit {done.returncode}\n{done.stderr}")
        return json.loads(done.stdout)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def wait_for(server, path, command):
    for _ in range(1000):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                return probe.connect(path)
            except OSError:
                pass
        if server.poll() is not None:
            break
        time.sleep(0.01)
    sys.exit(f"{' '.join(command)}: did not begin")
