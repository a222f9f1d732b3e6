"""MS-CHAPv2 against the directory through winbind: keys, errors, and a password that is changed."""

import re

import mschap
from cases import same
from clients import Ldap
from mschap import Handshake
from peers import PASSWORD
from telephone import APPROVE
from telephone import DENY

NEW_PASSWORD = "N3w-Passw0rd!"


def error(heard):
    """Number, whether a retry is allowed, and challenge of an MS-CHAP-Error."""
    found = re.search(r"E=(\d+) R=(\d) C=([0-9A-Fa-f]{32}) V=3", " ".join(heard.all("MS-CHAP-Error")))
    assert found, f"no MS-CHAP-Error: {heard}"
    return int(found[1]), int(found[2]), bytes.fromhex(found[3])


def refused(world, name, password, *numbers, pushes=0):
    before = world.phone.pushes(name)
    heard = world.nas.mschap(Handshake(name, password))
    number, retry, _ = error(heard)
    assert number in numbers, f"{name}: E={number}, not {numbers}"
    same((heard.kind, retry, world.phone.pushes(name) - before), ("Access-Reject", 0, pushes), f"{name}:")


def r_096_winbind_accepts_with_success_and_keys(world):
    for name in ("alice", "EXAMPLE\\alice"):
        handshake, before = Handshake(name, PASSWORD), world.phone.pushes("alice")
        heard = world.nas.mschap(handshake)
        same((heard.kind, world.phone.pushes("alice") - before), ("Access-Accept", 1))
        same(heard.first("MS-CHAP2-Success"), f"0x{handshake.success().hex()}", "R-092:")
        same([heard.first("MS-MPPE-Send-Key"), heard.first("MS-MPPE-Recv-Key")], [f"0x{key.hex()}" for key in handshake.keys()])
        assert heard.first("MS-MPPE-Encryption-Policy") and heard.first("MS-MPPE-Encryption-Types"), heard


def r_093_winbind_denied_by_the_person_sends_no_keys(world):
    world.phone.will("bob", DENY)
    heard = world.nas.mschap(Handshake("bob", PASSWORD))
    same((heard.kind, error(heard)[0]), ("Access-Reject", 691))
    same([key for key, _ in heard.pairs() if "MPPE" in key or "Success" in key], [])
    world.phone.will("bob", APPROVE)


def r_093_errors_say_what_is_wrong_to_whom_the_password_is_right(world):
    refused(world, "bob", "wrong", 691)
    refused(world, "gone", PASSWORD, 647)
    refused(world, "badhours", PASSWORD, 646)
    refused(world, "pwexpired", PASSWORD, 648, pushes=1)
    refused(world, "acctexpired", PASSWORD, 647, 691)


def r_093_errors_say_nothing_to_whom_it_is_wrong(world):
    for name in ("gone", "badhours", "acctexpired", "nosuchperson"):
        refused(world, name, "wrong", 691)


def r_091_flags_that_are_not_zero_are_refused(world):
    handshake = Handshake("alice", PASSWORD)
    crooked = bytearray(handshake.response())
    crooked[1] = 1
    heard = world.nas.ask("alice", ("MS-CHAP-Challenge", f"0x{handshake.authenticator.hex()}"), ("MS-CHAP2-Response", f"0x{bytes(crooked).hex()}"))
    same(heard.kind, "Access-Reject")


def r_098_mschap_version_1_is_refused(world):
    before = world.phone.pushes("alice")
    same(world.nas.ask("alice", ("MS-CHAP-Password", f'"{PASSWORD}"')).kind, "Access-Reject")
    same(world.phone.pushes("alice") - before, 0)


def change(world, new=NEW_PASSWORD, told=648):
    """Tries to log in, hears that the password has expired, and sends the change. The handshake of the new password, and the reply."""
    handshake = Handshake("mustcpw", PASSWORD)
    number, _, challenge = error(world.nas.mschap(handshake))
    same(number, told)
    handshake.authenticator, handshake.ident = challenge, handshake.ident + 1
    answered, cpw, fragments = mschap.change(handshake, new)
    pairs = [("MS-CHAP-Challenge", f"0x{challenge.hex()}"), ("MS-CHAP2-CPW", f"0x{cpw.hex()}")]
    return answered, world.nas.ask("mustcpw", *pairs, *(("MS-CHAP-NT-Enc-PW", f"0x{fragment.hex()}") for fragment in fragments))


def binds(world, password):
    door = Ldap(f"ldap://{world.directory.ADDRESS}")
    return door.search(world.directory.BASE, "(cn=nothing)", who="mustcpw@example.test", password=password).code == 0


def r_095_a_password_is_not_changed_when_the_person_says_no(world):
    world.phone.will("mustcpw", DENY)
    _, heard = change(world, told=691)
    same((heard.kind, binds(world, NEW_PASSWORD)), ("Access-Reject", False))
    world.phone.will("mustcpw", APPROVE)


def r_095_an_expired_password_is_changed_after_the_second_factor(world):
    before = world.phone.pushes("mustcpw")
    answered, heard = change(world)
    same((heard.kind, world.phone.pushes("mustcpw") - before), ("Access-Accept", 1))
    same(heard.first("MS-CHAP2-Success"), f"0x{answered.success().hex()}")
    assert binds(world, NEW_PASSWORD) and not binds(world, PASSWORD)


def r_090_winbind_is_warned_about(world):
    told = " ".join(str(line) for line in world.server.warnings()).lower()
    assert "ms-chap" in told or "mschap" in told, "no warning about a broken protocol"


def winbind_nothing_secret_is_in_the_log(world):
    log = world.server.log.read_text()
    for secret in (PASSWORD, NEW_PASSWORD, mschap.nt_hash(PASSWORD).hex(), *world.secrets):
        assert secret not in log, "a secret stands in the log"


def check_asks_a_domain_controller_about_a_name_that_nobody_has(world):
    same(world.server.findings("winbind"), [("ok", "a domain controller decides")])
