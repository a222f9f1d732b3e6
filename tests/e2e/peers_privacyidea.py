"""privacyIDEA, as it comes from its Python package, on loopback; the gateway by which it sends its texts; and phones that read them."""

import base64
import datetime
import hashlib
import hmac
import json
import os
import re
import struct
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from pathlib import Path

from peers import HERE
from peers import PASSWORD
from peers import Daemon
from peers import free_port
from peers import listens
from peers import run
from peers import until

SERVICE = "vestibule-svc"
REALM = "corp"
PEOPLE = ("alice", "bob", "carol", "dora")


class TextGateway:
    """Takes the texts that privacyIDEA sends, and keeps them by number."""

    def __init__(self):
        self.texts, self.news = {}, threading.Condition()
        handler = type("Handler", (Posted,), {"gateway": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/text"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def took(self, number, text):
        with self.news:
            self.texts.setdefault(number, []).append(text)
            self.news.notify_all()

    def count(self, number):
        with self.news:
            return len(self.texts.get(number, []))

    def code(self, number, more_than):
        """The code of the next text to this number."""
        with self.news:
            if not self.news.wait_for(lambda: len(self.texts.get(number, [])) > more_than, 10):
                raise TimeoutError(f"no text to {number}")
            return re.search(r"\b\d{6}\b", self.texts[number][-1])[0]

    def stop(self):
        self.server.shutdown()


class Posted(BaseHTTPRequestHandler):
    """One text."""

    gateway = None

    def log_message(self, *_):
        pass

    def do_POST(self):
        fields = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()))
        self.gateway.took(fields.get("to"), fields.get("text", ""))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


class PrivacyIdea:
    """One server with a realm of people. Making its tables takes a while, so it is done once and copied from then on."""

    ADDRESS = "127.0.0.27"

    def __init__(self, folder, program, cache):
        self.folder, self.program, self.cache = Path(folder), Path(program) / "bin/pi-manage", Path(cache)
        self.folder.mkdir()
        self.port = free_port(self.ADDRESS)
        self.url = f"http://{self.ADDRESS}:{self.port}"
        self.config = self.folder / "pi.cfg"
        self.log = self.folder / "privacyidea.log"
        self.gateway = TextGateway()
        self.daemon, self.token, self.detail = None, None, {}

    def make(self):
        if not self.program.exists():
            raise FileNotFoundError(f"{self.program} is not there: run `tests/run packages`")
        files = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{self.folder}/pi.sqlite", "PI_ENCFILE": self.folder / "enckey", "PI_LOGFILE": self.log,
                 "PI_AUDIT_KEY_PRIVATE": self.folder / "private.pem", "PI_AUDIT_KEY_PUBLIC": self.folder / "public.pem"}
        secrets = {name: hashlib.sha256(f"e2e {name}".encode()).hexdigest() for name in ("SECRET_KEY", "PI_PEPPER")}
        texts = {name: str(value) for name, value in (files | secrets).items()}
        lines = [f"{name} = {value!r}" for name, value in texts.items()] + ["SUPERUSER_REALM = ['super']", "PI_LOGLEVEL = 30"]
        self.config.write_text("\n".join(lines) + "\n")
        (self.folder / "people").write_text("".join(f"{name}:x:{1000 + count}:1000:{name.title()}:/:/bin/false\n" for count, name in enumerate(PEOPLE)))
        parts = [(HERE / name).read_bytes() for name in ("peers_privacyidea.py", "privacyidea.txt")]
        template = self.cache / f"privacyidea-{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}.tar"
        made = ("pi.sqlite", "enckey", "private.pem", "public.pem")
        if not template.exists():
            for words in (("setup", "create_enckey"), ("setup", "create_audit_keys"), ("setup", "create_tables"), ("admin", "add", "admin", "-p", PASSWORD)):
                self.manage(*words)
            self.cache.mkdir(parents=True, exist_ok=True)
            half = template.with_suffix(".half")
            run("tar", "-C", self.folder, "-cf", half, *made)
            half.rename(template)
        run("tar", "-C", self.folder, "-xf", template)

    def environment(self):
        return {**os.environ, "PRIVACYIDEA_CONFIGFILE": str(self.config)}

    def manage(self, *words):
        return run(self.program, *words, timeout=180, env=self.environment())

    def start(self):
        self.daemon = Daemon(self.folder / "run.log", self.program, "run", "-h", self.ADDRESS, "-p", self.port, env=self.environment())
        until("privacyIDEA", lambda: self.daemon.alive() and listens(self.ADDRESS, self.port), 60)

    def kill(self):
        """In the middle of whatever it does."""
        self.daemon.process.kill()
        self.daemon.stop()

    def stop(self):
        if self.daemon:
            self.daemon.stop()
        self.gateway.stop()

    def populate(self):
        """A realm of people, an account for us that may trigger challenges and do nothing else, and a way for texts to go out."""
        self.token = self.ask("POST", "/auth", username="admin", password=PASSWORD)["token"]
        self.manage("admin", "add", SERVICE, "-p", PASSWORD)
        self.ask("POST", "/resolver/people", type="passwdresolver", fileName=str(self.folder / "people"))
        self.ask("POST", f"/realm/{REALM}", resolvers="people")
        self.ask("POST", f"/defaultrealm/{REALM}")
        self.ask("POST", "/policy/admins", scope="admin", adminuser="admin", action="*")
        self.ask("POST", "/policy/service", scope="admin", adminuser=SERVICE, action="triggerchallenge")
        self.ask("POST", "/policy/types", scope="authorization", action="application_tokentype")
        self.ask("POST", "/smsgateway", name="texts", module="privacyidea.lib.smsprovider.HttpSMSProvider.HttpSMSProvider",
                 **{"option.URL": self.gateway.url, "option.HTTP_METHOD": "POST", "option.to": "{phone}", "option.text": "Your code: {otp}"})
        self.ask("POST", "/system/setConfig", **{"sms.identifier": "texts"})
        self.ask("POST", "/policy/pins", scope="authentication", action="challenge_response=hotp")
        # Phones fetch their questions here, and no service of somebody else's wakes them.
        self.ask("POST", "/policy/push", scope="enrollment", action=f"push_firebase_configuration=poll only, push_registration_url={self.url}/ttype/push")

    def ask(self, method, path, **params):
        """What an administrator does; the value that came of it."""
        headers = {"PI-Authorization": self.token} if self.token else {}
        body = None
        if method != "GET":
            headers["Content-Type"], body = "application/json", json.dumps(params).encode()
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                said = json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from error
        self.detail = said.get("detail") or {}
        return said["result"]["value"]

    def enrol(self, name, kind, **params):
        """A token of this person's."""
        serial = f"{kind.upper()}-{name}"
        self.ask("POST", "/token/init", type=kind, user=name, realm=REALM, serial=serial, **params)
        return serial

    def phone(self, name):
        """A phone of this person's that takes pushes."""
        serial = self.enrol(name, "push", genkey=1)
        phone = Phone(self, serial)
        self.ask("POST", "/ttype/push", serial=serial, enrollment_credential=self.detail["enrollment_credential"], fbtoken="none", pubkey=phone.public_key())
        return phone

    def hotp(self, name, pin=""):
        """A generator of codes for this person."""
        self.enrol(name, "hotp", genkey=1, hashlib="sha1", pin=pin)
        return Hotp(bytes.fromhex(self.detail["otpkey"]["value"].removeprefix("seed://")))


