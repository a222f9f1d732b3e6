"""What monitoring sees: a real Prometheus scrapes it, promtool finds nothing to complain about, the board's panels have data, and the audit arrives."""

import json
import re
import subprocess

import clients
import peers
from cases import same
from peers_monitoring import RULES
from peers_monitoring import get
from telephone import APPROVE
from telephone import FRAUD

BOARD = RULES.parent.parent / "grafana/vestibule.json"
# What there is no reason for in this world, so that nothing is drawn.
QUIET = ("vestibule_alert_letters", "vestibule_radius_unsigned", "vestibule_radius_proxied", "vestibule_radius_connections", "vestibule_sessions",
         "vestibule_stale_passwords")


def promtool(*words, text=None):
    done = subprocess.run(["promtool", *map(str, words)], input=text, capture_output=True, text=True, timeout=60)
    same((done.returncode, done.stderr.strip()), (0, ""), f"promtool {words}: {done.stdout}")
    return done.stdout


def logins(world, source=None):
    """One of each kind, and a packet that is thrown away."""
    same(clients.Radius(world.challenging.address, "another secret", source, patience=1).ask("alice", "x").kind, "silence")
    same(world.challenging.log_in("alice", world.alice.code()).kind, "Access-Accept")
    same(world.challenging.ask("alice", "wrong").kind, "Access-Reject")
    same(world.challenging.ask("nobody", "wrong").kind, "Access-Reject")
    world.phone.will("alice", APPROVE)
    same(world.pushing.pap("alice").kind, "Access-Accept")


def promtool_finds_nothing_to_complain_about(world):
    logins(world)
    status, text = get(world.metrics + "/metrics")
    same(status, 200)
    promtool("check", "metrics", text=text)
    assert "SUCCESS" in promtool("check", "rules", RULES)


def a_real_prometheus_scrapes_it(world):
    peers.until("a scrape", lambda: [value for _, value in world.prometheus.query('up{job="vestibule"}')] == ["1"], 20)
    wanted = 'vestibule_logins_total{decision="accept"}'
    accepted = peers.until("the logins", lambda: world.prometheus.query(wanted), 20)
    same({labels["why"] for labels, _ in accepted}, {"factor"})
    same({labels["room"] for labels, value in world.prometheus.query("vestibule_healthy == 1")} >= {"store", "provider", "audit"}, True)
    (_, left), = world.prometheus.query("min((vestibule_certificate_expiry_time_seconds - time()) / 86400)")
    assert 0 < float(left) < 40, left


def every_rule_is_loaded_and_can_be_evaluated(world):
    rules = [rule for group in world.prometheus.asked("rules")["groups"] for rule in group["rules"]]
    same(len(rules), RULES.read_text().count("- alert:"))
    peers.until("an evaluation of each", lambda: all(rule["health"] == "ok" for group in world.prometheus.asked("rules")["groups"] for rule in group["rules"]), 20)
    firing = {alert["labels"]["alertname"] for alert in world.prometheus.asked("alerts")["alerts"] if alert["state"] == "firing"}
    # Certificates of a run last a month, and nobody else is ill.
    assert firing <= {"VestibuleRestarted", "VestibuleCertificateEnds"}, firing


def every_panel_of_the_board_has_something_to_draw(world):
    # Rates need two scrapes with a login between them.
    logins(world)
    empty = []
    for panel in json.loads(BOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
            drawn = lambda: world.prometheus.query(expression) or any(word in expression for word in QUIET)
            try:
                peers.until(expression, drawn, 8)
            except TimeoutError:
                empty.append(f"{panel['title']}: {expression}")
    same(empty, [])


def readiness_is_told_as_it_is(world):
    status, text = get(world.metrics + "/readyz")
    same((status, json.loads(text)["ready"]), (200, True), text)
    same(get(world.metrics + "/healthz"), (200, "alive\n"))


def the_audit_arrives_at_a_syslog_server(world):
    arrived = lambda: [message for message in world.syslog.messages if '"decision":"accept"' in message]
    message = peers.until("a login", arrived, 20)[0]
    assert re.match(r'<86>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z e2e vestibule - login \[meta sequenceId="\d+"\] \{', message), message
    sent = [json.loads(message[message.index("{"):]) for message in world.syslog.messages]
    told = [json.loads(line) for line in world.server.command("audit", "tail", "-n", "1000", "--json").splitlines()]
    same([line["seq"] for line in sent], [line["seq"] for line in told][:len(sent)], "every line once, in its order:")


def more_is_logged_for_a_while_without_a_restart(world):
    say = world.server.command
    assert "trace, for" in say("log", "level", "trace", "--for", "1h"), "turned"
    assert "trace, for" in say("log", "level"), "shown"
    say("log", "level", "debug")


def the_first_fraud_that_is_reported_is_an_alert(world):
    # The last case: alice is kept out from here on.
    world.phone.will("alice", FRAUD)
    same(world.pushing.pap("alice").kind, "Access-Reject")
    firing = lambda: {alert["labels"]["alertname"] for alert in world.prometheus.asked("alerts")["alerts"] if alert["state"] == "firing"}
    peers.until("the alert", lambda: "VestibuleFraudReported" in firing(), 20)
