"""The faults there are: one struct each, whose fields are its parameters and whose docstring is what the page says.

This is the table that the page, the HTTP interface and the tests are made from. What a fault does is done where the
thing it breaks is done; which are switched on, and their budgets, is `fault_board`'s.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from app.sandbox.accounts import TokenForm
from app.sandbox.phone_number import Spelling

Endpoint = Literal["import", "export", "token", "call_log"]
Endpoints = Literal["import", "export", "token", "call_log", "any"]
When = Literal["before", "after"]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
DelayMs = Annotated[int, Meta(ge=0, le=3_600_000)]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`times`: how many requests it strikes before it is off again; without it, all until it is switched off."""

    times: Count | None = None


class CampaignFault(Fault, frozen=True, kw_only=True):
    """`campaign`: strikes requests of this campaign_id alone."""

    campaign: str | None = None


class CallFault(CampaignFault, frozen=True, kw_only=True):
    """`on`: which of the provider's four calls it strikes."""

    on: Endpoints = "import"


class StoppedCampaign(CampaignFault, frozen=True, kw_only=True):
    """Imports are refused with 03, of whichever kind the campaign is."""


class UnknownCampaign(CampaignFault, frozen=True, kw_only=True):
    """Imports and exports are refused with 01."""


class MalformedContacts(CampaignFault, frozen=True, kw_only=True):
    """Every import is refused with 400, whatever is in it."""


class DeadToken(CallFault, frozen=True, kw_only=True):
    """A good token is refused with 401."""

    on: Endpoints = "any"


class SecretKeyRejected(Fault, frozen=True, kw_only=True):
    """No token is made: the secret key is refused with 401."""


class TokenShape(Fault, frozen=True, kw_only=True):
    """New tokens have another life, carry no expiry, or are no JWT at all."""

    form: TokenForm = "jwt"
    ttl_s: Annotated[int, Meta(ge=1, le=31_536_000)] | None = None


class SingleToken(Fault, frozen=True, kw_only=True):
    """Making a token kills all those made before."""


class Slow(CallFault, frozen=True, kw_only=True):
    """The answer comes late. Before: taken late. After: taken at once, told late."""

    delay_ms: DelayMs = 3_000
    when: When = "before"


class Hang(CallFault, frozen=True, kw_only=True):
    """No answer ever comes. Before: nothing was taken. After: it was."""

    when: When = "after"


class ErrorBefore(CallFault, frozen=True, kw_only=True):
    """A 5xx with an HTML page; nothing was taken."""

    status: Annotated[int, Meta(ge=500, le=599)] = 500


class ErrorAfter(CallFault, frozen=True, kw_only=True):
    """A 5xx with an HTML page, though everything was taken."""

    status: Annotated[int, Meta(ge=500, le=599)] = 500


class ResetBefore(CallFault, frozen=True, kw_only=True):
    """The connection is reset; nothing was taken."""


class ResetAfter(CallFault, frozen=True, kw_only=True):
    """The connection is reset, though everything was taken."""


class GarbageBody(CallFault, frozen=True, kw_only=True):
    """200 with a body that is no JSON, though everything was taken."""


class StrangeBody(CallFault, frozen=True, kw_only=True):
    """200 with JSON that is not the document's, though everything was taken: no `status`, a list, or no `results`."""

    shape: Literal["object", "list", "no_results"] = "object"


class HalfBody(CallFault, frozen=True, kw_only=True):
    """The connection breaks half way through the answer, though everything was taken."""


class RateLimited(CallFault, frozen=True, kw_only=True):
    """429; nothing was taken. Retry-After is sent where `retry_after_s` is given."""

    retry_after_s: Annotated[int, Meta(ge=0, le=86_400)] | None = 1


class TooLarge(CampaignFault, frozen=True, kw_only=True):
    """413 for an import of more than `above` contacts; nothing was taken."""

    above: Annotated[int, Meta(ge=0, le=1_000_000)] = 50


class PageCap(CampaignFault, frozen=True, kw_only=True):
    """Export pages hold at most `rows`, whatever `limit` asks. `says_asked`: the answer repeats the asked limit."""

    rows: Count = 37
    says_asked: bool = False


class ErrorStatus(Fault, frozen=True, kw_only=True):
    """Refusals (401, 400, 01, 03) travel under this HTTP status; without one, under the status that fits the code.

    `html`: with an HTML page in place of the JSON.
    """

    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    html: bool = False


