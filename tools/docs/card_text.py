"""The words of the officer's card, in Dutch and in English. What blinks and buzzes how comes from the patterns."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.cues import Cue, Note


@dataclass(frozen=True, slots=True)
class Words:
    """What the rhythm of touch is called."""

    tick: str
    short: str
    long: str
    very_long: str
    quick: str
    slow: str


@dataclass(frozen=True, slots=True)
class Gesture:
    """One thing to do with the button."""

    aim: str
    do: str
    presses: str
    """Which picture: ``press``, ``double``, ``triple``, ``hold``, ``count`` or ``again``."""
    answers: tuple[Note, ...]
    """What is felt and heard in return."""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A signal: what it means, and what to do."""

    means: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class CardText:
    """All words of one card."""

    language: str
    title: str
    subtitle: str
    public: str
    public_says: str
    button: str
    button_columns: tuple[str, str, str]
    gestures: tuple[Gesture, ...]
    purposes: str
    tasks: tuple[str, ...]
    purposes_hint: str
    light: str
    light_hint: str
    cues: dict[Cue, Line]
    touch: str
    touch_hint: str
    notes: dict[Note, Line]
    calls: str
    calls_every: str
    footer: tuple[str, ...]
    words: Words


CALLS = (Cue.DARK, Cue.STALLED, Cue.FAULT, Cue.LOW_POWER)
"""Standing cues that call by sound and touch, the most urgent first."""

