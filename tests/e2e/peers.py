"""Real directories for the tests: a Samba Active Directory and an OpenLDAP, each on loopback, each in a folder of its own."""

import hashlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PASSWORD = "Passw0rd!"


def run(*command, timeout=60, **more):
    """A command that must succeed; what it printed."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}")
    return done.stdout


def until(what, condition, seconds):
    """Waits for a condition; a deadline that passes is an error that says what did not come."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise TimeoutError(f"{what} did not come within {seconds} s")


def listens(address, port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def free_port(address="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Daemon:
    """A process with its children, ended by their group and by nothing else."""

    def __init__(self, log, *command, **more):
        self.log = Path(log)
        with self.log.open("ab") as out:
            words = [str(word) for word in command]
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=more.pop("stdout", out), stderr=out, start_new_session=True, **more)

    def alive(self):
        return self.process.poll() is None

    def stop(self, seconds=10):
        """The exit code; a group that does not end is killed."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, how)
            except ProcessLookupError:
                pass
            try:
                return self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        return None


class Authority:
    """A certificate authority of this run."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir()
        self.cert, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "30", "-subj", "/CN=e2e authority",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out", self.cert)

    def issue(self, name, *alternatives, issuer=None):
        """Certificate and key of a server, which it can show as a client too."""
        return self.signed(name, issuer or (self.cert, self.key), f"subjectAltName={','.join(alternatives)}", "extendedKeyUsage=serverAuth,clientAuth",
                           "basicConstraints=CA:FALSE")

    def chain(self, name):
        """A certificate behind an intermediate authority, both in one file of more than 4 KB, and the key: in EAP it travels in pieces."""
        intermediate = self.signed(f"over {name}", (self.cert, self.key), "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        padding = (f"DNS:another-name-{count:03}.example.test" for count in range(110))
        cert, key = self.issue(name, f"DNS:{name}", *padding, issuer=intermediate)
        both = self.folder / f"{name}.chain.pem"
        both.write_text(cert.read_text() + intermediate[0].read_text())
        return both, key

    def signed(self, name, issuer, *extensions):
        cert, key, wanted, details = (self.folder / f"{name}{end}" for end in (".pem", ".key", ".csr", ".ext"))
        run("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", wanted)
        details.write_text("".join(f"{line}\n" for line in extensions))
        run("openssl", "x509", "-req", "-in", wanted, "-CA", issuer[0], "-CAkey", issuer[1], "-CAcreateserial", "-days", "30", "-sha256",
            "-extfile", details, "-out", cert)
        key.chmod(0o600)
        return cert, key


class ActiveDirectory:
    """Samba as the domain controller of EXAMPLE.TEST. Making it takes a while, so it is made once and unpacked from then on."""

    ADDRESS = "127.0.0.20"
    BASE = "DC=example,DC=test"

    def __init__(self, folder, cache, authority):
        self.folder, self.cache = Path(folder), Path(cache)
        self.folder.mkdir()
        self.config = self.folder / "etc/smb.conf"
        self.cert, self.key = authority.issue("dc1.example.test", "DNS:dc1.example.test", f"IP:{self.ADDRESS}")
        self.authority = authority
        self.daemon = None

    def make(self):
        parts = [(HERE / name).read_bytes() for name in ("ad_seed.py", "peers.py")] + [run("samba", "--version").encode()]
        template = self.cache / f"ad-{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}.tar"
        if not template.exists():
            self.provision()
            self.cache.mkdir(parents=True, exist_ok=True)
            half = template.with_suffix(".half")
            run("tar", "-C", self.folder, "-cf", half, "private", "state")
            half.rename(template)
            shutil.rmtree(self.folder / "private")
            shutil.rmtree(self.folder / "state")
        run("tar", "-C", self.folder, "-xf", template)
        self.configure()

    def provision(self):
        empty = self.folder / "empty.conf"
        empty.write_text(f"[global]\ninterfaces = {self.ADDRESS}/8\nbind interfaces only = yes\n")
        run("samba-tool", "domain", "provision", "--realm=EXAMPLE.TEST", "--domain=EXAMPLE", "--server-role=dc", "--dns-backend=NONE", "--adminpass=Adm1n-Passw0rd!",
            f"--host-ip={self.ADDRESS}", "--host-name=dc1", f"--targetdir={self.folder}", timeout=600, env={**os.environ, "SMB_CONF_PATH": str(empty)})
        self.configure()
        run(sys.executable, HERE / "ad_seed.py", self.config, timeout=300)

    def configure(self):
        folders = {"private dir": "private", "state directory": "state", "cache directory": "cache", "lock directory": "lock", "pid directory": "run",
                   "binddns dir": "bind-dns", "ncalrpc dir": "ncalrpc", "ntp signd socket directory": "ntp_signd", "winbindd socket directory": "winbindd"}
        for name in folders.values():
            (self.folder / name).mkdir(exist_ok=True)
        settings = {
            "workgroup": "EXAMPLE", "realm": "EXAMPLE.TEST", "netbios name": "DC1", "server role": "active directory domain controller",
            "server services": "ldap, rpc, winbindd", "ntlm auth": "mschapv2-and-ntlmv2-only", "interfaces": f"{self.ADDRESS}/8", "bind interfaces only": "yes", "disable netbios": "yes",
            "ldap server require strong auth": "no", "tls keyfile": self.key, "tls certfile": self.cert, "tls cafile": self.authority.cert,
            "log level": "1", "logging": "file", "log file": self.folder / "log.%m", "panic action": ""}
        settings |= {name: self.folder / folder for name, folder in folders.items()}
        self.config.parent.mkdir(exist_ok=True)
        self.config.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))

    def start(self):
        self.daemon = Daemon(self.folder / "samba.log", *self.view("samba", "-i", "-M", "single", "-s", self.config))
        for port in (389, 636):
            until(f"the directory on {self.ADDRESS}:{port}", lambda: self.daemon.alive() and listens(self.ADDRESS, port), 60)

    def view(self, *command):
        """`command` in a mount view of its own, where this directory's winbind is where Samba's programs look for it."""
        script = ('mkdir -p /run/samba && mount -t tmpfs e2e /run/samba && mkdir /run/samba/winbindd && mount --bind "$0" /run/samba/winbindd && '
                  'export SMB_CONF_PATH="$1" && shift && exec "$@"')
        return ["unshare", "-m", "bash", "-c", script, self.folder / "winbindd", self.config, *command]

    def ntlm_auth(self):
        """A program that is ntlm_auth in that view."""
        program = self.folder / "ntlm_auth"
        program.write_text(f'#!/bin/bash\nexec {shlex.join(map(str, self.view("/usr/bin/ntlm_auth")))} "$@"\n')
        program.chmod(0o755)
        return program

    def wait_for_winbind(self):
        words = [self.ntlm_auth(), "--domain=EXAMPLE", "--username=svc-mfa", f"--password={PASSWORD}"]
        until("winbind", lambda: subprocess.run(words, capture_output=True, timeout=20).returncode == 0, 30)

    def stop(self):
        if self.daemon:
            self.daemon.stop()


