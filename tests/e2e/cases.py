"""What must hold in front of real directories with real clients. A case is a function; its name says what it shows."""

import contextlib

import peers
from clients import MESSAGE_AUTHENTICATOR
from clients import Capture
from clients import Person
from clients import Radius
from peers import PASSWORD
from worlds import FAILURES_MAX

ACCEPT, CHALLENGE, REJECT = 2, 11, 3
INVALID_CREDENTIALS, UNAVAILABLE = 49, 52
AD_BASE = peers.ActiveDirectory.BASE


def same(found, wanted, what=""):
    assert found == wanted, f"{what} {found!r}, not {wanted!r}".strip()


def says(server, text, seconds=10):
    peers.until(f"{text!r} in the log", lambda: text in server.log.read_text(), seconds)


# RADIUS

def radius_challenge_then_the_right_code_then_the_same_code_again(world):
    code = world.alice.code()
    first = world.nas.ask("alice", PASSWORD)
    same(first.kind, "Access-Challenge")
    assert "Enter your code:" in first.attributes["Reply-Message"], first
    same(world.nas.ask("alice", code, state=first.attributes["State"]).kind, "Access-Accept")
    same(world.nas.log_in("alice", code).kind, "Access-Reject", "the same code again:")


def r_044_a_state_is_good_once(world):
    state = world.nas.ask("alice", PASSWORD).attributes["State"]
    same(world.nas.ask("alice", world.alice.code(), state=state).kind, "Access-Accept")
    same(world.nas.ask("alice", world.alice.code(), state=state).kind, "Access-Reject")
    same(world.nas.ask("alice", world.alice.code(), state="0x" + "00" * 32).kind, "Access-Reject", "a forged one:")


def r_066_a_code_behind_the_password(world):
    same(world.appending_nas.ask("alice", f"{PASSWORD},{world.alice.code()}").kind, "Access-Accept")
    same(world.appending_nas.ask("alice", PASSWORD).kind, "Access-Reject", "without a code:")


def radius_over_ipv6(world):
    same(Radius(world.server.ready["radius"][1]).log_in("alice", world.alice.code()).kind, "Access-Accept")


def radius_a_wrong_password_is_refused_without_a_challenge(world):
    same(world.nas.ask("frida", "wrong").kind, "Access-Reject")
    same(world.nas.ask("nosuchperson", PASSWORD).kind, "Access-Reject")


def radius_a_wrong_code_is_refused(world):
    same(world.nas.log_in("frida", "000000").kind, "Access-Reject")
    same(world.nas.log_in("frida", world.frida.code()).kind, "Access-Accept", "the right one afterwards:")


def radius_somebody_not_enrolled_is_refused(world):
    same(world.nas.ask("erik", PASSWORD).kind, "Access-Reject")


def r_025_r_032_unsigned_or_with_a_wrong_secret_is_silence(world):
    address = world.server.ready["radius"][0]
    same(Radius(address, patience=2).ask("alice", PASSWORD, signed=False).kind, "silence", "unsigned:")
    same(Radius(address, secret="not-the-secret", patience=2).ask("alice", PASSWORD).kind, "silence", "wrong secret:")
    same(Radius(address, source="127.0.0.77", patience=2).ask("alice", PASSWORD).kind, "silence", "unknown client:")


def r_030_every_reply_begins_with_the_message_authenticator(world):
    port = int(world.server.ready["radius"][0].rsplit(":", 1)[1])
    with Capture(world.folder / "replies.pcap", port) as capture:
        same(world.nas.log_in("alice", world.alice.code()).kind, "Access-Accept")
        same(world.nas.ask("alice", "wrong").kind, "Access-Reject")
        peers.until("three captured replies", lambda: len(capture.first_attributes()) >= 3, 10)
    same(capture.first_attributes(), [(code, MESSAGE_AUTHENTICATOR) for code in (CHALLENGE, ACCEPT, REJECT)])


# Names and accounts