DUTCH = CardText(
    language="nl",
    title="Bodycam in het kort",
    subtitle="Eén knop, één licht, trillingen en piepen. Zo werkt het.",
    public="Wat de burger ziet",
    public_says="Brandt het licht onafgebroken, dan worden beeld en geluid opgenomen. "
    "Tijdens een opname kan niemand het licht uitzetten.",
    button="De knop",
    button_columns=("U wilt", "Zo drukt u", "U voelt en hoort"),
    gestures=(
        Gesture(
            "Opnemen",
            "Druk één keer. Zeg dat u filmt. Wacht op twee piepen en op licht dat onafgebroken brandt: "
            "pas dan loopt de opname.",
            "press",
            (Note.STARTED,),
        ),
        Gesture("Een moment markeren", "Druk tijdens de opname één keer kort.", "press", (Note.MARKER,)),
        Gesture(
            "Woning of besloten plaats: begin en einde aangeven",
            "Druk tijdens de opname twee keer snel. Doe dat bij het verlaten nog eens.",
            "double",
            (Note.PRIVATE_ON, Note.PRIVATE_OFF),
            "eerst: begin; daarna: einde",
        ),
        Gesture(
            "Live meekijken toestaan of weigeren (als uw eenheid live meekijken kent)",
            "Druk tijdens de opname drie keer snel. Dat geldt voor deze opname.",
            "triple",
            (Note.LIVE_ON, Note.LIVE_OFF),
            "aan: er wordt live meegekeken; uit: niet meer",
        ),
        Gesture("Stoppen", "Houd de knop twee seconden ingedrukt, tot de lange trilling.", "hold", (Note.STOPPED,)),
        Gesture(
            "Doel van de opname kiezen",
            "Blijf na de lange trilling drukken. Tel de tikken, één per seconde. Laat los bij uw doel.",
            "count",
            (Note.COUNT, Note.PURPOSE),
            "elke tik telt één verder; na het loslaten: gekozen",
        ),
        Gesture(
            "Meteen weer opnemen",
            "Druk terwijl het licht na het stoppen nog langzaam knippert. "
            "De opname begint zodra de vorige is opgeslagen.",
            "press",
            (Note.STARTED,),
        ),
        Gesture(
            "Uw druk heeft geen gevolg",
            "Kijk naar het licht: de tabel hieronder zegt waarom.",
            "press",
            (Note.REFUSED,),
        ),
    ),
    purposes="Het doel, geteld in tikken",
    tasks=(
        "openbare orde",
        "strafrechtelijke handhaving",
        "hulpverlening",
        "taken voor justitie",
        "veiligheid van personen",
    ),
    purposes_hint="Losgelaten vóór de eerste tik: nog geen doel; dat kiest u later bij het dock. "
    "Te ver geteld (zesde tik geweigerd): ook geen doel.",
    light="Het licht",
    light_hint="zwart: fel; grijs: gedimd; wit: uit (vijf seconden)",
    cues={
        Cue.RECORDING: Line("Neemt op. Beeld en geluid worden opgeslagen."),
        Cue.RECORDING_LIVE: Line("Neemt op, en er wordt live meegekeken."),
        Cue.ANNOUNCING: Line("Kondigt aan. De opname loopt nog niet.", "Wacht op twee piepen."),
        Cue.STALLED: Line(
            "Er wordt NIET opgeslagen.", "Stop en start opnieuw. Helpt dat niet: pak een andere bodycam."
        ),
        Cue.DARK: Line("Neemt op, maar het licht lijkt kapot.", "Zeg dat u filmt, of stop."),
        Cue.CLOSING: Line("Sluit de opname af.", "Even wachten."),
        Cue.STANDBY: Line("Klaar voor gebruik. Neemt niet op.", "Eén flits per tien seconden."),
        Cue.BUFFERING: Line("Klaar voor gebruik. De laatste seconden staan in het geheugen."),
        Cue.SELF_TEST: Line("Test zichzelf.", "Even wachten. Haast? Druk: de opname begint zo snel als het kan."),
        Cue.DOCKED: Line("Staat in het dock. Neemt niet op.", "Neem de bodycam eruit."),
        Cue.LOW_POWER: Line("Accu leeg. Neemt niet op.", "Zet de bodycam in het dock. Pak een andere."),
        Cue.UNENROLLED: Line("Hoort niet bij uw eenheid. Neemt niet op.", "Lever de bodycam in bij de beheerder."),
        Cue.FAULT: Line("Storing. Neemt niet op.", "Druk één keer: nieuwe poging. Lukt dat niet: pak een andere."),
        Cue.OFF: Line("Uit."),
    },
    touch="Trillingen en piepen",
    touch_hint="blokje: trilling en piep (drie seconden)",
    notes={
        Note.REMINDER: Line("U neemt nog steeds op.", "Nog nodig? Zo niet: stop."),
        Note.WARNING: Line("Er is iets mis. Een opname loopt door.", "Meld het na afloop."),
        Note.LOW_BATTERY: Line("Accu bijna leeg.", "Laad de bodycam zo snel mogelijk op."),
        Note.LOW_STORAGE: Line("Geheugen bijna vol.", "Zet de bodycam zo snel mogelijk in het dock."),
        Note.LIVE_ASKED: Line("Men vraagt om live mee te kijken. Drie keer drukken is ja, niets doen is nee."),
    },
    calls="Blijft terugkomen: u moet iets doen",
    calls_every="elke {}\u00a0s",
    footer=(
        "'s Nachts is het licht gedimd en vervalt een deel van de piepen. Tijdens een opname gaat het licht nooit "
        "uit, en alle trillingen blijven. Start, stop, live meekijken en storingen blijven hoorbaar.",
        "Alleen u start en stopt een opname. Op de bodycam kan niemand een opname wissen of veranderen.",
    ),
    words=Words("tik", "kort", "lang", "heel lang", "snel", "langzaam"),
)

