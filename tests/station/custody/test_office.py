"""A station in a folder, from the command line; its signing key in a file or in a token; bundles and their script."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from station.authority import Authority, load_authority, new_authority, new_key
from station.bundle import verify as script
from station.bundle.bundle import Disclosure, Papers, make_bundle
from station.cli import app
from station.dock.status_page import StatusPage
from station.errors import StationError
from station.figures.figures import HEADER, FigureRow, figures
from station.keys import load_station_key
from station.office import load_office_settings, make_office
from station.opener import FileKeyOpener
from station.signing import open_signer, write_new_signing_key
from storage.errors import KeyFileError
from storage.keyfiles import device_id, encode_device_key, load_signing_key
from storage.signer import MemorySigner
from tests.dock.kit import Docked, Pki
from tests.firmware.policies import make_policy
from tests.storage.kit import EPOCH_NS, INIT, Device, media_bytes

RECORDING = (b"R" * 16).hex()
GIVEN = Disclosure("E. Beheer (E300)", "mr. X <x@example.org>", "verzoek & <b>grond</b>", "b")


@dataclass
class Desk:
    """A station's folder and what somebody types."""

    base: Path

    def run(self, *arguments: str, who: str = "", status: int = 0) -> str:
        more = ["--station", str(self.base / "station")]
        if who:
            more += ["--as", who, "--password-file", str(self.base / "password")]
        done = CliRunner().invoke(app, [*arguments, *more])
        if isinstance(done.exception, StationError | KeyFileError):
            assert status == 2, done.exception
            return str(done.exception)
        assert done.exit_code == status, (done.output, done.exception)
        return done.output


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    for name, text in (("password", "correct horse battery\n"), ("empty", "\n")):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(text)
    done = CliRunner().invoke(
        app, ["office", "init", str(tmp_path / "station"), "--passphrase-file", str(tmp_path / "empty")]
    )
    assert done.exit_code == 0, done.output
    for number, role in (
        ("E1", "evidence-manager"),
        ("E2", "evidence-manager"),
        ("P1", "officer"),
        ("T1", "technician"),
    ):
        made.run("people", "add", number, "--name", "Somebody", "--role", role,
                 "--password-file", str(tmp_path / "password"))  # fmt: skip
    return made


def filled(desk: Desk) -> Device:
    device = Device(desk.base / "device", load_station_key(desk.base / "station" / "station.key"))
    device.shift()
    (desk.base / "device.pub").write_bytes(encode_device_key(device.identity))
    number = desk.run("device", "add", str(desk.base / "device.pub"), "--name", "one", who="T1").strip()
    desk.run("device", "assign", number, "P1", who="T1")
    from station.office import Office

    with Office(desk.base / "station", lambda _prompt: b"", lambda: EPOCH_NS + 10**12) as office:
        for segment in sorted((device.flash / "segments").iterdir()):
            copy = desk.base / "copy"
            shutil.copyfile(segment, copy)
            office.intake.take(bytes.fromhex(number), int(segment.stem), copy)
    return device


