#!/usr/bin/python3
"""The board as a picture: a server with people, attackers and outages, a real Prometheus that scrapes it, and every panel drawn from what it says. Needs root.

Usage: picture.py [--minutes N] [--out FILE.png] [--keep FOLDER]. What `run` needs is needed here too, and on Debian librsvg2-bin, fonts-inter and pngquant.
VESTIBULE_BINARY names another binary than target/debug/vestibule. Fails where a panel's question is an error or has no answer.
"""

import argparse
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True

import clients
import panels
import peers
import peers_monitoring
import wire
import wire_ldap
import worlds
from telephone import APPROVE
from telephone import DENY
from telephone import FRAUD
from telephone import WAIT
from telephone import Line

BOARD = worlds.ROOT / "config/grafana/vestibule.json"
# There is nothing to draw of these, for nothing of the kind happens: no mail is set up, and nothing of the audit gets lost.
QUIET = ("vestibule_alert_letters_total",)
SCRAPE_S, STEP_S = 2, 5
# As Grafana makes it of a source that is said to be scraped every STEP_S.
RATE_INTERVAL = f"{4 * STEP_S}s"
CODES, PUSHES, VICTIMS = 36, 30, 14
NAMES = ["ada", "ben", "cleo", "dan", "eva", "finn", "gus", "hope", "ian", "june", "kai", "lea", "max", "nora", "otto", "pia", "quinn", "rosa", "sam", "tess"]


class PictureWorld(worlds.World):
    """One server, many kinds of clients, and what watches it."""

    NAME, CONFIG = "picture", "picture.toml"

    def values(self):
        self.syslog = peers_monitoring.SyslogServer(*self.town.server_pair)
        self.parts.append(self.syslog)
        return {"SYSLOG_PORT": self.syslog.port, "FR_AUTH": self.town.freeradius.auth}

    def find_doors(self):
        ready = self.server.ready
        self.udp, self.tls = ready["radius"]
        self.accounting, self.ldap = ready["radius_accounting"][0], ready["ldap"][0]
        self.prometheus = peers_monitoring.Prometheus(self.folder / "prometheus", ready["metrics"], SCRAPE_S)
        self.parts.append(self.prometheus)

    def populate(self):
        """People of the lab directory, and accounts for them and for those of the other one."""
        names = [f"{NAMES[number % len(NAMES)]}{number // len(NAMES) + 1}" for number in range(CODES + PUSHES + VICTIMS)]
        people = "".join(f"dn: uid={name},ou=people,{self.lab.BASE}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n"
                         f"userPassword: {peers.PASSWORD}\n\n" for name in names)
        peers.run("ldapadd", "-x", "-H", self.lab.url, "-D", self.lab.MANAGER, "-w", peers.PASSWORD, input=people)
        table = self.folder / "people.csv"
        table.write_text("name,directory\n" + "".join(f"{name},lab\n" for name in names))
        self.server.command("user", "add", "--csv", table)
        for name in ("alice", "bob", "carol", "dora", "frida"):
            self.server.command("user", "add", name, "--directory", "corp")
        self.pushed, self.victims = names[CODES:CODES + PUSHES], names[CODES + PUSHES:]
        self.coded = queue.Queue()
        for name in names[:CODES]:
            self.coded.put(Holder(self.server, name))


