"""Whether Redis holds what the model says: every message, batch, claim, index, event and hold, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.message import MessageId, State
from tests.store.model_events import Parcel
from tests.store.model_outcomes import WholeModel
from tests.store.model_records import Told
from tests.store.snapshot import Snapshot


def differences(model: WholeModel, found: Snapshot) -> list[str]:
    """Where Redis and the model are not alike, in words."""
    checks = (_messages, _batches, _numbers, _sources, _events, _breakers, _campaigns)
    return [difference for check in checks for difference in check(model, found)]


def _unlike(
    what: str, should: Mapping[str, Mapping[str, object]], has: Mapping[str, Mapping[str, object]]
) -> Iterator[str]:
    yield from (f"{what} {one} is missing" for one in should.keys() - has.keys())
    yield from (f"{what} {one} should not be there" for one in has.keys() - should.keys())
    for one in should.keys() & has.keys():
        for name in should[one].keys() | has[one].keys():
            if should[one].get(name) != has[one].get(name):
                yield f"{what} {one}: {name} is {has[one].get(name)!r}, not {should[one].get(name)!r}"


def _present(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: str(value) for name, value in fields.items() if value not in (None, "", False)}


def _messages(model: WholeModel, found: Snapshot) -> Iterator[str]:
    should = {str(one.id): _message(model, one) for one in model.messages.values()}
    names = {name for fields in should.values() for name in fields} | {
        "r",
        "bt",
        "am",
        "im",
        "pf",
        "su",
        "ev",
    }
    has = {
        one: {name: value for name, value in fields.items() if name in names}
        for one, fields in found.messages.items()
    }
    for fields in has.values():
        if fields["s"] != "queued":
            fields.pop("du", None)
    yield from _unlike("message", should, has)


def _message(model: WholeModel, one: Told) -> dict[str, object]:
    imports = " ".join(f"{each.batch},{each.sent_ms},{each.call_id};" for each in one.imports)
    return _present(
        {
            "s": one.state.value,
            "r": one.reason,
            "v": one.revision,
            "cl": one.client.name,
            "ca": one.campaign.name,
            "ac": one.number[0],
            "n": one.number[1],
            "ex": one.expires_ms,
            "du": one.due_ms if one.state is State.QUEUED else None,
            "bt": one.batch,
            "im": imports,
            "so": one.source,
            "su": one.submitted_ms,
            "am": "1" if one.may_have_rung else None,
            "pf": one.failed_as,
            "ev": " ".join(event.id for event in model.post.of(one.id)),
        }
    )


def _batches(model: WholeModel, found: Snapshot) -> Iterator[str]:
    leases = found.pairs("leases").get("", {})
    should = {
        str(lot.id): _present(
            {
                "st": lot.state,
                "ca": lot.campaign.name,
                "ms": " ".join(one.id for one in model.members(lot)),
                "at": lot.sent_ms or None,
                "partial": "1" if lot.partial else None,
                "lease": None if lot.state == "ambiguous" else lot.lease_until_ms,
            }
        )
        for lot in model.lots.values()
    }
    has = {}
    for one, fields in found.batches.items():
        own = [id_ for id_ in fields["ms"].split() if found.messages.get(id_, {}).get("bt") == one]
        kept = {name: fields.get(name) for name in ("st", "ca", "at", "partial")}
        has[one] = _present({**kept, "ms": " ".join(own), "lease": leases.get(one)})
    yield from _unlike("batch", should, has)


def _numbers(model: WholeModel, found: Snapshot) -> Iterator[str]:
    claims: dict[str, dict[str, object]] = {}
    for (account, number), owner in model.claims.items():
        claims.setdefault(account, {})[number] = owner
    yield from _unlike("claims of", claims, found.pairs("numbers"))
    calls = {":".join(number): _texts(index) for number, index in model.calls.items()}
    yield from _unlike("calls of", calls, found.pairs("calls"))


def _texts(scores: Mapping[MessageId, int] | Mapping[str, int]) -> dict[str, object]:
    return {name: str(score) for name, score in scores.items()}


def _sources(model: WholeModel, found: Snapshot) -> Iterator[str]:
    waited: dict[str, dict[str, object]] = {}
    sought: dict[str, dict[str, object]] = {}
    redials: dict[str, dict[str, object]] = {}
    for one in model.messages.values():
        if one.state is State.SUBMITTED:
            waited.setdefault(one.source, {})[one.id] = str(one.submitted_ms)
        if one.failed_as is not None:
            redials.setdefault(one.source, {})[one.id] = str(one.redial_until_ms)
    for lot in model.ambiguous():
        sought.setdefault(lot.source, {})[lot.id] = str(lot.sent_ms)
    yield from _unlike("waited for at", waited, found.pairs("open"))
    yield from _unlike("sought at", sought, found.pairs("ambiguous"))
    yield from _unlike("redials at", redials, found.pairs("redials"))


def _events(model: WholeModel, found: Snapshot) -> Iterator[str]:
    should = {one.id: _event(one) for one in model.post.events.values()}
    push, pushing = found.pairs("push"), found.pairs("pushing")
    has = {
        one: _present(
            {
                **{name: fields.get(name) for name in ("m", "ty", "cl", "st", "d", "a", "f")},
                "due": push.get(fields.get("d", ""), {}).get(one),
                "until": pushing.get(fields.get("d", ""), {}).get(one),
            }
        )
        for one, fields in found.events.items()
    }
    yield from _unlike("event", should, has)


def _event(one: Parcel) -> dict[str, object]:
    waits = one.state == "pending" and one.leased_until_ms is None
    return _present(
        {
            "m": one.message_id,
            "ty": one.type.value,
            "cl": one.client,
            "st": one.state,
            "d": one.destination,
            "a": str(one.attempts),
            "f": one.fence,
            "due": one.next_ms if waits else None,
            "until": one.leased_until_ms,
        }
    )


def _breakers(model: WholeModel, found: Snapshot) -> Iterator[str]:
    should = {
        name: _present({"failures": one.failures, "next": one.probe_at_ms})
        for name, one in model.post.breakers.items()
    }
    has = {
        name: _present({"failures": fields.get("failures"), "next": fields.get("next")})
        for name, fields in found.pairs("breaker").items()
    }
    yield from _unlike("breaker", should, has)


def _campaigns(model: WholeModel, found: Snapshot) -> Iterator[str]:
    state = model.campaigns
    holds = {
        name: _present({"reason": one.reason, "next": one.probe_at_ms, "probes": one.found})
        for name, one in state.holds.items()
    }
    has = {name: {**fields} for name, fields in found.pairs("hold").items()}
    for fields in has.values():
        fields.pop("since", None)
    yield from _unlike("hold", holds, has)
    locks = {name: _texts({"n": each[0], "until": each[1]}) for name, each in state.locked.items()}
    has = {
        name: {each: fields[each] for each in ("n", "until")}
        for name, fields in found.pairs("locked").items()
    }
    yield from _unlike("lock", locks, has)
    minute = model.now_ms // 60_000 - 61
    hours = {
        name: {str(at): str(n) for at, n in each.items() if at > minute} for name, each in state.hours.items()
    }
    has = {
        name: {at: n for at, n in each.items() if int(at) > minute}
        for name, each in found.pairs("hour").items()
    }
    yield from _unlike("hour", hours, has)
    counts = {
        "lone": {name: str(each[0]) for name, each in state.lone.items()},
        "smaller": {name: str(each[0]) for name, each in state.smaller.items()},
        "ceiling": dict.fromkeys(state.full_until_ms, "1"),
        "ceiling_said": {name: str(each[0]) for name, each in state.said.items()},
    }
    for kind, should in counts.items():
        has_these = {name: key.flat[0] for name, key in found.of(kind).items()}
        yield from _unlike("count", {kind: should}, {kind: has_these})
    for kind, whys in (("pause", state.paused), ("drain", state.draining)):
        has_whys = {name: fields.get("w") for name, fields in found.pairs(kind).items()}
        if has_whys != whys:
            yield f"{kind} is {has_whys}, not {whys}"
    recorded = [word for log in found.pairs("actions").values() for word in log.values()]
    if recorded != state.actions:
        yield f"operators did {state.actions}, and it is recorded that they did {recorded}"
