"""What a web configuration file may say, what is refused and how, and what happens when it changes."""

from __future__ import annotations

import logging
import os
import re
import ssl
from pathlib import Path

import bcrypt
import pytest
import trustme

from exporter.errors import ConfigError
from exporter.http.webconfig import WebConfigFile, load

# a constant salt: the hash is part of the names of tests, which every process must call the same
HASH = bcrypt.hashpw(b"right", b"$2b$04$abcdefghijklmnopqrstuu").decode()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority of our own."""
    return trustme.CA()


@pytest.fixture
def folder(tmp_path: Path, authority: trustme.CA) -> Path:
    """A folder with a server's certificate and key, another key, and the authority's certificate."""
    server = authority.issue_cert("localhost")
    _write(tmp_path / "server.crt", b"".join(each.bytes() for each in server.cert_chain_pems))
    _write(tmp_path / "server.key", server.private_key_pem.bytes())
    _write(tmp_path / "other.key", authority.issue_cert("other").private_key_pem.bytes())
    _write(tmp_path / "ca.crt", authority.cert_pem.bytes())
    return tmp_path


def _write(path: Path, content: bytes | str) -> None:
    """Replace a file as careful programs do."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(content if isinstance(content, bytes) else content.encode())
    fresh.replace(path)


def _config(folder: Path, text: str) -> Path:
    path = folder / "web.yaml"
    _write(path, text)
    return path


TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"


def test_the_whole_format_is_read(folder: Path) -> None:
    """Every key of exporter-toolkit's format that is served, at once; paths are relative to the file."""
    text = f"""{TLS}
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: {folder}/ca.crt
  client_allowed_sans: [prometheus.example, "0:0::1"]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  curve_preferences: [CurveP256]
  prefer_server_cipher_suites: false
http_server_config:
  http2: true
  headers:
    X-Frame-Options: sameorigin
    Strict-Transport-Security: max-age=1
basic_auth_users:
  alice: {HASH}
  "1": {HASH}
"""
    config = load(_config(folder, text))
    assert config.tls is not None
    suites = {each["name"] for each in config.tls.context.get_ciphers() if each["protocol"] == "TLSv1.2"}
    assert suites == {"ECDHE-ECDSA-AES128-GCM-SHA256"}
    assert config.tls.context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert config.tls.client_allowed_sans == frozenset({"prometheus.example", "::1"})
    assert config.headers == {"X-Frame-Options": "sameorigin", "Strict-Transport-Security": "max-age=1"}
    assert config.users == {"alice": HASH.encode(), "1": HASH.encode()}
    assert config.http2
    assert HASH not in repr(config)


@pytest.mark.parametrize("text", ["", "tls_server_config:\nbasic_auth_users: {}\n", "# nothing\n"])
def test_an_empty_file_serves_plain_http(folder: Path, text: str) -> None:
    """As exporter-toolkit does."""
    config = load(_config(folder, text))
    assert config.tls is None
    assert not config.users


def test_certificate_key_and_authority_may_stand_in_the_file(folder: Path) -> None:
    """In PEM, as exporter-toolkit's `cert`, `key` and `client_ca`."""

    def indented(name: str) -> str:
        return (folder / name).read_text().replace("\n", "\n    ")

    pem = f"  cert: |\n    {indented('server.crt')}\n  key: |\n    {indented('server.key')}\n"
    text = f"tls_server_config:\n{pem}\n  client_ca: |\n    {indented('ca.crt')}\n"
    config = load(_config(folder, f"{text}\n  client_auth_type: VerifyClientCertIfGiven\n"))
    assert config.tls is not None
    assert config.tls.context.verify_mode is ssl.CERT_OPTIONAL
    assert not config.tls.client_certificate_required


