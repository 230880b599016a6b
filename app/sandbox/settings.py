"""What a sandbox is started with. Owns no state and reads no environment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

CampaignKind = Literal["voice_otp", "notification"]


@dataclass(frozen=True, kw_only=True)
class CampaignSeed:
    """A campaign that exists, and runs, from the first start on."""

    campaign_id: str
    name: str
    kind: CampaignKind


DEFAULT_CAMPAIGNS = (
    CampaignSeed(campaign_id="sandbox-login-otp", name="Mã đăng nhập", kind="voice_otp"),
    CampaignSeed(campaign_id="sandbox-order-notice", name="Báo đơn hàng", kind="notification"),
)


@dataclass(frozen=True, kw_only=True)
class SandboxSettings:
    """`call_time` is from import to outcome of an ordinary call: a fifth queued, the rest ringing.

    `page_cap` is the most rows an export page holds, whatever `limit` asks. With `ringing_rows` off, exports
    show a call only when it has ended. `state_file` keeps calls, campaigns and tokens over a restart.
    """

    secret_key: str = "sandbox-secret"
    token_ttl: timedelta = timedelta(hours=1)
    campaigns: tuple[CampaignSeed, ...] = DEFAULT_CAMPAIGNS
    call_time: timedelta = timedelta(seconds=1.5)
    page_cap: int | None = None
    ringing_rows: bool = True
    state_file: Path | None = None
    timezone: str = "Asia/Ho_Chi_Minh"
