"""What keeps a campaign's messages waiting, and what keeps new ones out, in plain Python: the model's other half.

Holds, pauses, locked accounts, the ceiling of an hour, batches kept small, and rate limits. Knows no message.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from app.config import CampaignConfig, ClientConfig, Rate
from app.store.batches import PROBE_PAUSE_MS

HOUR_MS = 3_600_000


@dataclass
class Hold:
    """Why a campaign is held, when it may be probed, and how often it was found so."""

    reason: str
    probe_at_ms: int
    found: int = 0


class Campaigns:
    """All campaigns, accounts and limits."""

    def __init__(self) -> None:
        self.holds: dict[str, Hold] = {}
        self.paused: set[str] = set()
        self.locked: dict[str, tuple[int, int]] = {}
        """Account → refusals of its key in a row, and until when it is not tried."""
        self.lone: dict[str, tuple[int, int]] = {}
        self.smaller: dict[str, tuple[int, int]] = {}
        self.hours: dict[str, dict[int, int]] = {}
        self.hours_end_ms: dict[str, int] = {}
        self.full_until_ms: dict[str, int] = {}
        self.limits: dict[tuple[str, ...], float] = {}
        """When the limit would next be unused."""

    def forget(self, now_ms: int) -> None:
        """What ends by itself."""
        self.lone = {name: each for name, each in self.lone.items() if each[1] > now_ms}
        self.smaller = {name: each for name, each in self.smaller.items() if each[1] > now_ms}
        self.full_until_ms = {name: end for name, end in self.full_until_ms.items() if end > now_ms}
        self.limits = {name: free for name, free in self.limits.items() if free + 1000 > now_ms}
        self.locked = {name: each for name, each in self.locked.items() if each[1] + HOUR_MS > now_ms}
        self.hours = {
            name: each for name, each in self.hours.items() if self.hours_end_ms.get(name, 0) > now_ms
        }

    # Limits --------------------------------------------------------------------------------------------------------

    def _limits(
        self, client: ClientConfig, campaign: CampaignConfig, number: str
    ) -> dict[tuple[str, ...], Rate]:
        return {
            ("client", client.name): client.rate_limit,
            ("number", campaign.name, number): campaign.per_number_limit,
        }

    def refusal(self, client: ClientConfig, campaign: CampaignConfig, number: str, now_ms: int) -> str | None:
        """The limit that is used up: `client` or `number`. So many at once, then evenly over each period."""
        for name, rate in self._limits(client, campaign, number).items():
            if self._next(name, rate, now_ms) - rate.period.total_seconds() * 1000 > now_ms:
                return name[0]
        return None

    def count(self, client: ClientConfig, campaign: CampaignConfig, number: str, now_ms: int) -> None:
        """One more was accepted."""
        for name, rate in self._limits(client, campaign, number).items():
            self.limits[name] = self._next(name, rate, now_ms)

    def _next(self, name: tuple[str, ...], rate: Rate, now_ms: int) -> float:
        period_ms = rate.period.total_seconds() * 1000
        free_ms = min(max(self.limits.get(name, 0), now_ms), now_ms + period_ms)
        return free_ms + period_ms / rate.burst

    # Why messages wait ---------------------------------------------------------------------------------------------

    def held(self, campaign: CampaignConfig, now_ms: int) -> tuple[str | None, float]:
        """The reason, and until when nothing goes at all; then one lone probe may."""
        if campaign.name in self.paused:
            return "paused", math.inf
        if campaign.account in self.locked:
            return "account_locked", self.locked[campaign.account][1]
        hold = self.holds.get(campaign.name)
        return (None, 0) if hold is None else (hold.reason, hold.probe_at_ms)

    def why_it_waits(self, campaign: CampaignConfig, now_ms: int) -> str:
        """The reason that an expired message bears."""
        return self.held(campaign, now_ms)[0] or (
            "ceiling" if campaign.name in self.full_until_ms else "backlog"
        )

    def room(self, campaign: CampaignConfig, now_ms: int) -> int:
        """The largest batch that may go now."""
        if self.held(campaign, now_ms)[0] is not None:
            return 1
        size = min(campaign.batch_size, self.smaller.get(campaign.name, (campaign.batch_size, 0))[0])
        return (
            min(size, campaign.max_per_hour - self._used(campaign.name, now_ms))
            if campaign.max_per_hour
            else size
        )

    def _used(self, campaign: str, now_ms: int) -> int:
        return sum(n for minute, n in self.hours.get(campaign, {}).items() if minute > now_ms // 60_000 - 60)

    def at_ceiling(self, campaign: CampaignConfig, now_ms: int) -> bool:
        """Whether the hour's calls are used up; from then on messages wait for that."""
        hours = self.hours.get(campaign.name, {})
        for minute in [each for each in hours if each <= now_ms // 60_000 - 60]:
            del hours[minute]
        if not campaign.max_per_hour or self._used(campaign.name, now_ms) < campaign.max_per_hour:
            self.full_until_ms.pop(campaign.name, None)
            return False
        oldest = min([*hours, now_ms // 60_000])
        self.full_until_ms[campaign.name] = max((oldest + 60) * 60_000, now_ms + 1)
        return True

    def leased(self, campaign: CampaignConfig, messages: int, now_ms: int) -> None:
        """A batch was given: a probe pushes the next one back, and the hour's calls are counted."""
        if campaign.name in self.holds and campaign.account not in self.locked:
            self.holds[campaign.name].probe_at_ms = now_ms + PROBE_PAUSE_MS
        if campaign.max_per_hour:
            hours = self.hours.setdefault(campaign.name, {})
            hours[now_ms // 60_000] = hours.get(now_ms // 60_000, 0) + messages
            self.hours_end_ms[campaign.name] = now_ms + HOUR_MS + 60_000

    def heard(self, campaign: str, word: str, probe_at_ms: int, *, probe: bool) -> None:
        """What an answer said of the campaign: nothing, `release`, or why it is held; then probes alone are heard."""
        if word == "release":
            self.holds.pop(campaign, None)
            self.lone.pop(campaign, None)
        elif word and (probe or campaign not in self.holds):
            hold = self.holds.setdefault(campaign, Hold(word, probe_at_ms))
            hold.reason, hold.probe_at_ms, hold.found = word, probe_at_ms, hold.found + 1

    def refused_alone(self, campaign: str, now_ms: int, probe_after_ms: int, most: int) -> None:
        """A lone contact was refused: so many in a row are not the contacts' fault."""
        count = self.lone.get(campaign, (0, 0))[0] + 1
        self.lone[campaign] = (count, now_ms + HOUR_MS)
        if count >= most:
            self.heard(campaign, "campaign_invalid", now_ms + probe_after_ms, probe=True)

    def key_refused(self, account: str, now_ms: int) -> None:
        """The account's secret key was refused: a pause that grows."""
        refusals = self.locked.get(account, (0, 0))[0] + 1
        self.locked[account] = (refusals, now_ms + min(5_000 * 2 ** (refusals - 1), 600_000))
