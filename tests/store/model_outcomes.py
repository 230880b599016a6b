"""Rows of an export, imports that no row explains, and calls that were waited for too long, in plain Python.

The last part of the model: what is known of a call only afterwards.
"""

from __future__ import annotations

from app.message import BatchId, State
from tests.store.model import Model
from tests.store.model_records import Import, Lot, Number, Told

ANSWERED, FAILED = 40, 50


class WholeModel(Model):
    """The model with its outcomes."""

    def give_row(
        self,
        number: Number,
        call_id: str,
        row_state: int,
        *,
        called_ms: int,
        tolerance_ms: int,
        reason: str,
        redial_ms: int,
    ) -> tuple[str, Told | None]:
        """A row goes to the import that it tells of: `settled`, `waiting`, `known` or `unexplained`, and whose it is.

        `called_ms` 0: the row does not say.
        """
        one, import_, known = self._owner(number, call_id, called_ms, tolerance_ms)
        if one is None:
            return "unexplained", None
        if one.state in (State.ANSWERED, State.FAILED):
            return "known", one
        before = one.state
        if one.state is State.SUBMITTING and not known:
            import_ = self._of_now(one, called_ms, tolerance_ms) or import_
        if one.state is State.SUBMITTING and not self._proves(one, import_):
            return "waiting", one
        if one.state is State.QUEUED:
            # It was queued again for want of a row, and here is the row: it is not called a second time.
            self.move(one, State.SUBMITTING)
            self.claims.setdefault(one.number, one.id)
            self.submit(one, one.imports[0].sent_ms, one.source)
        if call_id and import_ is not None and not known:
            import_.call_id = call_id
            self.release(one)
        if row_state not in (ANSWERED, FAILED):
            return "waiting", one
        if row_state == FAILED and redial_ms and before is not State.UNDETERMINED:
            if one.failed_as is None:
                one.failed_as = reason
                one.redial_until_ms = max(called_ms, one.submitted_ms or 0) + redial_ms
            return "waiting", one
        one.failed_as = None
        self.finish(one, *((State.ANSWERED, None) if row_state == ANSWERED else (State.FAILED, reason)))
        return "settled", one

    def _owner(
        self, number: Number, call_id: str, called_ms: int, tolerance_ms: int
    ) -> tuple[Told | None, Import | None, bool]:
        """By call id; else the oldest import that lacks one and was sent before; else who may have been redialled.

        A row without an id, where no import lacks one, is the oldest's that waits.
        """
        called = self.called(number)
        named = [
            (one, import_)
            for one in called
            for import_ in one.imports
            if call_id and import_.call_id == call_id
        ]
        if named:
            one, import_ = min(named, key=lambda each: each[0].state in (State.ANSWERED, State.FAILED))
            return one, import_, True
        lacking = [
            (import_.sent_ms, place, one, import_)
            for place, one in enumerate(called)
            if one.state not in (State.ANSWERED, State.FAILED)
            for import_ in one.imports
            if not import_.call_id and (called_ms == 0 or import_.sent_ms <= called_ms + tolerance_ms)
        ]
        if lacking:
            _, _, one, import_ = min(lacking, key=lambda each: each[:2])
            return one, import_, False
        for one in called:
            waits = one.state in (State.SUBMITTED, State.UNDETERMINED) and one.imports
            if (
                not call_id
                and waits
                and (called_ms == 0 or one.imports[0].sent_ms <= called_ms + tolerance_ms)
            ):
                return one, None, True
        return next((one for one in reversed(called) if one.failed_as is not None), None), None, False

    def _of_now(self, one: Told, called_ms: int, tolerance_ms: int) -> Import | None:
        """The import that it is in, where the call was made after it: those before were not seen in their time."""
        lot = self.lots.get(one.batch) if one.batch else None
        if lot is None or lot.state != "ambiguous" or (called_ms and lot.sent_ms > called_ms + tolerance_ms):
            return None
        return next((import_ for import_ in one.imports if import_.batch == lot.id), None)

    def _proves(self, one: Told, import_: Import | None) -> bool:
        """Whether a row of a message in an import settles anything: only of an ambiguous one, and then all of it."""
        lot = self.lots.get(one.batch) if one.batch else None
        if lot is None or lot.state != "ambiguous" or import_ is None:
            return False
        whole = import_.batch == lot.id and not lot.partial
        for each in list(self.members(lot)) if whole else [one]:
            self.submit(each, lot.sent_ms, lot.source)
        if whole:
            del self.lots[lot.id]
        return True

    def reconcile(self, batch: BatchId, policy: str) -> tuple[int, int] | None:
        """No export shows the import: again where the campaign allows it and time is left, else nobody will know."""
        lot = self.lots.get(batch)
        if lot is None or lot.state != "ambiguous":
            return None
        retried, undetermined = 0, 0
        for one in list(self.members(lot)):
            if policy == "retry" and one.expires_ms > self.now_ms:
                self.requeue(one, one.due_ms)
                retried += 1
            else:
                self.finish(one, State.UNDETERMINED, "ambiguous_import")
                undetermined += 1
        del self.lots[batch]
        return retried, undetermined

    def time_out(self, source: str, timeout_ms: int, asked_ms: int) -> set[tuple[str, str, str]]:
        """Ends this source's failed calls that no redial followed, and those of which nothing is known in time.

        `asked_ms`: when the last whole export began. One that began inside a redial's window tells nothing of it.
        """
        submitted = [
            one for one in self.messages.values() if one.state is State.SUBMITTED and one.source == source
        ]
        ended = set()
        for one in submitted:
            if one.failed_as is not None and one.redial_until_ms <= asked_ms:
                reason, one.failed_as = one.failed_as, None
                self.finish(one, State.FAILED, reason)
            elif one.failed_as is None and (one.submitted_ms or 0) <= self.now_ms - timeout_ms:
                self.finish(one, State.UNDETERMINED, "no_outcome")
            if not one.unfinished:
                ended.add((str(one.id), one.state.value, one.campaign.name))
        return ended

    def ambiguous(self) -> list[Lot]:
        """Batches whose fate is sought."""
        return [one for one in self.lots.values() if one.state == "ambiguous"]
