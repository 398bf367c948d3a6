"""Both ends together: what is asked is done once, whatever the line does; who may not ask is refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.pair import DEVICE, Pair
from wire.answering import Answering, Asked, Reply
from wire.bodies import BytesBody
from wire.credential import Credential, Technician, check_signed, parse_credential
from wire.errors import BodyError, CredentialError, LineLostError, MessageError, RefusedError, WireError
from wire.frames import FrameReader, frame
from wire.messages import Answer, Ask, parse

BIG = bytes(random.Random(7).randbytes(20_000))


class Counter:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def __call__(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        match asked.ask.verb:
            case "log":
                return Reply({"lines": 3}, BytesBody(BIG))
            case "take":
                return Reply({"took": len(asked.body)})
            case "no":
                raise RefusedError("failed", "no \x1b[2Jroom")
            case "who":
                raise CredentialError("nobody")
            case "odd":
                raise BodyError("odd")
            case "slow":
                asked.tell({"done": 1})
                return Reply()
            case "huge":
                return Reply({"text": "x" * 9000})
        return Reply({"n": len(self.asked)})


def test_a_call_is_answered_and_bodies_go_both_ways() -> None:
    counter = Counter()
    pair = Pair(counter)
    calling = pair.calling()
    assert calling.greeting.device == DEVICE
    assert calling.call("count").fields == {"n": 1}
    got = calling.call("log")
    assert (got.fields, got.body) == ({"lines": 3}, BIG)
    assert calling.call("take", {"a": 1}, body=BytesBody(BIG)).fields == {"took": len(BIG)}
    assert counter.asked[-1].fields == {"a": 1}
    calling.call("slow")
    assert pair.told == [{"done": 1}]


@pytest.mark.parametrize(
    ("verb", "code"), [("no", "failed"), ("who", "not-allowed"), ("odd", "malformed"), ("huge", "unsendable")]
)
def test_a_refusal_says_why(verb: str, code: str) -> None:
    with pytest.raises(RefusedError) as refused:
        Pair(Counter()).calling().call(verb)
    assert refused.value.code == code
    assert str(refused.value).isprintable()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_on_a_bad_line_everything_is_done_once_or_the_line_is_given_up(seed: int) -> None:
    chance = random.Random(seed)

    def harm(data: bytes) -> bytes:
        if chance.random() < 0.7:
            return data
        spoilt = bytearray(data)
        if chance.random() < 0.5:
            spoilt[chance.randrange(len(spoilt))] ^= 1 + chance.randrange(255)
        else:
            del spoilt[chance.randrange(len(spoilt)) :]
        return chance.randbytes(chance.randrange(20)) + bytes(spoilt)

    counter = Counter()
    calling = Pair(counter, harm, harm).calling(patience_s=60.0)
    assert calling.call("count").fields == {"n": 1}
    assert calling.call("log").body == BIG
    assert calling.call("take", body=BytesBody(BIG)).fields == {"took": len(BIG)}
    assert [asked.ask.verb for asked in counter.asked] == ["count", "log", "take"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=400), max_size=10))
def test_hostile_bytes_neither_crash_nor_fill_either_end(parts: list[bytes]) -> None:
    sent: list[bytes] = []
    answering = Answering(dict, Counter())
    for part in parts:
        answering.take(part, sent.append)
    assert not sent
    pair = Pair(Counter(), down=lambda data: b"".join(parts) + data)
    assert pair.calling().call("count").fields == {"n": 1}


MESSAGES = st.builds(
    Ask,
    st.sampled_from([bytes(8), b"sessions"]),
    st.integers(0, 5),
    st.sampled_from(["hello", "part", "give", "count", "log", "take"]),
    st.dictionaries(
        st.sampled_from(["v", "at", "data", "body", "x"]),
        st.integers(-1, 300_000) | st.text(max_size=5)
        | st.fixed_dictionaries({"bytes": st.integers(0, 300_000), "sha256": st.just("00" * 32)}),
        max_size=4,
    ),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(MESSAGES, max_size=12))
def test_hostile_messages_get_answers_of_this_protocol(asks: list[Ask]) -> None:
    sent: list[bytes] = []
    answering = Answering(lambda: {"device": ""}, Counter())
    for ask in asks:
        answering.take(frame(ask.encode()), sent.append)
    reader = FrameReader()
    for data in sent:
        (text,) = reader.feed(data)
        assert isinstance(parse(text), Answer)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["device", "challenge", "at", "data", "have", "body"]),
        st.text(max_size=70)
        | st.integers(0, 9)
        | st.fixed_dictionaries({"bytes": st.integers(0, 9), "sha256": st.just("00" * 32)}),
    )
)
def test_a_lying_device_gets_an_error_of_the_room(said: dict[str, object]) -> None:
    class Liar(Pair):
        def write(self, data: bytes) -> None:
            for text in FrameReader().feed(data):
                ask = parse(text)
                assert isinstance(ask, Ask)
                fields = said if ask.number else {"device": DEVICE.hex(), "challenge": "00" * 32}
                self.came += frame(Answer(ask.session, ask.number, fields).encode())

    for body in (None, BytesBody(b"x")):
        try:
            Liar(Counter()).calling().call("log", body=body)
        except WireError:
            continue


def exchange(answering: Answering, ask: Ask) -> Answer | None:
    sent: list[bytes] = []
    answering.take(frame(ask.encode()), sent.append)
    if not sent:
        return None
    found = parse(FrameReader().feed(b"".join(sent))[-1])
    assert isinstance(found, Answer)
    return found


def test_what_comes_again_is_answered_again_and_what_is_late_is_not() -> None:
    counter = Counter()
    answering = Answering(dict, counter)
    first, second = Ask(bytes(8), 1, "count", {}), Ask(bytes(8), 2, "count", {})
    answer = exchange(answering, first)
    assert answer is not None
    assert answer.code == "no-session"
    hello = exchange(answering, Ask(bytes(8), 0, "hello", {"v": 1}))
    assert hello is not None
    assert exchange(answering, Ask(bytes(8), 0, "hello", {"v": 1})) == hello
    assert exchange(answering, first) == exchange(answering, first)
    assert exchange(answering, replace(first, fields={"other": 1})) is None
    assert exchange(answering, second) == Answer(bytes(8), 2, {"n": 2})
    assert exchange(answering, first) is None
    assert len(counter.asked) == 2
    refused = exchange(answering, Ask(b"another!", 0, "hello", {"v": 9}))
    assert refused is not None
    assert refused.code == "version"
    ignored = answering.ignored
    answering.take(frame(Answer(bytes(8), 1).encode()) + frame(b"{}"), lambda _data: None)
    assert answering.ignored == ignored + 2


def test_a_line_that_is_lost_while_it_tells_does_not_undo_what_is_done() -> None:
    counter = Counter()
    answering = Answering(dict, counter)
    exchange(answering, Ask(bytes(8), 0, "hello", {"v": 1}))

    def lost(_data: bytes) -> None:
        raise LineLostError("pulled")

    slow = Ask(bytes(8), 1, "slow", {})
    with pytest.raises(LineLostError):
        answering.take(frame(slow.encode()), lost)
    assert exchange(answering, slow) == Answer(bytes(8), 1, {})
    assert len(counter.asked) == 1


def test_silence_is_given_up_after_a_while_and_life_is_waited_for() -> None:
    pair = Pair(Counter(), up=lambda _data: b"")
    with pytest.raises(LineLostError, match="does not answer"):
        pair.calling().hello()
    assert 15.0 <= pair.now_s < 17.0

    def slow(asked: Asked) -> Reply:
        for _ in range(20):
            asked.tell({})
        return Reply()

    assert Pair(slow).calling(patience_s=2.0).call("count").fields == {}


UNIT, JAN = Ed25519PrivateKey.from_private_bytes(bytes(32)), Ed25519PrivateKey.from_private_bytes(b"j" * 32)
UNIT_KEY = UNIT.public_key().public_bytes_raw()


def credential(start_s: int = 1000, end_s: int = 2000, by: Ed25519PrivateKey = UNIT) -> Credential:
    made = Credential("Jan", JAN.public_key().public_bytes_raw(), start_s, end_s)
    return replace(made, signature=by.sign(made.statement))


def judged(
    technician: Technician | None, change: Callable[[Ask], Ask] = lambda ask: ask, latest_s: int = 1500,
    clock_s: int | None = 1500,
) -> str:  # fmt: skip
    """Return who asked, by a device that judges."""

    def handle(asked: Asked) -> Reply:
        who = check_signed(change(asked.ask), DEVICE, asked.challenge, UNIT_KEY, latest_s, clock_s)
        return Reply({"who": who.name})

    return str(Pair(handle).calling().call("log", {"a": 1}, technician=technician).fields["who"])


def test_a_technician_of_the_unit_may_ask() -> None:
    made = credential()
    assert parse_credential(made.fields) == made
    assert judged(Technician(made, JAN.sign)) == "Jan"
    assert judged(Technician(made, JAN.sign), latest_s=0, clock_s=None) == "Jan"


def test_nobody_else_may() -> None:
    jan = Technician(credential(), JAN.sign)
    for technician, more, says in (
        (None, {}, "needs a technician's signature"),
        (Technician(credential(by=JAN), JAN.sign), {}, "not this unit's"),
        (Technician(replace(credential(), name="Piet"), JAN.sign), {}, "not this unit's"),
        (Technician(credential(), UNIT.sign), {}, "not signed by Jan"),
        (jan, {"latest_s": 2000}, "is over"),
        (jan, {"clock_s": 999}, "not good yet"),
        (jan, {"change": lambda ask: replace(ask, number=ask.number + 1)}, "not signed by Jan"),
        (jan, {"change": lambda ask: replace(ask, verb="other")}, "not signed by Jan"),
        (jan, {"change": lambda ask: replace(ask, fields={})}, "not signed by Jan"),
    ):
        with pytest.raises(RefusedError, match=says) as refused:
            judged(technician, **more)
        assert refused.value.code == "not-allowed"


def test_a_signature_is_good_in_its_session_and_on_its_device_alone() -> None:
    ask = Technician(credential(), JAN.sign).signed(Ask(bytes(8), 1, "log", {}), DEVICE, bytes(32))
    assert check_signed(ask, DEVICE, bytes(32), UNIT_KEY, 1500, None).name == "Jan"
    for device, challenge in ((bytes(16), bytes(32)), (DEVICE, b"x" * 32)):
        with pytest.raises(CredentialError):
            check_signed(ask, device, challenge, UNIT_KEY, 1500, None)
    with pytest.raises(MessageError):
        check_signed(ask, b"short", bytes(32), UNIT_KEY, 1500, None)


@pytest.mark.parametrize(
    "change", [{"name": " "}, {"key": "00"}, {"from": 3000}, {"v": 2}, {"signature": ""}, {"more": 1}, {"until": "x"}]
)
def test_what_is_no_credential_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(MessageError):
        parse_credential(credential().fields | change)


def test_a_request_that_was_held_back_is_good_for_some_minutes_and_no_more() -> None:
    now_ns, sent, counter = [0], list[bytes](), Counter()
    answering = Answering(lambda: {"device": ""}, counter, monotonic_ns=lambda: now_ns[0])

    def said(ask: Ask) -> Answer:
        sent.clear()
        answering.take(frame(ask.encode()), sent.append)
        (text,) = FrameReader().feed(sent[0])
        found = parse(text)
        assert isinstance(found, Answer)
        return found

    hello, held = Ask(b"sessions", 0, "hello", {"v": 1}), Ask(b"sessions", 2, "count", {})
    challenge = said(hello).fields["challenge"]
    for number, minutes in ((1, 4), (2, 8)):
        now_ns[0] = minutes * 60 * 10**9
        assert said(Ask(b"sessions", number, "count", {})).code == ""
    now_ns[0] += 301 * 10**9
    assert said(held).code == "no-session"
    assert len(counter.asked) == 2
    assert said(hello).fields["challenge"] != challenge, "and what was signed for the old one is good no more"


def test_a_line_that_takes_nothing_is_not_told_again_and_again() -> None:
    tried = []

    def blocked(data: bytes) -> None:
        tried.append(data)
        if len(tried) > 1:
            raise LineLostError("it takes nothing")

    def busy(asked: Asked) -> Reply:
        for number in range(50):
            asked.tell({"at": number})
        return Reply({})

    answering = Answering(lambda: {"device": ""}, busy)
    answering.take(frame(Ask(b"sessions", 0, "hello", {"v": 1}).encode()), blocked)
    with pytest.raises(LineLostError):
        answering.take(frame(Ask(b"sessions", 1, "check", {}).encode()), blocked)
    assert len(tried) == 3, "the hello's answer, one note, and the answer"
