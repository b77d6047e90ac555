import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from cli import config
from cli.errors import CliError
from tests.fake_api import KEY, URL


def test_the_first_profile_becomes_the_current_one() -> None:
    config.save_profile("second", "http://second.test", "k")
    assert config.load().current == "test"


def test_use_makes_a_new_profile_the_current_one() -> None:
    config.save_profile("second", "http://second.test", "k", use=True)
    assert config.choose(None, {}).name == "second"


def test_only_the_owner_can_read_the_file() -> None:
    assert stat.S_IMODE(config.path().stat().st_mode) == 0o600


def test_a_file_that_others_could_read_is_closed_by_the_next_save() -> None:
    config.path().chmod(0o644)
    config.save_profile("test", URL, KEY)
    assert stat.S_IMODE(config.path().stat().st_mode) == 0o600


def test_comments_survive_a_save() -> None:
    config.path().write_text(f"# mine\n{config.path().read_text()}")
    config.save_profile("second", "http://second.test", "k")
    assert config.path().read_text().startswith("# mine\n")


def test_the_environment_names_a_deployment() -> None:
    profile = config.choose(None, {"SPARK_URL": "http://other.test/api/v1/", "SPARK_API_KEY": "k"})
    assert (profile.url, profile.api_key) == ("http://other.test", "k")


def test_a_stored_key_is_not_sent_to_another_address() -> None:
    assert config.choose(None, {"SPARK_URL": "http://other.test"}).api_key == ""
    assert config.choose(None, {"SPARK_URL": URL}).api_key == KEY


def test_the_environment_gives_another_key_or_profile() -> None:
    config.save_profile("second", "http://second.test", "k")
    assert config.choose(None, {"SPARK_API_KEY": "other"}).api_key == "other"
    assert config.choose(None, {"SPARK_PROFILE": "second"}).name == "second"


def test_a_profile_named_on_the_line_beats_the_environment() -> None:
    profile = config.choose("test", {"SPARK_URL": "http://other.test", "SPARK_API_KEY": "k"})
    assert (profile.url, profile.api_key) == (URL, KEY)


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(CliError, match="Known: test"):
        config.choose("nope", {})


def test_a_deleted_profile_is_forgotten_with_its_key() -> None:
    config.delete_profile("test")
    assert KEY not in config.path().read_text()
    with pytest.raises(CliError, match="No deployment"):
        config.choose(None, {})


def test_a_broken_file_is_named() -> None:
    config.path().write_text("= nonsense")
    with pytest.raises(CliError, match=r"config\.toml is no valid TOML"):
        config.load()


@pytest.mark.parametrize(("key", "masked"), [(KEY, "spk_test_…"), ("hunter2", "…"), ("", "")])
def test_keys_are_masked(key: str, masked: str) -> None:
    profile = config.Profile("p", URL, key)
    assert profile.masked_key == masked
    assert not key or key not in repr(profile)


@pytest.mark.parametrize("url", ["spark.example.com", "ftp://spark", "http://", "http://[bad", "http://host:99999"])
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(CliError, match="no web address"):
        config.save_profile("p", url, "k")


def test_it_works_without_a_file(home: Path) -> None:
    config.path().unlink()
    assert config.load().profiles == {}


def test_no_command_undoes_what_another_writes_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    config.keep_tokens("test", "access-1", "refresh-1")
    write = config._write
    other = threading.Thread(target=config.keep_tokens, args=("test", "access-2", "refresh-2"))

    def slowly(document: Any) -> None:
        monkeypatch.setattr(config, "_write", write)
        other.start()
        other.join(0.2)
        write(document)

    monkeypatch.setattr(config, "_write", slowly)
    config.use_project("test", "prj_1")
    other.join()
    profile = config.load().profile("test")
    assert (profile.refresh_token, profile.project) == ("refresh-2", "prj_1")


def test_without_file_locks_it_works_for_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "fcntl", None)  # Windows
    config.keep_tokens("test", "access-1", "refresh-1")
    assert config.load().profile("test").refresh_token == "refresh-1"
