"""A Kerberos realm on this machine, for as long as tests need it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

__all__ = ["PASSWORD", "REALM", "SERVICE", "USER", "Realm", "missing"]

REALM: Final = "PLANT.TEST"
USER: Final = f"op1@{REALM}"
PASSWORD: Final = "k3rb-s3cret"
SERVICE: Final = "HTTP/localhost"

_CLIENT: Final = """[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
[realms]
 {realm} = {{
  kdc = 127.0.0.1:{port}
 }}
"""
_SERVER: Final = """[kdcdefaults]
 kdc_listen = 127.0.0.1:{port}
 kdc_tcp_listen = 127.0.0.1:{port}
[realms]
 {realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
 }}
"""
_PATH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def missing() -> str:
    """What a realm needs and this machine has not, or ""."""
    programs = ("krb5kdc", "kadmin.local", "kdb5_util", "kinit", "klist")
    absent = [name for name in programs if shutil.which(name, path=_PATH) is None]
    absent += [name for name in ("gssapi", "spnego") if find_spec(name) is None]
    return f"needs {', '.join(absent)}" if absent else ""


class Realm:
    """A KDC with one user and one service.

    Attributes:
        keytab: the keys of the service.
        environment: what the libraries have to find to use the realm.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.keytab = folder / "http.keytab"
        self.environment = {
            "KRB5_CONFIG": str(folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
            "KRB5CCNAME": f"FILE:{folder / 'ccache'}",
            "KRB5RCACHENAME": "none:",
        }
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        port = _free_port()
        for name, text in (("krb5.conf", _CLIENT), ("kdc.conf", _SERVER)):
            filled = text.format(realm=REALM, port=port, folder=self._folder)
            (self._folder / name).write_text(filled)
        self._run("kdb5_util", "create", "-s", "-P", "master", "-r", REALM)
        self.admin(f"addprinc -pw {PASSWORD} {USER}", f"addprinc -randkey {SERVICE}")
        self.new_keys()
        self._process = subprocess.Popen(
            [_program("krb5kdc"), "-n"],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        while "starting" not in (line := self._process.stdout.readline()):
            assert line, "the KDC has not begun"
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()

    def admin(self, *queries: str) -> None:
        """Change the database."""
        for query in queries:
            self._run("kadmin.local", "-r", REALM, "-q", query)

    def new_keys(self) -> None:
        """Give the service new keys, and forget its old ones."""
        self.keytab.unlink(missing_ok=True)
        self.admin(f"ktadd -k {self.keytab} {SERVICE}")

    def kinit(self, *options: str) -> None:
        """Fetch a ticket for the user into the cache."""
        self._run("kinit", *options, USER, given=f"{PASSWORD}\n")

    def wait_until_expired(self) -> None:
        """Wait until the ticket in the cache is good no more."""
        command, env = [_program("klist"), "-s"], {**os.environ, **self.environment}
        while subprocess.run(command, env=env, check=False).returncode == 0:
            time.sleep(0.05)
        # In the second of its end some parts of the library take it still.
        time.sleep(1 - time.time() % 1)

    def _run(self, name: str, *arguments: str, given: str = "") -> None:
        done = subprocess.run(
            [_program(name), *arguments],
            env={**os.environ, **self.environment},
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        # kadmin.local tells its failures, and exits with 0.
        assert done.returncode == 0 and "while" not in done.stderr, done.stderr


def _program(name: str) -> str:
    return shutil.which(name, path=_PATH) or name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
