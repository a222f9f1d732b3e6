#!/usr/bin/python3
"""Breaks the decisions on purpose, time and again, and demands that the domain's own tests notice each.

The domain alone is copied into a small crate, so that a mutant is built and tested in seconds. Exits 1 when a mutant lives.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Name, file, the text as it is (exactly once in that file), the text that does harm.
MUTANTS = [
    ("skip the lock", "flow.rs",
     "standing.tries.locked(now).then_some(Denial::Locked)",
     "None"),
    ("skip the block", "flow.rs",
     "standing.block.as_ref().is_some_and(|block| block.holds(now))",
     "standing.block.as_ref().is_some_and(|block| block.until < now && now < block.until)"),
    ("skip both behind a challenge", "flow.rs",
     "shut_out(now, standing).or_else(|| match &standing.account {",
     "None.or_else(|| match &standing.account {"),
    ("blocked for ever", "block.rs",
     "now < self.until",
     "now.0 > 0 || now < self.until"),
    ("a fraud blocks nobody", "second.rs",
     "if self.rules.block_ms == 0 {",
     "if self.rules.block_ms < u64::MAX {"),
    ("a fraud unwritten is a drop", "flow.rs",
     "(Then::Speak(decision @ Decision::Reject(Denial::FraudReported)), Err(_)) => finish(decision),\n",
     ""),
    ("spent pushes are an outage", "second.rs",
     "FactorError::PushesSpent => second.heard.spent = true,",
     "FactorError::PushesSpent => second.heard.unreachable |= bit(second.at),"),
    ("an old PIN is another method", "second.rs",
     "FactorError::PinExpired => return reject(Denial::PinExpired),",
     "FactorError::PinExpired => {}"),
    ("groups that nobody asked for", "flow.rs",
     "if self.rules.groups.is_empty() {",
     "if self.rules.groups.required.is_empty() {"),
    ("a denied group", "groups.rs",
     "if in_any(&self.denied) ||",
     "if"),
    ("denied, and nobody knows", "groups.rs",
     " || (theirs.is_none() && !self.denied.is_empty())",
     ""),
    ("a required group", "groups.rs",
     "!self.required.is_empty() && !in_any(&self.required)",
     "!self.required.is_empty() && theirs.is_none()"),
    ("groups unread are none", "groups.rs",
     "Err(outage) if bars => return Err(Decision::Drop(outage)),",
     "Err(outage) if bars && outage == Outage::Fault => return Err(Decision::Drop(outage)),"),
    ("exempt by no group", "groups.rs",
     "in_any(&self.exempt).then_some",
     "theirs.is_some().then_some"),
    ("at any hour", "flow.rs",
     "if self.rules.hours.contain(hour) =>",
     "if !self.rules.hours.is_empty() && hour >= hour =>"),
    ("an outage without end", "second.rs",
     "Some(lasted_ms) if lasted_ms <= self.rules.outage_max_ms =>",
     "Some(lasted_ms) if lasted_ms < u64::MAX =>"),
    ("fail open on a bad key", "second.rs",
     "FactorError::Misconfigured => second.heard.misconfigured = true,",
     "FactorError::Misconfigured => second.heard.unreachable |= bit(second.at),"),
    ("deny = allow", "second.rs",
     "Progress::Denied { fraud: false } => reject(Denial::FactorDenied),",
     "Progress::Denied { fraud: false } => pass(second, Grant::Factor, None),"),
    ("a waiver renews a password", "second.rs",
     "First::Expired(expired) if why == Grant::Factor =>",
     "First::Expired(expired) if why != Grant::FailOpen =>"),
    ("a number nobody saw", "second.rs",
     "second.heard.mute = true;\n            return self.start_next(second);\n        }\n        second.shown",
     "return self.wait(second, ticket);\n        }\n        second.shown"),
    ("a change without leave", "flow.rs",
     "(Stage::Leave, Event::Leave(None)) => reject(Denial::NotPermitted),",
     "(Stage::Leave, Event::Leave(None)) => (Stage::Check(None), Action::Check),"),
    ("somebody else's change", "renewal.rs",
     "Ok(who) if who == renewal.who =>",
     "Ok(who) if !who.0.is_empty() =>"),
    ("anybody is exempt", "exempt.rs",
     "self.who == *proven && now < self.until",
     "!proven.0.is_empty() && now < self.until"),
    ("exempt for ever", "exempt.rs",
     "self.who == *proven && now < self.until",
     "self.who == *proven && now.0 > 0"),
    ("remembered, wrong code", "memory.rs",
     "self.rules.remember.for_ms > 0 && self.request.appended.is_none() =>",
     "self.rules.remember.for_ms > 0 =>"),
    ("remembered, run out", "memory.rs",
     "let First::Passed(first) = &second.first else { return self.ask(second) };\n",
     "let first = super::decision::Passed(second.first.identity().clone());\n"),
    ("a waiver is remembered", "decision.rs",
     "memento.filter(|_| self.why == Grant::Factor)",
     "memento.filter(|_| self.why != Grant::FailOpen)"),
    ("inverted fail mode", "second.rs",
     "match self.rules.outage {",
     "match if self.rules.outage == OnOutage::Open { OnOutage::Closed } else { OnOutage::Open } {"),
]


def lay_out(crate: Path) -> None:
    """A crate of the domain, its transcripts and the dependencies it names, in the versions of the real one."""
    shutil.copytree(ROOT / "src/domain", crate / "src/domain")
    shutil.copytree(ROOT / "tests/it/flows", crate / "tests/it/flows")
    shutil.copy(ROOT / "Cargo.lock", crate)
    (crate / "src/lib.rs").write_text("pub mod domain;\n")
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    source = "".join(file.read_text() for file in crate.glob("src/domain/*.rs"))
    lines = ['[package]', 'name = "mutants"', 'version = "0.0.0"', f'edition = "{manifest["package"]["edition"]}"', "[workspace]"]
    for table in ("dependencies", "dev-dependencies"):
        lines.append(f"[{table}]")
        for name, wanted in manifest[table].items():
            if re.search(rf"\b{name.replace('-', '_')}::", source):
                lines.append(f"{name} = {inline(wanted)}")
    (crate / "Cargo.toml").write_text("\n".join(lines) + "\n")


def inline(wanted) -> str:
    if isinstance(wanted, str):
        return f'"{wanted}"'
    words = {True: "true", False: "false"}
    text = lambda value: words[value] if isinstance(value, bool) else str(value) if isinstance(value, list) else f'"{value}"'
    return "{ " + ", ".join(f"{key} = {text(value)}" for key, value in wanted.items()) + " }"


def build(crate: Path) -> Path:
    """The test program of the crate as it stands. A crate that does not build is an error."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "mutants"
    run = subprocess.run(["cargo", "test", "--lib", "--no-run", "--message-format=json"], cwd=crate, env={**os.environ, "CARGO_TARGET_DIR": str(target)},
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=900)
    if run.returncode != 0:
        sys.exit("does not build:\n" + run.stderr[-4000:])
    built = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    return Path(next(program["executable"] for program in reversed(built) if program.get("executable")))