class Phone:
    """The other end of a push: an RSA key that signs which questions it takes and what is answered."""

    def __init__(self, server, serial):
        self.server, self.serial, self.key = server, serial, server.folder / f"{serial}.pem"
        run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.key)

    def public_key(self):
        lines = run("openssl", "pkey", "-in", self.key, "-pubout").splitlines()
        return "".join(lines[1:-1])

    def signature(self, text):
        done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), capture_output=True, check=True, timeout=10)
        return base64.b32encode(done.stdout).decode()

    def questions(self):
        """What waits for an answer."""
        moment = datetime.datetime.now(datetime.timezone.utc).isoformat()
        query = {"serial": self.serial, "timestamp": moment, "signature": self.signature(f"{self.serial}|{moment}")}
        return self.server.ask("GET", f"/ttype/push?{urllib.parse.urlencode(query)}")

    def answer(self, approve=True):
        """Waits for a question and answers it."""
        question = until(f"a push to {self.serial}", self.questions, 15)[-1]
        if approve:
            said = {"signature": self.signature(f"{question['nonce']}|{self.serial}")}
        else:
            said = {"decline": 1, "signature": self.signature(f"{question['nonce']}|{self.serial}|decline")}
        return self.server.ask("POST", "/ttype/push", serial=self.serial, nonce=question["nonce"], **said)


class Hotp:
    """RFC 4226, six digits; each code is handed out once."""

    def __init__(self, key):
        self.key, self.counter = key, 0

    def code(self):
        digest = hmac.digest(self.key, struct.pack(">Q", self.counter), "sha1")
        self.counter += 1
        at = digest[-1] & 15
        return f"{(struct.unpack_from('>I', digest, at)[0] & 0x7FFFFFFF) % 1_000_000:06}"
