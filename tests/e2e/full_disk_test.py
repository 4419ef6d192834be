#!/usr/bin/env python3
"""A disk that is full: a small tmpfs under the daemon, filled by somebody else. What can be done then, and after."""
import glob
import json
import os
import shutil
import subprocess
import sys
import time

from harness import Case, Daemon, in_namespaces, main, need, read, run, skip, write

SIZE = 6 << 20
BALLAST = 512 << 10


class FullDisk(Case):
    def setUp(self):
        super().setUp()
        self.disk = self.path("disk")
        os.mkdir(self.disk)
        run("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0755", "tmpfs", self.disk)
        self.addCleanup(lambda: run("umount", "-l", self.disk, status=None))
        self.addCleanup(self.empty)

    def daemon(self, **config):
        daemon = Daemon(self, {}, name="d")
        daemon.database = os.path.join(self.disk, "queue.db")
        daemon.ballast = daemon.database + ".ballast"
        daemon.configure({"handlers": {"echo": {"exec": ["/bin/cat"]}, "slow": {"exec": ["/bin/sleep", "2"]}},
                          "limits": {"ballast": f"{BALLAST >> 10}KiB", **config}})
        return daemon

    def fill(self, leave=0):
        """All but `leave` bytes."""
        with open(os.path.join(self.disk, f"other-{len(glob.glob(self.disk + '/other-*'))}"), "wb", buffering=0) as file:
            fs = os.statvfs(self.disk)
            left = fs.f_bavail * fs.f_frsize - leave
            while left > 0:
                try:
                    left -= file.write(b"x" * min(left, 65536))
                except OSError:
                    break

    def empty(self):
        for name in glob.glob(self.disk + "/other-*"):
            os.remove(name)

    def until_full(self, daemon, acknowledged, payload=2000):
        """Adds until it is refused; the last words."""
        for n in range(20000):
            said = run(*daemon.command("add", "echo", json.dumps(f"{n} " + "p" * payload), "--delay", "1h", "--json"), status=None)
            if not said.startswith("{"):
                return said
            acknowledged.append(json.loads(said)["id"])
        self.fail("it is never full")

    def works_while_full(self, daemon, acknowledged):
        self.assertEqual(len(daemon.json("list", "--limit", "5")["jobs"]), 5)
        self.assertEqual(daemon.job(acknowledged[0])["state"], "pending")
        for id in acknowledged[:40]:
            daemon.cli("cancel", str(id))
        self.assertEqual(daemon.job(acknowledged[39])["state"], "cancelled")
        for id in acknowledged[40:80]:
            daemon.cli("rm", str(id), status=None)
        self.assertIn("deleted", daemon.cli("prune"))
        daemon.cli("queue", "pause", "other")
        self.assertIn("the disk is full", daemon.cli("why", str(acknowledged[90])))
        health = daemon.cli("health", status=1)
        self.assertIn("make room", health)
        for line in ("holdfast_disk_full 1",):
            self.assertIn(line, daemon.cli("metrics"))

    def back_to_normal(self, daemon):
        start = time.monotonic()
        self.until("it takes jobs again", lambda: run(*daemon.command("add", "echo", '"again"', "--json"), status=None).startswith("{"), 60)
        print(f"back to normal {time.monotonic() - start:.1f} s after there was room", file=sys.stderr)
        self.until("the ballast is there again", lambda: os.path.exists(daemon.ballast) and os.stat(daemon.ballast).st_blocks * 512 >= BALLAST, 60)
        self.assertEqual(daemon.stats()["disk_full"], 0)

    def nothing_lost(self, daemon, acknowledged, gone=()):
        self.assertEqual(set(acknowledged) - {job["id"] for job in daemon.jobs()} - set(gone), set())

    def test_full_and_back(self):
        daemon = self.daemon()
        daemon.start()
        self.assertGreaterEqual(os.stat(daemon.ballast).st_blocks * 512, BALLAST)
        watched = self.path("watched")
        with open(watched, "wb") as out, subprocess.Popen(daemon.command("watch"), stdout=out) as watch:
            self.addCleanup(watch.kill)
            slow = daemon.add("slow")
            daemon.ended(slow, state="running")
            self.full_and_back(daemon, slow)
            watch.kill()
        told = read(watched)
        self.assertIn("disk_full  ", told)
        self.assertIn("nothing is added", told)
        self.assertIn("disk_full_over", told)
        daemon.stop()

    def full_and_back(self, daemon, slow):
        acknowledged = [daemon.add("echo", f'"{n}"', "--delay", "1h") for n in range(120)]
        self.fill(leave=1 << 20)
        said = self.until_full(daemon, acknowledged)
        self.assertIn("full", said)
        self.assertFalse(os.path.exists(daemon.ballast))
        self.assertEqual(daemon.stats()["disk_full"], 1)
        self.assertRegex(daemon.cli("stats"), "disk +full: new jobs are refused")
        self.works_while_full(daemon, acknowledged)
        daemon.ended(slow)  # its end is recorded on the full disk
        self.empty()
        self.back_to_normal(daemon)
        self.nothing_lost(daemon, acknowledged[80:])
        self.assertNotIn("disk ", daemon.cli("stats").replace("for the disk", ""))
        daemon.stop()
        daemon.start()
        self.nothing_lost(daemon, acknowledged[80:])

    def test_somebody_else_takes_the_ballast_too(self):
        daemon = self.daemon()
        daemon.start()
        acknowledged = [daemon.add("echo", f'"{n} {"p" * 1000}"', "--delay", "1h") for n in range(100)]
        slow = daemon.add("slow")
        daemon.ended(slow, state="running")
        self.fill()
        self.until_full(daemon, acknowledged)
        for _ in range(10):
            self.fill()
            time.sleep(0.1)
        self.assertEqual(len(daemon.json("list", "--limit", "50")["jobs"]), 50)
        self.assertEqual(daemon.job(acknowledged[0])["state"], "pending")
        self.assertIn("make room", daemon.cli("health", status=1))
        self.assertIn("full", daemon.cli("add", "echo", "1", status=None))
        for id in acknowledged[:20]:  # in the blocks that the log and the file keep for themselves
            daemon.cli("cancel", str(id))
            daemon.cli("rm", str(id))
        time.sleep(2)
        self.empty()
        self.back_to_normal(daemon)
        self.nothing_lost(daemon, acknowledged[20:])
        daemon.ended(slow)
        daemon.stop()

    def test_large_results_do_not_take_the_room_of_cancels(self):
        go, result = self.path("go"), write(self.path("result"), "r" * 80000)
        daemon = self.daemon()
        daemon.configure({"handlers": {"echo": {"exec": ["/bin/cat"]}, "big": {"exec": ["/bin/sh", "-c", f"until [ -e {go} ]; do sleep 0.1; done; cat {result}"]}},
                          "limits": {"ballast": f"{BALLAST >> 10}KiB"}})
        daemon.start()
        acknowledged = [daemon.add("echo", f'"{n}"', "--delay", "1h") for n in range(60)]
        big = [daemon.add("big") for _ in range(12)]
        self.until("they run", lambda: daemon.stats()["running"] == 12)
        self.fill()
        self.until_full(daemon, acknowledged, payload=20000)
        write(go, "")
        for n in range(24):
            daemon.cli("cancel", str(acknowledged[n]))
            daemon.cli("rm", str(acknowledged[30 + n]))
            time.sleep(0.1)
        self.empty()
        jobs = daemon.ended(*big)
        self.assertEqual({(job["attempts"], len(job["result"])) for job in jobs}, {(1, 80000)})
        self.back_to_normal(daemon)
        daemon.stop()

    def test_file_system_that_becomes_read_only(self):
        image, self.disk = self.path("image"), self.path("ext4")
        os.mkdir(self.disk)
        with open(image, "wb") as file:
            file.truncate(16 << 20)
        for command in (["mkfs.ext4", "-q", "-F", image], ["mount", "-o", "loop", image, self.disk]):
            if shutil.which(command[0]) is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
                self.skipTest(f"{command[0]} does not make a disk of a file here")
        self.addCleanup(lambda: run("umount", "-l", self.disk, status=None))
        daemon = self.daemon()
        daemon.start()
        acknowledged = [daemon.add("echo", f'"{n} {"p" * 1000}"', "--delay", "1h") for n in range(100)]
        slow = daemon.add("slow")
        daemon.ended(slow, state="running")
        run("mount", "-o", "remount,abort", self.disk)  # as the kernel does after an error
        for _ in range(3):
            self.assertIn("read-only", daemon.cli("add", "echo", "1", status=5))
            self.assertIn("read-only", daemon.cli("cancel", str(acknowledged[0]), status=5))
            self.nothing_lost(daemon, acknowledged)
            self.assertEqual(daemon.job(acknowledged[7])["state"], "pending")
            self.assertEqual(daemon.stats()["disk_full"], 3)
            self.assertRegex(daemon.cli("stats"), "disk +the file system is read-only")
            self.assertIn("read-only", daemon.cli("why", str(acknowledged[0])))
            self.assertIn("read-only", daemon.cli("health", status=1))
            self.assertIn("holdfast_disk_full 3", daemon.cli("metrics"))
            time.sleep(1.5)
        daemon.logged("file_system_read_only")
        daemon.stop()
        run("umount", self.disk)
        run("e2fsck", "-p", image, status=None)
        run("mount", "-o", "loop", image, self.disk)
        daemon.start()
        self.nothing_lost(daemon, acknowledged)
        self.assertEqual(daemon.stats()["disk_full"], 0)
        daemon.cli("cancel", str(acknowledged[0]))
        daemon.ended(slow)
        daemon.stop()

    def test_started_on_a_full_disk(self):
        daemon = self.daemon()
        daemon.start()
        acknowledged = [daemon.add("echo", f'"{n} {"p" * 1000}"', "--delay", "1h") for n in range(100)]
        for ended in (daemon.stop, daemon.kill):
            ended()
            self.fill()
            daemon.start()
            self.assertEqual(daemon.job(acknowledged[3])["state"], "pending")
            self.assertIn("full", daemon.cli("add", "echo", json.dumps("p" * 100000), status=None) + str(daemon.stats()["disk_full"] or "full"))
            self.empty()
            self.back_to_normal(daemon)
        self.nothing_lost(daemon, acknowledged)
        daemon.stop()


if __name__ == "__main__":
    need("unshare", "mount")
    # What is mounted is seen by this script and its children alone, and goes with them.
    if not in_namespaces("-m", "mount -t tmpfs -o size=64k tmpfs /mnt", as_root_of_a_user=False):
        skip("no mount is allowed here")
    main()
