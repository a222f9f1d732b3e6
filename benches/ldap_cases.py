"""The LDAP cases of benches/run: binds and searches through Vestibule, and through what one would put in its place."""
import statistics
import subprocess

BINDS = 9_000                # two descriptors each, of the 20,000 a process often has
OPENING_S, HOLD_S = 20, 35   # as in the case `pending`: for fifteen seconds all of them are open
NEEDS = {"haproxy": "haproxy", "openssl": "openssl"}
SERVER_CPU = 1

# work, case, ours, peers, the most CPU time a bind may cost (us)
BARS = [
    ("re-bind on a kept connection, second factor remembered", "rebind", "vestibule", ["back-ldap", "haproxy"], 60),
    ("re-bind on a kept connection, second factor by trusted network", "rebind", "vestibule-trusted", ["back-ldap", "haproxy"], 60),
    ("connect, bind, unbind, in clear text", "connect", "vestibule", ["back-ldap", "haproxy"], 150),
    ("connect and bind over LDAPS, full handshake", "ldaps", "vestibule", ["haproxy", "slapd"], 600),
]


def certificate(bench):
    """One for localhost that vouches for itself."""
    folder = bench.ports["CERTS"] = bench.work / "certs"
    if not (folder / "both.pem").exists():
        folder = bench.folder("certs")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
                        "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
        (folder / "both.pem").write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return folder / "cert.pem"


def back_ldap(bench):
    folder, port = bench.folder("back-ldap"), bench.free_tcp()
    conf = bench.write(folder, "slapd.conf", "slapd-back-ldap.conf")
    proc = bench.spawn(["slapd", "-d", "0", "-f", conf, "-h", f"ldap://127.0.0.1:{port}/"], SERVER_CPU, folder)
    return bench.answers(proc, "back-ldap", port)


def slapd_tls(bench):
    """The directory itself, with nobody before it."""
    folder, port = bench.folder("slapd-tls"), bench.free_tcp()
    conf = bench.write(folder, "slapd.conf", "slapd.conf", DIR=bench.work / "slapd")
    cert = certificate(bench)
    conf.write_text(f"TLSCertificateFile {cert}\nTLSCertificateKeyFile {cert.parent}/key.pem\nTLSVerifyClient never\n{conf.read_text()}")
    proc = bench.spawn(["slapd", "-d", "0", "-f", conf, "-h", f"ldaps://127.0.0.1:{port}/"], SERVER_CPU, folder)
    return bench.answers(proc, "slapd", port)


def haproxy(bench, tls=False):
    folder, port = bench.folder("haproxy"), bench.free_tcp()
    certificate(bench)
    conf = bench.write(folder, "haproxy.cfg", "haproxy.cfg", PORT=port, TLS=f"ssl crt {bench.work}/certs/both.pem" if tls else "")
    return bench.answers(bench.spawn(["haproxy", "-db", "-f", conf], SERVER_CPU, folder), "haproxy", port)


def vestibule(bench, kind):
    certificate(bench)
    return bench.vestibule(kind, "people")


def each(bench, case, servers, *flags):
    for server, start in servers.items():
        if server in bench.args.without:
            continue
        proc = start(bench)
        bench.load(case, server, proc, "saturated", "--connections", bench.args.inflight // 2, *flags, door=["ldap"])
        bench.stop(proc)


def rebind(bench):
    bench.directory()
    bench.duo(0)
    ours = {"vestibule": lambda it: vestibule(it, "door-remember"), "vestibule-trusted": lambda it: vestibule(it, "door")}
    each(bench, "rebind", {"back-ldap": back_ldap, "haproxy": haproxy}, "--work", "rebind")
    # In the first seconds everybody approves one push.
    each(bench, "rebind", ours, "--work", "rebind", "--warmup", 4)


def connect(bench):
    bench.directory()
    each(bench, "connect", {"back-ldap": back_ldap, "haproxy": haproxy, "vestibule": lambda it: vestibule(it, "door")}, "--work", "connect")


def ldaps(bench):
    work = ("--work", "connect", "--ca", certificate(bench))
    bench.stop(bench.directory())
    each(bench, "ldaps", {"slapd": slapd_tls}, *work)
    bench.directory()
    each(bench, "ldaps", {"haproxy": lambda it: haproxy(it, True), "vestibule": lambda it: vestibule(it, "door-tls")}, *work)


def search(bench):
    bench.directory()
    work = ("--work", "search", "--entries", bench.people, "--timeout", 60, "--duration", 6, "--warmup", 2)
    each(bench, "search", {"back-ldap": back_ldap, "haproxy": haproxy, "vestibule": lambda it: vestibule(it, "door")}, *work)


def binds(bench):
    bench.directory()
    bench.duo()
    proc = vestibule(bench, "door-pending")
    bench.load("binds", "vestibule", proc, str(BINDS), "--work", "hold", "--total", BINDS, "--users", BINDS, "--rate", BINDS / OPENING_S, "--timeout", 75, door=["ldap"])
    bench.stop(proc)


CASES = {case.__name__: case for case in (rebind, connect, ldaps, search, binds)}


def table(rows):
    """`rows`: all reports by case, server and kind of load."""
    def median(case, server, field):
        values = [report[field] for report in rows.get((case, server, "saturated"), []) if report.get(field)]
        return statistics.median(values) if values else None

    def told(value, digits=1):
        return "-" if value is None else f"{value:.{digits}f}"

    def ratio(one, other):
        return f"{one / other:.2f}" if one and other else "-"

    def failed(case, ours="vestibule"):
        return sum(report["main"][what] for report in rows.get((case, ours, "saturated"), []) for what in ("unexpected", "bad", "lost"))

    if any(case in CASES for case, *_ in rows):
        print("\n| LDAP work (CPU us per bind at saturation, one core) | peer | peer's | ours | ours / peer's | wanted | failed |")
        print("|---|---|---|---|---|---|---|")
    for work, case, ours, peers, wanted in BARS:
        own = median(case, ours, "server_us_per_response")
        for peer in peers if own else []:
            theirs = median(case, peer, "server_us_per_response")
            print(f"| {work} | {peer} | {told(theirs)} | {told(own)} | {ratio(own, theirs)} | <= {wanted} us | {failed(case, ours)} |")
    if own := median("search", "vestibule", "server_mb_per_cpu_s"):
        for peer, wanted in [("back-ldap", "-"), ("haproxy", ">= 0.5")]:
            theirs = median("search", peer, "server_mb_per_cpu_s")
            print(f"| entries of a search relayed (MB per CPU second) | {peer} | {told(theirs)} | {told(own)} | {ratio(own, theirs)} | {wanted} | {failed('search')} |")
    for report in rows.get(("binds", "vestibule", "beside"), []):
        main = report["main"]
        print(f"\n{report['name']} binds pending on pushes: {main['ok']} approved, {main['lost']} unanswered, {main['unexpected']} refused, at most {main['peak_open']} open, "
              f"{report['rss_peak_mb']:.0f} MB (wanted <= 120)")
