"""The sandbox's page as HTML: magic numbers, faults with their switches, what was sent, the calls.

Everything from outside is escaped; numbers are masked; no code, key or token is ever on it. It needs no script: the
one there is only brings the lists up to date.
"""

from __future__ import annotations

import re
from html import escape
from itertools import islice
from typing import Literal, get_args, get_origin, get_type_hints

import msgspec

from app.sandbox.calls import QUEUED, RINGING, UNSEEN, Call, shown_rows
from app.sandbox.campaigns import Campaign
from app.sandbox.control_routes import says
from app.sandbox.exporting import written_called_at
from app.sandbox.faults import FAULTS, Fault
from app.sandbox.outcomes import ANSWERED, ERROR, MAGIC, ORDINARY, Outcome
from app.sandbox.page_style import SCRIPT, STYLE
from app.sandbox.phone_number import mask, read_national
from app.sandbox.received import Import
from app.sandbox.sandbox import Sandbox

SHOWN_IMPORTS = 50
SHOWN_CALLS = 100
SHOWN_NUMBERS = 3

STATE_WORDS = {UNSEEN: "no row", QUEUED: "queued", RINGING: "ringing", ANSWERED: "answered", ERROR: "error"}


def render_page(sandbox: Sandbox, at_ms: int, nonce: str) -> str:
    """The whole page. `nonce` is the one that the content security policy names."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Sandbox provider</title>'
        f'<style nonce="{nonce}">{STYLE}</style></head><body>'
        "<header><h1>Sandbox provider</h1><p>Stands in for AICallCenter. Nobody is called; what a call comes to is "
        "told by the number’s last four digits.</p>"
        '<nav><a href="#calls">Calls</a><a href="#imports">Imports</a><a href="#magic">Magic numbers</a>'
        '<a href="#faults">Faults</a></nav></header><main>'
        f"{_live('campaigns', _campaigns(sandbox))}{_live('calls', _calls(sandbox, at_ms))}"
        f"{_live('imports', _imports(sandbox))}{_magic()}{_faults(sandbox)}"
        f'</main><script nonce="{nonce}">{SCRIPT}</script></body></html>'
    )


def _live(name: str, content: str) -> str:
    return f'<section id="{name}" data-live>{content}</section>'


def _table(heads: tuple[str, ...], lines: list[tuple[str, ...]], empty: str) -> str:
    """A table of ready HTML cells; on a narrow screen each row becomes a card with the heads as labels."""
    if not lines:
        return f'<p class="empty">{escape(empty)}</p>'
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-head="{escape(name)}"><span>{cell}</span></td>'
            for name, cell in zip(heads, line, strict=True)
        )
        + "</tr>"
        for line in lines
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _button(action: str, label: str, kind: str = "") -> str:
    return f'<form method="post" action="{escape(action)}"><button class="{kind}">{escape(label)}</button></form>'


def _campaigns(sandbox: Sandbox) -> str:
    lines = [_campaign_line(campaign) for campaign in sandbox.campaigns]
    counts = sandbox.received.counts
    told = (
        f"{counts.import_requests} imports, {counts.export_requests + counts.call_log_requests} exports "
        f"({counts.rows_served} rows), {counts.tokens_made} tokens made"
    )
    tools = _button("/page/tokens/kill", "Kill all tokens") + _button("/page/reset", "Reset", "danger")
    table = _table(("Campaign", "Kind", "Calls", "State", ""), lines, "No campaigns.")
    return f'<h2>Campaigns</h2>{table}<p class="told">{told}</p><div class="tools">{tools}</div>'


def _campaign_line(campaign: Campaign) -> tuple[str, ...]:
    action, label = ("stop", "Stop") if campaign.running else ("start", "Start")
    badge = _badge("running", "good") if campaign.running else _badge("stopped", "bad")
    name = f"{escape(campaign.name)}<br><code>{escape(campaign.campaign_id)}</code>"
    button = _button(f"/page/campaigns/{campaign.campaign_id}/{action}", label)
    return name, escape(campaign.kind), str(len(campaign.calls)), badge, button


def _badge(word: str, kind: str) -> str:
    return f'<span class="badge {kind}">{escape(word)}</span>'


def _calls(sandbox: Sandbox, at_ms: int) -> str:
    newest = sorted(
        (call for campaign in sandbox.campaigns for call in campaign.calls[-SHOWN_CALLS:]),
        key=lambda call: call.placed_at_ms,
        reverse=True,
    )
    lines = [line for call in newest[:SHOWN_CALLS] for line in _call_lines(sandbox, call, at_ms)]
    heads = ("Call", "Number", "Campaign", "Called at", "State", "Note", "Keys")
    return f"<h2>Calls</h2>{_table(heads, lines, 'No calls yet.')}"


def _call_lines(sandbox: Sandbox, call: Call, at_ms: int) -> list[tuple[str, ...]]:
    return [
        (
            str(row.call_id),
            escape(mask(call.number)) + (" (foreign)" if call.foreign else ""),
            f"<code>{escape(call.campaign_id)}</code>",
            written_called_at(sandbox, row, 0),
            _state_badge(row.state),
            escape(row.verdict.note) if row.verdict else "",
            escape(row.verdict.key_press) if row.verdict else "",
        )
        for row in reversed(shown_rows(call, at_ms))
    ]


def _state_badge(state: int) -> str:
    kind = {ANSWERED: "good", ERROR: "bad"}.get(state, "")
    return _badge(f"{state} {STATE_WORDS[state]}", kind)


def _imports(sandbox: Sandbox) -> str:
    newest = islice(reversed(sandbox.received.imports), SHOWN_IMPORTS)
    lines = [_import_line(sandbox, entry) for entry in newest]
    heads = ("At", "Campaign", "Taken", "Answer", "Fault", "Numbers")
    return f"<h2>Imports</h2>{_table(heads, lines, 'Nothing was sent yet.')}"


def _import_line(sandbox: Sandbox, entry: Import) -> tuple[str, ...]:
    masked = [mask(number) if (number := read_national(spelled)) else "***" for spelled in entry.numbers]
    more = f" +{len(masked) - SHOWN_NUMBERS}" if len(masked) > SHOWN_NUMBERS else ""
    return (
        sandbox.local_time(entry.at_ms),
        f"<code>{escape(entry.campaign_id)}</code>",
        f"{entry.taken_count} of {entry.contacts}",
        _badge("taken", "good") if entry.taken else _badge(entry.answer or "none", "bad"),
        escape(entry.fault),
        escape(", ".join(masked[:SHOWN_NUMBERS]) + more),
    )


def _faults(sandbox: Sandbox) -> str:
    cards = "".join(_fault_card(sandbox, name, kind) for name, kind in FAULTS.items())
    off = _button("/page/faults-off", "All off")
    head = f'<h2>Faults</h2><div class="tools">{off}</div>'
    return f'<section id="faults">{head}<div class="cards">{cards}</div></section>'


def _fault_card(sandbox: Sandbox, name: str, kind: type[Fault]) -> str:
    active = sandbox.faults.active.get(name)
    values = msgspec.structs.asdict(active.fault if active else kind())
    hints = get_type_hints(kind)
    fields = "".join(_field(sandbox, field, hints[field], value) for field, value in values.items())
    left = "" if active is None or active.left is None else f", {active.left} left"
    badge = _badge(f"on, struck {active.struck}{left}", "bad") if active else ""
    off = f'<button formaction="/page/faults/{name}/off">Off</button>' if active else ""
    return (
        f'<form class="card{" on" if active else ""}" method="post" action="/page/faults/{name}/on">'
        f"<h3><code>{name}</code> {badge}</h3><p>{_prose(says(name))}</p>"
        f'<div class="fields">{fields}</div><div class="tools">'
        f"<button>{'Set' if active else 'On'}</button>{off}</div></form>"
    )


def _prose(text: str) -> str:
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(text))


def _field(sandbox: Sandbox, name: str, hint: object, value: object) -> str:
    choices: tuple[str, ...] = ()
    if get_origin(hint) is Literal:
        choices = get_args(hint)
    elif hint is bool:
        choices = ("false", "true")
    elif name == "campaign":
        choices = ("", *(campaign.campaign_id for campaign in sandbox.campaigns))
    shown = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if not choices:
        control = f'<input name="{name}" value="{escape(shown)}" inputmode="numeric" size="6">'
    else:
        control = f'<select name="{name}">{"".join(_option(choice, shown) for choice in choices)}</select>'
    return f"<label>{escape(name)} {control}</label>"


def _option(choice: str, shown: str) -> str:
    selected = " selected" if choice == shown else ""
    return f'<option value="{escape(choice)}"{selected}>{escape(choice or "all")}</option>'


def _magic() -> str:
    lines = [_magic_line(outcome) for outcome in (*MAGIC, ORDINARY)]
    heads = ("Last four digits", "What happens", "Export says", "The message becomes")
    return f'<section id="magic"><h2>Magic numbers</h2>{_table(heads, lines, "")}</section>'


def _magic_line(outcome: Outcome) -> tuple[str, ...]:
    said = ", then ".join(f"{verdict.state} {verdict.note or '(empty)'}" for verdict in outcome.verdicts)
    return (
        f"<code>{escape(outcome.ending)}</code>",
        escape(outcome.title),
        f"<code>{escape(said)}</code>" if said else "–",
        escape(outcome.means),
    )