def names_four_spellings_are_one_account_with_one_count(world):
    spellings = ("bob@example.test", "EXAMPLE\\bob", "Bob@EXAMPLE.test", "bob ")
    for spelling in spellings:
        same(world.nas.ask(spelling, PASSWORD).kind, "Access-Challenge", f"{spelling!r}:")
    for count, spelling in enumerate(spellings, 1):
        same(world.nas.ask(spelling, f"wrong {count}").kind, "Access-Reject")
        same(world.bob.standing()["failures"], count, f"failures after {spelling!r}:")
    names = [account["name"] for account in world.server.json("user", "list", "--search", "bob")]
    same(names, ["bob"])


def names_locked_after_so_many_failures_until_unlocked(world):
    assert world.bob.standing()["locked"], world.bob.standing()
    same(world.nas.ask("bob", PASSWORD).kind, "Access-Reject", "locked:")
    same(world.ldap.search(AD_BASE, who="bob@example.test", password=f"{PASSWORD},{world.bob.code()}").code, INVALID_CREDENTIALS, "and over LDAP:")
    world.server.command("user", "unlock", "bob")
    same(world.nas.log_in("bob", world.bob.code()).kind, "Access-Accept", "unlocked:")
    same(world.bob.standing()["failures"], 0)


def names_beyond_ascii(world):
    same(world.nas.log_in("jmueller", world.jmueller.code()).kind, "Access-Accept")
    same(world.nas.log_in("CN=Jörg Müller,OU=Staff,DC=example,DC=test", world.jmueller.code()).kind, "Access-Accept")


def names_a_disabled_account_stays_out(world):
    world.server.command("user", "disable", "dora")
    same(world.nas.ask("dora", PASSWORD).kind, "Access-Reject")
    world.server.command("user", "enable", "dora")
    same(world.nas.log_in("dora", world.dora.code()).kind, "Access-Accept")


def names_what_the_directory_refuses_is_refused(world):
    for name in ("gone", "mustchange", "acctexpired", "pwexpired", "lockedout"):
        password = f"{PASSWORD},{getattr(world, name).code()}"
        same(world.appending_nas.ask(name, password).kind, "Access-Reject", f"{name}:")
        same(world.ldap.search(AD_BASE, who=f"{name}@example.test", password=password).code, INVALID_CREDENTIALS, f"{name} over LDAP:")


def bypass_one_login_without_a_code(world):
    world.server.command("bypass", "grant", "carol", "--for", "5m", "--reason", "lost phone")
    same(world.nas.ask("carol", "wrong").kind, "Access-Reject", "the password is still asked for:")
    same(world.nas.ask("carol", PASSWORD).kind, "Access-Accept")
    same(world.nas.ask("carol", PASSWORD).kind, "Access-Challenge", "the second login:")


def openldap_behind_radius(world):
    same(world.lab_nas.log_in("hanna", world.hanna.code()).kind, "Access-Accept")
    same(world.lab_nas.ask("hanna", "wrong").kind, "Access-Reject")


# The server's life

def reload_takes_a_new_client(world):
    late = Radius(world.server.ready["radius"][0], source="127.0.0.9", patience=2)
    same(late.ask("alice", PASSWORD).kind, "silence", "before:")
    world.add_client("latecomer", "127.0.0.9")
    world.server.reload()
    peers.until("an answer to the new client", lambda: late.ask("alice", PASSWORD).kind == "Access-Challenge", 20)
    same(late.log_in("alice", world.alice.code()).kind, "Access-Accept", "after:")


def reload_of_a_broken_file_changes_nothing(world):
    whole = world.server.config.read_text()
    world.server.config.write_text(whole + "\n[nonsense]\n")
    world.server.reload()
    says(world.server, "nonsense")
    world.server.config.write_text(whole)
    same(world.nas.log_in("alice", world.alice.code()).kind, "Access-Accept")


