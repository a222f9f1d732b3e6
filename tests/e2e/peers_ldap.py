"""Directories behind the LDAP door and applications in front of it, each on an address of its own, each in a folder of its own."""

import base64
import hashlib
import os
import pwd
import shutil
from pathlib import Path

from peers import HERE
from peers import PASSWORD
from peers import Daemon
from peers import free_port
from peers import listens
from peers import run
from peers import until
from peers_radius import filled


class Tree:
    """slapd with people, with many small entries and with few large ones, over LDAP, LDAPS and IPv6."""

    ADDRESS, SIX = "127.0.2.1", "::1"
    BASE = "dc=tree,dc=test"
    MANAGER, SERVICE = f"cn=manager,{BASE}", f"uid=web,ou=services,{BASE}"
    PEOPLE = ("ida", "jakob", "karla", "leo", "maria")
    MANY, LARGE, LARGE_LEN = 3_000, 1_600, 65_536

    def __init__(self, folder, authority):
        self.folder = Path(folder)
        (self.folder / "data").mkdir(parents=True)
        self.cert, self.key = authority.issue("tree.example.test", f"IP:{self.ADDRESS}")
        self.ca = authority.cert
        self.clear, self.tls = (f"{self.ADDRESS}:{free_port(self.ADDRESS)}" for _ in range(2))
        self.six = f"[{self.SIX}]:{free_port()}"
        self.daemon = None

    def dn(self, name):
        return f"uid={name},ou=people,{self.BASE}"

    def start(self):
        config = self.folder / "slapd.conf"
        config.write_text(filled(HERE / "ldap/slapd.conf", FOLDER=self.folder, BASE=self.BASE, MANAGER=self.MANAGER, PASSWORD=PASSWORD, CA=self.ca,
                                 CERT=self.cert, KEY=self.key))
        run("slapadd", "-q", "-f", config, "-l", self.entries())
        urls = f"ldap://{self.clear} ldaps://{self.tls} ldap://{self.six}"
        self.daemon = Daemon(self.folder / "slapd.log", "slapd", "-d", "0", "-f", config, "-h", urls)
        port = int(self.clear.rsplit(":", 1)[1])
        until("slapd", lambda: self.daemon.alive() and listens(self.ADDRESS, port), 20)

    def entries(self):
        """A file of all that is in it."""
        file = self.folder / "tree.ldif"
        with file.open("w") as out:
            out.write(f"dn: {self.BASE}\nobjectClass: domain\ndc: tree\n\n")
            for unit in ("people", "services", "many", "large", "scratch"):
                out.write(f"dn: ou={unit},{self.BASE}\nobjectClass: organizationalUnit\nou: {unit}\n\n")
            for name in self.PEOPLE:
                out.write(f"dn: {self.dn(name)}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name.title()} Tree\nsn: Tree\n"
                          f"mail: {name}@tree.test\ntelephoneNumber: 100\nuserPassword: {PASSWORD}\n\n")
            out.write(f"dn: {self.SERVICE}\nobjectClass: inetOrgPerson\nuid: web\ncn: Web server\nsn: Web\nuserPassword: {PASSWORD}\n\n")
            out.write(f"dn: ou=elsewhere,{self.BASE}\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\n"
                      f"ref: ldap://elsewhere.example.test/ou=elsewhere,{self.BASE}\n\n")
            for count in range(self.MANY):
                out.write(f"dn: cn=entry {count:04},ou=many,{self.BASE}\nobjectClass: device\ncn: entry {count:04}\nserialNumber: {count}\n\n")
            for count in range(self.LARGE):
                filler = hashlib.sha256(str(count).encode()).hexdigest() * (self.LARGE_LEN // 64)
                out.write(f"dn: cn=large {count},ou=large,{self.BASE}\nobjectClass: device\ncn: large {count}\ndescription: {filler}\n\n")
        return file

    def stop(self):
        if self.daemon:
            self.daemon.stop()


class Directory389:
    """389 Directory Server, with the plug-in that gives every entry an entryUUID."""

    ADDRESS = "127.0.2.2"
    BASE = "dc=ds,dc=test"
    MANAGER = "cn=Directory Manager"
    USER = "dirsrv"
    SHARED = Path("/usr/share/dirsrv/data")
    PEOPLE = ("pia", "paul")

    def __init__(self, folder):
        self.folder = Path(folder)
        self.port = free_port(self.ADDRESS)
        self.url = f"ldap://{self.ADDRESS}:{self.port}"
        self.daemon = None

    def dn(self, name):
        return f"uid={name},ou=people,{self.BASE}"

    def configure(self):
        """The folder of an instance, from the template that its own tool fills in."""
        self.folder.mkdir()
        folders = {f"{name}_dir": self.folder / name for name in ("schema", "lock", "tmp", "ldif", "bak", "run", "inst", "db", "log")}
        for folder in folders.values():
            folder.mkdir()
        values = folders | {"cert_dir": self.folder, "config_dir": self.folder, "db_home_dir": folders["db_dir"], "db_lib": "bdb", "fqdn": "localhost",
                            "ds_port": f"{self.port}\nnsslapd-listenhost: {self.ADDRESS}", "ds_user": self.USER, "ds_suffix": self.BASE, "rootdn": self.MANAGER,
                            "ds_passwd": salted(PASSWORD), "ldapi_enabled": "off", "ldapi": self.folder / "ldapi", "ldapi_autobind": "off"}
        settings = (self.SHARED / "template-dse.ldif").read_text()
        for name, value in values.items():
            settings = settings.replace(f"%{name}%", str(value))
        (self.folder / "dse.ldif").write_text(settings.rstrip("\n") + "\n\n" + (HERE / "ldap/389-plugins.ldif").read_text())
        shutil.copytree("/etc/dirsrv/schema", folders["schema_dir"], dirs_exist_ok=True)
        for name in ("slapd-collations.conf", "certmap.conf"):
            shutil.copy(Path("/etc/dirsrv/config") / name, self.folder)
        run("chown", "-R", f"{self.USER}:", self.folder)

    def start(self):
        self.configure()
        self.daemon = Daemon(self.folder / "stdout.log", "ns-slapd", "-D", self.folder, "-i", self.folder / "run/pid", "-d", "0")
        until("389-ds", lambda: self.daemon.alive() and listens(self.ADDRESS, self.port), 30)
        people = "".join(filled(HERE / "ldap/389-person.ldif", NAME=name, BASE=self.BASE, PASSWORD=PASSWORD) for name in self.PEOPLE)
        entries = filled(HERE / "ldap/389-suffix.ldif", BASE=self.BASE) + "\n" + people
        run("ldapadd", "-x", "-H", self.url, "-D", self.MANAGER, "-w", PASSWORD, input=entries)

    def stop(self):
        if self.daemon:
            self.daemon.stop()


class Apache:
    """A web server whose pages are for people of the tree alone (mod_authnz_ldap)."""

    ADDRESS = "127.0.2.3"

    def __init__(self, folder, **values):
        self.folder, self.values = Path(folder), values
        self.port = free_port(self.ADDRESS)
        self.url = f"http://{self.ADDRESS}:{self.port}"
        self.daemon = None

    def start(self):
        for part in ("pages", "pages/as-user", "pages/by-service"):
            (self.folder / part).mkdir(parents=True)
            (self.folder / part / "index.html").write_text(f"{part}\n")
        config = self.folder / "apache.conf"
        config.write_text(filled(HERE / "ldap/apache.conf", FOLDER=self.folder, LISTEN=f"{self.ADDRESS}:{self.port}", **self.values))
        self.daemon = Daemon(self.folder / "stdout.log", "/usr/sbin/apache2", "-f", config, "-DFOREGROUND")
        until("Apache", lambda: self.daemon.alive() and listens(self.ADDRESS, self.port), 20)

    def stop(self):
        if self.daemon:
            self.daemon.stop()


class Dovecot:
    """A mail server that proves passwords by a bind as the person (auth_bind)."""

    ADDRESS = "127.0.2.4"

    def __init__(self, folder, **values):
        self.folder, self.values = Path(folder), values
        self.port = free_port(self.ADDRESS)
        self.daemon = None

    def start(self):
        nobody = pwd.getpwnam("nobody")
        mail = self.folder / "mail"
        mail.mkdir(parents=True)
        os.chown(mail, nobody.pw_uid, nobody.pw_gid)
        for name in ("dovecot.conf", "dovecot-ldap.conf"):
            (self.folder / name).write_text(filled(HERE / "ldap" / name, FOLDER=self.folder, ADDRESS=self.ADDRESS, PORT=self.port, **self.values))
        self.daemon = Daemon(self.folder / "stdout.log", "/usr/sbin/dovecot", "-F", "-c", self.folder / "dovecot.conf")
        until("Dovecot", lambda: self.daemon.alive() and listens(self.ADDRESS, self.port), 20)

    def stop(self):
        if self.daemon:
            self.daemon.stop()


class Postgres:
    """A database whose people are in the tree (authentication method ldap)."""

    ADDRESS, USER = "127.0.2.5", "postgres"

    def __init__(self, folder, people, host_rule):
        self.folder, self.people, self.host_rule = Path(folder), people, host_rule
        self.programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        self.port = free_port(self.ADDRESS)
        self.daemon = None

    def as_user(self, program, *words):
        return ["setpriv", f"--reuid={self.USER}", f"--regid={self.USER}", "--init-groups", self.programs / program, *words]

    def start(self):
        self.folder.mkdir()
        shutil.chown(self.folder, self.USER, self.USER)
        data = self.folder / "data"
        run(*self.as_user("initdb", "-D", data, "--auth=trust", "--no-sync", "--no-instructions"), cwd=self.folder)
        (data / "pg_hba.conf").write_text(f"local all all trust\nhost all all 127.0.0.0/8 {self.host_rule}\n")
        words = self.as_user("postgres", "-D", data, "-c", f"listen_addresses={self.ADDRESS}", "-p", self.port, "-k", self.folder, "-c", "fsync=off")
        self.daemon = Daemon(self.folder.with_suffix(".log"), *words)
        until("PostgreSQL", lambda: self.daemon.alive() and listens(self.ADDRESS, self.port), 30)
        for name in self.people:
            run("psql", "-h", self.folder, "-p", self.port, "-U", self.USER, "-d", "postgres", "-qc", f"create role {name} login")

    def stop(self):
        if self.daemon:
            self.daemon.stop()


def salted(password):
    """A password as a directory keeps it (RFC 2307), in a form that nobody can read back."""
    salt = os.urandom(8)
    return "{SSHA512}" + base64.b64encode(hashlib.sha512(password.encode() + salt).digest() + salt).decode()


def memory(pid):
    """Bytes of memory that a process holds now, and the most it has held."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))


def forget_peak(pid):
    """The most a process has held counts from now on (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
