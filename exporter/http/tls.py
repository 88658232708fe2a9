"""TLS as a web configuration file asks for it, with OpenSSL through the standard library.

The file's words are Go's (crypto/tls), so that one file serves all of Prometheus' programs. What Go can and OpenSSL
can't is refused with the remedy: TLS before 1.2, and client certificates that are not verified.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
# Go's CurveID names and OpenSSL's group names.
CURVES = {"X25519": "X25519", "CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1"}
# The suites for TLS 1.2, by Go's and OpenSSL's names: forward secrecy and authenticated encryption only.
# Those of TLS 1.3 are always on.
CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
TLS13_CIPHERS = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
# Whether a policy asks for a client's certificate, and whether a request without one is refused.
CLIENT_AUTH = {
    "NoClientCert": (False, False),
    "RequestClientCert": (False, False),
    "VerifyClientCertIfGiven": (True, False),
    "RequireAndVerifyClientCert": (True, True),
}


class TlsError(ValueError):
    """A setting that can't be served; `key` is its name inside tls_server_config."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


@dataclass(frozen=True)
class TlsSettings:
    """The values of tls_server_config, under the names of the file; paths are resolved."""

    cert: str | None = None
    key: str | None = None
    client_ca: str | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    client_auth_type: str = "NoClientCert"
    client_allowed_sans: tuple[str, ...] | None = None
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    curve_preferences: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True


@dataclass(frozen=True)
class Tls:
    """What the server needs for a connection."""

    context: ssl.SSLContext
    client_certificate_required: bool
    client_allowed_sans: frozenset[str] | None

    def admits(self, certificate: Any) -> bool:
        """Whether a request over a connection with this peer certificate (`getpeercert()`) may pass.

        A certificate that was given is already verified; that one is required is checked here, for each request,
        so that a kubelet's probe without one can still read the state of health.
        """
        if not self.client_certificate_required:
            return True
        if not certificate:
            return False
        names = set(_names(certificate.get("subjectAltName", ())))
        return self.client_allowed_sans is None or not names.isdisjoint(self.client_allowed_sans)


def server_tls(settings: TlsSettings) -> Tls:
    """The server's side of TLS; reads the files.

    Raises:
        TlsError: a value or a file is unfit.
    """
    _check_client_auth(settings)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _set_versions(context, settings)
    _set_ciphers(context, settings)
    _set_curves(context, settings.curve_preferences)
    _load_certificate(context, settings)
    verify, required = CLIENT_AUTH[settings.client_auth_type]
    if verify:
        _load_client_ca(context, settings)
        # Not CERT_REQUIRED: see Tls.admits.
        context.verify_mode = ssl.CERT_OPTIONAL
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    sans = settings.client_allowed_sans
    return Tls(context, required, None if sans is None else frozenset(_normal(each) for each in sans))


def _check_client_auth(settings: TlsSettings) -> None:
    policy = settings.client_auth_type
    if policy in ("RequireAnyClientCert", "RequireClientCert"):
        raise TlsError(
            "client_auth_type",
            f"{policy} accepts any certificate; use RequireAndVerifyClientCert",
        )
    _known("client_auth_type", policy, CLIENT_AUTH)
    has_ca = settings.client_ca is not None or settings.client_ca_file is not None
    verify, required = CLIENT_AUTH[policy]
    if verify and not has_ca:
        raise TlsError("client_auth_type", f"{policy} needs client_ca_file")
    if has_ca and not verify:
        key = "client_ca_file" if settings.client_ca_file else "client_ca"
        raise TlsError(
            key, f"no certificate is verified with client_auth_type {policy}; use RequireAndVerifyClientCert"
        )
    if settings.client_allowed_sans is not None and not required:
        raise TlsError("client_allowed_sans", "needs client_auth_type RequireAndVerifyClientCert")