class OpenLdap:
    """A plain LDAP server with people under ou=people."""

    BASE = "dc=lab,dc=test"
    MANAGER = f"cn=manager,{BASE}"

    def __init__(self, folder):
        self.folder = Path(folder)
        (self.folder / "data").mkdir(parents=True)
        self.port = free_port()
        self.url = f"ldap://127.0.0.1:{self.port}"
        self.daemon = None

    def start(self):
        config = self.folder / "slapd.conf"
        schemas = "".join(f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine", "inetorgperson"))
        config.write_text(f"{schemas}pidfile {self.folder}/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\ndatabase mdb\nsuffix {self.BASE}\n"
                          f"rootdn {self.MANAGER}\nrootpw {PASSWORD}\ndirectory {self.folder}/data\nindex uid eq\n")
        self.daemon = Daemon(self.folder / "slapd.log", "slapd", "-d", "0", "-f", config, "-h", self.url)
        until("slapd", lambda: self.daemon.alive() and listens("127.0.0.1", self.port), 20)
        people = (f"dn: {self.BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: lab\no: lab\n\n"
                  f"dn: ou=people,{self.BASE}\nobjectClass: organizationalUnit\nou: people\n\n"
                  f"dn: uid=hanna,ou=people,{self.BASE}\nobjectClass: inetOrgPerson\nuid: hanna\ncn: Hanna Hill\nsn: Hill\nuserPassword: {PASSWORD}\n")
        run("ldapadd", "-x", "-H", self.url, "-D", self.MANAGER, "-w", PASSWORD, input=people)

    def stop(self):
        if self.daemon:
            self.daemon.stop()