class Holder(clients.Person):
    """Somebody with a code generator, who has an account already."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.enrol()


class DeadLine(Line):
    """The cloud while it is away: it takes connections and closes them."""

    is_dead = False

    def reply(self, body):
        if DeadLine.is_dead:
            self.close_connection = True
        else:
            super().reply(body)


class Nas(wire.Socket):
    """One that passes over what comes too late."""

    def hear(self, asked, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                reply = self.socket.recv(4096)
            except (TimeoutError, ConnectionRefusedError):
                return None
            try:
                return wire.verified(reply, asked, self.secret)
            except AssertionError:
                continue
        return None


class Morning:
    """All that happens, each in a thread of its own, until it is over."""

    def __init__(self, world, seconds):
        self.world, self.seconds, self.chance = world, seconds, random.Random(7)
        self.over, self.faults = threading.Event(), []
        self.begun = time.time()
        self.pushed = queue.Queue()
        for name in world.pushed:
            self.pushed.put(name)

    def pass_by(self):
        """Lets it all happen."""
        acts = [self.by_code, self.by_code, self.by_append, self.by_push, self.by_push, self.by_push, self.by_upstream, self.by_ldap, self.by_ldap, self.by_old_switch,
                self.over_tls, self.guess, self.spray, self.garbage, self.sessions, self.too_late, self.cloud, self.upstream_away, self.incidents]
        threads = [threading.Thread(target=self.act, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        while time.time() < self.begun + self.seconds and not self.faults:
            time.sleep(5)
            print(f"  {time.time() - self.begun:.0f} of {self.seconds} s", flush=True)
        self.over.set()
        for thread in threads:
            thread.join()
        if self.faults:
            raise self.faults[0]

    def act(self, act):
        try:
            act()
        except Exception as error:  # told where everybody looks
            self.faults.append(error)

    def rest(self, mean_s):
        """A pause as people make them, shorter towards the middle of the morning. False: it is over."""
        at = (time.time() - self.begun) / self.seconds
        return not self.over.wait(min(self.chance.expovariate(1) * mean_s * (1.6 - 1.2 * at * (2 - 2 * at)), 5 * mean_s))

    def until(self, share):
        """Waits for a part of the morning to have passed. False: it is over."""
        return not self.over.wait(max(0, self.begun + share * self.seconds - time.time()))

    def nas(self, source, secret=clients.RADIUS_SECRET):
        return Nas(self.world.udp, f"127.0.1.{source}", secret)

    @staticmethod
    def request(nas, name, password, *more):
        wanted = [(wire.USER_NAME, name.encode()), (wire.USER_PASSWORD, password.encode()), (wire.NAS_IDENTIFIER, b"picture")]
        return wire.request(nas.secret, [*wanted, *more])

    def challenged(self, nas, name, code, password=peers.PASSWORD, seconds=30):
        """Password, and a code where one is asked for."""
        heard = nas.ask(self.request(nas, name, password), seconds)
        if heard and heard.kind == "Access-Challenge":
            self.rest(3)
            return nas.ask(self.request(nas, name, code(), (wire.STATE, heard.first(wire.STATE))), seconds)
        return heard

    def by_code(self):
        with self.nas(1) as nas:
            while self.rest(1.2):
                person = self.world.coded.get()
                mood = self.chance.random()
                if mood < 0.08:
                    self.challenged(nas, person.name, person.code, password="Summer2026")
                elif mood < 0.18:
                    self.challenged(nas, person.name, lambda: "000000")
                else:
                    self.challenged(nas, person.name, person.code)
                self.world.coded.put(person)

    def by_append(self):
        with self.nas(4) as nas:
            while self.rest(4):
                person = self.world.coded.get()
                nas.ask(self.request(nas, person.name, f"{peers.PASSWORD},{person.code()}"))
                self.world.coded.put(person)

    def by_push(self):
        with self.nas(2) as nas:
            while self.rest(2):
                name = self.pushed.get()
                manner = DENY if self.chance.random() < 0.06 else APPROVE
                self.world.phone.will(name, manner, 1.5 + self.chance.expovariate(0.4))
                self.challenged(nas, name, lambda: "000000", seconds=40)
                self.pushed.put(name)

    def too_late(self):
        """Somebody who finds the phone when the VPN has given up."""
        with self.nas(3) as nas:
            while self.rest(12):
                self.world.phone.will("frida", WAIT)
                nas.ask(self.request(nas, "frida", peers.PASSWORD), 1)
                self.over.wait(33)
                self.world.phone.answer("frida", APPROVE)

    def by_upstream(self):
        with self.nas(3) as nas:
            while self.rest(2.5):
                name = self.chance.choice(["alice", "bob", "carol", "dora"])
                self.world.phone.will(name, APPROVE, 0.5 + self.chance.expovariate(0.7))
                nas.ask(self.request(nas, name, peers.PASSWORD if self.chance.random() < 0.9 else "wrong"), 12)

    def by_ldap(self):
        while self.rest(1.6):
            person = self.world.coded.get()
            password = f"{peers.PASSWORD},{person.code()}" if self.chance.random() < 0.85 else "wrong,123456"
            with wire_ldap.Line(self.world.ldap) as line:
                answer = line.ask(wire_ldap.bind(1, f"uid={person.name},ou=people,{self.world.lab.BASE}", password))
                if answer.code == 0:
                    line.ask(wire_ldap.search(2, self.world.lab.BASE))
            self.world.coded.put(person)

    def by_old_switch(self):
        """What signs nothing, and then a proxy before it, which does."""
        proxied = False
        with self.nas(4) as nas:
            while self.rest(6):
                asked = self.request(nas, "ada1", "wrong", *([(wire.PROXY_STATE, b"7")] if proxied else []))
                bare = asked[:2] + (len(asked) - 18).to_bytes(2, "big") + asked[4:20] + asked[38:]
                nas.ask(asked if proxied else bare, 4)
                proxied = not proxied

    def over_tls(self):
        """Branch offices come one after another."""
        lines = []
        while self.rest(self.seconds / 12):
            lines.append(wire.Tls(self.world.tls, "127.0.1.20", self.world.authority, self.world.town.client_pair))
            for line in lines:
                person = self.world.coded.get()
                wanted = [(wire.USER_NAME, person.name.encode()), (wire.USER_PASSWORD, f"{peers.PASSWORD},{person.code()}".encode())]
                line.ask(wire.request(line.SECRET, wanted))
                self.world.coded.put(person)
        for line in lines:
            line.socket.close()

    def guess(self):
        """Names that are nobody's, for a part of the morning many of them."""
        with self.nas(1) as nas:
            while self.rest(0.3 if self.is_between(0.18, 0.3) else 8):
                nas.ask(self.request(nas, self.chance.choice(["admin", "root", "test", "backup", "oracle"]), "123456"), 4)

    def spray(self):
        """One password at many names: ten of them are locked out, which is an alarm."""
        if self.until(0.2):
            with self.nas(1) as nas:
                for year in range(worlds.FAILURES_MAX + 2):
                    for name in self.world.victims:
                        nas.ask(self.request(nas, name, f"Winter202{year}"), 4)
                        self.over.wait(0.3)

    def garbage(self):
        """Forgeries, noise, strangers, and requests that come twice."""
        with self.nas(1) as nas, self.nas(1, "another secret") as forger, self.nas(200) as stranger:
            while self.rest(0.5 if self.is_between(0.55, 0.68) else 6):
                choice = self.chance.randrange(4)
                if choice == 0:
                    forger.send(self.request(forger, "alice", "x"))
                elif choice == 1:
                    nas.send(b"\x01\x08\xff\xff" + bytes(60))
                elif choice == 2:
                    stranger.send(self.request(stranger, "alice", "x"))
                else:
                    asked = self.request(nas, self.world.victims[0], "again")
                    nas.send(asked)
                    nas.ask(asked, 4)

    def sessions(self):
        """Sessions that begin, and later end."""
        secret, on, count = clients.RADIUS_SECRET.encode(), [], 0
        with Nas(self.world.accounting, "127.0.1.1", clients.RADIUS_SECRET) as nas:
            while self.rest(1.5):
                ends = on and self.chance.random() < 0.25 + 0.3 * ((time.time() - self.begun) / self.seconds)
                session = on.pop(0) if ends else f"session-{(count := count + 1)}"
                if not ends:
                    on.append(session)
                status = (2 if ends else 1).to_bytes(4, "big")
                about = [(wire.USER_NAME, b"ada1"), (wire.ACCT_STATUS_TYPE, status), (wire.ACCT_SESSION_ID, session.encode()), (wire.NAS_IDENTIFIER, b"picture")]
                nas.ask(wire.accounting(secret, about), 2)

    def cloud(self):
        """The provider is away for a while: codes are asked for instead."""
        self.away_between(0.36, 0.46, lambda: setattr(DeadLine, "is_dead", True), lambda: setattr(DeadLine, "is_dead", False))

    def upstream_away(self):
        self.away_between(0.78, 0.86, self.world.town.freeradius.stop, self.world.town.freeradius.start)

    def away_between(self, begin, end, leave, come_back):
        if self.until(begin):
            leave()
            self.until(end)
            come_back()

    def incidents(self):
        """A telephone that was lost, and a fraud that somebody reports."""
        if self.until(0.5):
            self.world.server.command("block", "add", "--phone", "+49 170 5550142", "--reason", "lost")
        if self.until(0.7):
            name = self.pushed.get()
            self.world.phone.will(name, FRAUD)
            with self.nas(2) as nas:
                nas.ask(self.request(nas, name, peers.PASSWORD), 12)

    def is_between(self, begin, end):
        return begin <= (time.time() - self.begun) / self.seconds < end


