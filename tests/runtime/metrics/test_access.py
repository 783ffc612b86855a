"""Who may read the metrics of our own server: a credential, TLS, and a cap on the threads."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from llmmetrics import ConfigError
from llmmetrics.metrics import http_server


@contextmanager
def served(meter, **access):
    server, thread = meter.start_http_server(0, **access)
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("access", "header", "status"),
    [
        ({}, "", 200),
        ({"token": "t0ken"}, "", 401),
        ({"token": "t0ken"}, "Bearer t0ken", 200),
        ({"token": "t0ken"}, "bearer  t0ken", 200),
        ({"token": "t0ken"}, "Bearer t0ken2", 401),
        ({"token": "t0ken"}, "Bearer T0KEN", 401),
        ({"token": "t0ken"}, "Basic t0ken", 401),
        ({"token": "tökén"}, "", 401),
        ({"basic_auth": ("me", "secret")}, "Basic bWU6c2VjcmV0", 200),
        ({"basic_auth": ("me", "secret")}, "Basic bWU6c2VjcmU=", 401),
        ({"basic_auth": ("me", "secret")}, "Bearer secret", 401),
        ({"basic_auth": ("me", "secret"), "token": "t0ken"}, "Bearer t0ken", 200),
        ({"basic_auth": ("me", "secret"), "token": "t0ken"}, "Basic bWU6c2VjcmV0", 200),
    ],
)
def test_a_credential(meter, access, header, status):
    with served(meter, **access) as place:
        response = httpx.get(f"http://{place}/metrics", headers={"authorization": header} if header else {})
    assert response.status_code == status
    assert ("llm_requests_total" in response.text) is (status == 200)
    assert ("www-authenticate" in response.headers) is (status == 401)


@pytest.mark.parametrize("access", [{"token": ""}, {"basic_auth": ("me", "")}])
def test_an_empty_credential_is_refused(meter, access):
    with pytest.raises(ConfigError, match="is empty, so that any client could read the metrics"):
        meter.start_http_server(0, **access)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1, and its key."""
    x509 = pytest.importorskip("cryptography.x509", reason="needs cryptography: pip install cryptography")
    from ipaddress import ip_address

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    directory = tmp_path_factory.mktemp("tls")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "key.pem").write_bytes(key.private_bytes(*form))
    (directory / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return directory / "cert.pem", directory / "key.pem"


def test_tls_and_a_silent_client(meter, certificate):
    import ssl

    cert, key = certificate
    with served(meter, token="t0ken", certfile=cert, keyfile=key) as place:
        address = place.split(":")
        # a client that connects and never speaks does not hold up the next one
        with socket.create_connection((address[0], int(address[1]))):
            context = ssl.create_default_context(cafile=cert)
            response = httpx.get(f"https://{place}/metrics", headers={"authorization": "Bearer t0ken"}, verify=context)
        assert response.status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://{place}/metrics")


def test_unusable_files(meter, tmp_path, certificate):
    with pytest.raises(ConfigError, match="a keyfile without a certfile"):
        meter.start_http_server(0, keyfile=certificate[1])
    with pytest.raises(ConfigError, match="are no certificate with its key"):
        meter.start_http_server(0, certfile=tmp_path / "none.pem")
    with pytest.raises(ConfigError, match="are no certificate with its key"):
        meter.start_http_server(0, certfile=certificate[1], keyfile=certificate[1])


def test_a_cap_on_the_threads(meter):
    with served(meter) as place, ExitStack() as stack:
        host, port = place.split(":")
        for _ in range(http_server.THREADS):
            stack.enter_context(socket.create_connection((host, int(port)))).sendall(b"GET /metrics HT")
        # the server takes connections in order: when it has closed this one, it has taken all before
        with socket.create_connection((host, int(port))) as refused:
            refused.settimeout(20)
            assert refused.recv(1) == b""
        stack.close()
        deadline = iter(range(200))
        while next(deadline, None) is not None:
            try:
                assert httpx.get(f"http://{place}/metrics").status_code == 200
                break
            except httpx.HTTPError:
                continue
        else:
            pytest.fail("the server answers no request after the others have gone")
