"""Which handlers a device has. Another one is added here."""

from __future__ import annotations

from firmware.console.handler import Handler
from firmware.console.place import Place
from firmware.enrolment.enrolment import Enrolment, Granting, Offering, OfferingAgain


def make_handlers(place: Place) -> list[Handler]:
    """Make all of them."""
    enrolment = Enrolment(place)
    return [Offering(enrolment), OfferingAgain(enrolment), Granting(enrolment)]