def _bad_tls(line: str, message: str) -> tuple[str, str]:
    return f"{TLS}  {line}\n", f"web.yaml:4: tls_server_config.{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tls_server_confg: {}\n", "web.yaml:1: tls_server_confg: no such key; did you mean tls_server_config?"),
        _bad_tls("min_verson: TLS12", "min_verson: no such key; did you mean min_version?"),
        _bad_tls("min_version: TLS14", "min_version: 'TLS14' is unknown; did you mean TLS13?"),
        _bad_tls("min_version: TLS10", "min_version: TLS10 is broken and not served; use TLS12 or TLS13"),
        _bad_tls("min_version: TLS13\n  max_version: TLS12", "min_version: TLS13 is above max_version TLS12"),
        _bad_tls("cipher_suites: [TLS_ECDHE_RSA]", "cipher_suites: 'TLS_ECDHE_RSA' is unknown; did you mean TLS_"),
        _bad_tls(
            "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]",
            "cipher_suites: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA is weak and not served; leave it out",
        ),
        _bad_tls("cipher_suites: [TLS_AES_128_GCM_SHA256]", "cipher_suites: no suite of TLS 1.2 is among them"),
        _bad_tls("cipher_suites: TLS_AES_128_GCM_SHA256", "cipher_suites: expected `array`, got `str`"),
        _bad_tls("curve_preferences: [P256]", "curve_preferences: 'P256' is unknown; did you mean CurveP256?"),
        _bad_tls("curve_preferences: [CurveP256, X25519]", "curve_preferences: give one curve, or leave it out"),
        _bad_tls("prefer_server_cipher_suites: perhaps", "prefer_server_cipher_suites: expected `bool`, got `str`"),
        _bad_tls("client_auth_type: RequireAnyClientCert", "client_auth_type: RequireAnyClientCert accepts any"),
        _bad_tls("client_auth_type: Require", "client_auth_type: 'Require' is unknown"),
        _bad_tls("client_auth_type: RequireAndVerifyClientCert", "client_auth_type: RequireAndVerifyClientCert needs"),
        _bad_tls("client_ca_file: ca.crt", "client_ca_file: no certificate is verified with client_auth_type NoClient"),
        _bad_tls("client_allowed_sans: [a]", "client_allowed_sans: needs client_auth_type RequireAndVerifyClientCert"),
        _bad_tls("key: x", "key: key and key_file are both set; keep one"),
        (
            "tls_server_config:\n  cert_file: gone.crt\n  key_file: server.key\n",
            "/gone.crt: No such file or directory",
        ),
        ("tls_server_config:\n  cert_file: server.crt\n", "web.yaml:1: tls_server_config.key_file: missing"),
        ("tls_server_config:\n  min_version: TLS12\n", "web.yaml:1: tls_server_config.cert_file: missing"),
        (
            "tls_server_config:\n  cert_file: server.crt\n  key_file: other.key\n",
            "/other.key is not the key of the certificate",
        ),
        (
            "tls_server_config:\n  cert_file: web.yaml\n  key_file: server.key\n",
            "/server.key hold no certificate and unencrypted key in PEM",
        ),
        (
            f"{TLS}  client_ca_file: web.yaml\n  client_auth_type: VerifyClientCertIfGiven\n",
            "/web.yaml holds no certificate in PEM",
        ),
        ("tls_server_config: yes\n", "web.yaml:1: tls_server_config: must be a mapping of keys"),
        ("http_server_config:\n  http2: maybe\n", "web.yaml:2: http_server_config.http2: expected `bool`"),
        (
            "http_server_config:\n  headers:\n    Server: x\n",
            "web.yaml:3: http_server_config.headers.Server: no such key",
        ),
        (
            "http_server_config:\n  headers:\n    X-Frame-Options: allow\n",
            "web.yaml:3: http_server_config.headers.X-Frame-Options: 'allow' is not among its values: deny, sameorigin",
        ),
        (
            'http_server_config:\n  headers:\n    X-XSS-Protection: "1\\r\\nSet-Cookie: x"\n',
            "X-XSS-Protection: a header holds printable ASCII only",
        ),
        ("basic_auth_users:\n  bob: secret\n", "web.yaml:2: basic_auth_users.bob: not a bcrypt hash; make one with"),
        (f"basic_auth_users:\n  a:b: {HASH}\n", "basic_auth_users.a:b: a user name can't hold a colon"),
        (
            f"basic_auth_users:\n  bob: {HASH.replace('$04$', '$19$')}\n",
            "web.yaml:2: basic_auth_users.bob: the hash's cost 19 is not between 4 and 18",
        ),
        (f"basic_auth_users:\n  bob: {HASH}\n  bob: {HASH}\n", "web.yaml:3: basic_auth_users.bob stands twice"),
        ("rate_limit:\n  burst: 1\n", "web.yaml:1: rate_limit: not served"),
        ("basic_auth_users: [\n", "web.yaml:2: not valid YAML"),
        ("- a\n", "web.yaml:1: a web configuration file is a mapping of keys"),
        ("a: &a [*a]\n", "web.yaml:1: not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_file_line_key_and_remedy(folder: Path, text: str, message: str) -> None:
    """One line; neither a hash nor a key is quoted."""
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load(_config(folder, text))
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert HASH[8:] not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, or not text."""
    with pytest.raises(ConfigError, match="cannot read the web configuration file: No such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "latin").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="it is not UTF-8"):
        load(tmp_path / "latin")


def test_an_encrypted_key_is_refused_without_asking_the_terminal(folder: Path) -> None:
    """OpenSSL would prompt for the passphrase, and a server would hang."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((folder / "server.key").read_bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
    _write(folder / "server.key", encrypted)
    with pytest.raises(ConfigError, match="unencrypted key"):
        load(_config(folder, TLS))


def test_nothing_is_read_while_nothing_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for each request costs four `stat` calls."""
    file = WebConfigFile(_config(folder, TLS))
    before = file.current()
    monkeypatch.setattr("exporter.http.webconfig.load", lambda _: pytest.fail("read without need"))
    assert file.current() is before


def test_a_changed_file_is_read_again(folder: Path) -> None:
    """A user who was added may enter with the next request."""
    file = WebConfigFile(_config(folder, f"basic_auth_users:\n  alice: {HASH}\n"))
    _config(folder, f"{TLS}\nbasic_auth_users:\n  alice: {HASH}\n  bob: {HASH}\n")
    assert set(file.current().users) == {"alice", "bob"}
    assert file.current().tls is not None


@pytest.mark.parametrize("name", ["server.crt", "server.key"])
def test_a_renewed_certificate_is_taken_when_both_files_fit_again(
    folder: Path, authority: trustme.CA, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Between the two replacements the old one stays, and that is logged once."""
    file = WebConfigFile(_config(folder, TLS))
    before = file.current().tls
    renewed = authority.issue_cert("localhost")
    contents = {
        "server.crt": b"".join(each.bytes() for each in renewed.cert_chain_pems),
        "server.key": renewed.private_key_pem.bytes(),
    }
    _write(folder / name, contents.pop(name))
    for _ in range(3):
        assert file.current().tls is before
    assert len(caplog.records) == 1
    ((other, content),) = contents.items()
    _write(folder / other, content)
    assert file.current().tls is not before


def test_a_switched_symbolic_link_is_noticed(folder: Path) -> None:
    """Kubernetes changes the files of a mounted Secret by switching a link above them."""
    for name in ("one", "two"):
        (folder / name).mkdir()
        _config(folder / name, f"basic_auth_users:\n  {name}: {HASH}\n")
    (folder / "data").symlink_to("one")
    file = WebConfigFile(folder / "data" / "web.yaml")
    (folder / "new").symlink_to("two")
    (folder / "new").rename(folder / "data")
    assert set(file.current().users) == {"two"}


@pytest.mark.parametrize(
    "text", ["", f"basic_auth_users:\n  alice: {HASH}\n", TLS, "wrong: 1\n", f"{TLS}\nbasic_auth_users:\n  bob: $2y$"]
)
def test_a_change_that_is_wrong_or_takes_protection_away_keeps_the_old(
    folder: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """A file caught half-written or emptied must not open the server; it is logged once, without secrets."""
    file = WebConfigFile(_config(folder, f"{TLS}\nbasic_auth_users:\n  alice: {HASH}\n"))
    before = file.current()
    _config(folder, text)
    for _ in range(3):
        assert file.current() is before
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert HASH not in str(vars(record))


def test_a_file_that_vanished_keeps_the_old_and_its_return_is_noticed(folder: Path) -> None:
    """An unmounted volume must neither open nor stop the server."""
    path = _config(folder, f"basic_auth_users:\n  alice: {HASH}\n")
    file = WebConfigFile(path)
    os.unlink(path)  # noqa: PTH108 - as an operator does
    assert set(file.current().users) == {"alice"}
    _config(folder, f"basic_auth_users:\n  bob: {HASH}\n")
    assert set(file.current().users) == {"bob"}


def test_a_reading_that_failed_for_a_passing_reason_is_tried_again(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no change of the file to announce it; the failure is logged once."""
    file = WebConfigFile(_config(folder, f"basic_auth_users:\n  alice: {HASH}\n"))
    monkeypatch.setattr("exporter.http.webconfig._RETRY_SECONDS", 0.0)
    _config(folder, f"basic_auth_users:\n  bob: {HASH}\n")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", _fail)
        for _ in range(3):
            assert set(file.current().users) == {"alice"}
    assert [each.levelno for each in caplog.records] == [logging.ERROR]
    assert set(file.current().users) == {"bob"}


def _fail(*_: object, **__: object) -> str:
    raise OSError(24, "Too many open files")
