"""Programs that do not solve their task and try to pass its tests, or to end the run that tests them."""

from resources.sandbox.sandbox import SandboxLimits, SandboxResult, run_code

WRONG = "def double(n):\n    return 0\n"
TESTS = "expected = 8\nassert double(4) == expected\nassert double(0) == 0\n"


def run_forgery(code: str) -> SandboxResult:
    """Run such a program with `TESTS`."""
    return run_code(code, TESTS, SandboxLimits(seconds=5), ["numpy"], entry_point="double" if "double" in code else "")


FRAMES = """
import sys, os, json
frame = sys._getframe()
while frame:
    for value in list(frame.f_locals.values()):
        if isinstance(value, dict) and "status" in value:
            os.write(value["status"], b'["finished", ""]\\n')
    frame = frame.f_back
"""
EVERY_DESCRIPTOR = """
import os
for descriptor in range(64):
    try:
        os.write(descriptor, b'["finished", ""]\\n')
    except OSError:
        pass
os._exit(0)
"""
# Asks the tests' process to make a class whose comparison is the code's.
MAKES_A_CLASS = """
import sys
frame = sys._getframe()
while "connection" not in frame.f_locals:
    frame = frame.f_back
connection = frame.f_locals["connection"]
def double(n):
    nodes = [["list", [[1], "Equal", [2], [4], {}]], ["builtin", "type"], ["tuple", [[3]]], ["builtin", "int"],
             ["dict", ["__eq__", [5]]], ["remote", 99], ["dict", []]]
    nodes[0][1][4] = [6]
    connection.send("call", [[0], nodes])
    return connection.result("call", [])
"""
READS_EXPECTED = """
import gc, sys
def double(n):
    frame = sys._getframe()
    while frame:
        for names in (frame.f_locals, frame.f_globals):
            if "expected" in names:
                return names["expected"]
        frame = frame.f_back
    return next((o["expected"] for o in gc.get_objects() if isinstance(o, dict) and "expected" in o), 0)
"""


def equal_to_all(base: str) -> str:
    methods = ("eq", "ne", "le", "ge", "lt", "gt", "contains", "instancecheck")
    lines = [f"    def __{name}__(self, other): return {name != 'ne'}" for name in methods]
    return "\n".join([f"class Equal({base}):", *lines, "    __hash__ = None", "def double(n): return Equal()"])


FORGED = (
    *(equal_to_all(base) for base in ("object", "int", "float", "str", "list", "dict", "tuple")),
    equal_to_all("int") + "\nwrap = double\ndef double(n): return [wrap(n)][0]",
    equal_to_all("int") + "\nEqual.__class__ = property(lambda self: int)",
    *(WRONG + FRAMES, WRONG + EVERY_DESCRIPTOR, MAKES_A_CLASS, READS_EXPECTED),
    WRONG + "import json\nold = json.dumps\njson.dumps = lambda one, **named: old(['finished', ''])",
    WRONG + 'import os\nold = os.write\nos.write = lambda fd, data: old(fd, b\'["finished", ""]\\n\')',
    WRONG + "import builtins\nbuiltins.AssertionError = ValueError\nbuiltins.exec = builtins.compile = print",
    "def double(n): return type('E', (), {'__eq__': lambda *_: True})",
    *(f"def double(n): raise {error}" for error in ("StopIteration", "GeneratorExit", "SystemExit(0)", "Exception")),
    "import os\ndef double(n): os._exit(0)",
    "import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit(0)",
)
"""They end with an error or are killed."""

WRITTEN = (
    *(r"b'[' * 60_000 + b'\n'", r"b'\xff\n'", r"b'x' * 10**6 + b'\n'", r"b'x' * 10**6", r"b'1' * 9999 + b'\n'"),
    *("""b'["returned", [[0], []]]\\n'""", """b'["raised", [[0], [["list", [1]]]]]\\n'"""),
    *("""b'["returned", [[0], [["list", ["\\\\ud800"]]]]]\\n'""", """b'["call", 1]\\n'"""),
)
"""What programs write to every descriptor that they have, as expressions."""


def writes_everywhere(written: str) -> str:
    """A program that writes the value of this expression to all its descriptors."""
    writes = f"    try: os.write(descriptor, {written})\n    except OSError: pass"
    return f"import os\nfor descriptor in range(3, 64):\n{writes}\n{WRONG}"


HUGE = {
    "return 'x' * 3 * 10**8": "no_memory",
    "return 10**100_000": "error",
    "x = ()\n    for _ in range(50_000): x = (x,)\n    return x": "error",
    "x = (8,)\n    for _ in range(40): x = (x, x)\n    return x": "error",
    "os.closerange(3, 64)\n    time.sleep(60)": "killed",
    "os.write(next(fd for fd in range(3, 64) if stat.S_ISSOCK(os.fstat(fd).st_mode)), b'x' * 10**6)": "error",
}
"""Bodies of `double` whose answer is more than a process can take, and how each ends."""


def with_body(body: str) -> str:
    """A program whose function has this body."""
    return f"import os, stat, time\ndef double(n):\n    {body}"


HOSTILE = (*FORGED, *map(writes_everywhere, WRITTEN), *map(with_body, HUGE))
