"""Takes commands from unsealed lines and answers them. No I/O.

A sequence number is executed once. The last command again, whose answer was lost, gets the same answer and is not
executed; any other number than the next one is refused, so that nothing is replayed and nothing left out.
"""

from lines import LineError, number
from receiver import COMMANDS

PROTOCOL = 1
VERSION = "1.1.0"
LAST_SEQ = 65_535


class Session:
    """What the Pi asks for, and whether it asks in order."""

    def __init__(self, interlock, edges, boot: str, reset: str, audible_possible: bool, receiver) -> None:
        """`boot` names this run of the controller, `reset` says why it began."""
        self._receiver = receiver
        self._interlock = interlock
        self._edges = edges
        self._identity = f"proto={PROTOCOL} fw={VERSION} boot={boot} reset={reset}"
        self._audible_possible = audible_possible
        self._token = ""
        self._last = ""
        self._answer = ""
        self.seq = 0
        """The last number that was executed, or refused for its content."""

    def take(self, text: str, now: int) -> str:
        """Return the answer to a line that begins with ``>``.

        Raises:
            LineError: it is no command at all, and gets no answer.
        """
        words = text[1:].split(" ")
        seq = number(words[0], 0, LAST_SEQ)
        if len(words) < 2:
            raise LineError("syntax")
        if text == self._last and self._interlock.state != "safe":
            return self._answer
        greeting = words[1] == "hello"
        if not greeting and self._interlock.state not in ("live", "update"):
            return f"<{seq} no hello"
        if not greeting and seq != (self.seq + 1) & LAST_SEQ:
            return f"<{seq} no seq"
        try:
            said = self._hello(words[2:], now) if greeting else self._obey(words[1], words[2:], now)
            said = said.rstrip()
        except LineError as error:
            said = "no " + str(error)
        answer = f"<{seq} {said}"
        if greeting and said[:2] == "no":
            return answer  # a hello that is refused changes nothing
        self.seq = seq
        self._last = text
        self._answer = answer
        return answer

    def _hello(self, words, now: int) -> str:
        if len(words) != 2:
            raise LineError("syntax")
        if number(words[0], 0, 999) != PROTOCOL:
            raise LineError(f"proto {PROTOCOL}")
        token = words[1]
        if len(token) != 8 or not all(letter in "0123456789ABCDEF" for letter in token):
            raise LineError("syntax")
        if token == self._token:
            raise LineError("token")
        self._token = token
        self._interlock.hello(now)
        audible = int(self._audible_possible)
        return f"ok {self._identity} t={now} acked={self._edges.acked} audible={audible} {self._receiver.identity}"

    def _obey(self, command: str, words, now: int) -> str:
        interlock = self._interlock
        if command in COMMANDS:
            return "ok " + self._receiver.take(command, words, interlock, now)
        if command == "light":
            why = interlock.light(_one(words, 1000), now)
        elif command == "camera":
            why = interlock.power(_one(words, 1) == 1, now)
        elif command == "seen":
            why = "" if self._edges.seen(_one(words, 2_000_000_000)) else "range"
        elif command in ("beat", "audible", "policy", "bye"):
            if words != (["audible"] if command == "policy" else []):
                raise LineError("syntax")
            act = {
                "beat": interlock.beat,
                "audible": interlock.announce,
                "policy": interlock.allow_audible,
                "bye": interlock.bye,
            }[command]
            why = act(now)
        else:
            why = "unknown"
        return "no " + why if why else "ok"


def _one(words, highest: int) -> int:
    if len(words) != 1:
        raise LineError("syntax")
    return number(words[0], 0, highest)