class CodeAsNumber(Fault, frozen=True, kw_only=True):
    """The `code` of a refusal is a number: 401, 400, 1, 3."""


class CallIdKind(CampaignFault, frozen=True, kw_only=True):
    """How call_id is written; `empty_until_called`: an empty string in rows of calls not yet made."""

    in_import: Literal["number", "string", "empty"] = "string"
    in_export: Literal["number", "string"] = "number"
    empty_until_called: bool = False


class CallIdsPerCampaign(CampaignFault, frozen=True, kw_only=True):
    """Each campaign counts its call_ids by itself, so that two campaigns give the same ones."""


class NumberSpelling(CampaignFault, frozen=True, kw_only=True):
    """How rows spell the number called; `in_results`: the import's answer too."""

    spelling: Spelling = "e164"
    in_results: bool = False


class LateRows(CampaignFault, frozen=True, kw_only=True):
    """No queued or no ringing rows: a call shows only once called or ended, and `delay_ms` later still."""

    until: Literal["called", "ended"] = "ended"
    delay_ms: DelayMs = 0


class ClockOffset(Fault, frozen=True, kw_only=True):
    """The provider's clock differs by `seconds`: in `Date`, called_at, tokens and the export's window."""

    seconds: Annotated[int, Meta(ge=-86_400, le=86_400)] = 180


class FewLines(CampaignFault, frozen=True, kw_only=True):
    """Only `lines` calls at once in each campaign, for imports from now on; others wait their turn."""

    lines: Annotated[int, Meta(ge=1, le=10_000)] = 2


class GrowingTotal(CampaignFault, frozen=True, kw_only=True):
    """Each export request finds `by` more rows than the one before. `phantom`: `total` says so, but no rows come."""

    by: Annotated[int, Meta(ge=1, le=1_000)] = 1
    phantom: bool = False


class ForeignRows(CampaignFault, frozen=True, kw_only=True):
    """With each import that is taken, somebody else calls `count` other numbers, or as many of the same."""

    count: Annotated[int, Meta(ge=1, le=10_000)] = 5
    numbers: Literal["other", "same"] = "other"


class FormOnly(Fault, frozen=True, kw_only=True):
    """Imports are read as forms alone: a JSON body has no access_token, so 401."""


class KeepFirstDuplicate(CampaignFault, frozen=True, kw_only=True):
    """Of a number that stands twice in an import the first element is taken, not none."""


class SkipWhileCalling(CampaignFault, frozen=True, kw_only=True):
    """A number whose last call is not over is skipped in silence by the next import."""


class RowOrder(CampaignFault, frozen=True, kw_only=True):
    """Rows come oldest first, or shuffled anew for each request; without the fault, newest first."""

    order: Literal["oldest", "shuffled"] = "oldest"


class FilterByImport(CampaignFault, frozen=True, kw_only=True):
    """start_time and end_time look at when a contact was imported, not at when it was called."""


FAULTS: dict[str, type[Fault]] = {
    "stopped_campaign": StoppedCampaign,
    "unknown_campaign": UnknownCampaign,
    "malformed_contacts": MalformedContacts,
    "dead_token": DeadToken,
    "secret_key_rejected": SecretKeyRejected,
    "token_shape": TokenShape,
    "single_token": SingleToken,
    "slow": Slow,
    "hang": Hang,
    "error_before": ErrorBefore,
    "error_after": ErrorAfter,
    "reset_before": ResetBefore,
    "reset_after": ResetAfter,
    "garbage_body": GarbageBody,
    "strange_body": StrangeBody,
    "half_body": HalfBody,
    "rate_limited": RateLimited,
    "too_large": TooLarge,
    "page_cap": PageCap,
    "error_status": ErrorStatus,
    "code_as_number": CodeAsNumber,
    "call_id_kind": CallIdKind,
    "call_ids_per_campaign": CallIdsPerCampaign,
    "number_spelling": NumberSpelling,
    "late_rows": LateRows,
    "clock_offset": ClockOffset,
    "few_lines": FewLines,
    "growing_total": GrowingTotal,
    "foreign_rows": ForeignRows,
    "form_only": FormOnly,
    "keep_first_duplicate": KeepFirstDuplicate,
    "skip_while_calling": SkipWhileCalling,
    "row_order": RowOrder,
    "filter_by_import": FilterByImport,
}
