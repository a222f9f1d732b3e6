"""What an attacker with a socket of his own gets from the LDAP door. Nothing here is sent by a client that means well."""

import contextlib
import ssl

import peers
import wire_ldap as wire
from cases import INVALID_CREDENTIALS
from cases import same
from cases_ldap_streams import NEW_PASSWORD
from cases_upstream import Meanwhile
from clients import Person
from peers import PASSWORD
from telephone import APPROVE
from telephone import DENY
from telephone import WAIT
from wire_ldap import Line

SUCCESS, OPERATIONS_ERROR, PROTOCOL_ERROR, METHOD_NOT_SUPPORTED, CRITICAL_EXTENSION, CONFIDENTIALITY_REQUIRED = 0, 1, 2, 7, 12, 13
INVALID_DN, INSUFFICIENT, BUSY, UNWILLING = 34, 50, 51, 53
PROXIED_AUTHORIZATION, PASSWORD_MODIFY = "2.16.840.1.113730.3.4.18", "1.3.6.1.4.1.4203.1.11.1"
SASL = ("GSS-SPNEGO", "NTLM", "ntlm", "GSSAPI", "EXTERNAL", "PLAIN", "LOGIN", "DIGEST-MD5", "CRAM-MD5", "SCRAM-SHA-256", "")
SICILY = (0x89, 0x8a, 0x8b)
KERBEROS_4 = (0x81, 0x82)
QUIET_S = 0.7


def attacker(world, door="tree"):
    return Line(world.doors[door], world.authority)


def one(world, name, number):
    """A search for somebody's own entry."""
    return wire.search(number, world.tree.dn(name), scope=0, attributes=["mail"])


def hears(line, *answers):
    """What comes next, in pairs of message id and result code; of an entry the word `entry`."""
    for wanted in answers:
        heard = line.hear()
        assert heard, f"closed instead of {wanted}"
        same((heard.number, "entry" if heard.tag == wire.ENTRY else heard.code), wanted)


def is_nobody(line, number=90):
    """What a connection gets on which nobody is bound."""
    hears_who = line.ask(wire.extended(number, wire.WHO_AM_I))
    same((hears_who.number, hears_who.code, hears_who.texts[-1]), (number, SUCCESS, ""))
    same(line.ask(wire.search(number + 1, "dc=tree,dc=test", scope=2)).code, INSUFFICIENT)


def is_thrown_out(line, code=PROTOCOL_ERROR):
    """A Notice of Disconnection, and the end."""
    notice = line.hear()
    assert notice and notice.is_notice, notice
    same(notice.code, code)
    same(line.hear(), None)


@contextlib.contextmanager
def undecided(world, name, *behind):
    """A connection whose bind waits for the telephone; with what was sent behind the bind at once."""
    world.phone.will(name, WAIT)
    before = world.phone.pushes(name)
    with attacker(world) as line:
        line.send(wire.bind(1, world.tree.dn(name), PASSWORD), *behind)
        world.phone.rings(name, before)
        yield line
    world.phone.answer(name, DENY)
    world.phone.will(name, APPROVE)


def accepts(world):
    """How many logins have been let in so far."""
    return world.server.log.read_text().count('"decision":"accept"')


def same_login_rings_again_and_is_denied(world, name, accepted):
    """Whatever was approved before let nobody in, and is good for nothing now."""
    world.phone.will(name, DENY)
    before = world.phone.pushes(name)
    with attacker(world) as line:
        same(line.ask(wire.bind(1, world.tree.dn(name), PASSWORD)).code, INVALID_CREDENTIALS)
        is_nobody(line)
    same((world.phone.pushes(name) - before, accepts(world)), (1, accepted))
    world.phone.will(name, APPROVE)


# Order

def l_013_nothing_but_the_root_is_read_before_a_bind(world):
    with attacker(world) as line:
        is_nobody(line)
        root = line.ask(wire.search(3, wire.ROOT, scope=0, attributes=["supportedLDAPVersion"]))
        same(root.tag, wire.ENTRY)


