"""relay.toml: what it may say, and how it is read.

The public face of the package; the modules behind it are its own.
"""

from app.config.fault import ConfigError, Fault
from app.config.file import Loaded, load, load_config, parse_config
from app.config.model import (
    AccountConfig,
    AdminConfig,
    CallbacksConfig,
    CampaignConfig,
    ClientConfig,
    Config,
    Durability,
    Kind,
    NumberFormat,
    OnAmbiguous,
    OutcomesFrom,
    Rate,
    RedisConfig,
    ServerConfig,
    StorageConfig,
    WorkerConfig,
)

__all__ = [
    "AccountConfig",
    "AdminConfig",
    "CallbacksConfig",
    "CampaignConfig",
    "ClientConfig",
    "Config",
    "ConfigError",
    "Durability",
    "Fault",
    "Kind",
    "Loaded",
    "NumberFormat",
    "OnAmbiguous",
    "OutcomesFrom",
    "Rate",
    "RedisConfig",
    "ServerConfig",
    "StorageConfig",
    "WorkerConfig",
    "load",
    "load_config",
    "parse_config",
]
