"""What keeps a campaign's messages waiting, and what keeps new ones out, in plain Python: the model's other half.

Holds, pauses, locked accounts, the ceiling of an hour, batches kept small, and rate limits. Knows no message.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from app.config import CampaignConfig, ClientConfig, Rate
from app.store.batches import LEASE_MS, PROBE_PAUSE_MS

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
        self.paused: dict[str, str] = {}
        """Campaign → why an operator said so."""
        self.draining: dict[str, str] = {}
        self.actions: list[str] = []
        """What operators did, and nothing that they said twice."""
        self.locked: dict[str, tuple[int, int]] = {}
        """Account → refusals of its key in a row, and until when it is not tried."""
        self.lone: dict[str, tuple[int, int]] = {}
        self.smaller: dict[str, tuple[int, int]] = {}
        self.hours: dict[str, dict[int, int]] = {}
        self.hours_end_ms: dict[str, int] = {}
        self.full_until_ms: dict[str, int] = {}
        self.said: dict[str, tuple[int, int]] = {}
        """Up to which part of its hour a campaign was told of, in percent, and until when that is remembered."""
        self.limits: dict[tuple[str, ...], float] = {}
        """When the limit would next be unused."""

    def forget(self, now_ms: int) -> None:
        """What ends by itself."""
        self.lone = {name: each for name, each in self.lone.items() if each[1] > now_ms}
        self.smaller = {name: each for name, each in self.smaller.items() if each[1] > now_ms}
        self.full_until_ms = {name: end for name, end in self.full_until_ms.items() if end > now_ms}
        self.said = {name: each for name, each in self.said.items() if each[1] > now_ms}
        self.locked = {name: each for name, each in self.locked.items() if each[1] + HOUR_MS > now_ms}
        for name in [name for name, end_ms in self.hours_end_ms.items() if end_ms <= now_ms]:
            del self.hours[name], self.hours_end_ms[name]

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

    def accepted(self, client: ClientConfig, campaign: CampaignConfig, number: str, now_ms: int) -> None:
        """One more was accepted."""
        for name, rate in self._limits(client, campaign, number).items():
            self.limits[name] = self._next(name, rate, now_ms)

    def _next(self, name: tuple[str, ...], rate: Rate, now_ms: int) -> float:
        period_ms = rate.period.total_seconds() * 1000
        each_ms = period_ms / rate.burst
        free_ms = max(self.limits.get(name, 0), now_ms)
        if free_ms > now_ms + period_ms:  # the clock was set back: there is room for one
            free_ms = now_ms + period_ms - each_ms
        return free_ms + each_ms

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

    def room(self, campaign: CampaignConfig, now_ms: int, claimed: int) -> int:
        """The largest batch that may go now, when so many calls are leased."""
        if self.held(campaign, now_ms)[0] is not None:
            return 1
        size = min(campaign.batch_size, self.smaller.get(campaign.name, (campaign.batch_size, 0))[0])
        free = campaign.max_per_hour - self.used(campaign.name, now_ms) - claimed
        return min(size, free) if campaign.max_per_hour else size

    # The ceiling of an hour ----------------------------------------------------------------------------------------

    def used(self, campaign: str, now_ms: int) -> int:
        """Calls that count: those whose minute is not yet an hour old."""
        return sum(self._hour(campaign, now_ms).values())

    def _hour(self, campaign: str, now_ms: int) -> dict[int, int]:
        """What a clock that was set back wrote too far ahead counts as of the last minute in which one may leave."""
        last = now_ms // 60_000 + 6
        hour: dict[int, int] = {}
        for minute, calls in self.hours.get(campaign, {}).items():
            if minute > now_ms // 60_000 - 61:
                hour[min(minute, last)] = hour.get(min(minute, last), 0) + calls
        return hour

    def count(self, campaign: str, calls: int, now_ms: int, lease_ms: int) -> int:
        """An import is marked, and may leave until its lease ends: the minute in which its calls count."""
        minute = (now_ms + lease_ms) // 60_000
        hour = self.hours.setdefault(campaign, {})
        hour[minute] = hour.get(minute, 0) + calls
        if hour[minute] == calls:
            self.hours[campaign] = self._hour(campaign, now_ms)
        end_ms = (minute + 63) * 60_000
        self.hours_end_ms[campaign] = max(self.hours_end_ms.get(campaign, 0), end_ms)
        return minute

    def uncount(self, campaign: str, minute: int | None, calls: int) -> None:
        """Of an import so many are known never to have been taken."""
        hour = self.hours.get(campaign, {})
        if minute is not None and minute in hour:
            hour[minute] -= calls
            if hour[minute] <= 0:
                del hour[minute]
        self._end_if_empty(campaign)

    def _end_if_empty(self, campaign: str) -> None:
        if not self.hours.get(campaign, True):
            del self.hours[campaign], self.hours_end_ms[campaign]

    def news(self, campaign: CampaignConfig, now_ms: int) -> tuple[int, int] | None:
        """The percent of the ceiling that is to be told of, and the calls; each once, until it is well left behind."""
        if not campaign.max_per_hour:
            return None
        if campaign.name in self.hours:
            self.hours[campaign.name] = self._hour(campaign.name, now_ms)
            self._end_if_empty(campaign.name)
        used = self.used(campaign.name, now_ms)
        part = 100 * used / campaign.max_per_hour
        level = 100 if part >= 100 else 80 if part >= 80 else 0
        said = self.said.get(campaign.name, (0, 0))[0]
        still = 100 if said == 100 and part >= 90 else 80 if said and part >= 70 else 0
        self.said.pop(campaign.name, None)
        if level or still:
            self.said[campaign.name] = (max(level, still), now_ms + 2 * HOUR_MS)
        return (level, used) if level > still else None

    def at_ceiling(self, campaign: CampaignConfig, now_ms: int, claimed: int) -> bool:
        """Whether the hour's calls are used up or on their way; from then on messages wait for that."""
        self.full_until_ms.pop(campaign.name, None)
        hour = self._hour(campaign.name, now_ms)
        if not campaign.max_per_hour or sum(hour.values()) + claimed < campaign.max_per_hour:
            return False
        self.full_until_ms[campaign.name] = (min(hour) + 61) * 60_000 if hour else now_ms + LEASE_MS
        return True

    def leased(self, campaign: CampaignConfig, now_ms: int) -> None:
        """A batch was given: a probe pushes the next one back."""
        if campaign.name in self.holds and campaign.account not in self.locked:
            self.holds[campaign.name].probe_at_ms = now_ms + PROBE_PAUSE_MS

    # What is said of campaigns -------------------------------------------------------------------------------------

    def operated(self, verb: str, campaign: str, why: str) -> bool:
        """An operator acts. False: it was so already."""
        if verb == "resume":
            was = [self.paused.pop(campaign, None), self.draining.pop(campaign, None)]
            changed = was != [None, None]
        else:
            held = self.paused if verb == "pause" else self.draining
            changed = held.get(campaign) != why
            held[campaign] = why
        if changed:
            self.actions.append(verb)
        return changed

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