def test_a_shift_is_reviewed_from_the_command_line(desk: Desk) -> None:
    filled(desk)
    assert "one  enrolled; seen up to segment 4" in desk.run("device", "list", who="T1")
    assert "devices are a technician's" in desk.run("device", "list", who="E1", status=2)
    assert RECORDING in desk.run("review", "list", who="E1")
    desk.run("review", "keep", RECORDING, "--purpose", "b", "--reason", "case 12", who="E1")
    assert "due" in desk.run("review", "extend", RECORDING, "--days", "90", "--reason", "case 12", who="E1")
    out = desk.base / "view.mp4"
    desk.run("review", "view", RECORDING, "--reason", "case 12", "--output", str(out), who="E1")
    assert out.read_bytes().startswith(INIT)
    assert out.stat().st_mode & 0o777 == 0o600
    assert "refused" in desk.run(
        "review", "view", RECORDING, "--reason", "x", "--output", str(desk.base / "no.mp4"), who="T1", status=2
    )
    assert not (desk.base / "no.mp4").exists()
    assert "none of destroy" in desk.run("review", "request", "burn", RECORDING, "--reason", "x", who="E1", status=2)
    text = desk.run("review", "request", "destroy", RECORDING, "--reason", "wrong camera", who="E1")
    assert "Dry run" in text
    assert RECORDING in text
    number = text.split("request ")[1].split(":")[0]
    desk.run("review", "approve", number, who="E2")
    assert "destroyed: 1" in desk.run("review", "destroy", number, who="E1")
    assert "destroyed" in desk.run("review", "list", who="E1")
    assert "unit,week" in desk.run("review", "figures", "--unit", "Demo", who="E1")
    assert "nothing of recording" not in desk.run("office", "destroy-due")
    desk.run("people", "remove", "P1")
    desk.run("device", "revoke", desk.run("device", "list", who="T1").split()[0], "--reason", "lost", who="T1")
    assert "revoked: lost" in desk.run("device", "list", who="T1")
    log, public = str(desk.base / "station" / "audit" / "audit.log"), str(desk.base / "station" / "signing.pub")
    done = CliRunner().invoke(app, ["audit", "verify", log, "--station", public])
    assert done.output.startswith("Sound")
    shown = CliRunner().invoke(app, ["audit", "show", log, "--station", public, "--who", "E1", "--about", RECORDING])
    assert [line.split(" | ")[3] for line in shown.output.splitlines()] == ["keep", "extend", "view"]
    text = Path(log).read_text().replace("case 12", "case 13", 1)
    Path(log).write_text(text)
    for command in ("verify", "show"):
        done = CliRunner().invoke(app, ["audit", command, log, "--station", public])
        assert done.exit_code == 1
        assert "BROKEN" in done.output


def test_passwords_come_from_people_or_from_files_of_their_own(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.base / "password").chmod(0o644)
    assert "can be read by others" in desk.run("review", "list", who="E1", status=2)
    (desk.base / "password").unlink()
    assert "cannot read" in desk.run("review", "list", who="E1", status=2)
    done = CliRunner().invoke(app, ["review", "list", "--station", str(desk.base / "station"), "--as", "E1"])
    assert "nobody is there to ask" in str(done.exception)


