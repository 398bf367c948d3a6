"""Takes an update through the controller's own receiver, without a line: from one start of the controller to the next.

Prints what the starter chose, and how far it went. Folder `new` of the host, COMPANION_NEW, has the program.
"""

import binascii
import os
import sys

import flash


def start():
    """Be switched on: choose, and return the receiver and interlock of the program that runs."""
    import starter

    slot, digest, trial = starter.choose()
    sys.path.insert(0, "a")  # both programs of these tests are run by the modules of the first
    from interlock import Interlock
    from receiver import Receiver

    print("start", slot, digest, int(trial))
    interlock = Interlock(0)
    interlock.hello(0)
    receiver = Receiver(slot, digest, trial, 100, lambda: None)
    receiver.watch(True, False, 0)
    return receiver, interlock


def send(receiver, interlock):
    """Send everything, ask for the restart."""
    import starter
    from lines import LineError

    folder = os.getenv("COMPANION_NEW")
    digest = starter.hash_file(folder + "/manifest")

    def say(command, *words):
        return receiver.take(command, words, interlock, 200)

    if say("update", digest) != "have":
        names = sorted(entry[0] for entry in os.ilistdir(folder) if entry[0] not in (".", "..", "manifest"))
        for name in names + ["manifest"]:  # noqa: RUF005 - MicroPython unpacks in calls only
            with open(folder + "/" + name, "rb") as file:
                data = file.read()
            if say("file", name, str(len(data)), starter.hash_file(folder + "/" + name)) == "have":
                print("have", name)
                continue
            for at in range(0, len(data), 120):
                piece = binascii.b2a_base64(data[at : at + 120])[:-1].decode()
                say("piece", str(at), piece)
                try:
                    say("piece", str(at), piece)
                    raise AssertionError("taken twice")
                except LineError:
                    pass
            print("sent", name)
    say("finish", digest)
    say("restart")
    assert receiver.ended(0)


def run():
    """One life of the controller and the next; the power may go at any write."""
    flash.mount()
    receiver, interlock = start()
    if "trial=1" not in receiver.take("slot", (), interlock, 0):
        send(receiver, interlock)
        receiver, interlock = start()
    receiver.take("keep", (), interlock, 0)
    receiver.take("keep", (), interlock, 0)
    print("kept")