def _set_versions(context: ssl.SSLContext, settings: TlsSettings) -> None:
    for key in ("min_version", "max_version"):
        version = getattr(settings, key)
        if version in ("TLS10", "TLS11"):
            raise TlsError(key, f"{version} is broken and not served; use TLS12 or TLS13")
        _known(key, version, VERSIONS)
    lowest, highest = VERSIONS[settings.min_version], VERSIONS[settings.max_version]
    if lowest > highest:
        raise TlsError("min_version", f"{settings.min_version} is above max_version {settings.max_version}")
    context.minimum_version, context.maximum_version = lowest, highest


def _set_ciphers(context: ssl.SSLContext, settings: TlsSettings) -> None:
    suites = settings.cipher_suites
    for suite in suites:
        if "_CBC_" in suite or suite.startswith("TLS_RSA_"):
            raise TlsError("cipher_suites", f"{suite} is weak and not served; leave it out")
        _known("cipher_suites", suite, {*CIPHERS, *TLS13_CIPHERS})
    chosen = [CIPHERS[suite] for suite in suites or CIPHERS if suite in CIPHERS]
    if chosen:
        context.set_ciphers(":".join(chosen))
    elif settings.min_version == "TLS12":
        raise TlsError("cipher_suites", "no suite of TLS 1.2 is among them; add one, or set min_version TLS13")
    if settings.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _set_curves(context: ssl.SSLContext, curves: tuple[str, ...]) -> None:
    for curve in curves:
        _known("curve_preferences", curve, CURVES)
    if len(curves) == 1:
        context.set_ecdh_curve(CURVES[curves[0]])
    elif curves and set(curves) != set(CURVES):
        # One curve or OpenSSL's own list is all that Python's ssl can set (before 3.15).
        raise TlsError("curve_preferences", "give one curve, or leave it out to offer X25519 and the NIST curves")


def _load_certificate(context: ssl.SSLContext, settings: TlsSettings) -> None:
    for name in ("cert", "key"):
        inline, path = getattr(settings, name), getattr(settings, f"{name}_file")
        if inline is not None and path is not None:
            raise TlsError(name, f"{name} and {name}_file are both set; keep one")
        if inline is None and path is None:
            raise TlsError(f"{name}_file", "missing; TLS needs cert_file and key_file")
        if path is not None:
            _readable(f"{name}_file", path)
    key_name = "key_file" if settings.key_file else "key"
    with _as_file(settings.cert, settings.cert_file) as cert, _as_file(settings.key, settings.key_file) as key:
        try:
            # An encrypted key would ask the terminal for its passphrase.
            context.load_cert_chain(cert, key, password=lambda: "")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise TlsError(key_name, f"{settings.key_file or 'it'} is not the key of the certificate") from None
            paths = f"{settings.cert_file or 'cert'} and {settings.key_file or 'key'}"
            raise TlsError(key_name, f"{paths} hold no certificate and unencrypted key in PEM") from None


def _load_client_ca(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.client_ca is not None and settings.client_ca_file is not None:
        raise TlsError("client_ca", "client_ca and client_ca_file are both set; keep one")
    key, text = "client_ca", settings.client_ca
    if settings.client_ca_file is not None:
        key, text = "client_ca_file", _readable("client_ca_file", settings.client_ca_file)
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise TlsError(key, f"{settings.client_ca_file or 'it'} holds no certificate in PEM") from None


def _readable(key: str, path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise TlsError(key, f"cannot read {path}: {error.strerror}") from None


@contextmanager
def _as_file(text: str | None, path: Path | None) -> Iterator[str]:
    """A path for OpenSSL, which reads files only; a text is a file in memory and never on a disk."""
    if path is not None or text is None:
        yield str(path)
        return
    descriptor = os.memfd_create("pem")
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _known(key: str, value: str, known: Iterable[str]) -> None:
    names = sorted(known)
    if value not in names:
        close = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(names)}"
        raise TlsError(key, f"{value!r} is unknown; {hint}")


def _names(alternative: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """The names of a certificate that client_allowed_sans can hold: DNS, IP, e-mail, URI."""
    for kind, value in alternative:
        if kind in ("DNS", "email", "URI"):
            yield value
        elif kind == "IP Address":
            yield _normal(value.strip())


def _normal(name: str) -> str:
    """An IP address in its one short form; any other name as it is."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name
