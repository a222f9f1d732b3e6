"""A stand-in for Duo's Auth API v2 on loopback: everybody has a telephone, and a case says what the person does with it."""

import base64
import email.utils
import hashlib
import hmac
import json
import secrets
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer

import peers

APPROVE, DENY, FRAUD, WAIT = "allow", "deny", "fraud", "waiting"
HOLD_S, SKEW_S = 15, 300


class Telephone:
    """The cloud and all telephones. `manner[name]` is what a person does when asked: APPROVE (also without an entry), DENY, FRAUD, or WAIT for `answer`."""

    HOST = "api-e2e00000.duosecurity.example"

    def __init__(self):
        self.key_id, self.key = "DI" + secrets.token_hex(9).upper(), secrets.token_hex(20)
        self.manner, self.delay_s, self.asked, self.shown, self.txids = {}, {}, {}, {}, {}
        self.news = threading.Condition()
        handler = type("Handler", (Line,), {"telephone": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()

    def pushes(self, name):
        """How many questions have reached this person."""
        with self.news:
            return self.asked.get(name, 0)

    def rings(self, name, more_than, seconds=10):
        """Waits until the person has been asked once more."""
        peers.until(f"a push to {name}", lambda: self.pushes(name) > more_than, seconds)

    def will(self, name, manner, after_s=0):
        """What this person does from now on, so many seconds after being asked."""
        with self.news:
            self.manner[name], self.delay_s[name] = manner, after_s

    def answer(self, name, result):
        """The person answers all that is open."""
        with self.news:
            for question in self.txids.values():
                if question["name"] == name and question["result"] == WAIT:
                    question["result"] = result
            self.news.notify_all()

    def settle(self):
        """Everybody says no to what is open, and approves from now on."""
        with self.news:
            self.manner.clear()
            self.delay_s.clear()
            for question in self.txids.values():
                question["result"] = DENY if question["result"] == WAIT else question["result"]
            self.news.notify_all()

    def ask(self, params):
        """A question goes out."""
        name, txid = params["username"].lower(), secrets.token_hex(16)
        with self.news:
            self.asked[name] = self.asked.get(name, 0) + 1
            self.shown[name] = params
            due = time.monotonic() + self.delay_s.get(name, 0)
            self.txids[txid] = {"name": name, "manner": self.manner.get(name, APPROVE), "due": due, "told": False, "result": WAIT}
            self.news.notify_all()
        return {"txid": txid}

    def status(self, txid):
        """How a question stands; held until there is something to say. None: no such question."""
        end = time.monotonic() + HOLD_S
        with self.news:
            question = self.txids.get(txid)
            if question is None:
                return None
            if not question["told"]:
                question["told"] = True
                return {"result": WAIT, "status": "pushed", "status_msg": "Asked."}
            while question["result"] == WAIT and time.monotonic() < end:
                if question["manner"] != WAIT and time.monotonic() >= question["due"]:
                    question["result"] = question["manner"]
                    break
                self.news.wait(0.05)
            result = DENY if question["result"] == FRAUD else question["result"]
            return {"result": result, "status": "pushed" if question["result"] == WAIT else question["result"], "status_msg": "So it stands."}

    def signature(self, date, method, path, query, body):
        """Duo's signature, version 5, over a request without headers of its own kind."""
        def digest(data):
            return hashlib.sha512(data).hexdigest()
        lines = [date, method, self.HOST, path, query, digest(body), digest(b"")]
        return hmac.new(self.key.encode(), "\n".join(lines).encode(), "sha512").hexdigest()


class Line(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    telephone = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.reply(b"")

    def do_POST(self):
        self.reply(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def reply(self, body):
        status, answer = self.answer(body)
        data = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # whoever asked has gone

    def answer(self, body):
        path, _, query = self.path.partition("?")
        now = {"time": int(time.time())}
        if path == "/auth/v2/ping":
            return 200, {"stat": "OK", "response": now}
        if not self.signed(path, query, body):
            return 401, {"stat": "FAIL", "code": 40103, "message": "Invalid signature in request credentials"}
        params = json.loads(body) if body else dict(urllib.parse.parse_qsl(query))
        answer = {"/auth/v2/check": lambda: now, "/auth/v2/preauth": lambda: preauth(), "/auth/v2/auth": lambda: self.telephone.ask(params),
                  "/auth/v2/auth_status": lambda: self.telephone.status(params.get("txid"))}.get(path, lambda: None)()
        if answer is None:
            return 400, {"stat": "FAIL", "code": 40002, "message": "Invalid request parameters"}
        return 200, {"stat": "OK", "response": answer}

    def signed(self, path, query, body):
        date, given = self.headers.get("Date", ""), self.headers.get("Authorization", "")
        wanted = f"{self.telephone.key_id}:{self.telephone.signature(date, self.command, path, query, body)}".encode()
        try:
            recent = abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time()) < SKEW_S
        except (TypeError, ValueError):
            return False
        return recent and hmac.compare_digest(f"Basic {base64.b64encode(wanted).decode()}", given)


def preauth():
    telephone = {"device": "DPE2E000000000000001", "type": "phone", "display_name": "Phone", "number": "XXX-XXX-0142", "capabilities": ["auto", "push", "phone"]}
    return {"result": "auth", "status_msg": "Account is active", "devices": [telephone]}
