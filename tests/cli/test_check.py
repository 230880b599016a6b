import base64
import json
from pathlib import Path

from app.cli.check_keys import keys_in_use
from app.cli.keygen import digest_of, new_encryption_key
from app.config import load_config
from app.sandbox.main import SandboxSettings, sandbox_server
from app.secret import Secret
from app.store.opening import open_database
from app.store.tokens import Tokens
from tests.cli.command_line import ran

TEXT = """
[redis]
url = "{redis_url}"
[provider.accounts.main]
base_url = "{base_url}"
secret_key = "{secret_key}"
timeout = "2s"
[campaigns.login-otp]
account = "main"
campaign_id = "{campaign_id}"
kind = "voice_otp"
[clients.demo]
api_keys = ["{digest}"]
campaigns = ["login-otp"]
signing_secrets = ["whsec_{signing}"]
[storage]
encryption_keys = ["{encryption_key}"]
"""


def written(folder: Path, **values: str) -> str:
    defaults = {
        "base_url": "http://127.0.0.1:1",
        "secret_key": "sandbox-secret",
        "campaign_id": "sandbox-login-otp",
        "digest": digest_of("k" * 32),
        "signing": base64.b64encode(b"s" * 32).decode(),
        "encryption_key": new_encryption_key(),
    }
    file = folder / "relay.toml"
    file.write_text(TEXT.format(**{**defaults, **values}))
    return str(file)


async def test_all_that_answers_passes_and_nothing_is_imported(tmp_path: Path, redis_url: str) -> None:
    async with sandbox_server(SandboxSettings()) as url:
        ended = await ran("check", "--config", written(tmp_path, redis_url=redis_url, base_url=url))
    lines = ended.out.splitlines()
    assert ended.code == 0, ended
    assert [line.split()[:2] for line in lines[:5]] == [
        ["ok", "configuration"],
        ["ok", "redis"],
        ["ok", "account"],
        ["ok", "campaign"],
        ["ok", "key"],
    ]
    assert lines[-1] == "all 5 passed"


async def test_a_campaign_that_the_provider_does_not_know_is_named(tmp_path: Path, redis_url: str) -> None:
    async with sandbox_server(SandboxSettings()) as url:
        config = written(tmp_path, redis_url=redis_url, base_url=url, campaign_id="another")
        ended = await ran("check", "--config", config, "--json")
    assert ended.code == 1
    found = {each["what"]: each for each in json.loads(ended.out)["checks"]}
    assert (found["account"]["passed"], found["campaign"]["passed"]) == (True, False)
    assert "campaign_id" in found["campaign"]["mend"]


async def test_everything_is_asked_though_some_of_it_fails(tmp_path: Path) -> None:
    async with sandbox_server(SandboxSettings()) as url:
        config = written(tmp_path, redis_url="redis://127.0.0.1:1/0", base_url=url, secret_key="not-this-one")
        ended = await ran("check", "--config", config)
    assert ended.code == 1
    assert "redis cannot be reached" in ended.out
    assert "refuses its secret_key" in ended.out
    assert "3 of 4 failed" in ended.out
    assert "not-this-one" not in ended.out + ended.err


async def test_a_provider_that_is_away_is_told(tmp_path: Path, redis_url: str) -> None:
    ended = await ran("check", "--config", written(tmp_path, redis_url=redis_url))
    assert ended.code == 1
    assert "the provider cannot be reached" in ended.out


async def test_it_tells_which_keys_are_still_needed_and_which_is_missing(
    tmp_path: Path, redis_url: str
) -> None:
    old, new = new_encryption_key(), new_encryption_key()

    async def keys_told(*keys: str) -> list[tuple[bool, str]]:
        file = written(tmp_path, redis_url=redis_url, encryption_key='", "'.join(keys))
        database = await open_database(load_config(Path(file)), wait_s=5)
        await Tokens(database).get("main")
        found = await keys_in_use(database, 10, lambda _at, _of: None)
        await database.close()
        return [(one.passed, one.mend or one.note) for one in found]

    await keys_told(old)
    database = await open_database(load_config(tmp_path / "relay.toml"))
    await Tokens(database).store("main", Secret.of("tok"), None, "w")
    await database.read("HSET", database.key("idem", "demo", "h"), "a", database.keyring.seal(b"a", "idem/h"))
    await database.close()
    assert await keys_told(new, old) == [
        (True, "seals; needed by 0 records, 1 tokens, 0 answers and the indexes"),
        (True, "still needed by 0 records, 0 tokens, 1 answers"),
    ]
    (_, missing) = await keys_told(new)
    assert missing == (False, "needed by 0 records, 0 tokens, 1 answers: add it to [storage] encryption_keys")
    database = await open_database(load_config(tmp_path / "relay.toml"))
    await database.read("DEL", database.key("idem", "demo", "h"))
    await database.close()
    assert (await keys_told(new, old))[1] == (True, "needed by nothing: it can be taken out")


async def test_data_sealed_with_another_key_is_told(tmp_path: Path, redis_url: str) -> None:
    async with sandbox_server(SandboxSettings()) as url:
        await ran("check", "--config", written(tmp_path, redis_url=redis_url, base_url=url))
        ended = await ran("check", "--config", written(tmp_path, redis_url=redis_url, base_url=url))
    assert ended.code == 1
    assert "encryption_keys" in ended.out
    assert "Traceback" not in ended.err
