"""TLS on the way to PostgreSQL: what each mode demands, and what is said when a server can't be trusted.

The server speaks it itself, with a certificate of our own authority; where it was built without TLS, a proxy does so
for it.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from moltnet.storage.sql.postgres.store import open_postgres
from moltnet.storage.store import StorageError
from tests.fakes.postgres import PASSWORD, PostgresServer
from tests.fakes.tcp_proxy import open_proxy
from tests.storage.examples import NETWORK, create_room

DAY = timedelta(days=1)


@attrs.frozen
class Authority:
    """Who signs certificates. `file` is what clients are given to know it by."""

    file: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def sign(self, directory: Path, name: str) -> tuple[Path, Path]:
        """The files of a certificate of a server, and of its key. `name` is an address or a host."""
        key = ec.generate_private_key(ec.SECP256R1())
        is_address = name[0].isdigit()
        names = x509.IPAddress(ip_address(name)) if is_address else x509.DNSName(name)
        certificate = (
            _unsigned(name, self.certificate.subject, key)
            .add_extension(x509.SubjectAlternativeName([names]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        certificate_file, key_file = directory / f"{name}.crt", directory / f"{name}.key"
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate_file, key_file


def new_authority(file: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, file.stem)])
    certificate = (
        _unsigned(file.stem, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(file, certificate, key)


def _unsigned(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
    )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return new_authority(tmp_path / "authority.pem")


@asynccontextmanager
async def speaking_tls(server: PostgresServer, authority: Authority, name: str = "127.0.0.1") -> AsyncIterator[int]:
    """The port at which the server speaks TLS as `name`."""
    certificate, key = authority.sign(server.directory, name)
    server.own(key)
    server.sql(f"ALTER SYSTEM SET ssl_cert_file = '{certificate}'")
    server.sql(f"ALTER SYSTEM SET ssl_key_file = '{key}'")
    try:
        if server.try_sql("ALTER SYSTEM SET ssl = on"):
            server.reload()
            yield server.port
        else:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate, key)
            async with open_proxy(server.port, tls=context) as proxy:
                yield proxy.port
    finally:
        for setting in ("ssl", "ssl_cert_file", "ssl_key_file"):
            server.try_sql(f"ALTER SYSTEM RESET {setting}")
        server.reload()


async def refusal(dsn: str) -> str:
    with pytest.raises(StorageError) as refused:
        async with open_postgres(dsn, NETWORK):
            pass
    assert PASSWORD not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    "parameters",
    [
        "?sslmode=verify-full&sslrootcert={}",
        "?sslmode=verify-full&sslrootcert={}&ssl_min_protocol_version=TLSv1.3",
        "?sslmode=verify-ca&sslrootcert={}",
        "?sslmode=require",
        "?sslmode=prefer",
        "",
    ],
)
async def test_the_modes_of_libpq(
    postgres_server: PostgresServer, postgres_database: str, authority: Authority, parameters: str
) -> None:
    async with speaking_tls(postgres_server, authority) as port:
        query = parameters.format(authority.file)
        dsn = postgres_server.tcp_dsn(postgres_database, port=port, query=query)
        async with open_postgres(dsn, NETWORK) as store:
            await store.commit([create_room()])
            if port == postgres_server.port:
                plain = postgres_server.sql(
                    "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                    f"WHERE NOT ssl AND datname = '{postgres_database}' AND application_name = 'moltnet'"
                )
                assert plain == "0"


async def test_a_certificate_of_another_authority_is_refused(
    postgres_server: PostgresServer, authority: Authority, tmp_path: Path
) -> None:
    stranger = new_authority(tmp_path / "stranger.pem")
    async with speaking_tls(postgres_server, authority) as port:
        for mode in ("verify-full", "verify-ca"):
            query = f"?sslmode={mode}&sslrootcert={stranger.file}"
            reason = await refusal(postgres_server.tcp_dsn("postgres", port=port, query=query))
            assert "certificate that is not trusted" in reason
            assert "see sslmode, sslrootcert" in reason


async def test_a_certificate_of_another_host_is_refused_if_the_host_is_to_be_checked(
    postgres_server: PostgresServer, postgres_database: str, authority: Authority
) -> None:
    async with speaking_tls(postgres_server, authority, "other.test") as port:
        query = f"?sslmode=verify-full&sslrootcert={authority.file}"
        reason = await refusal(postgres_server.tcp_dsn(postgres_database, port=port, query=query))
        assert "certificate that is not trusted" in reason
        query = f"?sslmode=verify-ca&sslrootcert={authority.file}"
        async with open_postgres(postgres_server.tcp_dsn(postgres_database, port=port, query=query), NETWORK) as store:
            await store.check_writable()


async def test_a_server_without_tls_is_refused_if_tls_is_asked_for(
    postgres_server: PostgresServer, authority: Authority
) -> None:
    for query in ("?sslmode=require", f"?sslmode=verify-full&sslrootcert={authority.file}"):
        assert "rejected SSL upgrade" in await refusal(postgres_server.tcp_dsn("postgres", query=query))
