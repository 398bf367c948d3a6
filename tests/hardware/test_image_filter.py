"""The packet filter of the image, in a kernel: two network namespaces with a cable for the air between them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RULES = Path(__file__).resolve().parents[2] / "hardware" / "image" / "root" / "etc" / "nftables.conf"
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
OUT = {"tcp": [8883, 443], "udp": [53, 67, 123]}
"""The broker, and what a network needs: names, an address, the time."""
IN = {"tcp": [22, 8443, 8883], "udp": [53, 68, 546, 5353]}
"""What may answer on the dock's link alone, or not at all."""
NETWORK = """
import json, socket, subprocess, sys, threading

RULES, LINK, OUT, IN = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])

def serve(ports):
    for kind, numbers in ports.items():
        for number in numbers:
            made = socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
            made.bind(("", number))
            if kind == "tcp":
                made.listen()
            threading.Thread(target=answer, args=(kind, made), daemon=True).start()

def answer(kind, made):
    while True:
        if kind == "tcp":
            made.accept()[0].sendall(b"yes")
        else:
            made.sendto(b"yes", made.recvfrom(99)[1])

def ask(host, ports, limit_s):
    found = []
    for kind, numbers in ports.items():
        for number in numbers:
            made = socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
            made.settimeout(limit_s)
            try:
                made.connect((host, number))
                made.send(b"?")
                made.recv(3)
                found.append([kind, number])
            except OSError:
                pass
    return found

def run(*words):
    subprocess.run(words, check=True)

if LINK == "peer":
    serve(OUT)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(ask("10.9.0.2", IN, 0.25)), flush=True)
else:
    peer = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; read x; ip link set lo up; "
        "ip addr add 10.9.0.1/24 dev peer; ip link set peer up; exec \\"$@\\"", "sh", sys.executable, __file__, RULES,
        "peer", *sys.argv[3:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    peer.stdout.readline()  # it has a namespace of its own
    run("ip", "link", "add", LINK, "type", "veth", "peer", "name", "peer", "netns", str(peer.pid))
    run("ip", "addr", "add", "10.9.0.2/24", "dev", LINK)
    run("ip", "link", "set", LINK, "up")
    run("nft", "-f", RULES)
    serve(IN)
    peer.stdin.write("go\\n")
    peer.stdin.flush()
    peer.stdout.readline()
    out = ask("10.9.0.1", OUT, 0.25 if LINK == "usb0" else 5)
    peer.stdin.write("go\\n")
    peer.stdin.flush()
    print(json.dumps({"out": out, "in": json.loads(peer.stdout.readline())}))
"""


@pytest.mark.parametrize(
    ("link", "goes_out", "comes_in"),
    [
        ("wlan0", [["tcp", 8883], ["tcp", 443], ["udp", 53], ["udp", 67], ["udp", 123]], []),
        ("usb0", [], [["tcp", 8443], ["udp", 5353]]),
    ],
)
def test_wifi_lets_out_what_live_view_needs_and_nothing_in(
    tmp_path: Path, link: str, goes_out: list[object], comes_in: list[object]
) -> None:
    may = ["unshare", "-rn", "true"]
    if shutil.which("nft", path=PATH) is None or subprocess.run(may, check=False, capture_output=True).returncode:
        pytest.skip("nft, or the right to a network namespace, is not on this machine")
    program = tmp_path / "network.py"
    program.write_text(NETWORK)
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, str(program), str(RULES), link, json.dumps(OUT), json.dumps(IN)],
        capture_output=True, text=True, check=False, timeout=60, env={**os.environ, "PATH": PATH},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"out": goes_out, "in": comes_in}