def l_020_a_failed_rebind_and_then_a_search(world):
    leo = world.tree.dn("leo")
    with attacker(world).bound(leo, f"{PASSWORD},{world.leo.code()}") as line:
        line.send(one(world, "leo", 2))
        hears(line, (2, "entry"), (2, SUCCESS))
        same(line.ask(wire.bind(3, leo, "wrong")).code, INVALID_CREDENTIALS)
        is_nobody(line)


def l_020_a_rebind_makes_nobody_at_once(world):
    leo = world.tree.dn("leo")
    world.phone.will("leo", WAIT)
    before = world.phone.pushes("leo")
    with attacker(world).bound(leo, f"{PASSWORD},{world.leo.code()}") as line:
        line.send(wire.bind(2, leo, PASSWORD), one(world, "leo", 3))
        world.phone.rings("leo", before)
        assert line.is_silent(QUIET_S)
        world.phone.answer("leo", DENY)
        hears(line, (2, INVALID_CREDENTIALS), (3, INSUFFICIENT))


def l_021_a_search_behind_a_pending_bind_waits_for_its_approval(world):
    with undecided(world, "leo", one(world, "leo", 2)) as line:
        assert line.is_silent(QUIET_S)
        world.phone.answer("leo", APPROVE)
        hears(line, (1, SUCCESS), (2, "entry"), (2, SUCCESS))


def l_021_a_search_behind_a_pending_bind_finds_nothing_after_its_denial(world):
    with undecided(world, "leo", one(world, "leo", 2)) as line:
        assert line.is_silent(QUIET_S)
        world.phone.answer("leo", DENY)
        hears(line, (1, INVALID_CREDENTIALS), (2, INSUFFICIENT))


def l_022_an_abandoned_bind_is_never_answered_whatever_the_phone_says(world):
    accepted = accepts(world)
    with undecided(world, "leo") as line:
        line.send(wire.abandon(2, 1))
        assert line.is_silent(QUIET_S)
        world.phone.answer("leo", APPROVE)
        assert line.is_silent(QUIET_S)
        is_nobody(line)
    same_login_rings_again_and_is_denied(world, "leo", accepted)


def l_022_a_late_approval_after_the_client_closed_opens_nothing(world):
    accepted = accepts(world)
    with undecided(world, "leo") as line:
        line.socket.close()
        world.phone.answer("leo", APPROVE)
    same_login_rings_again_and_is_denied(world, "leo", accepted)


def l_023_unbind_during_a_push_closes_without_a_word(world):
    accepted = accepts(world)
    with undecided(world, "leo") as line:
        line.send(wire.unbind(2))
        same(line.hear(), None)
        world.phone.answer("leo", APPROVE)
    same_login_rings_again_and_is_denied(world, "leo", accepted)


def l_024_a_second_bind_gives_up_the_first(world):
    with undecided(world, "leo") as line:
        line.send(wire.bind(2, world.tree.dn("leo"), "wrong"))
        hears(line, (2, INVALID_CREDENTIALS))
        world.phone.answer("leo", APPROVE)
        assert line.is_silent(QUIET_S)
        is_nobody(line)


def l_025_a_bind_ends_what_was_asked_before_it(world):
    leo = world.tree.dn("leo")
    with attacker(world).bound(leo, f"{PASSWORD},{world.leo.code()}") as line:
        line.send(wire.search(2, f"ou=large,{world.tree.BASE}"), wire.bind(3, leo, "wrong"))
        while (heard := line.hear()).number == 2:
            same(heard.tag, wire.ENTRY, "the end of a search that was cut off:")
        same((heard.number, heard.tag, heard.code), (3, wire.BIND_RESPONSE, INVALID_CREDENTIALS))
        assert line.is_silent(QUIET_S)
        is_nobody(line)