class Source:
    """What Grafana's data source does: variables filled in, and times of the picture."""

    def __init__(self, prometheus, begin, end):
        self.prometheus, self.begin, self.end = prometheus, begin, end

    def series(self, target):
        """Pairs of name and points, each point a pair of time and value; instant questions have one."""
        expression = target["expr"].replace("$__rate_interval", RATE_INTERVAL).replace("$instance", ".*")
        if target.get("instant"):
            found = self.prometheus.asked("query", query=expression, time=self.end)["result"]
            rows = [(one["metric"], [one["value"]]) for one in found]
        else:
            found = self.prometheus.asked("query_range", query=expression, start=self.begin, end=self.end, step=STEP_S)["result"]
            rows = [(one["metric"], one["values"]) for one in found]
        return [(named(target.get("legendFormat"), labels), [(at, float(value)) for at, value in points]) for labels, points in rows]


def named(legend, labels):
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), legend or "")


def answered(source):
    """What the picture is drawn of, and every question that has no answer."""
    board, empty, pictures = json.loads(BOARD.read_text()), [], []
    for panel in board["panels"]:
        found = []
        for target in panel.get("targets", []):
            series = source.series(target)
            if not any(value == value for _, points in series for _, value in points) and not any(word in target["expr"] for word in QUIET):
                empty.append(f"{panel['title']}: {target['expr']}")
            found += series
        pictures.append((panel, found))
    return (board["title"], pictures, source.begin, source.end), empty


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--out", type=Path, default=worlds.ROOT / "docs/board.png")
    parser.add_argument("--keep", type=Path)
    words = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vestibule-picture-"))
    folder.chmod(0o711)
    town, world = worlds.Town(folder), None
    town.phone.server.RequestHandlerClass = type("Handler", (DeadLine,), {"telephone": town.phone})
    try:
        world = PictureWorld(town)
        world.start()
        world.populate()
        world.prometheus.start()
        morning = Morning(world, words.minutes * 60)
        morning.pass_by()
        found, empty = answered(Source(world.prometheus, morning.begun + 4 * STEP_S, morning.begun + morning.seconds))
        (world.folder / "board.json").write_text(json.dumps(found))
        svg = world.folder / "board.svg"
        svg.write_text(panels.picture(*found))
        peers.run("rsvg-convert", "-o", world.folder / "board.png", svg)
        peers.run("pngquant", "--force", "--strip", "--speed", "1", "--output", words.out, "128", world.folder / "board.png")
        print(f"{words.out}: {words.out.stat().st_size} octets")
        if empty:
            raise RuntimeError("nothing to draw:\n" + "\n".join(empty))
    finally:
        if world:
            world.stop()
        town.stop()
        if words.keep and world:
            shutil.copytree(world.folder, words.keep, ignore=shutil.ignore_patterns("*.sock"), dirs_exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
