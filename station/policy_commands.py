"""``station policy``: make, sign and check the unit's policy. Exit status: 0 good, 1 refused, 2 unusable input."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from station.asking import Passphrase, PassphraseFile, new_passphrase, passphrases
from station.console import say
from station.errors import RefusedError, StationError
from station.policy import read_policy_file, summary, template
from station.unit_key import load_unit_key, write_new_unit_key
from storage.durable import replace_file
from storage.errors import PolicyError
from storage.keyfiles import load_recipient, load_signing_key
from storage.policy import parse_policy, sign_policy

_REFUSED = 1

policy_app = typer.Typer(no_args_is_help=True, help="The unit's policy, which all of its devices obey: docs/POLICY.md.")


@policy_app.command("keygen")
def keygen_command(
    output: Annotated[Path, typer.Option(help="The private key to write; the public one goes beside it as .pub.")],
    passphrase: Passphrase = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make the key that the unit signs its policies with."""
    public = write_new_unit_key(output, new_passphrase(f"Passphrase of {output}", passphrase_file, wanted=passphrase))
    say(f"Private key: {output} (keep it off the devices). Public key, for enrolment: {public}")


@policy_app.command("template")
def template_command(
    recipient: Annotated[list[Path], typer.Option(help="A station's public key file; once for each.")],
    receipt_key: Annotated[
        list[Path] | None,
        typer.Option(help="The public signing key file (signing.pub) of a station whose receipts devices obey."),
    ] = None,
    unit: Annotated[str, typer.Option(help="Name of the unit.")] = "Name of the unit",
    serial: Annotated[int, typer.Option(help="Higher than any policy of the unit before.")] = 1,
    days: Annotated[int, typer.Option(min=1, max=3660, help="How long devices may take it.")] = 365,
) -> None:
    """Print a policy with all keys, their meaning and their defaults, to fill in and sign."""
    recipients = [load_recipient(path) for path in recipient]
    issued = datetime.now(UTC).replace(microsecond=0)
    keys = [load_signing_key(path, "station's signing key") for path in receipt_key or []]
    say(template(unit, serial, issued, days, recipients, keys).removesuffix("\n"))


@policy_app.command("sign")
def sign_command(
    policy: Annotated[Path, typer.Argument(help="The policy to sign.")],
    key: Annotated[Path, typer.Option(help="The unit's private key (PEM).")],
    output: Annotated[Path, typer.Option(help="Where to write the signed policy.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Check a policy and sign it; what no device would take is not signed."""
    for other in (policy, key):
        if output.exists() and other.exists() and output.samefile(other):
            raise StationError(f"the signed policy would replace {other}: name another file with --output")
    signer = load_unit_key(key, passphrases(passphrase_file))
    signed = sign_policy(read_policy_file(policy), signer)
    made = parse_policy(signed, signer.public)
    if made.expired_at(time.time_ns()):
        raise RefusedError(f"{policy} expired {made.expires.isoformat()}: no device would take it")
    try:
        replace_file(output, signed, mode=0o644)
    except OSError as error:
        raise StationError(f"cannot write the signed policy {output}: {error.strerror}") from None
    say(f"{output}: serial {made.serial} of {made.unit}, SHA-256 {made.digest.hex()}")


@policy_app.command("check")
def check_command(
    policy: Annotated[Path, typer.Argument(help="The signed policy.")],
    unit: Annotated[Path, typer.Option(help="The unit's public key (PEM).")],
) -> None:
    """Say whether a device of this unit may take a policy, and what is in it."""
    key = load_signing_key(unit, "unit's key")
    data = read_policy_file(policy)
    try:
        found = parse_policy(data, key)
    except PolicyError as error:
        say(f"Refused: {error}")
        raise typer.Exit(_REFUSED) from None
    now_ns = time.time_ns()
    say("\n".join(summary(found, key, now_ns)))
    if found.expired_at(now_ns):
        raise typer.Exit(_REFUSED)
