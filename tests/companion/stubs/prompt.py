"""What stands behind MicroPython's raw prompt: runs code that comes in on stdin, and says what it printed.

Each piece comes as its length in decimal digits, an end of line, and the code. Its output is answered, then 0x04, the
text of what it raised, 0x04.
"""

import io
import sys

import flash


class _Machine:
    @staticmethod
    def reset():
        sys.exit(76)


def run():
    flash.mount()
    sys.modules["machine"] = _Machine
    names = {"__name__": "__main__"}
    source = sys.stdin.buffer
    while True:
        length = source.readline()
        if not length:
            return
        text = io.StringIO()
        try:
            exec(source.read(int(length)), names)  # noqa: S102 - that is what a prompt is
        except Exception as error:  # noqa: BLE001 - and so is this
            sys.print_exception(error, text)
        sys.stdout.buffer.write(b"\x04" + text.getvalue().encode() + b"\x04")