def directory_away_is_silence_and_unavailable_and_it_comes_back_by_itself(world):
    before = len(world.server.warnings())
    world.directory.stop()
    impatient = Radius(world.server.ready["radius"][0], patience=3)
    for _ in range(2):
        same(impatient.ask("alice", PASSWORD).kind, "silence")
        same(world.ldap.search(AD_BASE, who="alice@example.test", password=f"{PASSWORD},000000").code, UNAVAILABLE)
    told = [line for line in world.server.warnings()[before:] if "corp" in str(line)]
    same(len(told), 1, f"warnings about it: {told}")
    same(world.lab_nas.log_in("hanna", world.hanna.code()).kind, "Access-Accept", "the other directory:")
    world.directory.start()
    peers.until("a login after the directory came back", lambda: world.nas.ask("alice", PASSWORD).kind == "Access-Challenge", 60)
    same(world.nas.log_in("alice", world.alice.code()).kind, "Access-Accept")
    same(world.alice.standing()["failures"], 0, "what the outage cost her:")


def a_used_code_stays_used_over_a_restart(world):
    code = world.dora.code()
    same(world.nas.log_in("dora", code).kind, "Access-Accept")
    same(world.server.stop(), 0, "exit code after SIGTERM:")
    world.server.start()
    world.find_doors()
    same(world.nas.log_in("dora", code).kind, "Access-Reject")
    same(world.nas.log_in("dora", world.dora.code()).kind, "Access-Accept")


def nothing_secret_is_in_the_log(world):
    state = world.nas.ask("alice", PASSWORD).attributes["State"].removeprefix("0x")
    assert len(state) >= 32, state
    same(world.nas.ask("alice", world.alice.code(), state=f"0x{state}").kind, "Access-Accept")
    seeds = [person.seed for person in vars(world).values() if isinstance(person, Person)]
    assert len(seeds) > 10, "the people are not found"
    log = world.server.log.read_text().lower()
    for secret in (PASSWORD, state, *seeds, *world.secrets):
        assert secret.lower() not in log, "a secret stands in the log"


# Is it well?

@contextlib.contextmanager
def locking_after(directory, count, minutes):
    """For a while the domain locks people out after so many wrong passwords within so many minutes, and not after six within 30."""
    def lock_after(threshold, observed):
        peers.run("samba-tool", "domain", "passwordsettings", "set", f"--account-lockout-threshold={threshold}",
                  f"--reset-account-lockout-after={observed}", f"--configfile={directory.config}")

    lock_after(count, minutes)
    try:
        yield
    finally:
        lock_after(6, 30)


def m_21_check_tells_that_the_domain_locks_people_out_before_we_do(world):
    text = world.server.config.read_text()
    config = world.folder / "check.toml"

    def found(area, failures_max):
        config.write_text(text.replace(f"failures_max = {FAILURES_MAX},", f"failures_max = {failures_max},"))
        return world.server.findings(area, config)

    same(found("directory", 4), [("ok", "bound, base found, clock right"), ("ok", "bound, base found; it tells no time")])
    with locking_after(world.directory, 9, 30):
        leaking, _ = found("lockout", 4)
        assert leaking[0] == "warning" and "less than 30m apart" in leaking[1] and "policy all opens again after 15m" in leaking[1], leaking
    with locking_after(world.directory, 5, 10):
        late, grained = found("lockout", 5)
        assert late[0] == "warning" and "locks after 5 wrong passwords" in late[1] and "policy all after 5" in late[1], late
        same(grained[0], "skipped", "what only administrators may read:")
        early, _ = found("lockout", 4)
        same(early[0], "ok", f"{early[1]}:")
    administrator = world.folder / "administrator"
    administrator.touch(0o600)
    administrator.write_text("Adm1n-Passw0rd!")
    text = text.replace("svc-mfa@example.test", "Administrator@example.test", 1).replace(f"{world.folder}/bind", str(administrator), 1)
    with locking_after(world.directory, 6, 10):
        same([outcome for outcome, _ in found("lockout", 4)], ["ok"], "who may read the fine-grained policies sees that none of them locks:")