def l_033_a_message_id_in_use_ends_the_connection(world):
    with undecided(world, "leo") as line:
        line.send(one(world, "leo", 1))
        is_thrown_out(line)


def l_041_what_waits_behind_a_bind_is_bounded(world):
    for behind in ([one(world, "leo", number) for number in range(2, 110)], [wire.search(number, "x" * 90_000) for number in range(2, 5)]):
        with undecided(world, "leo") as line:
            line.send(*behind)
            is_thrown_out(line, BUSY)


# What cannot be read

def l_031_message_id_0_ends_the_connection(world):
    for request in (wire.bind(0, world.tree.dn("leo"), PASSWORD), wire.search(0, wire.ROOT, scope=0), wire.unbind(0)):
        with attacker(world) as line:
            line.send(request)
            is_thrown_out(line)


def l_032_what_is_no_ldap_ends_the_connection(world):
    http, client_hello = b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"
    for nonsense in (http, client_hello, wire.element(0x30), wire.message(1, wire.element(0x7e)), wire.message(1, wire.element(wire.DONE))):
        with attacker(world) as line:
            line.send(nonsense)
            is_thrown_out(line)


def l_040_an_oversized_length_is_refused_at_its_header(world):
    for head in (b"\x30\x84\x7f\xff\xff\xff", b"\x30\x84\xff\xff\xff\xff", b"\x30\x88\0\0\0\1\0\0\0\0", b"\x30\x80", b"\x30\x84\x00\x04\x00\x01"):
        with attacker(world) as line:
            line.send(head)
            is_thrown_out(line)


def l_040_a_length_that_reaches_out_of_its_message_is_refused(world):
    with attacker(world) as line:
        line.send(wire.element(0x30, wire.integer(1), b"\x60\x84\x00\x00\xff\xff\x02\x01\x03"))
        is_thrown_out(line)


def l_042_a_100000_deep_filter_ends_the_connection(world):
    leo = world.tree.dn("leo")
    with attacker(world) as line:
        line.send(wire.search(1, wire.ROOT, scope=0, wanted=wire.negated(30_000)))
        is_thrown_out(line)
    with attacker(world).bound(leo, f"{PASSWORD},{world.leo.code()}") as line:
        line.send(wire.search(2, leo, wanted=wire.negated(100_000)))
        is_thrown_out(line)
    assert world.tree.daemon.alive()


def l_043_a_thousand_controls_end_the_connection(world):
    controls = wire.element(0xa0, *(wire.element(0x30, wire.octets("1.2.3")) for _ in range(1_000)))
    with attacker(world) as line:
        line.send(wire.search(1, wire.ROOT, scope=0, controls=controls))
        is_thrown_out(line)


# Ways past the second factor

def l_010_a_name_without_a_password_is_nobody(world):
    with attacker(world) as line:
        same(line.ask(wire.bind(1, world.tree.dn("leo"), "")).code, UNWILLING)
        is_nobody(line)


def l_030_ldap_version_2_is_not_spoken(world):
    with attacker(world) as line:
        old = wire.message(1, wire.element(wire.BIND, wire.integer(2), wire.octets(world.tree.dn("leo")), wire.octets(PASSWORD, wire.SIMPLE)))
        same(line.ask(old).code, PROTOCOL_ERROR)
        is_nobody(line)


def l_060_l_061_no_sasl_mechanism_is_taken(world):
    for door in ("tree", "ad", "ds"):
        with attacker(world, door) as line:
            for number, mechanism in enumerate(SASL, 1):
                answer = line.ask(wire.sasl(number, mechanism))
                same((answer.tag, answer.code), (wire.BIND_RESPONSE, METHOD_NOT_SUPPORTED), f"{mechanism} before {door}:")
            is_nobody(line)


