"""Directories behind the LDAP door and applications in front of it: right and wrong password, second factor allowed and denied, code appended."""

import base64
import imaplib
import os
import subprocess
import urllib.error
import urllib.request

import ldap3

from cases import INVALID_CREDENTIALS
from cases import same
from cases_upstream import Meanwhile
from peers import PASSWORD
from telephone import APPROVE
from telephone import DENY

COMPARE_FALSE = 5


def asks_for_both(world, person, log_in, pushes=1, takes_codes=True):
    """`log_in(password)` is true with the right password and the second factor alone; nobody's phone rings for a wrong password or a code."""
    asked = rings(world, person)
    for manner, outcome, count in ((APPROVE, True, pushes), (DENY, False, 1)):
        world.phone.will(person.name, manner)
        same((log_in(PASSWORD), asked()), (outcome, count), f"{manner}:")
    if takes_codes:
        same((log_in(f"{PASSWORD},{person.code()}"), asked()), (True, 0), "with a code:")
    world.phone.will(person.name, APPROVE)
    wrong = ["wrong", f"{PASSWORD},000000", f"wrong,{person.code()}"] if takes_codes else ["wrong"]
    # Each waits a second for its refusal, so all at once.
    tries = [(password, Meanwhile(lambda password=password: log_in(password))) for password in wrong]
    for password, trial in tries:
        same(trial.result(), False, f"{password}:")
    same(asked(), 0, "pushes for what was wrong:")


def rings(world, person):
    """How often the person was asked since the last question about it."""
    seen = [world.phone.pushes(person.name)]
    def since():
        seen.append(world.phone.pushes(person.name))
        return seen[-1] - seen[-2]
    return since


def whoami(door, dn):
    """ldapwhoami as a way to log in."""
    def log_in(password):
        told = door.whoami(who=dn, password=password)
        assert told.code in (0, INVALID_CREDENTIALS), told
        if told.code == 0:
            same(told.text.strip(), f"dn:{dn}")
        return told.code == 0
    return log_in


# Directories

def openldap_by_ldapwhoami_in_clear_text_over_ldaps_and_over_starttls(world):
    doors = ((world.ida, world.plain), (world.jakob, world.ldaps), (world.karla, world.starttls))
    for trial in [Meanwhile(lambda each=each: asks_for_both(world, each[0], whoami(each[1], world.tree.dn(each[0].name)))) for each in doors]:
        trial.result()


def directory_389_by_ldapwhoami(world):
    asks_for_both(world, world.pia, whoami(world.behind_ds, world.ds.dn("pia")))


def directory_389_by_ldapsearch(world):
    found = world.behind_ds.search(world.ds.BASE, "(uid=paul)", "mail", who="paul", password=PASSWORD)
    assert found.code == 0 and "mail: paul@ds.test" in found.text, found


def active_directory_by_ldapsearch(world):
    def log_in(password):
        found = world.ad.search(world.directory.BASE, "(sAMAccountName=alice)", "mail", who="alice@example.test", password=password)
        assert found.code == INVALID_CREDENTIALS or "mail: alice@example.test" in found.text, found
        return found.code == 0
    asks_for_both(world, world.alice, log_in)


def active_directory_takes_a_code_once(world):
    code = world.bob.code()
    for password, result in ((f"wrong,{code}", INVALID_CREDENTIALS), (f"{PASSWORD},{code}", 0), (f"{PASSWORD},{code}", INVALID_CREDENTIALS)):
        same(world.ad.search(world.directory.BASE, who="bob@example.test", password=password).code, result)


def ipv6_to_us_and_behind_us(world):
    asks_for_both(world, world.maria, whoami(world.six, world.tree.dn("maria")))


# Applications

def mailbox(server, name, password):
    """Whether a mailbox opens for somebody."""
    with imaplib.IMAP4(server.ADDRESS, server.port, timeout=60) as mail:
        try:
            mail.login(name, password)
        except imaplib.IMAP4.error:
            return False
        return mail.select("INBOX")[0] == "OK"


