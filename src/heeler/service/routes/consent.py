"""The text that people agree to before they are asked anything."""

from fastapi import Request

from heeler.service.accounts.consents import ConsentText
from heeler.service.bodies_care import ConsentBody, ConsentOut, ConsentTextBody, ConsentTextOut, OwnConsentOut
from heeler.service.context import caller_of, service_of
from heeler.service.permissions import Permission
from heeler.service.routes.table import Entry


def read(request: Request) -> OwnConsentOut:
    """The text, and whether who asks agreed to it. Programs need not."""
    caller, consents = caller_of(request), service_of(request).accounts.consents
    earlier = [ConsentOut(**vars(consent)) for consent in consents.of(caller.person.id)]
    current = consents.current()
    agreed = any(consent.text_sha256 == current.text_sha256 for consent in earlier)
    return OwnConsentOut(**_text_out(current).model_dump(), agreed=agreed, earlier=earlier)


def agree(request: Request, body: ConsentBody) -> None:
    """Agree to the text as it is: its version and its SHA-256 are kept, and when; the first time stays."""
    person = caller_of(request).person
    service_of(request).accounts.consents.add(person.id, version=body.version, text_sha256=body.text_sha256)


def get_text(request: Request) -> ConsentTextOut:
    """The text."""
    return _text_out(service_of(request).accounts.consents.current())


def change_text(request: Request, body: ConsentTextBody) -> ConsentTextOut:
    """Make a new version of the text; everybody is asked again before they go on."""
    consents = service_of(request).accounts.consents
    return _text_out(consents.change_text(caller_of(request).person.id, body.text))


def _text_out(text: ConsentText) -> ConsentTextOut:
    return ConsentTextOut.model_validate(text, from_attributes=True)


_OWN, _ALL = "/session/consent", "/consent"
ROUTES = (
    Entry(method="GET", path=_OWN, permission=Permission.SIGNED_IN, endpoint=read, answer=OwnConsentOut),
    Entry(method="POST", path=_OWN, permission=Permission.SESSION, endpoint=agree, status=204, also=(409,)),
    Entry(method="GET", path=_ALL, permission=Permission.CARE, endpoint=get_text, answer=ConsentTextOut),
    Entry(
        method="PUT", path=_ALL, permission=Permission.CARE, endpoint=change_text, answer=ConsentTextOut, also=(409,)
    ),
)