def test_a_folder_that_is_no_station_is_told(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(StationError, match="a station already"):
        make_office(desk.base / "station", "station", "unit", [], b"")
    with pytest.raises(StationError, match="is no station"):
        load_office_settings(tmp_path / "none")
    settings = desk.base / "station" / "station.toml"
    good = settings.read_text()
    for text, says in (
        ("nonsense", "not TOML"), (good + "more = 1\n", "not what a station has"),
        (good.replace("keep_days = 28", "keep_days = 29"), "from 1 to 28"),
        (good.replace("dual_control = []", 'dual_control = ["x"]'), "dual_control"),
        (good.replace('name = "station"', ""), "lacks 'name'"), (good.replace("28", "true"), "not what"),
    ):  # fmt: skip
        settings.write_text(text)
        with pytest.raises(StationError, match=says):
            load_office_settings(desk.base / "station")


def test_the_dock_command_says_what_it_needs(desk: Desk) -> None:
    assert "name a bay" in desk.run("dock", status=2)
    for bay in ("one", "one=x", "one=host:0", "=host:1", "one=host:99999"):
        assert "is no bay" in desk.run("dock", "--bay", bay, status=2)
    (desk.base / "policy").write_bytes(b"x")
    assert "needs --unit" in desk.run("dock", "--bay", "1=h:1", "--policy", str(desk.base / "policy"), status=2)


def test_the_status_is_served_to_this_machine() -> None:
    import http.client

    with StatusPage(0, lambda: {"bays": []}) as page:
        for path, host, code in (("/", "127.0.0.1", 200), ("/x", "127.0.0.1", 404), ("/", "evil.example", 404)):
            connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            body = json.loads(answer.read())
            assert answer.status == code
            assert ("bays" in body) is (code == 200)
            connection.close()
        with pytest.raises(StationError, match="cannot serve"):
            StatusPage(page.port, dict)


class TestSigning:
    def test_a_key_with_a_passphrase_opens_with_it_alone(self, tmp_path: Path) -> None:
        public = write_new_signing_key(tmp_path / "signing.key", b"open sesame")
        asked: list[str] = []

        def ask(prompt: str) -> bytes:
            asked.append(prompt)
            return b"open sesame" if len(asked) == 1 else b"wrong"

        signer = open_signer("file:signing.key", tmp_path, ask)
        assert signer.public == load_signing_key(public, "key")
        with pytest.raises(KeyFileError, match="wrong passphrase"):
            open_signer("file:signing.key", tmp_path, ask)
        assert (tmp_path / "signing.key").stat().st_mode & 0o777 == 0o600
        with pytest.raises(KeyFileError, match="cannot read"):
            open_signer("file:none", tmp_path, ask)
        with pytest.raises(StationError, match="no place for a signing key"):
            open_signer("ftp:x", tmp_path, ask)

    def test_a_token_signs_and_its_key_stays_in_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import pkcs11
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from pkcs11.util.ec import encode_named_curve_parameters

        module = next(path for path in map(Path, ("/usr/lib/softhsm/libsofthsm2.so",)) if path.exists())
        (tmp_path / "tokens").mkdir()
        (tmp_path / "conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nobjectstore.backend = file\n")
        monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "conf"))
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", "unit", "--pin", "4711", "--so-pin", "0815"],
            check=True, capture_output=True,
        )  # fmt: skip
        label = "unit"
        with pkcs11.lib(str(module)).get_token(token_label=label).open(rw=True, user_pin="4711") as session:
            curve = encode_named_curve_parameters("1.3.101.112")
            made = session.create_domain_parameters(
                pkcs11.KeyType.EC_EDWARDS, {pkcs11.Attribute.EC_PARAMS: curve}, local=True
            )
            _, private = made.generate_keypair(
                mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label="station"
            )
            assert not private[pkcs11.Attribute.EXTRACTABLE]
        uri = f"pkcs11:token=unit;object=station?module-path={module}"
        signer = open_signer(uri, tmp_path, lambda _prompt: b"4711")
        Ed25519PublicKey.from_public_bytes(signer.public).verify(signer.sign(b"receipt"), b"receipt")
        pin = tmp_path / "pin"
        pin.touch(mode=0o600)
        pin.write_text("4711\n")
        assert open_signer(uri + "&pin-source=file:pin", tmp_path, lambda _prompt: b"").public == signer.public
        pin.chmod(0o644)
        head = "pkcs11:token=unit;object="
        for wrong, says in (
            (uri + "&pin-source=file:pin", "read by others"),
            (f"{head}none?module-path={module}", "does not open"),
            (f"pkcs11:token=none;object=station?module-path={module}", "does not open"),
            (f"{head}station?module-path=/no/such.so", "does not open"),
            (f"{head}station", "is named as"),
            (uri + "&pin-value=4711", "never"),
        ):
            with pytest.raises(StationError, match=says) as caught:
                open_signer(wrong, tmp_path, lambda _prompt: b"4711")
            assert "\n" not in str(caught.value)


def test_the_dock_takes_what_is_in_its_bays_and_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    pki = Pki(desk.base / "pki", load_authority(desk.base / "station" / "authority"))
    docked = Docked(desk.base / "device", pki)
    docked.device.shift()
    (desk.base / "device.pub").write_bytes(encode_device_key(docked.device.identity))
    desk.run("device", "add", str(desk.base / "device.pub"), who="T1")
    desk.run("device", "assign", docked.id.hex(), "P1", who="T1")
    unit = MemorySigner.from_seed(bytes(range(32)))
    (desk.base / "unit.pub").write_bytes(encode_device_key(unit.public))
    make_policy(desk.base / "state")
    policy = str(desk.base / "state" / "policy.toml")
    monkeypatch.setattr("station.dock.command.signal.signal", lambda *_: None)
    with docked.served():
        docked.changes = {"policy_serial": 0}
        more = ("--policy", policy, "--unit", str(desk.base / "unit.pub"), "--status-port", "0",
                "--shelf", str(desk.base / "shelf"))  # fmt: skip
        text = desk.run("dock", "--once", "--bay", f"A=127.0.0.1:{docked.port}", *more)
        assert "bay A: done" in text
        assert [what for what, _ in docked.given] == ["time", "policy", "assignment"]
        desk.run("device", "revoke", docked.id.hex(), "--reason", "lost", who="T1")
        text = desk.run("dock", "--once", "--bay", f"A=127.0.0.1:{docked.port}", status=1)
        assert "bay A: refused" in text
        assert "lost" in text


