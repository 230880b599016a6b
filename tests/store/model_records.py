"""What the model knows of a message and of a batch. Times are in ms."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.config import CampaignConfig, ClientConfig
from app.message import BatchId, MessageId, State

Number = tuple[str, str]
"""An account and a phone number: what is claimed, and what is called."""


@dataclass
class Import:
    """One import that carried a message, and the call it became."""

    batch: BatchId
    sent_ms: int
    call_id: str = ""


@dataclass
class Told:
    """A message."""

    id: MessageId
    client: ClientConfig
    campaign: CampaignConfig
    number: Number
    due_ms: int
    expires_ms: int
    destination: str | None
    state: State = State.QUEUED
    reason: str | None = None
    revision: int = 1
    batch: BatchId | None = None
    imports: list[Import] = field(default_factory=list)
    source: str = ""
    submitted_ms: int | None = None
    may_have_rung: bool = False
    failed_as: str | None = None
    """A call failed, and a redial may follow until `redial_until_ms`."""
    redial_until_ms: int = 0

    @property
    def unfinished(self) -> bool:
        """Whether it still has to end."""
        return self.state in (State.QUEUED, State.SUBMITTING, State.SUBMITTED)


@dataclass
class Lot:
    """A batch: `leased`, then `sending`, then gone or `ambiguous`."""

    id: BatchId
    campaign: CampaignConfig
    source: str
    members: list[MessageId]
    lease_until_ms: int
    worker: str
    probe: bool = False
    state: str = "leased"
    sent_ms: int = 0
    minute: int | None = None
    """In which its calls count, from its mark on."""
    partial: bool = False
    """Of an ambiguous one: part of it was settled by its answer, so a row proves nothing of the rest."""
