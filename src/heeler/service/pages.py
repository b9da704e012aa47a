"""The pages of the console. Each is a shell: its script asks the API for everything that it shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from heeler.service.accounts.passwords import MIN_LENGTH
from heeler.service.context import caller_of, chat_of, service_of
from heeler.service.page_route import PASSWORD, SIGN_IN
from heeler.service.permissions import Permission
from heeler.service.rendering import rendered
from heeler.service.routes.table import Entry


@dataclass(frozen=True, kw_only=True)
class ConsolePage:
    """A page that somebody who is signed in finds in the menu, where they may see it."""

    path: str
    title: str
    template: str
    permission: Permission
    in_menu: bool = True
    needs_chat: bool = False
    """It is there only where a model is served."""


MENU: Sequence[ConsolePage] = (
    ConsolePage(path="/operate", title="Operate", template="operate.html", permission=Permission.READ_RUNS),
    ConsolePage(path="/chat", title="Chat", template="chat.html", permission=Permission.CHAT, needs_chat=True),
    ConsolePage(path="/answer", title="Answer", template="answer.html", permission=Permission.ANSWER),
    ConsolePage(path="/watch", title="Watch", template="watch.html", permission=Permission.ANSWER),
    ConsolePage(path="/reports", title="Reports", template="reports.html", permission=Permission.READ_FEEDBACK),
    ConsolePage(path="/admin", title="Admin", template="admin.html", permission=Permission.PEOPLE),
    ConsolePage(path="/person", title="Person", template="person.html", permission=Permission.CARE, in_menu=False),
    ConsolePage(path="/me", title="My account", template="me.html", permission=Permission.SESSION),
    ConsolePage(
        path="/consent", title="Consent", template="consent.html", permission=Permission.SESSION, in_menu=False
    ),
)
"""In the order of the menu."""
_FIRST = ("/operate", "/answer")
"""Where somebody who signs in is led: the first of these that they may see."""


def home(request: Request) -> Response:
    """Lead to the page that fits the role."""
    allowed, person = caller_of(request).permissions, caller_of(request).person
    if person.must_change_password:
        return RedirectResponse(PASSWORD, status_code=303)
    seen = {page.path: page for page in MENU if page.permission in allowed}
    return RedirectResponse(next(path for path in _FIRST if path in seen), status_code=303)


def sign_in(request: Request) -> Response:
    """Name and password."""
    return _page(request, "sign_in.html", "Sign in", menu=())


def password(request: Request) -> Response:
    """Another password."""
    must = caller_of(request).person.must_change_password
    menu = () if must else _menu(request)
    return _page(request, "password.html", "Change your password", menu=menu, must=must, shortest=MIN_LENGTH)


def static(request: Request, path: str) -> Response:
    """Style and scripts."""
    return service_of(request).static.answer(path, request.headers)


def _menu(request: Request) -> Sequence[ConsolePage]:
    has_chat, allowed = service_of(request).chat is not None, caller_of(request).permissions
    return [page for page in MENU if page.in_menu and page.permission in allowed and (has_chat or not page.needs_chat)]


def _page(request: Request, template: str, title: str, *, menu: Sequence[ConsolePage], **more: object) -> HTMLResponse:
    fields: dict[str, object] = {"title": title, "menu": menu, "here": request.url.path}
    return HTMLResponse(rendered(service_of(request).static, template, **(fields | more)))


def _endpoint(page: ConsolePage) -> Callable[[Request], Response]:
    def show(request: Request) -> Response:
        if page.needs_chat:
            chat_of(service_of(request))
        return _page(request, page.template, page.title, menu=_menu(request))

    show.__name__ = page.path.strip("/").replace("/", "_")
    return show


def _entry(path: str, permission: Permission, endpoint: Callable[..., Response]) -> Entry:
    return Entry(method="GET", path=path, permission=permission, endpoint=endpoint, is_page=True)


ROUTES = (
    _entry("/static/{path:path}", Permission.PUBLIC, static),
    _entry("/", Permission.SESSION, home),
    _entry(SIGN_IN, Permission.PUBLIC, sign_in),
    _entry(PASSWORD, Permission.SESSION, password),
    *(_entry(page.path, page.permission, _endpoint(page)) for page in MENU),
)
