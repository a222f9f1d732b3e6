#!/usr/bin/python3
"""Fills a freshly provisioned EXAMPLE.TEST directory with the people of the tests. Argument: its smb.conf."""

import base64
import sys
import time

import ldb
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB

PASSWORD = "Passw0rd!"
SECONDS_1601_TO_1970 = 11_644_473_600
NORMAL, DISABLED = 0x200, 0x202

settings = LoadParm()
settings.load(sys.argv[1])
directory = SamDB(session_info=system_session(), lp=settings, url=settings.private_path("sam.ldb"))
BASE = str(directory.domain_dn())
STAFF = f"OU=Staff,{BASE}"


def change(dn, controls=None, **values):
    message = ldb.Message(ldb.Dn(directory, dn))
    for name, value in values.items():
        message[name] = ldb.MessageElement([str(value)], ldb.FLAG_MOD_REPLACE, name)
    directory.modify(message, controls or [])


def person(short_name, full_name, **more):
    """An enabled user with the one password of the tests; the distinguished name."""
    dn = f"CN={full_name},{STAFF}"
    entry = {"dn": dn, "objectClass": "user", "sAMAccountName": short_name, "userPrincipalName": f"{short_name}@example.test",
             "displayName": full_name, "userAccountControl": str(DISABLED)}
    directory.add(entry | more)
    directory.setpassword(f"(sAMAccountName={short_name})", PASSWORD, False)
    change(dn, userAccountControl=NORMAL)
    return dn


def filetime(seconds):
    """Seconds since 1970 as Windows counts them: tenths of microseconds since 1601."""
    return int(seconds + SECONDS_1601_TO_1970) * 10**7


# Passwords of the tests never grow old by themselves; the sixth wrong one locks for half an hour.
HALF_AN_HOUR = -30 * 60 * 10**7
change(BASE, maxPwdAge=-(2**63), minPwdAge=0, minPwdLength=8, pwdHistoryLength=0,
       lockoutThreshold=6, lockoutDuration=HALF_AN_HOUR, lockOutObservationWindow=HALF_AN_HOUR)
directory.add({"dn": STAFF, "objectClass": "organizationalUnit"})

person("svc-mfa", "MFA Service")
alice = person("alice", "Alice Archer", mail="alice@example.test", mobile="+4915155500101")
directory.add({"dn": f"CN=VPN Staff,{STAFF}", "objectClass": "group", "sAMAccountName": "vpn-staff", "member": alice})
person("bob", "Bob Baker", mail="bob@example.test")
person("carol", "Carol Clark")
person("dora", "Dora Dent")
person("erik", "Erik Eder")
person("frida", "Frida Fox")
person("chatty", "Chatty Chen")
person("slow", "Slow Sloane")
person("nameless", "Name Less")
person("jmueller", "Jörg Müller")
person("lockedout", "Locked Out")
change(person("gone", "Dis Abled"), userAccountControl=DISABLED)
for short_name, full_name in (("mustchange", "Must Change"), ("mustnew", "Must New"), ("mustcpw", "Must Cpw")):
    change(person(short_name, full_name), pwdLastSet=0)
late = person("badhours", "Bad Hours")
directory.modify_ldif(f"dn: {late}\nchangetype: modify\nreplace: logonHours\nlogonHours:: {base64.b64encode(bytes(21)).decode()}\n")
change(person("acctexpired", "Acct Expired"), accountExpires=filetime(1_577_836_800))

# Passwords that have expired: set 100 days ago, under a policy of two days for these people. (Samba takes a day or less for "never".)
expired = [person("pwexpired", "Pw Expired"), person("oldpw", "Old Pw")]
directory.add({
    "dn": f"CN=Two-Days,CN=Password Settings Container,CN=System,{BASE}", "objectClass": "msDS-PasswordSettings",
    "msDS-PasswordSettingsPrecedence": "10", "msDS-PasswordReversibleEncryptionEnabled": "FALSE", "msDS-PasswordHistoryLength": "0",
    "msDS-PasswordComplexityEnabled": "FALSE", "msDS-MinimumPasswordLength": "7", "msDS-MinimumPasswordAge": "0",
    "msDS-MaximumPasswordAge": str(-2 * 86_400 * 10**7), "msDS-LockoutThreshold": "0", "msDS-LockoutObservationWindow": str(HALF_AN_HOUR),
    "msDS-LockoutDuration": str(HALF_AN_HOUR), "msDS-PSOAppliesTo": expired})
BYPASS_PASSWORD_LAST_SET = "local_oid:1.3.6.1.4.1.7165.4.3.20:1"
for dn in expired:
    change(dn, [BYPASS_PASSWORD_LAST_SET], pwdLastSet=filetime(time.time() - 100 * 86_400))
