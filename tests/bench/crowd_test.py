#!/usr/bin/env python3
"""What a job costs does not depend on how many queues, keys and jobs there are beside it: instructions, counted."""
import sys
import tempfile

sys.dont_write_bytecode = True

import pending
from programs import Bench

MOST = 1.3


def main():
    with tempfile.TemporaryDirectory() as folder:
        figures = pending.in_queues(Bench(sys.argv[1], folder), 20000, 200, 200, 600)
    if not figures:
        return 77  # no valgrind
    print(figures)
    return 1 if max(figures.values()) > MOST else 0


if __name__ == "__main__":
    sys.exit(main())
