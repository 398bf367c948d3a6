"""Crash at every step: a sample of what `make soak` does in full, and proof that the harness sees what is broken."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.soak.crash import __main__ as crash
from tools.soak.crash import faults, points, trace
from tools.soak.crash.faults import Fault
from tools.soak.crash.model import Disk, Snapshot
from tools.soak.crash.trace import Call, TraceError, parse, strace

# --- The tracer's lines -----------------------------------------------------------------------------------------------


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


A = hexed("/a/b")


def test_lines_of_the_tracer() -> None:
    lines = [
        f'7 openat(AT_FDCWD<{A}>, "{A}", O_WRONLY|O_CREAT|O_EXCL, 0600) = 5<{A}>',
        f'7 openat(AT_FDCWD<{A}>, "{A}", O_WRONLY) = -1 ENOENT (No such file or directory)',
        f'7 writev(5<{A}>, [{{iov_base="\\x01\\x02", iov_len=2}}, {{iov_base="\\x03", iov_len=1}}], 2) = 3',
        f"7 fdatasync(5<{A}> <unfinished ...>",
        '8 write(1<\\x70>, "\\x4b\\x0a", 2) = 2',
        "7 <... fdatasync resumed>)              = 0",
        f'7 pwrite64(5<{A}>(deleted), "\\x00\\x00", 2, 4096) = 2',
        f'7 rename("{A}", "{hexed("/a/c")}") = 0',
        f"7 fallocate(5<{A}>, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 2) = 0",
        f"7 ftruncate(5<{A}>, 7) = 0",
        f'7 unlink("{A}") = 0',
        "7 +++ exited with 0 +++",
        "7 --- SIGCHLD {si_signo=SIGCHLD} ---",
    ]
    assert list(parse(lines)) == [
        Call("openat", ("/a/b",), 5, flags=", O_WRONLY|O_CREAT|O_EXCL, 0600)"),
        Call("writev", fd=5, data=b"\1\2\3", size=3),
        Call("write", fd=1, data=b"K\n", size=2),
        Call("fdatasync", fd=5),
        Call("pwrite64", fd=5, data=b"\0\0", offset=4096, size=2),
        Call("rename", ("/a/b", "/a/c")),
        Call("fallocate", fd=5, offset=0, size=2, flags="FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE"),
        Call("ftruncate", fd=5, size=7),
        Call("unlink", ("/a/b",)),
    ]


def test_a_short_write_is_as_long_as_it_was() -> None:
    (call,) = parse([f'7 writev(5<{A}>, [{{iov_base="\\x01\\x02\\x03", iov_len=3}}], 1) = 2'])
    assert call.data == b"\1\2"


def test_a_call_that_the_model_does_not_know() -> None:
    with pytest.raises(TraceError, match="linkat"):
        list(parse([f'7 linkat(AT_FDCWD, "{A}", AT_FDCWD, "{A}", 0) = 0']))


# --- The model of the disk --------------------------------------------------------------------------------------------


def states(disk: Disk, seed: int = 1) -> list[Snapshot]:
    return [files for _name, files in disk.states(random.Random(seed), 20)]


def opened(disk: Disk, name: str, fd: int, flags: str = "O_WRONLY|O_CREAT") -> None:
    disk.take(Call("openat", (f"/base/{name}",), fd, flags=flags))


def test_what_is_synced_is_there_and_nothing_else_is_sure() -> None:
    disk = Disk("/base", {"old": b"old"})
    assert states(disk) == [{"old": b"old"}]
    opened(disk, "new", 3)
    disk.take(Call("write", fd=3, data=b"x" * 9000, size=9000))
    found = states(disk)
    assert {"old": b"old"} in found
    assert {"old": b"old", "new": b""} in found
    assert {"old": b"old", "new": b"x" * 9000} in found
    assert {"old": b"old", "new": bytes(9000)} in found
    assert any(files.get("new") == b"x" * 4096 + bytes(4904) for files in found), "torn pages"
    assert any(0 < len(files.get("new", b"")) < 9000 for files in found), "cut anywhere"
    disk.take(Call("fdatasync", fd=3))
    assert {"old": b"old"} in states(disk), "the name is not durable yet"
    assert all(files.get("new", b"x" * 9000) == b"x" * 9000 for files in states(disk))
    opened(disk, "", 4, "O_RDONLY|O_DIRECTORY")
    disk.take(Call("fsync", fd=4))
    assert states(disk) == [{"old": b"old", "new": b"x" * 9000}]


def test_a_rename_is_whole_or_not_at_all() -> None:
    disk = Disk("/base", {"a": b"1", "b": b"2"})
    disk.take(Call("rename", ("/base/a", "/base/b")))
    assert sorted(map(sorted, states(disk))) == [["a", "b"], ["b"]]
    assert {"b": b"1"} in states(disk)


def test_what_was_overwritten_may_be_the_old_or_the_new() -> None:
    disk = Disk("/base", {"a": b"1" * 5000})
    opened(disk, "a", 3, "O_WRONLY")
    disk.take(Call("pwrite64", fd=3, data=bytes(5000), size=5000))
    found = {files["a"] for files in states(disk)}
    assert {b"1" * 5000, bytes(5000)} <= found
    disk.take(Call("unlink", ("/base/a",)))
    assert {} in states(disk)
    assert any("a" in files for files in states(disk))


@given(st.lists(st.tuples(st.sampled_from("wsdr"), st.integers(0, 3)), max_size=25), st.integers(0, 99))
def test_whatever_was_synced_is_in_every_state(steps: list[tuple[str, int]], seed: int) -> None:
    """Files are only appended to: all that a sync covered, name and data, stands at the beginning in every state."""
    disk = Disk("/base", {})
    current = ["", "", "", ""]
    data_synced, sure = ["", "", "", ""], ["", "", "", ""]
    named = [False] * 4
    for step, number in steps:
        if not current[number] and step != "d":
            opened(disk, f"f{number}", number + 3)
        match step:
            case "w" | "r":
                disk.take(Call("write", fd=number + 3, data=b"x" * 3000, size=3000))
                current[number] += "x" * 3000
            case "s" if current[number]:
                disk.take(Call("fsync", fd=number + 3))
                data_synced[number] = current[number]
            case "d":
                opened(disk, "", 30, "O_DIRECTORY")
                disk.take(Call("fsync", fd=30))
                named = [bool(text) for text in current]
        sure = [text if is_named else "" for text, is_named in zip(data_synced, named, strict=True)]
    for files in states(disk, seed):
        for index, text in enumerate(sure):
            assert files.get(f"f{index}", b"").startswith(text.encode())


def test_what_the_model_cannot_follow_is_refused() -> None:
    disk = Disk("/base", {"a": b"1"})
    opened(disk, "a", 3, "O_WRONLY")
    with pytest.raises(TraceError, match="fallocate"):
        disk.take(Call("fallocate", fd=3, size=5, flags="0"))
    opened(disk, "", 4, "O_DIRECTORY")
    with pytest.raises(TraceError, match="on the directory"):
        disk.take(Call("write", fd=4, data=b"x", size=1))


# --- A sample of it all -----------------------------------------------------------------------------------------------


def test_crash_points(tmp_path: Path) -> None:
    outcome = points.run_points(tmp_path, seed=7, most=200, writer_options=("--seconds", "0.8"))
    assert outcome.broken == []
    assert outcome.points >= 60
    assert outcome.worst_loss_s < 1
    assert {"everything", "lengths without data", "nothing that was not synced"} <= set(outcome.kinds)


@pytest.mark.parametrize("left_out", ["fdatasync", "fsync"])
def test_a_recorder_that_does_not_sync_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    """The harness itself can fail."""
    record = trace.record

    def forgetful(*arguments: Path | str) -> list[Call]:
        return [call for call in record(*arguments) if call.name != left_out]  # type: ignore[arg-type]

    monkeypatch.setattr(points, "record", forgetful)
    outcome = points.run_points(tmp_path, seed=7, most=60, writer_options=("--seconds", "0.2"), variants=1)
    assert outcome.broken
    assert any("was reported durable and is not there" in line for line in outcome.broken)


def kill(call: str, when: int, base: Path) -> Fault:
    return Fault("killed", faults._inject(base, call, f"signal=KILL:when={when}"))


def error(name: str, call: str, when: int, base: Path) -> Fault:
    return Fault(name, faults._inject(base, call, f"error={name}:when={when}"))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (partial(kill, "writev", 20), "ended by signal 9"),
        (partial(kill, "rename", 2), "ended by signal 9"),
        (partial(error, "EIO", "fdatasync", 15), "Input/output error"),
        (partial(error, "ENOSPC", "writev", 12), "no room is left on the medium"),
        (lambda base: next(faults.short(random.Random(3))), "File too large"),
    ],
    ids=["killed at a write", "killed at a rename", "EIO from a sync", "ENOSPC from a write", "a short write"],
)
def test_faults(tmp_path: Path, make: Callable[[Path], Fault], says: str) -> None:
    result = faults.apply(tmp_path / "work", make)
    assert result.broken == ""
    assert says in result.said


def test_the_page_tells_what_was_found(tmp_path: Path) -> None:
    outcome = points.Outcome(calls=5, points=9, kinds={"everything": points.Tally(9, 2)}, worst_loss_s=0.25)
    outcome.broken.append("call 3 (writev), everything: gone")
    result = faults.Result("EIO from writev number 5 on", f"{tmp_path}/x: the medium refused", 3, "lost")
    text = crash.page(outcome, [result])
    assert "| everything | 9 | 2 | 1 |" in text
    assert "**9 crash points**, after each of 5 write-side calls" in text
    assert "| EIO from writev, lasting | 1 | ... the medium refused | 1 |" in text
    assert str(tmp_path) not in text


def test_without_a_tracer_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TraceError, match="strace is not installed"):
        strace()
    assert crash.main(["--points", "1"]) == 2
    assert "strace is not installed: apt install strace" in capsys.readouterr().err
