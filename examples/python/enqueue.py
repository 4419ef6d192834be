#!/usr/bin/env python3
"""A job from Python, without a binding: ctypes and the C API.

    python3 enqueue.py libholdfast.so queue.db

Only the file is opened here; what runs the job may be another program later, or the daemon. A struct of the C API
begins with its size, so it is enough to declare the fields up to the last one that is used.
"""
import ctypes
import sys

HF_OK = 0


class JobSpec(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("type", ctypes.c_char_p),
        ("payload", ctypes.c_char_p),
        ("payload_len", ctypes.c_size_t),
        ("queue", ctypes.c_char_p),
        ("priority", ctypes.c_int),
        ("delay_ms", ctypes.c_int64),
    ]


class JobInfo(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("owned", ctypes.c_void_p),
        ("id", ctypes.c_int64),
        ("state", ctypes.c_int),
        ("attempts", ctypes.c_int),
        ("max_attempts", ctypes.c_int),
        ("priority", ctypes.c_int),
        ("delivering", ctypes.c_int),
        ("progress", ctypes.c_int),
        ("created_unix_ms", ctypes.c_int64),
        ("due_unix_ms", ctypes.c_int64),
        ("finished_unix_ms", ctypes.c_int64),
        ("occurrence_unix_ms", ctypes.c_int64),
        ("type", ctypes.c_char_p),
        ("queue", ctypes.c_char_p),
        ("sink", ctypes.c_char_p),
        ("tags", ctypes.c_char_p),
        ("schedule", ctypes.c_char_p),
        ("key", ctypes.c_char_p),
        ("error", ctypes.c_char_p),
        ("payload", ctypes.c_void_p),
        ("payload_len", ctypes.c_size_t),
    ]


class Holdfast:
    def __init__(self, library, path):
        self.hf = hf = ctypes.CDLL(library)
        hf.hf_strerror.restype = ctypes.c_char_p
        hf.hf_errmsg.restype = ctypes.c_char_p
        hf.hf_errmsg.argtypes = [ctypes.c_void_p]
        hf.hf_open.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
        hf.hf_close.argtypes = [ctypes.c_void_p]
        hf.hf_enqueue.argtypes = [ctypes.c_void_p, ctypes.POINTER(JobSpec), ctypes.POINTER(ctypes.c_int64)]
        hf.hf_get.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.POINTER(JobInfo)]
        hf.hf_job_info_free.argtypes = [ctypes.POINTER(JobInfo)]
        hf.hf_job_info_free.restype = None
        self.engine = ctypes.c_void_p()
        self.check(hf.hf_open(path.encode(), None, ctypes.byref(self.engine)))

    def check(self, code):
        if code != HF_OK:
            text, detail = self.hf.hf_strerror(code).decode(), self.hf.hf_errmsg(self.engine).decode()
            raise RuntimeError(f"{text}: {detail}")

    def enqueue(self, type, payload, priority=0):
        spec = JobSpec(ctypes.sizeof(JobSpec), type.encode(), payload, len(payload), None, priority)
        id = ctypes.c_int64()
        self.check(self.hf.hf_enqueue(self.engine, ctypes.byref(spec), ctypes.byref(id)))
        return id.value

    def get(self, id):
        info = JobInfo(ctypes.sizeof(JobInfo))
        self.check(self.hf.hf_get(self.engine, id, ctypes.byref(info)))
        try:
            return info.type.decode(), info.priority, ctypes.string_at(info.payload, info.payload_len)
        finally:
            self.hf.hf_job_info_free(ctypes.byref(info))

    def close(self):
        self.check(self.hf.hf_close(self.engine))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    queue = Holdfast(sys.argv[1], sys.argv[2])
    payload = b"bytes, \x00 also"
    id = queue.enqueue("measure", payload, priority=7)
    read = queue.get(id)
    print(f"job {id}: {read}")
    queue.close()
    return 0 if read == ("measure", 7, payload) else 1


if __name__ == "__main__":
    sys.exit(main())