def test_a_device_is_named_by_its_id_its_beginning_or_its_name(desk: Desk, tmp_path: Path) -> None:
    ids = []
    for number, name in enumerate(("camera 1", "camera 2", "camera 2")):
        path = tmp_path / f"{number}.pub"
        path.write_bytes(encode_device_key(MemorySigner.from_seed(bytes([number]) * 32).public))
        ids.append(desk.run("device", "add", str(path), "--name", name, who="T1").strip())
    for named in ("camera 1", ids[0], ids[0][:6].upper(), ids[2][:8]):
        desk.run("device", "assign", named, "P1", who="T1")
    for named, says in (("camera 2", "2 devices are called"), ("camera 3", "no device is called"), ("", "no device"),
                        (ids[0][:5], "no device is called")):  # fmt: skip
        assert says in desk.run("device", "assign", named, "P1", who="T1", status=2)
    assert "no device is called" in desk.run("device", "revoke", "0" * 32, "--reason", "lost", who="T1", status=2)
    desk.run("device", "revoke", "camera 1", "--reason", "lost", who="T1")
    assert "camera 1  revoked: lost" in desk.run("device", "list", who="T1")


class TestBundle:
    @pytest.fixture
    def made(self, tmp_path: Path) -> tuple[Path, Device, MemorySigner]:
        device = Device(tmp_path / "device")
        device.shift(parts=2, chunks=4)
        signer = MemorySigner.generate()
        files = [device.flash / "segments" / f"000000000{number}.seg" for number in (2, 3)]
        done = make_bundle(
            files, device.identity, FileKeyOpener(device.station), signer, RECORDING, GIVEN, tmp_path / "bundle",
            now=lambda: datetime(2026, 3, 1, tzinfo=UTC),
        )  # fmt: skip
        assert done.verdict.value == "authentic"
        return tmp_path / "bundle", device, signer

    def check(self, folder: Path, *more: str) -> tuple[int, str]:
        """As the defence does: nothing of ours on the path, `python -I`, from anywhere."""
        done = subprocess.run(
            [sys.executable, "-I", str(folder / "verify.py"), *more], capture_output=True, text=True, check=False,
            cwd="/",
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    def test_the_defence_checks_it_with_its_own_script(self, made: tuple[Path, Device, MemorySigner]) -> None:
        folder, device, _ = made
        status, text = self.check(folder, "--device", device.identity.hex(), "--station", str(folder / "station.pub"))
        assert (status, "recording.mp4 is what was sealed, byte for byte" in text) == (0, True), text
        assert "gap: video" in text
        expected = INIT + b"".join(media_bytes(part, number, 1000) for part in range(2) for number in range(4))
        assert (folder / "recording.mp4").read_bytes() == expected
        assert self.check(folder, "--station", MemorySigner.generate().public.hex())[0] == 1
        assert self.check(folder, "--device", MemorySigner.generate().public.hex())[0] == 1
        assert self.check(folder, "--device", "nonsense")[0] == 2
        html = (folder / "report.html").read_text()
        assert "verzoek &amp; &lt;b&gt;grond&lt;/b&gt;" in html
        assert "<script" not in html
        assert RECORDING in html

    def test_every_changed_file_is_found(self, made: tuple[Path, Device, MemorySigner], tmp_path: Path) -> None:
        folder, _, _ = made
        dice = random.Random(3)
        files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        assert len(files) == 11
        for name in files:
            for how in ("change", "cut", "remove"):
                copy = tmp_path / "copy"
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(folder, copy)
                target = copy / name
                data = bytearray(target.read_bytes())
                if how == "change":
                    data[dice.randrange(len(data))] ^= 1
                if how == "remove":
                    target.unlink()
                else:
                    target.write_bytes(data[:-1] if how == "cut" else data)
                assert script.main([str(copy)]) in (1, 2), (name, how)
        copy = tmp_path / "copy"
        shutil.rmtree(copy)
        shutil.copytree(folder, copy)
        assert script.main([str(copy)]) == 0
        (copy / "more.txt").write_text("x")
        assert script.main([str(copy)]) == 1

    def test_a_certificate_says_whose_device_it_was_when_it_recorded(self, tmp_path: Path) -> None:
        device = Device(tmp_path / "device")
        device.shift(parts=1, chunks=4)
        recorded = datetime.fromtimestamp(EPOCH_NS // 10**9, UTC)
        authority, stranger = (new_authority(name, recorded) for name in ("Eenheid Noord", "A stranger"))
        own, other = device_id(device.identity), bytes(range(16))

        def papers(of: bytes, by: Authority, shown: Authority, begun: datetime) -> Papers:
            return Papers(by.issue_device(of, new_key().public_key(), 30, begun), shown.pem)

        def disclosed(name: str, given: Papers) -> tuple[int, str]:
            make_bundle(
                [device.flash / "segments" / "0000000002.seg"], device.identity, FileKeyOpener(device.station),
                MemorySigner.generate(), RECORDING, GIVEN, tmp_path / name, papers=given,
            )  # fmt: skip
            return self.check(tmp_path / name)

        status, text = disclosed("good", papers(own, authority, authority, recorded))
        assert status == 0
        assert "certificate of 'Eenheid Noord', key " in text
        assert "certificate good when this was recorded" in text
        status, text = disclosed("late", papers(own, authority, authority, recorded + timedelta(days=2)))
        assert (status, "certificate NOT good when this was recorded" in text) == (0, True), text
        status, text = disclosed("early", papers(own, authority, authority, recorded - timedelta(days=32)))
        assert (status, "certificate NOT good when this was recorded" in text) == (0, True), text
        status, text = disclosed("another", papers(other, authority, authority, recorded))
        assert (status, "device.crt is another device's" in text) == (1, True), text
        status, text = disclosed("foreign", papers(own, stranger, authority, recorded))
        assert (status, "device.crt is not signed by authority.crt" in text) == (1, True), text
        status, text = disclosed("nonsense", Papers(b"nonsense", authority.pem))
        assert (status, "is no certificate" in text) == (1, True), text

    def test_a_cut_recording_is_disclosed_as_what_it_is(self, tmp_path: Path) -> None:
        device = Device(tmp_path / "device")
        with device.open() as store:
            device.journal(store)
            device.part(store, b"R" * 16, 0, 5)
            store._flash.barrier()
        signer = MemorySigner.generate()
        source = device.flash / "segments" / "0000000002.seg"
        done = make_bundle(
            [source], device.identity, FileKeyOpener(device.station), signer, RECORDING, GIVEN, tmp_path / "b.zip"
        )
        assert done.verdict.value == "authentic with missing parts"
        with zipfile.ZipFile(tmp_path / "b.zip") as archive:
            archive.extractall(tmp_path / "out")
        assert script.main([str(tmp_path / "out" / "b")]) == 3
        with pytest.raises(StationError, match="exists already"):
            make_bundle([source], device.identity, FileKeyOpener(device.station), signer, RECORDING, GIVEN,
                        tmp_path / "b.zip")  # fmt: skip
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StationError, match="cannot write"):
            make_bundle([source], device.identity, FileKeyOpener(device.station), signer, RECORDING, GIVEN,
                        tmp_path / "file" / "b")  # fmt: skip
        assert not list(tmp_path.glob(".bundle-*"))


def row(week: int, *, purpose: str = "a", decision: str = "kept") -> FigureRow:
    return FigureRow(EPOCH_NS + week * 7 * 86_400 * 10**9, 60 * 10**9, purpose, decision, False, False, 3600 * 10**9)


def test_the_figures_count_by_week_and_hide_small_weeks() -> None:
    text = figures("Demo", [row(0) for _ in range(6)] + [row(1), row(2, purpose="", decision="undecided")] * 3)
    lines = text.split("\r\n")
    assert lines[0] == ",".join(HEADER)
    assert len(lines) == 4
    assert lines[1].split(",")[2:4] == ["6", "0.1"]
    assert lines[2].startswith("Demo,few,6,")
    assert figures("Demo", [row(0)]).split("\r\n")[1] == "Demo,few,<5"


@given(st.lists(st.builds(
    FigureRow, st.integers(0, 2 * 10**18), st.integers(0, 10**13), st.sampled_from(["", "a", "e", "SECRET"]),
    st.sampled_from(["undecided", "kept", "not-needed", "SECRET"]), st.booleans(), st.booleans(),
    st.integers(-10**15, 10**16)), max_size=40))  # fmt: skip
def test_no_figure_is_of_fewer_than_five_and_nothing_gets_through(rows: list[FigureRow]) -> None:
    text = figures("Demo", rows)
    assert "SECRET" not in text
    for line in text.split("\r\n")[1:-1]:
        cells = line.split(",")
        assert cells[2] == "<5" or int(cells[2]) >= 5
    assert len({cell for line in text.split("\r\n")[1:-1] for cell in line.split(",")[1:2]}) == len(
        text.split("\r\n")[1:-1]
    )
