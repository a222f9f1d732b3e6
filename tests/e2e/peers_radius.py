"""RADIUS behind us and in front of us: FreeRADIUS, radsecproxy, a VPN server, and two addresses where nobody answers."""

import socket
import subprocess

import peers
from peers import HERE
from peers import Daemon
from peers import until

UPSTREAM_SECRET = "upstream-secret-of-the-tests-0123456789"
NOBODY = "127.0.0.22"


def filled(file, **values):
    """A template with its words between at-signs filled in."""
    text = file.read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


class FreeRadius:
    """The server that knows passwords: PAP, CHAP, MS-CHAPv2, EAP; challenges; slow, silent and nameless people; accounting; RadSec."""

    ADDRESS = "127.0.0.21"

    def __init__(self, folder, authority):
        self.folder, self.authority = folder, authority
        self.folder.mkdir()
        self.auth, self.accounting, self.tls = (f"{self.ADDRESS}:{port}" for port in (1812, 1813, 2083))
        self.daemon = None

    def make(self):
        chain, key = self.authority.chain("eap.example.test")
        cert, tls_key = self.authority.issue("radius.example.test", "DNS:radius.example.test", f"IP:{self.ADDRESS}")
        values = {"FOLDER": self.folder, "PASSWORD": peers.PASSWORD, "SECRET": UPSTREAM_SECRET, "ADDRESS": self.ADDRESS, "CA": self.authority.cert,
                  "CHAIN": chain, "KEY": key, "TLS_CERT": cert, "TLS_KEY": tls_key}
        for name in ("users", "radiusd.conf"):
            (self.folder / name).write_text(filled(HERE / "freeradius" / name, **values))

    def start(self):
        self.daemon = Daemon(self.folder / "stdout.log", "freeradius", "-d", self.folder, "-n", "radiusd", "-f", "-l", self.folder / "radius.log")
        until("FreeRADIUS", self.answers, 20)

    def answers(self):
        if not self.daemon.alive():
            raise RuntimeError((self.folder / "radius.log").read_text()[-2000:] + self.daemon.log.read_text()[-2000:])
        words = ["radclient", "-t", "0.3", "-r", "1", self.auth, "status", UPSTREAM_SECRET]
        return subprocess.run(words, input="Message-Authenticator = 0x00\n", capture_output=True, text=True, timeout=10).returncode == 0

    def stop(self):
        if self.daemon:
            self.daemon.stop()

    def requests(self, name):
        """A line for each Access-Request with this User-Name that has come so far, retransmissions of one request counted once."""
        log = self.folder / "requests"
        return [line for line in log.read_text().splitlines() if line.split(" ", 1)[0] == name] if log.exists() else []

    def accounted(self):
        """Everything that was written down about sessions."""
        log = self.folder / "accounting"
        return log.read_text() if log.exists() else ""


class Silent:
    """Takes packets and never answers; counts them."""

    ADDRESS = "127.0.0.23"

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.ADDRESS, 1812))
        self.socket.setblocking(False)
        self.heard = 0

    def count(self):
        try:
            while self.socket.recv(4096):
                self.heard += 1
        except BlockingIOError:
            return self.heard

    def stop(self):
        self.socket.close()


class RadsecProxy:
    """A NAS's side of RadSec: takes UDP and speaks TLS to `target`, from `source` and with a certificate of its own."""

    SECRET = "between-nas-and-radsecproxy"

    def __init__(self, folder, authority, target, address, source, name):
        self.folder, self.address = folder, f"{address}:1812"
        self.folder.mkdir()
        cert, key = authority.issue(name, f"DNS:{name}")
        host, port = target.rsplit(":", 1)
        self.config = folder / "radsecproxy.conf"
        self.config.write_text(
            f"ListenUDP {self.address}\nSourceTLS {source}\nLogLevel 3\nLoopPrevention Off\n"
            f"tls default {{\n CACertificateFile {authority.cert}\n CertificateFile {cert}\n CertificateKeyFile {key}\n}}\n"
            f"client nas {{\n host 127.0.0.0/8\n type udp\n secret {self.SECRET}\n}}\n"
            f"server us {{\n host {host}\n port {port}\n type tls\n secret radsec\n CertificateNameCheck off\n}}\nrealm * {{\n server us\n}}\n")
        self.daemon = None

    def start(self):
        self.daemon = Daemon(self.folder / "radsecproxy.log", "radsecproxy", "-f", "-c", self.config)
        until("radsecproxy", lambda: self.daemon.alive() and "listening for udp" in self.daemon.log.read_text(), 10)

    def stop(self):
        if self.daemon:
            self.daemon.stop()


class Ocserv:
    """An SSL VPN of the AnyConnect kind that asks RADIUS. Its clients get a cookie when they may come in; no tunnel is made."""

    ADDRESS, PORT = "127.0.0.25", 4443

    def __init__(self, folder, authority, auth, accounting, secret, source):
        self.folder, self.authority, self.daemon = folder, authority, None
        self.folder.mkdir()
        cert, key = authority.issue("vpn.example.test", "DNS:vpn.example.test", f"IP:{self.ADDRESS}")
        servers = folder / "servers"
        servers.touch(0o600)
        servers.write_text(f"{auth.rsplit(':', 1)[0]} {secret}\n")
        (folder / "radius.conf").write_text(
            f"nas-identifier ocserv\nauthserver {auth}\nacctserver {accounting}\nservers {servers}\ndictionary /etc/radcli/dictionary\n"
            f"radius_timeout 30\nradius_retries 1\nbindaddr {source}\n")
        self.config = folder / "ocserv.conf"
        self.config.write_text(
            f'auth = "radius[config={folder}/radius.conf,groupconfig=true]"\nacct = "radius[config={folder}/radius.conf]"\nlisten-host = {self.ADDRESS}\n'
            f"tcp-port = {self.PORT}\nrun-as-user = nobody\nrun-as-group = nogroup\nsocket-file = {folder}/socket\nserver-cert = {cert}\nserver-key = {key}\n"
            "isolate-workers = false\nmax-clients = 16\nmax-same-clients = 0\nauth-timeout = 60\nmax-ban-score = 0\ncookie-timeout = 300\n"
            f"rekey-method = ssl\nuse-occtl = false\npid-file = {folder}/pid\nlog-level = 3\ndevice = e2evpn\npredictable-ips = true\n"
            "ipv4-network = 10.98.0.0\nipv4-netmask = 255.255.255.0\ncisco-client-compat = true\ndtls-legacy = false\n")

    def start(self):
        self.folder.chmod(0o755)
        self.daemon = Daemon(self.folder / "ocserv.log", "ocserv", "-f", "-d", "2", "-c", self.config)
        until("ocserv", lambda: self.daemon.alive() and peers.listens(self.ADDRESS, self.PORT), 20)

    def log_in(self, name, *answers, seconds=45):
        """Logs in with the real client, typing one answer for each question. Whether it got in, and what it was shown."""
        words = ["openconnect", "--protocol=anyconnect", f"--cafile={self.authority.cert}", f"--user={name}", "--no-dtls", "--passwd-on-stdin", "--authenticate",
                 f"https://{self.ADDRESS}:{self.PORT}"]
        done = subprocess.run(words, input="".join(f"{answer}\n" for answer in answers), capture_output=True, text=True, timeout=seconds)
        return "COOKIE=" in done.stdout, done.stdout + done.stderr

    def stop(self):
        if self.daemon:
            self.daemon.stop()
