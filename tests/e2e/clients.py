"""What talks to the server under test: the clients people really use, each with a time limit, and the server itself."""

import json
import os
import re
import secrets
import select
import signal
import struct
import subprocess
import time
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

import peers

RADIUS_SECRET = "e2e-" + secrets.token_hex(16)
MESSAGE_AUTHENTICATOR = 80


@dataclass
class Reply:
    """What radclient heard: the RFC's name of the packet, or silence."""

    kind: str = "silence"
    attributes: dict = field(default_factory=dict)


@dataclass
class Result:
    """An LDAP tool's exit code, which is LDAP's result code, and what it printed."""

    code: int
    text: str


class Radius:
    """A NAS: radclient, sending from an address of its own."""

    def __init__(self, address, secret=RADIUS_SECRET, source=None, patience=8):
        self.address, self.secret, self.source, self.patience = address, secret, source, patience

    def ask(self, name, password, state=None, signed=True, **attributes):
        wanted = {"User-Name": quoted(name), "User-Password": quoted(password), "NAS-Identifier": '"e2e"'}
        wanted |= {key.replace("_", "-"): quoted(value) for key, value in attributes.items()}
        if self.source:
            wanted["Packet-Src-IP-Address"] = self.source
        if state:
            wanted["State"] = state
        if signed:
            wanted["Message-Authenticator"] = "0x00"
        lines = "".join(f"{key} = {value}\n" for key, value in wanted.items())
        done = subprocess.run(["radclient", "-x", "-t", str(self.patience), "-r", "1", self.address, "auth", self.secret],
                              input=lines, capture_output=True, text=True, timeout=self.patience + 10)
        received = re.search(r"^Received (\S+) Id .*\n((?:\t.*\n)*)", done.stdout, re.M)
        if not received:
            if "No reply" not in done.stdout + done.stderr:
                raise RuntimeError(done.stdout + done.stderr)
            return Reply()
        return Reply(received[1], dict(line.strip().split(" = ", 1) for line in received[2].splitlines()))

    def log_in(self, name, code, password=peers.PASSWORD):
        """Password, challenge, code: the last reply."""
        first = self.ask(name, password)
        if first.kind != "Access-Challenge":
            return first
        return self.ask(name, code, state=first.attributes["State"])


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Ldap:
    """An application: OpenLDAP's command line tools against one listener."""

    def __init__(self, url, authority=None, starttls=False):
        self.url, self.starttls = url, starttls
        self.environment = {**os.environ, "LDAPTLS_CACERT": str(authority.cert)} if authority else os.environ

    def tool(self, tool, *arguments, who=None, password=None, typed=None):
        words = [tool, "-x", "-H", self.url, "-o", "nettimeout=10"] + (["-ZZ"] if self.starttls else [])
        words += ["-D", who, "-w", password] if who else []
        done = subprocess.run(words + list(arguments), env=self.environment, input=typed, capture_output=True, text=True, timeout=60)
        return Result(done.returncode, done.stdout + done.stderr)

    def search(self, base, wanted="(objectClass=*)", *attributes, **who):
        return self.tool("ldapsearch", "-LLL", "-b", base, wanted, *attributes, **who)

    def whoami(self, **who):
        return self.tool("ldapwhoami", **who)


class Server:
    """`vestibule serve` and the commands that talk to it."""

    def __init__(self, binary, config):
        self.binary, self.config = binary, config
        self.log = config.with_name("vestibule.log")
        self.daemon, self.ready = None, None
        # The mount view in which it runs: words to words.
        self.view = lambda *words: words

    def start(self):
        self.daemon = peers.Daemon(self.log, *self.view(self.binary, "serve", "--config", self.config), stdout=subprocess.PIPE)
        if not select.select([self.daemon.process.stdout], [], [], 30)[0]:
            raise TimeoutError("no ready line within 30 s")
        line = self.daemon.process.stdout.readline()
        if not line:
            raise RuntimeError(f"serve ended: {self.log.read_text()[-2000:]}")
        self.ready = json.loads(line)

    def reload(self):
        os.kill(self.daemon.process.pid, signal.SIGHUP)

    def stop(self):
        """The exit code after SIGTERM."""
        return self.daemon.stop(20) if self.daemon else None

    def command(self, *words):
        return peers.run(self.binary, *words, "--config", self.config, timeout=30)

    def json(self, *words):
        return json.loads(self.command(*words, "--json"))

    def findings(self, area, config=None):
        """Outcome and message of all that `check` finds out about an area."""
        said = subprocess.run(self.view(self.binary, "check", "--config", config or self.config, "--json"), capture_output=True, text=True, timeout=30)
        return [(finding["outcome"], finding["message"]) for finding in json.loads(said.stdout)["findings"] if finding["area"] == area]

    def warnings(self):
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("level") == "WARN"]


class Person:
    """Somebody enrolled, whose codes are made by oathtool. A code is good once, so each is handed out once."""

    STEP_S = 30

    def __init__(self, server, name, directory):
        self.server, self.name = server, name
        server.command("user", "add", name, "--directory", directory)
        self.enrol()

    def enrol(self):
        self.seed, self.used = re.search(r"secret=([A-Z2-7]+)", self.server.json("token", "enrol", self.name)["uri"])[1], 0

    def code(self):
        """The code of this step or, that one used, of the next, which lies in the window too; then a new token is due."""
        now = int(time.time()) // self.STEP_S
        if self.used > now:
            self.enrol()
        self.used = max(now, self.used + 1)
        return peers.run("oathtool", "--totp", "--base32", "--now", f"@{self.used * self.STEP_S}", self.seed).strip()

    def standing(self):
        return self.server.json("user", "show", self.name)


class Capture:
    """tcpdump on one port; afterwards the first attribute of each RADIUS reply."""

    def __init__(self, file, port):
        self.file, self.port = Path(file), port

    def __enter__(self):
        words = ["tcpdump", "-Z", "root", "-i", "lo", "-U", "-w", self.file, "udp", "src", "port", str(self.port)]
        self.daemon = peers.Daemon(self.file.with_suffix(".log"), *words)
        peers.until("tcpdump", lambda: "listening on" in self.daemon.log.read_text(), 15)
        return self

    def __exit__(self, *_):
        peers.until("a captured reply", lambda: self.first_attributes(), 10)
        self.daemon.stop()

    def first_attributes(self):
        """Pairs of RADIUS code and type of the first attribute, from Ethernet frames with IPv4 in them."""
        data, at, found = self.file.read_bytes() if self.file.exists() else b"", 24, []
        while len(data) >= at + 16:
            size = struct.unpack_from("<I", data, at + 8)[0]
            packet = data[at + 16 + 14 + 20 + 8:at + 16 + size]
            at += 16 + size
            found.append((packet[0], packet[20]))
        return found
