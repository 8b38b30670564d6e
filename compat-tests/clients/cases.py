"""Runs the cases of one client script, reports every failure, and ends with the line the suite counts.

A case is a function marked with @case. It asserts; nothing here swallows what it raises.
"""

import os
import sys
import traceback

ENDPOINT = os.environ["COMPAT_ENDPOINT"]
ACCESS_KEY = os.environ["COMPAT_ACCESS_KEY"]
SECRET_KEY = os.environ["COMPAT_SECRET_KEY"]

MIB = 1024 * 1024

_cases = []


def case(function):
    """Marks a function as a case; cases run in the order they are written."""
    _cases.append(function)
    return function


def data(seed, length):
    """Bytes that differ by seed and do not repeat within a part."""
    import hashlib

    out = bytearray()
    number = 0
    while len(out) < length:
        block = hashlib.sha256(b"%d/%d" % (seed, number)).digest()
        out += block * 32
        number += 1
    return bytes(out[:length])


def equal(left, right, what="value"):
    """Demands equality without printing megabytes."""
    if left != right:
        raise AssertionError(f"{what}: {_short(left)} is not {_short(right)}")


def _short(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:150]}… ({len(value)} long)"


def main():
    wanted = sys.argv[1:]
    failed = []
    ran = 0
    for function in _cases:
        if wanted and function.__name__ not in wanted:
            continue
        ran += 1
        try:
            function()
            print(f"ok {function.__name__}", flush=True)
        except Exception:
            failed.append(function.__name__)
            print(f"FAILED {function.__name__}", flush=True)
            traceback.print_exc()
    print(f"cases: {ran - len(failed)} passed, {len(failed)} failed {failed}", flush=True)
    sys.exit(1 if failed or not ran else 0)
