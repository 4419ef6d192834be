#!/usr/bin/env python3
"""What a job costs does not depend on how many queues, keys and jobs there are beside it: instructions, counted."""
import os
import sys
import tempfile

from run import Bench

MOST = 1.3


def main():
    with tempfile.TemporaryDirectory() as folder:
        figures = Bench(os.environ["BUILD"], folder).crowded(20000, 200, 200, 1200)
    if not figures:
        return 77  # no valgrind
    print(figures)
    return 1 if max(figures.values()) > MOST else 0


if __name__ == "__main__":
    sys.exit(main())