def first_failure(crate: Path, program: Path) -> str | None:
    """The name of the first test that fails, at which the others are ended; `None` when all pass. The transcripts go first: they notice the most in the least time."""
    for chosen in (["transcript"], []):
        with subprocess.Popen([program, *chosen], cwd=crate, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as tests:
            for line in tests.stdout:
                if failed := re.match(r"test (\S+) \.\.\. FAILED", line):
                    tests.kill()
                    return failed[1]
            if tests.wait(timeout=900) != 0:
                return "the tests as a whole"
    return None


def main() -> int:
    alive = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-mutants-") as folder:
        crate = Path(folder)
        lay_out(crate)
        if failed := first_failure(crate, build(crate)):
            sys.exit(f"fails without any mutant: {failed}")
        print(f"{'mutant':<32} | {'killed by':<88} | seconds")
        for name, file, good, bad in MUTANTS:
            path = crate / "src/domain" / file
            whole = path.read_text()
            if whole.count(good) != 1:
                sys.exit(f"mutant `{name}`: its text is in {file} {whole.count(good)} times, not once")
            path.write_text(whole.replace(good, bad))
            start = time.monotonic()
            failed = first_failure(crate, build(crate))
            path.write_text(whole)
            alive += failed is None
            by = failed.removeprefix("domain::") if failed else "nobody: IT LIVES"
            print(f"{name:<32} | {by:<88} | {time.monotonic() - start:.1f}", flush=True)
    print(f"test result: {len(MUTANTS) - alive} passed; {alive} failed")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
