#!/usr/bin/env python3
"""A damaged queue file, as the person who looks after the device meets it."""
import os
import shutil
import sqlite3

from harness import Case, Daemon, main, need


def flip_a_job_row(path, payload):
    """Spoils the page with this payload: one of jobs."""
    with open(path, "r+b") as file:
        content = file.read()
        page = content.index(payload) // 1024 * 1024
        file.seek(page)
        file.write(b"\xff" * 1024)


class Damage(Case):
    def full(self):
        daemon = Daemon(self, {"handlers": {"echo": {"exec": ["cat"]}}})
        daemon.start()
        self.ids = [daemon.add("echo", f'"job {i} {"p" * 200}"', "--delay", "1h") for i in range(60)]
        daemon.stop()
        return daemon

    def test_check_finds_heals_and_says_what_to_do(self):
        daemon = self.full()
        flip_a_job_row(daemon.database, b"job 30 ")
        daemon.start()  # it was closed cleanly: nothing is read, nothing is noticed
        said = daemon.cli("check", status=1)
        self.assertIn(f"the file was damaged: {daemon.database}\n", said)
        self.assertRegex(said, r"It was healed: \d+ jobs saved, [1-9]\d* or more lost\.")  # it is in use: what ran would be in no index
        self.assertIn(daemon.database + ".bad-1", said)
        self.assertIn("What to do:", said)
        said = daemon.cli("check")
        self.assertIn("the file is sound: ", said)
        self.assertIn(daemon.database + ".bad-1", said)
        stats = daemon.stats()
        self.assertEqual(stats["pending"] + stats["salvage_lost_jobs"], 60)
        self.assertGreater(stats["pending"], 50)
        health = daemon.cli("health")
        self.assertIn("See to the storage", health)
        daemon.stop()

    def test_a_sound_file(self):
        daemon = self.full()
        daemon.start()
        self.assertEqual(daemon.cli("check"), f"the file is sound: {daemon.database}\n")
        daemon.stop()

    def test_a_backup_over_a_file_in_use_leaves_the_old_log_alone(self):
        daemon = self.full()
        daemon.start()
        backup = self.path("backup.db")
        daemon.cli("backup", backup)
        with sqlite3.connect(backup) as file:
            self.assertEqual(file.execute("PRAGMA integrity_check").fetchone()[0], "ok")
            self.assertEqual(file.execute("SELECT value FROM meta WHERE key='clean'").fetchone()[0], 2)
        for _ in range(20):
            daemon.add("echo", '"later"', "--delay", "1h")
        daemon.kill()
        shutil.copy(backup, daemon.database)  # whoever does this forgets the log
        daemon.start()
        daemon.logged("the log beside the file is of another database")
        self.assertEqual(daemon.stats()["pending"], 60)
        daemon.stop()

    def test_the_log_is_gone(self):
        daemon = self.full()
        daemon.start()
        for _ in range(3):
            daemon.add("echo", '"later"', "--delay", "1h")
        daemon.kill()
        # As checkpointed: the file knows that it was in use.
        with sqlite3.connect(daemon.database) as file:
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        file.close()
        if os.path.exists(daemon.database + "-wal"):
            os.remove(daemon.database + "-wal")
        daemon.start()
        daemon.logged("log_missing")
        stats = daemon.stats()
        self.assertEqual((stats["pending"], stats["log_losses_total"]), (63, 1))
        self.assertGreater(daemon.add("echo", "1"), max(self.ids) + 100000)
        self.assertIn("the log beside the file was lost", daemon.cli("health"))
        daemon.stop()


if __name__ == "__main__":
    need()
    main()