def l_002_no_sasl_mechanism_is_told_of(world):
    for door in ("tree", "ad", "ds"):
        with attacker(world, door) as line:
            root = line.ask(wire.search(1, wire.ROOT, scope=0, attributes=["*", "+"]))
            same(root.tag, wire.ENTRY)
            for word in (b"SASLMechanisms", b"GSS-SPNEGO", b"EXTERNAL", PROXIED_AUTHORIZATION.encode()):
                assert word not in root.body, f"{word} before {door}"


def l_062_sicily_and_kerberos_4_are_not_taken(world):
    for door in ("tree", "ad"):
        with attacker(world, door) as line:
            for number, choice in enumerate(SICILY + KERBEROS_4, 1):
                same(line.ask(wire.bind_by(number, choice)).code, METHOD_NOT_SUPPORTED, hex(choice))
            is_nobody(line)


def l_063_l_067_fast_bind_and_batch_are_unknown(world):
    alice = "alice@example.test"
    with attacker(world, "ad").bound(alice, f"{PASSWORD},{world.alice.code()}") as line:
        for number, name in enumerate(("1.2.840.113556.1.4.1781", "1.2.840.113556.1.4.2212"), 2):
            same(line.ask(wire.extended(number, name)).code, PROTOCOL_ERROR, name)


def l_064_nobody_acts_as_somebody_else(world):
    leo, ida = (world.tree.dn(name) for name in ("leo", "ida"))
    with attacker(world).bound(leo, f"{PASSWORD},{world.leo.code()}") as line:
        for number, critical in enumerate((b"\xff", b"\0"), 2):
            proxied = wire.element(0xa0, wire.element(0x30, wire.octets(PROXIED_AUTHORIZATION), wire.element(0x01, critical), wire.octets(f"dn:{ida}")))
            same(line.ask(wire.search(number, ida, scope=0, controls=proxied)).code, CRITICAL_EXTENSION)


def l_050_an_unknown_critical_control_is_refused_with_the_right_kind_of_answer(world):
    leo = world.tree.dn("leo")
    unknown = wire.element(0xa0, wire.element(0x30, wire.octets("1.2.3.4.5"), wire.element(0x01, b"\xff")))
    with attacker(world).bound(leo, f"{PASSWORD},{world.leo.code()}") as line:
        answer = line.ask(wire.search(2, leo, scope=0, controls=unknown))
        same((answer.tag, answer.code), (wire.DONE, CRITICAL_EXTENSION))


def l_070_a_name_with_a_nul_in_it_is_nobodys(world):
    before, failures = world.phone.pushes("alice"), world.alice.standing()["failures"]
    for door in ("ad", "tree"):
        with attacker(world, door) as line:
            for number, name in enumerate((b"alice\0evil", b"alice\0", b"\0alice", b"al\xffice", b"alice\x1b[2J"), 1):
                same(line.ask(wire.bind(number, name, PASSWORD)).code, INVALID_DN, repr(name))
            is_nobody(line)
    same((world.phone.pushes("alice"), world.alice.standing()["failures"]), (before, failures))


def l_071_a_password_with_a_nul_in_it_is_wrong(world):
    before = world.phone.pushes("leo")
    with attacker(world) as line:
        for number, password in enumerate((f"{PASSWORD}\0", "\0"), 1):
            same(line.ask(wire.bind(number, world.tree.dn("leo"), password)).code, INVALID_CREDENTIALS, repr(password))
    same(world.phone.pushes("leo"), before)


def l_074_a_name_is_no_filter(world):
    before = world.phone.pushes("leo")
    def code(name):
        with attacker(world) as line:
            return line.ask(wire.bind(1, name, PASSWORD)).code
    names = ("le*", "leo)(uid=*", "\\6ceo", "uid=le*,ou=people,dc=tree,dc=test")
    for name, trial in [(name, Meanwhile(lambda name=name: code(name))) for name in names]:
        same(trial.result(), INVALID_CREDENTIALS, name)
    same(world.phone.pushes("leo"), before)


# TLS

