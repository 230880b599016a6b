"""The exchange's words for how a call ended, as the contract's reasons.

Owns the table alone: Q.850's causes as FreeSWITCH and Asterisk spell them, by number and by name. A note that
nothing here explains is `other`, never an error.
"""

from __future__ import annotations

import re

from app.message import Reason

_CAUSES: tuple[tuple[int, Reason, tuple[str, ...]], ...] = (
    (1, Reason.INVALID_NUMBER, ("UNALLOCATED NUMBER", "UNASSIGNED NUMBER", "UNALLOCATED")),
    (2, Reason.NETWORK_ERROR, ("NO ROUTE TRANSIT NET", "NO ROUTE TO TRANSIT NETWORK")),
    (3, Reason.UNREACHABLE, ("NO ROUTE DESTINATION", "NO ROUTE TO DESTINATION")),
    (6, Reason.NETWORK_ERROR, ("CHANNEL UNACCEPTABLE",)),
    (16, Reason.OTHER, ("NORMAL CLEARING", "NORMAL CALL CLEARING")),
    (17, Reason.BUSY, ("USER BUSY", "BUSY")),
    (18, Reason.NO_ANSWER, ("NO USER RESPONSE", "NO USER RESPONDING")),
    (19, Reason.NO_ANSWER, ("NO ANSWER", "NO ANSWER FROM USER")),
    (20, Reason.UNREACHABLE, ("SUBSCRIBER ABSENT",)),
    (21, Reason.DECLINED, ("CALL REJECTED", "REJECTED", "DECLINED")),
    (22, Reason.INVALID_NUMBER, ("NUMBER CHANGED",)),
    (23, Reason.OTHER, ("REDIRECTION TO NEW DESTINATION",)),
    (25, Reason.NETWORK_ERROR, ("EXCHANGE ROUTING ERROR",)),
    (27, Reason.UNREACHABLE, ("DESTINATION OUT OF ORDER",)),
    (28, Reason.INVALID_NUMBER, ("INVALID NUMBER FORMAT", "ADDRESS INCOMPLETE", "INVALID NUMBER")),
    (29, Reason.NETWORK_ERROR, ("FACILITY REJECTED",)),
    (31, Reason.OTHER, ("NORMAL UNSPECIFIED",)),
    (34, Reason.NETWORK_ERROR, ("NORMAL CIRCUIT CONGESTION", "NO CIRCUIT AVAILABLE", "CONGESTION")),
    (38, Reason.NETWORK_ERROR, ("NETWORK OUT OF ORDER",)),
    (41, Reason.NETWORK_ERROR, ("NORMAL TEMPORARY FAILURE", "TEMPORARY FAILURE")),
    (42, Reason.NETWORK_ERROR, ("SWITCH CONGESTION", "SWITCHING EQUIPMENT CONGESTION")),
    (43, Reason.NETWORK_ERROR, ("ACCESS INFO DISCARDED",)),
    (44, Reason.NETWORK_ERROR, ("REQUESTED CHAN UNAVAIL", "REQUESTED CIRCUIT UNAVAILABLE", "CHANUNAVAIL")),
    (47, Reason.NETWORK_ERROR, ("RESOURCE UNAVAILABLE",)),
    (50, Reason.NETWORK_ERROR, ("FACILITY NOT SUBSCRIBED",)),
    (52, Reason.NETWORK_ERROR, ("OUTGOING CALL BARRED", "OUTGOING CALLS BARRED")),
    (54, Reason.DECLINED, ("INCOMING CALL BARRED", "INCOMING CALLS BARRED")),
    (57, Reason.NETWORK_ERROR, ("BEARERCAPABILITY NOTAUTH",)),
    (58, Reason.NETWORK_ERROR, ("BEARERCAPABILITY NOTAVAIL",)),
    (63, Reason.NETWORK_ERROR, ("SERVICE UNAVAILABLE",)),
    (65, Reason.NETWORK_ERROR, ("BEARERCAPABILITY NOTIMPL",)),
    (66, Reason.NETWORK_ERROR, ("CHAN NOT IMPLEMENTED",)),
    (69, Reason.NETWORK_ERROR, ("FACILITY NOT IMPLEMENTED",)),
    (79, Reason.NETWORK_ERROR, ("SERVICE NOT IMPLEMENTED",)),
    (81, Reason.NETWORK_ERROR, ("INVALID CALL REFERENCE",)),
    (88, Reason.NETWORK_ERROR, ("INCOMPATIBLE DESTINATION",)),
    (95, Reason.NETWORK_ERROR, ("INVALID MSG UNSPECIFIED",)),
    (96, Reason.NETWORK_ERROR, ("MANDATORY IE MISSING",)),
    (97, Reason.NETWORK_ERROR, ("MESSAGE TYPE NONEXIST",)),
    (98, Reason.NETWORK_ERROR, ("WRONG MESSAGE",)),
    (99, Reason.NETWORK_ERROR, ("IE NONEXIST",)),
    (100, Reason.NETWORK_ERROR, ("INVALID IE CONTENTS",)),
    (101, Reason.NETWORK_ERROR, ("WRONG CALL STATE",)),
    (102, Reason.NETWORK_ERROR, ("RECOVERY ON TIMER EXPIRE", "RECOVERY ON TIMER EXPIRY")),
    (103, Reason.NETWORK_ERROR, ("MANDATORY IE LENGTH ERROR",)),
    (111, Reason.NETWORK_ERROR, ("PROTOCOL ERROR",)),
    (127, Reason.NETWORK_ERROR, ("INTERWORKING", "INTERWORKING UNSPECIFIED")),
    (487, Reason.NO_ANSWER, ("ORIGINATOR CANCEL", "CANCEL")),
    (602, Reason.NO_ANSWER, ("ALLOTTED TIMEOUT",)),
    (604, Reason.NETWORK_ERROR, ("MEDIA TIMEOUT",)),
    (606, Reason.UNREACHABLE, ("USER NOT REGISTERED",)),
    (607, Reason.UNREACHABLE, ("PROGRESS TIMEOUT",)),
    (609, Reason.NETWORK_ERROR, ("GATEWAY DOWN",)),
)

_NOT_A_LETTER = re.compile(r"[^A-Z]")
_ASIDE = re.compile(r"\([^)]*\)")
_PREFIX = re.compile(r"Q\.?850|CAUSE(?: CODE)?")
_LEADING_NUMBER = re.compile(r"[^A-Z0-9]*([0-9]{1,3})(?![0-9])")


def _squeezed(name: str) -> str:
    return _NOT_A_LETTER.sub("", name)


_BY_NUMBER = {number: reason for number, reason, _ in _CAUSES}
_BY_NAME = {_squeezed(name): reason for _, reason, names in _CAUSES for name in names}


def reason_of(note: str) -> Reason:
    """Why a call failed, from an export row's `note`.

    Read are a name in any case with spaces, underscores or hyphens (`USER_BUSY`), a number (`17`, `cause=17`),
    and both together (`17 USER BUSY`).
    """
    text = _PREFIX.sub(" ", note.upper())
    by_name = _BY_NAME.get(_squeezed(_ASIDE.sub("", text)))
    if by_name is not None:
        return by_name
    number = _LEADING_NUMBER.match(text)
    return _BY_NUMBER.get(int(number[1]), Reason.OTHER) if number else Reason.OTHER
