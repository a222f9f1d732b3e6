"""What a case finds around it: the town all share (directories, FreeRADIUS, telephones), and per theme one server under test with its clients."""

import os
import secrets
import shutil
from functools import cached_property
from pathlib import Path

import clients
import peers
import peers_monitoring
import peers_privacyidea
import peers_radius
import telephone
from clients_radius import Nas
from clients_radius import Supplicant

FAILURES_MAX = 4
ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
MASTER = secrets.token_hex(32)


class Town:
    """Peers that are there once. Each is made when a world first needs it."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = peers.Authority(folder / "pki")
        self.phone = telephone.Telephone()
        self.started = [self.phone]
        binary = Path(os.environ.get("VESTIBULE_BINARY", TARGET / "debug/vestibule")).resolve()
        # A copy, so that a build meanwhile does not change what is tested.
        self.binary = shutil.copy2(binary, folder / "vestibule")

    def started_now(self, peer):
        self.started.append(peer)
        peer.start()
        return peer

    @cached_property
    def directory(self):
        directory = peers.ActiveDirectory(self.folder / "ad", TARGET / "e2e-cache", self.authority)
        directory.make()
        self.started_now(directory)
        lock_out = clients.Ldap(f"ldap://{directory.ADDRESS}")
        for _ in range(6):
            lock_out.search(directory.BASE, who="lockedout@example.test", password="wrong")
        return directory

    @cached_property
    def lab(self):
        return self.started_now(peers.OpenLdap(self.folder / "slapd"))

    @cached_property
    def freeradius(self):
        server = peers_radius.FreeRadius(self.folder / "freeradius", self.authority)
        server.make()
        return self.started_now(server)

    @cached_property
    def silent(self):
        silent = peers_radius.Silent()
        self.started.append(silent)
        return silent

    @cached_property
    def client_pair(self):
        """Certificate and key by which a RADIUS/TLS client is known."""
        return self.authority.issue("client.example.test", "DNS:client.example.test")

    @cached_property
    def server_pair(self):
        return self.authority.issue("server", "IP:127.0.0.1")

    def stop(self):
        for peer in reversed(self.started):
            peer.stop()


class World:
    """One server under test. A subclass names its configuration, its people and its clients."""

    NAME, CONFIG, PEOPLE = "", "", ()

    def __init__(self, town):
        self.town, self.folder = town, town.folder / self.NAME
        self.folder.mkdir()
        self.authority, self.directory, self.lab, self.phone = town.authority, town.directory, town.lab, town.phone
        self.server = clients.Server(town.binary, self.folder / "vestibule.toml")
        self.parts = [self.server]

    def start(self):
        self.configure()
        self.server.start()
        self.find_doors()
        for name in self.PEOPLE:
            setattr(self, name, clients.Person(self.server, name, "corp"))

    def stop(self):
        for part in reversed(self.parts):
            part.stop()

    def find_doors(self):
        raise NotImplementedError

    def values(self):
        """What this world fills into its configuration besides what all do."""
        return {}

    def configure(self):
        cert, key = self.town.server_pair
        self.secrets = [MASTER, clients.RADIUS_SECRET, peers_radius.UPSTREAM_SECRET, self.phone.key]
        texts = {"master": MASTER, "radius": clients.RADIUS_SECRET, "bind": peers.PASSWORD, "upstream": peers_radius.UPSTREAM_SECRET, "duo": self.phone.key}
        for name, text in texts.items():
            file = self.folder / name
            file.touch(0o600)
            file.write_text(text + "\n")
        values = {"FOLDER": self.folder, "AD_BASE": self.directory.BASE, "AD": self.directory.ADDRESS, "LAB_BASE": self.lab.BASE,
                  "LAB_MANAGER": self.lab.MANAGER, "LAB": self.lab.url, "CA": self.authority.cert, "CERT": cert, "KEY": key,
                  "FAILURES_MAX": FAILURES_MAX, "DUO_HOST": self.phone.HOST, "DUO_ID": self.phone.key_id, "DUO_URL": self.phone.url} | self.values()
        self.server.config.write_text("\n".join(peers_radius.filled(peers.HERE / name, **values) for name in ("base.toml", self.CONFIG)))

    def radius(self, source, door=0, **more):
        """A NAS at `source` (the last number of 127.0.1.N) before a RADIUS door."""
        return Nas(self.server.ready["radius"][door], clients.RADIUS_SECRET, f"127.0.1.{source}", **more)


class DirectoryWorld(World):
    """Directories behind RADIUS, and one LDAP listener beside it."""

    NAME, CONFIG = "directory", "config.toml"
    PEOPLE = ("alice", "bob", "carol", "dora", "frida", "jmueller", "gone", "mustchange", "acctexpired", "pwexpired", "lockedout")

    def start(self):
        super().start()
        self.hanna = clients.Person(self.server, "hanna", "lab")

    def find_doors(self):
        """Clients for the addresses of the ready line."""
        ready = self.server.ready
        self.nas = clients.Radius(ready["radius"][0])
        self.appending_nas = clients.Radius(ready["radius"][0], source="127.0.0.2")
        self.lab_nas = clients.Radius(ready["radius"][0], source="127.0.0.3")
        self.ldap = clients.Ldap(f"ldap://{ready['ldap'][0]}")

    def add_client(self, name, network):
        with self.server.config.open("a") as config:
            config.write(f'\n[[radius.client]]\nname = "{name}"\nnetworks = ["{network}"]\nsecret = {{ file = "{self.folder}/radius" }}\n'
                         'first = { directory = "corp" }\ncode = { challenge = "Enter your code:" }\npolicy = "all"\n')


class UpstreamWorld(World):
    """FreeRADIUS behind us."""

    NAME, CONFIG = "upstream", "upstream.toml"
    PEOPLE = ("alice", "bob", "carol", "dora", "frida", "chatty", "slow", "nameless")

    def values(self):
        self.upstream, self.silent = self.town.freeradius, self.town.silent
        return {"FR_AUTH": self.upstream.auth, "FR_ACCT": self.upstream.accounting, "NOBODY": peers_radius.NOBODY, "SILENT": self.silent.ADDRESS}

    def find_doors(self):
        ready = self.server.ready
        self.port = int(ready["radius"][0].rsplit(":", 1)[1])
        self.push, self.code, self.gateway, self.limping = (self.radius(source) for source in (1, 2, 3, 4))
        self.straight = Nas(self.upstream.auth, peers_radius.UPSTREAM_SECRET, "127.0.1.99")
        self.relaying, self.recording = (Nas(ready["radius_accounting"][0], clients.RADIUS_SECRET, f"127.0.1.{source}", patience=3) for source in (1, 2))
        self.supplicant = Supplicant(self.folder, ready["radius"][0], clients.RADIUS_SECRET, "127.0.1.1", self.authority)

    @cached_property
    def person_pair(self):
        """A certificate chain of more than 4 KB, whose person is alice, and its key."""
        return self.authority.chain("alice")

    @cached_property
    def vpn(self):
        ready = self.server.ready
        doors = (ready["radius"][0], ready["radius_accounting"][0])
        vpn = peers_radius.Ocserv(self.folder / "ocserv", self.authority, *doors, clients.RADIUS_SECRET, "127.0.1.5")
        self.parts.append(vpn)
        vpn.start()
        return vpn


class RadsecWorld(World):
    """RADIUS over TLS, from us and to us."""

    NAME, CONFIG = "radsec", "radsec.toml"
    PEOPLE = ("alice", "bob")

    def values(self):
        self.upstream = self.town.freeradius
        cert, key = self.town.client_pair
        return {"FR_TLS": self.upstream.tls, "CLIENT_CERT": cert, "CLIENT_KEY": key}

    def find_doors(self):
        self.udp = self.radius(1)
        self.door = self.server.ready["radius"][1]
        self.straight = Nas(self.upstream.auth, peers_radius.UPSTREAM_SECRET, "127.0.1.99")

    def proxy(self, address, name):
        """radsecproxy before the TLS door, with a certificate of this name."""
        proxy = peers_radius.RadsecProxy(self.folder / name, self.authority, self.door, address, "127.0.1.20", name)
        self.parts.append(proxy)
        proxy.start()
        return Nas(proxy.address, proxy.SECRET, "127.0.1.90", patience=5)


class DialogueWorld(World):
    """What people are asked, and how."""

    NAME, CONFIG = "dialogue", "dialogue.toml"
    PEOPLE = ("alice", "bob", "carol", "dora", "frida", "mustnew", "oldpw")

    def find_doors(self):
        self.menu, self.enter, self.impatient, self.groups, self.waived, self.nat, self.fortigate = (self.radius(source) for source in range(1, 8))


class WinbindWorld(World):
    """MS-CHAPv2 against the directory."""

    NAME, CONFIG = "winbind", "winbind.toml"
    PEOPLE = ("alice", "bob", "gone", "badhours", "pwexpired", "mustcpw", "acctexpired")

    def values(self):
        self.directory.wait_for_winbind()
        # The server itself runs where it finds winbind: shut in, it may start programs, and neither it nor they may mount anything.
        self.server.view = self.directory.view
        return {}

    def find_doors(self):
        self.nas = self.radius(1)


class PrivacyIdeaWorld(World):
    """privacyIDEA behind us."""

    NAME, CONFIG = "privacyidea", "privacyidea.toml"
    PEOPLE = ("alice", "bob", "carol", "dora", "frida")
    NUMBER, PIN = "+15550100", "9x8w"

    def values(self):
        self.pi = peers_privacyidea.PrivacyIdea(self.folder / "pi", TARGET / "privacyidea", TARGET / "e2e-cache")
        self.parts.append(self.pi)
        self.pi.make()
        self.pi.start()
        self.pi.populate()
        self.codes_of = {"alice": self.pi.hotp("alice"), "carol": self.pi.hotp("carol", self.PIN)}
        self.phone_of = {"dora": self.pi.phone("dora")}
        self.pi.enrol("bob", "sms", phone=self.NUMBER)
        return {"PI_URL": self.pi.url, "PI_REALM": peers_privacyidea.REALM, "PI_SERVICE": peers_privacyidea.SERVICE}

    def find_doors(self):
        self.codes, self.appending, self.texts, self.pushes, self.outage = (self.radius(source) for source in range(1, 6))


class MonitoringWorld(World):
    """Watched by Prometheus, and by a syslog server."""

    NAME, CONFIG = "monitoring", "monitoring.toml"
    PEOPLE = ("alice",)

    def values(self):
        self.syslog = peers_monitoring.SyslogServer(*self.town.server_pair)
        self.parts.append(self.syslog)
        return {"SYSLOG_PORT": self.syslog.port}

    def find_doors(self):
        self.metrics = f"http://{self.server.ready['metrics']}"
        self.challenging, self.pushing = clients.Radius(self.server.ready["radius"][0]), self.radius(2)
        self.prometheus = peers_monitoring.Prometheus(self.folder / "prometheus", self.server.ready["metrics"])
        self.parts.append(self.prometheus)
        self.prometheus.start()
