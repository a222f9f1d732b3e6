"""What watches a server: Prometheus with our alert rules, and a syslog server behind TLS that keeps what it is sent."""

import json
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import peers

RULES = Path(__file__).resolve().parent.parent.parent / "config/prometheus/vestibule.rules.yml"


def get(url, seconds=10):
    """Status and text."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Prometheus:
    """The distribution's Prometheus, scraping each second or as often as it is told."""

    def __init__(self, folder, target, scrape_s=1):
        self.folder, self.target, self.scrape_s = Path(folder), target, scrape_s
        self.address, self.daemon = f"127.0.0.1:{peers.free_port()}", None

    def start(self):
        self.folder.mkdir()
        config = {"global": {"scrape_interval": f"{self.scrape_s}s", "evaluation_interval": "1s"}, "rule_files": [str(RULES)],
                  "scrape_configs": [{"job_name": "vestibule", "static_configs": [{"targets": [self.target]}]}]}
        # JSON is YAML.
        (self.folder / "prometheus.yml").write_text(json.dumps(config))
        self.daemon = peers.Daemon(self.folder / "prometheus.log", "prometheus", f"--config.file={self.folder}/prometheus.yml",
                                   f"--storage.tsdb.path={self.folder}/data", f"--web.listen-address={self.address}")
        peers.until("Prometheus", lambda: self.daemon.alive() and self.is_ready(), 30)

    def is_ready(self):
        try:
            return get(f"http://{self.address}/-/ready")[0] == 200
        except OSError:
            return False

    def asked(self, path, **query):
        status, text = get(f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}")
        answer = json.loads(text)
        if answer["status"] != "success":
            raise RuntimeError(f"{status} {query}: {answer.get('error')}")
        return answer["data"]

    def query(self, expression):
        """What it comes to now: labels and values."""
        return [(found["metric"], found["value"][1]) for found in self.asked("query", query=expression)["result"]]

    def stop(self):
        if self.daemon:
            self.daemon.stop()


class SyslogServer:
    """Takes messages behind their lengths (RFC 5425)."""

    def __init__(self, cert, key):
        self.messages = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.socket = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            threading.Thread(target=self.hear, args=(connection,), daemon=True).start()

    def hear(self, connection):
        stream = connection.makefile("rb")
        while True:
            length = b""
            while (digit := stream.read(1)) not in (b" ", b""):
                length += digit
            if not length:
                return
            self.messages.append(stream.read(int(length)).decode())

    def stop(self):
        self.socket.close()
