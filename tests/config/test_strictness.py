"""Nothing starts on a configuration that is not right, and all that is wrong is told at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from app.config import ConfigError, Rate, load_config
from tests.config.sample import DIGEST, ENV, LEAST, SIGNING_SECRET, faults_of, least, read


def keys_of(text: str, env: dict[str, str] = ENV) -> list[str]:
    return [fault.key for fault in faults_of(text, env)]


def test_all_faults_of_a_file_are_told_at_once() -> None:
    text = least(login_otp='batch_size = "many"\nconcurency = 4', checkout='rate_limit = "fast"').replace(
        'account = "main"', 'account = "mian"'
    )
    faults = faults_of(text, {})
    assert {fault.key for fault in faults} == {
        "provider.accounts.main.secret_key",
        "campaigns.login-otp.batch_size",
        "campaigns.login-otp.concurency",
        "campaigns.login-otp.account",
        "clients.checkout.rate_limit",
        "clients.checkout.signing_secrets[0]",
        "storage.encryption_keys[0]",
    }
    assert len(str(ConfigError(faults)).splitlines()) == len(faults)


@pytest.mark.parametrize(
    ("text", "key", "meant"),
    (
        (least(login_otp="linqer = '1s'"), "campaigns.login-otp.linqer", "linger"),
        (LEAST.replace('account = "main"', 'account = "mian"'), "campaigns.login-otp.account", "main"),
        (LEAST.replace('["login-otp"]', '["login-opt"]'), "clients.checkout.campaigns[0]", "login-otp"),
        (LEAST + "[sever]\nport = 1", "sever", "server"),
        (LEAST + "[provider.acounts.x]\n", "provider.acounts", "accounts"),
    ),
)
def test_a_misspelt_name_is_answered_with_the_one_meant(text: str, key: str, meant: str) -> None:
    fault = next(fault for fault in faults_of(text) if fault.key == key)
    assert meant in fault.expected
    assert "did you mean" in fault.expected


@pytest.mark.parametrize(
    ("table", "line"),
    (
        ("login_otp", "batch_size = 0"),
        ("login_otp", "batch_size = true"),
        ("login_otp", "batch_size = 2.0"),
        ("login_otp", 'default_ttl = "4s"'),
        ("login_otp", 'default_ttl = "86401s"'),
        ("login_otp", "default_ttl = 120"),
        ("login_otp", 'linger = "20"'),
        ("login_otp", 'linger = "２０ms"'),
        ("login_otp", 'linger = "20ms\\n"'),
        ("login_otp", 'per_number_limit = "0/10m"'),
        ("login_otp", 'per_number_limit = "5/0m"'),
        ("login_otp", 'allowed_regions = ["UK"]'),
        ("login_otp", "allowed_regions = []"),
        ("login_otp", 'on_ambiguous = "maybe"'),
        ("login_otp", 'supersede_queued = "no"'),
        ("main", 'timezone = "Asia/Saigoon"'),
        ("main", 'timezone = "../../etc/passwd"'),
        ("main", 'timezone = "Asia"'),
        ("main", 'ca_file = "no/such/bundle.pem"'),
        ("redis", "shards = 2"),
        ("redis", 'queue_url = "redis+cluster://a:6379"'),
        ("checkout", 'events = ["submitted"]'),
        ("checkout", 'callback_allow = ["ftp://x"]'),
        ("checkout", 'callback_allow = "https://x"'),
    ),
)
def test_a_value_out_of_its_bounds_is_the_one_fault(table: str, line: str) -> None:
    faults = faults_of(least(**{table: line}))
    assert [fault.key.rpartition(".")[2].partition("[")[0] for fault in faults] == [line.split(" =")[0]]


@pytest.mark.parametrize(("written", "rate"), (("5/10m", (5, 600)), ("200/s", (200, 1)), ("20/1s", (20, 1))))
def test_a_rate_is_so_many_at_once_and_then_evenly(written: str, rate: tuple[int, int]) -> None:
    found = read(least(checkout=f'rate_limit = "{written}"')).clients["checkout"].rate_limit
    assert found == Rate(rate[0], timedelta(seconds=rate[1]))
    assert found.interval * rate[0] == found.period


@pytest.mark.parametrize(("kind", "choice"), (("voice_otp", "retry"), ("notification", "give_up")))
def test_an_ambiguous_import_is_retried_by_default_only_where_a_code_is_read_out(
    kind: str, choice: str
) -> None:
    assert read(LEAST.replace("voice_otp", kind)).campaigns["login-otp"].on_ambiguous == choice


@pytest.mark.parametrize(
    "url",
    (
        "rediss://user:pw@h:6380/1",
        "unix:///run/redis.sock",
        "redis://[::1]:6379/0",
        "redis+sentinel://a:26379,b:26379/primary/0",
    ),
)
def test_every_form_of_redis_url_is_taken(url: str) -> None:
    config = read(LEAST.replace("redis://localhost:6379/0", url))
    assert config.redis.url == url
    assert config.redis.queue_url == url


@pytest.mark.parametrize(
    "url",
    (
        *("localhost:6379", "http://h:6379", "redis://", "redis://h:0", "redis://h:99999", "redis://h/x"),
        *("unix://run/redis.sock", "redis://a:1,b:2", "redis+sentinel://a:26379", "redis+cluster://a:6379/1"),
    ),
)
def test_no_other_redis_url_is_taken(url: str) -> None:
    assert keys_of(LEAST.replace("redis://localhost:6379/0", url))[0] == "redis.url"


def test_a_cluster_may_have_shards_and_needs_a_queue_beside_it() -> None:
    cluster = least(redis="shards = 16").replace("redis://localhost:6379/0", "redis+cluster://a:6379,b:6379")
    assert keys_of(cluster) == ["redis.queue_url"]
    beside = cluster.replace("shards = 16", 'shards = 16\nqueue_url = "redis://q:6379"')
    assert read(beside).redis.queue_url == "redis://q:6379"


def test_the_environment_overrides_the_redis_url_and_the_workers_port() -> None:
    env = ENV | {"RELAY_REDIS_URL": "redis://other:6379/3", "RELAY_WORKER_PORT": "0"}
    config = read(LEAST.replace('url = "redis://localhost:6379/0"', ""), env)
    assert (config.redis.url, config.worker.port) == ("redis://other:6379/3", 0)


def test_a_fault_in_an_override_names_the_variable() -> None:
    faults = faults_of(LEAST, ENV | {"RELAY_REDIS_URL": "nope", "RELAY_WORKER_PORT": "70000"})
    assert {fault.key: fault.found.rpartition(" ")[2] for fault in faults} == {
        "redis.url": "RELAY_REDIS_URL",
        "worker.port": "RELAY_WORKER_PORT",
    }


def test_a_key_belongs_to_one_client_or_the_admin() -> None:
    other = '[clients.other]\napi_keys = ["sha256:{}"]\ncampaigns = ["login-otp"]\nsigning_secrets = ["{}"]\n'
    twice = LEAST + other.format(DIGEST.upper(), SIGNING_SECRET)
    assert keys_of(twice) == ["clients.other.api_keys"]
    assert keys_of(LEAST + f'[admin]\napi_keys = ["sha256:{DIGEST}"]') == ["admin.api_keys"]


def test_a_default_callback_url_must_be_one_that_the_client_may_use() -> None:
    url = 'callback_url = "https://checkout.internal/x"\n'
    assert keys_of(least(checkout=url)) == ["clients.checkout.callback_url"]
    assert keys_of(least(checkout=url + 'callback_allow = ["https://checkout.internal:8443"]')) == [
        "clients.checkout.callback_url"
    ]
    covered = read(least(checkout=url + 'callback_allow = ["https://checkout.internal"]'))
    assert covered.clients["checkout"].callback_url == "https://checkout.internal/x"


def test_a_fault_of_syntax_names_line_and_column() -> None:
    assert keys_of("[server]\nport = \n") == ["line 2, column 8"]
    assert keys_of("[server]\nport = [1,\n") == ["line 3, column 1"]


def test_a_file_that_is_missing_or_none_is_one_clear_fault(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.toml", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(ConfigError) as refused:
            load_config(path, {})
        assert [fault.file for fault in refused.value.faults] == [str(path)]
        assert why in str(refused.value)


def test_a_relative_path_starts_from_the_files_folder(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    file = tmp_path / "relay.toml"
    file.write_text(LEAST.replace('{ env = "AICALLCENTER_SECRET_KEY" }', '{ file = "key" }'))
    assert load_config(file, ENV).accounts["main"].secret_key.reveal() == "from-a-file"