def l_084_starttls_with_bytes_behind_it_is_refused_and_the_bytes_are_lost(world):
    before = world.phone.pushes("leo")
    for behind in (wire.bind(2, world.tree.dn("leo"), PASSWORD), b"\0", wire.search(2, wire.ROOT, scope=0)):
        with attacker(world, "starttls") as line:
            line.send(wire.extended(1, wire.START_TLS), behind)
            answer = line.hear()
            same((answer.number, answer.tag, answer.code), (1, wire.EXTENDED_RESPONSE, OPERATIONS_ERROR))
            same(line.hear(), None)
    same(world.phone.pushes("leo"), before)


def l_084_l_085_starttls_is_taken_once_and_without_a_value(world):
    with attacker(world, "starttls") as line:
        same(line.ask(wire.extended(1, wire.START_TLS, "value")).code, PROTOCOL_ERROR)
        same(line.ask(wire.extended(2, wire.START_TLS)).code, SUCCESS)
        line.secure()
        is_nobody(line)
        same(line.ask(wire.extended(3, wire.START_TLS)).code, OPERATIONS_ERROR, "again:")
        root = line.ask(wire.search(4, wire.ROOT, scope=0, attributes=["supportedExtension"]))
        assert wire.START_TLS.encode() not in root.body, "offered, though TLS is up"
    with attacker(world) as line:
        same(line.ask(wire.extended(1, wire.START_TLS)).code, PROTOCOL_ERROR, "where it is not offered:")
    with attacker(world, "tls") as line:
        same(line.secure().ask(wire.extended(1, wire.START_TLS)).code, OPERATIONS_ERROR, "where TLS comes first:")


def l_088_tls_is_1_2_or_1_3(world):
    for version, is_taken in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
        with attacker(world, "tls") as line:
            try:
                is_nobody(line.secure(version))
            except ssl.SSLError:
                assert not is_taken, version
            else:
                assert is_taken, version


def l_088_a_new_certificate_is_shown_and_nobody_is_thrown_out(world):
    leo = world.tree.dn("leo")
    with attacker(world, "tls").secure() as line:
        line.bound(leo, f"{PASSWORD},{world.leo.code()}")
        world.new_certificate()
        world.server.reload()
        def is_new():
            with attacker(world, "tls").secure() as other:
                return other.certificate() != line.certificate()
        peers.until("the new certificate", is_new, 20)
        line.send(one(world, "leo", 2))
        hears(line, (2, "entry"), (2, SUCCESS))


def l_086_a_starttls_door_takes_no_password_before_tls(world):
    before = world.phone.pushes("leo")
    with attacker(world, "starttls") as line:
        same(line.ask(wire.bind(1, world.tree.dn("leo"), PASSWORD)).code, CONFIDENTIALITY_REQUIRED)
        is_nobody(line)
    same(world.phone.pushes("leo"), before)


def l_066_a_bypass_changes_no_password(world):
    leo = world.tree.dn("leo")
    world.server.command("bypass", "grant", "leo", "--for", "5m", "--reason", "lost phone")
    change = wire.element(0x30, wire.octets(PASSWORD, 0x81), wire.octets("An0ther-Pw!", 0x82))
    with attacker(world).bound(leo, PASSWORD) as line:
        same(line.ask(wire.extended(2, PASSWORD_MODIFY, change)).code, INSUFFICIENT)
    with attacker(world) as line:
        same(line.ask(wire.extended(1, PASSWORD_MODIFY, change)).code, INSUFFICIENT, "and nobody does:")


def ldap_nothing_secret_is_in_the_log(world):
    seeds = [person.seed for person in vars(world).values() if isinstance(person, Person)]
    assert len(seeds) > 10, "the people are not found"
    log = world.server.log.read_text()
    assert "login" in log, "nothing is logged"
    for secret in (PASSWORD, NEW_PASSWORD, *seeds, *world.secrets):
        assert secret.lower() not in log.lower(), "a secret stands in the log"