def dovecot_logs_people_in_to_their_mail(world):
    asks_for_both(world, world.ida, lambda password: mailbox(world.dovecot, "ida", password))


def postgresql_logs_people_in_to_a_database(world):
    server = world.postgres
    def log_in(password):
        words = ["psql", "-w", "-h", server.ADDRESS, "-p", str(server.port), "-U", "jakob", "-d", "postgres", "-Atc", "select current_user"]
        done = subprocess.run(words, env={**os.environ, "PGPASSWORD": password}, capture_output=True, text=True, timeout=60)
        assert "jakob" in done.stdout if done.returncode == 0 else "LDAP authentication failed" in done.stderr, done
        return done.returncode == 0
    asks_for_both(world, world.jakob, log_in)


def page(url, name, password):
    """Whether a page opens for somebody."""
    asked = urllib.request.Request(url)
    asked.add_header("Authorization", "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode())
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        assert error.code == 401, error
        return False


def apache_that_searches_as_the_person_binds_twice(world):
    asks_for_both(world, world.karla, lambda password: page(f"{world.apache.url}/as-user/", "karla", password), pushes=2, takes_codes=False)


def python_ldap3_searches_pages_compares_and_changes(world):
    maria = world.tree.dn("maria")
    server = ldap3.Server(f"ldap://{world.doors['tree']}", get_info=ldap3.NONE)
    bound = ldap3.Connection(server, maria, f"{PASSWORD},{world.maria.code()}", receive_timeout=20)
    assert bound.bind(), bound.result
    pages = bound.extend.standard.paged_search(f"ou=many,{world.tree.BASE}", "(objectClass=device)", attributes=["serialNumber"], paged_size=250)
    numbers = sorted(int(entry["attributes"]["serialNumber"][0]) for entry in pages if entry["type"] == "searchResEntry")
    same(numbers, list(range(world.tree.MANY)))
    assert bound.modify(maria, {"telephoneNumber": [(ldap3.MODIFY_REPLACE, ["4711"])]}), bound.result
    assert bound.compare(maria, "telephoneNumber", "4711"), bound.result
    assert not bound.compare(maria, "telephoneNumber", "4712"), bound.result
    same(bound.result["result"], COMPARE_FALSE)
    assert not bound.modify(world.tree.dn("leo"), {"telephoneNumber": [(ldap3.MODIFY_REPLACE, ["4711"])]}), "somebody else's entry"
    assert not bound.add(f"cn=new,{world.tree.BASE}", "device"), "what the directory does not let her add"
    same(bound.extend.standard.who_am_i(), f"dn:{maria}")
    assert bound.unbind()


def python_ldap3_pages_through_active_directory(world):
    server = ldap3.Server(f"ldaps://{world.doors['ad_tls']}", get_info=ldap3.NONE)
    bound = ldap3.Connection(server, "EXAMPLE\\carol", PASSWORD, receive_timeout=20)
    assert bound.bind(), bound.result
    pages = bound.extend.standard.paged_search(world.directory.BASE, "(objectClass=user)", attributes=["sAMAccountName"], paged_size=3)
    names = {name for entry in pages if entry["type"] == "searchResEntry" for name in entry["attributes"]["sAMAccountName"]}
    assert {"alice", "bob", "jmueller", "svc-mfa"} <= names, names
    assert bound.unbind()


def python_ldap3_needs_a_second_code_for_a_second_bind(world):
    server = ldap3.Server(f"ldap://{world.doors['ad']}", get_info=ldap3.NONE)
    password = f"{PASSWORD},{world.carol.code()}"
    bound = ldap3.Connection(server, "carol@example.test", password, receive_timeout=20)
    assert bound.bind(), bound.result
    assert not bound.rebind(user="carol@example.test", password=password), bound.result
    bound.search(world.directory.BASE, "(sAMAccountName=alice)", attributes=["mail"])
    same(bound.entries, [], "after the refused bind:")