ENGLISH = CardText(
    language="en",
    title="Bodycam in brief",
    subtitle="One button, one light, buzzes and beeps. This is how it works.",
    public="What the public sees",
    public_says="When the light burns steadily, picture and sound are being recorded. "
    "Nobody can switch the light off during a recording.",
    button="The button",
    button_columns=("You want to", "Press like this", "You feel and hear"),
    gestures=(
        Gesture(
            "Record",
            "Press once. Say that you are filming. Wait for two beeps and for a steady light: "
            "only then does the recording run.",
            "press",
            (Note.STARTED,),
        ),
        Gesture("Mark a moment", "Press once, briefly, while recording.", "press", (Note.MARKER,)),
        Gesture(
            "Private premises: mark their begin and end",
            "Press twice, quickly, while recording. Do it again when you leave.",
            "double",
            (Note.PRIVATE_ON, Note.PRIVATE_OFF),
            "first: begin; then: end",
        ),
        Gesture(
            "Allow or refuse live view (where your unit has it)",
            "Press three times quickly while recording. It holds for this recording.",
            "triple",
            (Note.LIVE_ON, Note.LIVE_OFF),
            "on: others watch live; off: nobody does any more",
        ),
        Gesture("Stop", "Hold the button for two seconds, until the long buzz.", "hold", (Note.STOPPED,)),
        Gesture(
            "Choose the purpose",
            "Keep holding after the long buzz. Count the ticks, one a second. Let go at your purpose.",
            "count",
            (Note.COUNT, Note.PURPOSE),
            "each tick counts one on; after letting go: chosen",
        ),
        Gesture(
            "Record again at once",
            "Press while the light still pulses slowly after a stop. "
            "Recording starts as soon as the last one is stored.",
            "press",
            (Note.STARTED,),
        ),
        Gesture("Your press has no effect", "Look at the light: the table below says why.", "press", (Note.REFUSED,)),
    ),
    purposes="The purpose, counted in ticks",
    tasks=("public order", "criminal enforcement", "help to those in need", "judicial tasks", "safety of persons"),
    purposes_hint="Let go before the first tick: no purpose yet; choose it later at the dock. "
    "Counted too far (a sixth tick is refused): no purpose either.",
    light="The light",
    light_hint="black: full; grey: dimmed; white: dark (five seconds)",
    cues={
        Cue.RECORDING: Line("Recording. Picture and sound are being stored."),
        Cue.RECORDING_LIVE: Line("Recording, and others watch live."),
        Cue.ANNOUNCING: Line("Announcing. The recording does not run yet.", "Wait for two beeps."),
        Cue.STALLED: Line("Nothing is being stored.", "Stop and start again. If that fails: take another camera."),
        Cue.DARK: Line("Recording, but the light seems broken.", "Say that you are filming, or stop."),
        Cue.CLOSING: Line("Closing the recording.", "Wait a moment."),
        Cue.STANDBY: Line("Ready. Not recording.", "One flash every ten seconds."),
        Cue.BUFFERING: Line("Ready. The last seconds are held in memory."),
        Cue.SELF_TEST: Line("Testing itself.", "Wait. In a hurry? Press: it records as soon as it can."),
        Cue.DOCKED: Line("In the dock. Cannot record.", "Take it out of the dock."),
        Cue.LOW_POWER: Line("Battery empty. Cannot record.", "Put it in the dock. Take another one."),
        Cue.UNENROLLED: Line("Not enrolled in your unit. Cannot record.", "Hand it in to your technician."),
        Cue.FAULT: Line("Fault. Not recording.", "Press once: it tries again. If that fails: take another one."),
        Cue.OFF: Line("Off."),
    },
    touch="Buzzes and beeps",
    touch_hint="block: buzz and beep (three seconds)",
    notes={
        Note.REMINDER: Line("You are still recording.", "Still needed? If not: stop."),
        Note.WARNING: Line("Something is wrong. A recording goes on.", "Report it afterwards."),
        Note.LOW_BATTERY: Line("Battery low.", "Charge it as soon as you can."),
        Note.LOW_STORAGE: Line("Storage nearly full.", "Put it in the dock as soon as you can."),
        Note.LIVE_ASKED: Line("Somebody asks to watch live. Three presses say yes, doing nothing says no."),
    },
    calls="Keeps coming back: you must act",
    calls_every="every {}\u00a0s",
    footer=(
        "At night the light is dimmed and some beeps are left out. The light never goes out during a recording, "
        "and every buzz stays. Start, stop, live and faults stay audible.",
        "Only you start and stop a recording. Nobody can erase or alter one on the camera.",
    ),
    words=Words("tick", "short", "long", "very long", "quick", "slow"),
)
