//! The store against what happens to stores: a kill at any moment, a full disk, and a second implementation that must agree.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use vestibule::domain::Account;
use vestibule::domain::BackupCodes;
use vestibule::domain::Block;
use vestibule::domain::Blocked;
use vestibule::domain::Bypass;
use vestibule::domain::Change;
use vestibule::domain::CommitError;
use vestibule::domain::Identity;
use vestibule::domain::Lock;
use vestibule::domain::Lsn;
use vestibule::domain::Phone;
use vestibule::domain::Secret;
use vestibule::domain::Tally;
use vestibule::domain::Timestamp;
use vestibule::domain::Token;
use vestibule::domain::TokenInfo;
use vestibule::domain::TokenKind;
use vestibule::domain::otp::Algorithm;
use vestibule::domain::pin::Hashed;
use vestibule::domain::pin::Pin;
use vestibule::ports::Store;
use vestibule::store;
use vestibule::store::Memory;
use vestibule::store::Vault;

use super::lab::Mounted;

/// Where a child of this very binary finds its store.
const DIR: &str = "STORE_TEST_DIR";
const WRITERS: u64 = 4;
/// Accounts that each writer writes over and over.
const RING: u64 = 20;
const NEVER: Lock = Lock { failures_max: 0, wait_ms: 0, window_ms: 0 };

fn open(dir: &Path) -> Arc<Vault> {
    store::open(&store::Settings { data_dir: dir.to_owned(), master_key: Secret::new(vec![3; 32]) }).unwrap()
}

fn who(id: &str) -> Identity {
    Identity(id.to_owned())
}

fn account(id: &str, name: &str, version: u64) -> Account {
    Account { mail: Some(format!("{name}@corp.example")), ..Account::new(who(id), name, None, Timestamp(version)) }
}

fn token(owner: &str, id: &str, next_step: u64) -> Token {
    let kind = TokenKind::Totp { period_s: 30 };
    let info = TokenInfo { id: id.into(), owner: who(owner), kind, algorithm: Algorithm::Sha1, digits: 6, next_step, created_at: Timestamp(0) };
    Token { info, seed: Secret::from(format!("seed of {owner} {id}").as_str()) }
}

/// This test binary again, running one hidden test of it.
fn child(test: &str, dir: &Path, shell: Option<&str>) -> Command {
    let exe = std::env::current_exe().unwrap();
    let mut command = match shell {
        Some(script) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("{script}; exec \"$0\" \"$@\"")).arg(exe);
            command
        }
        None => Command::new(exe),
    };
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(DIR, dir).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// One whole line at once, past the test harness.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

// ---- A kill at any moment ----

/// Writes until it is killed, and says of each write that it was acknowledged after it was.
#[test]
fn crash_writer() {
    let Ok(dir) = std::env::var(DIR) else { return };
    // The harness leaves its own line open.
    say("");
    Runtime::new().unwrap().block_on(async {
        let vault = open(Path::new(&dir));
        let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write_for_ever(Arc::clone(&vault), writer))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

async fn write_for_ever(vault: Arc<Vault>, writer: u64) {
    let name = format!("w{writer}");
    if vault.tokens(&who(&name)).unwrap().is_empty() {
        vault.commit(vec![Change::PutToken(token(&name, "t", 0))]).await.unwrap();
    }
    let mut step = vault.tokens(&who(&name)).unwrap()[0].info.next_step;
    let mut failures = vault.standing(&who(&name)).unwrap().tries.failures;
    let newest = vault.accounts(&format!("{name}-"), None, 1_000).unwrap().iter().map(|account| account.created_at.0).max();
    let mut version = newest.unwrap_or_default();
    loop {
        version += 1;
        let id = format!("{name}-{}", version % RING);
        let pair = [account(&id, &id, version), account(&format!("{id}-twin"), &id, version)];
        vault.commit(pair.map(|account| Change::PutAccount(account.into())).to_vec()).await.unwrap();
        say(&format!("ack account {id} {version}"));
        vault.commit(vec![Change::Fail { who: who(&name), at: Timestamp(1), lock: NEVER, tally: Tally::Common }]).await.unwrap();
        failures += 1;
        say(&format!("ack fail {name} {failures}"));
        step += version % 3;
        vault.commit(vec![Change::UseOtp { who: who(&name), token: "t".into(), step }]).await.unwrap();
        say(&format!("ack otp {name} {step}"));
        step += 1;
        write_guards(&vault, &name, version).await;
    }
}

/// A block by person and by number, a PIN, backup codes, and one of them used up.
async fn write_guards(vault: &Vault, name: &str, version: u64) {
    let block = Block { until: Timestamp(version), reason: "r".into(), by: "root".into(), at: Timestamp(0), name: None };
    let both = [Blocked::Identity(who(name)), Blocked::Phone(number_of(name))];
    vault.commit(both.map(|whom| Change::Block { whom, block: block.clone() }).to_vec()).await.unwrap();
    say(&format!("ack block {name} {version}"));
    let pin = Pin { hash: hashed(1), length: 4, earlier: vec![hashed(2)], set_at: Timestamp(version) };
    vault.commit(vec![Change::PutPin { who: who(name), pin }]).await.unwrap();
    say(&format!("ack pin {name} {version}"));
    let hashes = [1, 2].map(|byte| Some(Secret::new(vec![byte; 32]))).to_vec();
    let codes = BackupCodes { salt: [5; 16], hashes, until: Timestamp(u64::MAX), issued_by: "root".into(), issued_at: Timestamp(version) };
    vault.commit(vec![Change::PutBackups { who: who(name), codes }]).await.unwrap();
    vault.commit(vec![use_backup(name, version)]).await.unwrap();
    say(&format!("ack backup {name} {version}"));
}

fn use_backup(name: &str, issued_at: u64) -> Change {
    Change::UseBackup { who: who(name), place: 0, issued_at: Timestamp(issued_at), at: Timestamp(1) }
}

fn hashed(byte: u8) -> Hashed {
    Hashed { salt: [byte; 16], hash: Secret::new(vec![byte; 32]) }
}

/// A telephone number of the writer's own.
fn number_of(name: &str) -> Phone {
    Phone::of(&format!("+49301234567{}", name.trim_start_matches('w'))).unwrap()
}

/// What was acknowledged, over all rounds: of each thing the newest, since every write of it goes up.
#[derive(Debug, Default)]
struct Acknowledged {
    accounts: BTreeMap<String, u64>,
    /// When the latest issue was of which a code was used up.
    backups: BTreeMap<String, u64>,
    blocks: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
    pins: BTreeMap<String, u64>,
    steps: BTreeMap<String, u64>,
    count: u64,
}

impl Acknowledged {
    /// Takes a line of the child; what was cut off by the kill is no acknowledgement.
    fn note(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        let ["ack", what, name, number] = words[..] else { return false };
        let number = number.parse().unwrap();
        let of = match what {
            "account" => &mut self.accounts,
            "backup" => &mut self.backups,
            "block" => &mut self.blocks,
            "fail" => &mut self.failures,
            "pin" => &mut self.pins,
            _ => &mut self.steps,
        };
        let before = of.insert(name.to_owned(), number);
        assert!(before.is_none_or(|before| before < number), "{line} after {before:?}: a writer began again below what was acknowledged");
        self.count += 1;
        true
    }

    async fn check(&self, vault: &Vault) {
        vault.verify().expect("every record is whole, every count right and the log has no gap");
        for (id, version) in &self.accounts {
            let [one, twin] = [id.clone(), format!("{id}-twin")].map(|id| vault.standing(&who(&id)).unwrap().account.expect("an acknowledged account"));
            assert!(one.created_at.0 >= *version, "account {id} fell back from {version} to {}", one.created_at.0);
            assert_eq!(one.created_at, twin.created_at, "half of a commit is there");
        }
        for (name, count) in &self.failures {
            assert!(u64::from(vault.standing(&who(name)).unwrap().tries.failures) >= *count, "failures of {name} fell back");
        }
        self.check_guards(vault).await;
        for (name, step) in &self.steps {
            let again = Change::UseOtp { who: who(name), token: "t".into(), step: *step };
            assert_eq!(vault.commit(vec![again]).await, Err(CommitError::Spent), "the code of step {step} of {name} is good twice");
        }
    }
}

impl Acknowledged {
    async fn check_guards(&self, vault: &Vault) {
        let held: BTreeMap<Blocked, Block> = vault.block_list(usize::MAX).unwrap().into_iter().collect();
        for (name, until) in &self.blocks {
            let [own, number] = [Blocked::Identity(who(name)), Blocked::Phone(number_of(name))].map(|whom| held.get(&whom).expect("a block").until);
            assert!(own.0 >= *until, "the block of {name} fell back from {until} to {}", own.0);
            assert_eq!(own, number, "half of a commit is there");
            assert_eq!(vault.standing(&who(name)).unwrap().block.map(|block| block.until), Some(own));
        }
        for (name, set_at) in &self.pins {
            let pin = vault.pin(&who(name)).unwrap().expect("an acknowledged PIN");
            assert!(pin.set_at.0 >= *set_at, "the PIN of {name} fell back from {set_at} to {}", pin.set_at.0);
        }
        for (name, issued_at) in &self.backups {
            let codes = vault.backup_codes(&who(name)).unwrap().expect("one code is left of each issue");
            assert!(codes.issued_at.0 >= *issued_at, "the backup codes of {name} fell back from {issued_at} to {}", codes.issued_at.0);
            assert_eq!(vault.commit(vec![use_backup(name, *issued_at)]).await, Err(CommitError::Spent), "a backup code of {name} is good twice");
        }
    }
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let rounds: u32 = std::env::var("CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let dir = TempDir::new().unwrap();
    let runtime = Runtime::new().unwrap();
    let mut acknowledged = Acknowledged::default();
    for round in 0..rounds {
        let mut chance = [0; 2];
        getrandom::fill(&mut chance).unwrap();
        let lines = usize::from(u16::from_le_bytes(chance) % 200) + 1;
        run_and_kill(&dir, lines, &mut acknowledged);
        runtime.block_on(acknowledged.check(&open(dir.path())));
        if round + 1 == rounds {
            runtime.block_on(replay(&open(dir.path())));
        }
    }
    say(&format!("crash: {rounds} rounds, {} acknowledged writes checked, 0 lost", acknowledged.count));
    assert!(acknowledged.count >= u64::from(rounds));
}

/// Lets the child write until it has acknowledged so much, kills it, and takes what else it managed to say.
fn run_and_kill(dir: &TempDir, lines: usize, acknowledged: &mut Acknowledged) {
    let mut child: Child = child("store::crash_writer", dir.path(), None).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut heard = 0;
    let mut line = String::new();
    while out.read_line(&mut line).unwrap() > 0 {
        // The end of a line is the end of the acknowledgement: half a line is none.
        heard += usize::from(line.ends_with('\n') && acknowledged.note(&line));
        if heard == lines {
            child.kill().unwrap();
        }
        line.clear();
    }
    assert!(heard >= lines, "the child ended by itself after {heard} writes: {:?}", child.wait());
    child.wait().unwrap();
}

/// The log, played on another implementation, gives the same store.
async fn replay(vault: &Vault) {
    let log = vault.changes(Lsn(0), usize::MAX).unwrap();
    if log.first().is_none_or(|(lsn, _)| *lsn != Lsn(1)) {
        return;
    }
    let memory = Memory::default();
    for (_, change) in log {
        memory.commit(vec![change]).await.unwrap();
    }
    assert_eq!(seen(vault), seen(&memory));
    for writer in 0..WRITERS {
        let name = who(&format!("w{writer}"));
        assert_eq!(vault.standing(&name), memory.standing(&name));
    }
}

// ---- A full disk ----

/// Writes until a write fails for want of space, looks at what is left, makes space and goes on.
#[test]
fn full_disk_writer() {
    let Ok(dir) = std::env::var(DIR) else { return };
    // The harness leaves its own line open.
    say("");
    Runtime::new().unwrap().block_on(async {
        let vault = open(Path::new(&dir));
        vault.commit(vec![Change::PutToken(token("w", "t", 0))]).await.unwrap();
        let use_otp = |step| Change::UseOtp { who: who("w"), token: "t".into(), step };
        let mut done = 0;
        loop {
            let text = Some("x".repeat(2_000));
            match vault.commit(vec![Change::PutAccount(Box::new(Account { phone: text, ..account(&format!("a{done}"), "a", done) })), use_otp(done)]).await {
                Ok(_) => {
                    done += 1;
                    assert_eq!(vault.tokens(&who("w")).unwrap()[0].info.next_step, done);
                }
                Err(error) => {
                    assert_eq!(error, CommitError::Outage);
                    // What was remembered went with the write that failed: all of it is there or nothing, as the disk says.
                    let known = vault.tokens(&who("w")).unwrap().remove(0).info;
                    assert_eq!(known, vault.token_list(1).unwrap()[0]);
                    let there = vault.standing(&who(&format!("a{done}"))).unwrap().account.is_some();
                    assert_eq!(known.next_step, done + u64::from(there));
                    break;
                }
            }
            assert!(done < 20_000, "the limit was never met");
        }
        let look = |vault: &Vault| {
            (0..done).for_each(|number| assert!(vault.standing(&who(&format!("a{number}"))).unwrap().account.is_some(), "a{number} is lost"));
        };
        // Reading goes on from what is on disk.
        look(&vault);
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
        let recovered = async {
            while vault.commit(vec![use_otp(done + 1)]).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), recovered).await.expect("it recovers by itself");
        look(&vault);
        assert_eq!(vault.commit(vec![use_otp(done.saturating_sub(1))]).await, Err(CommitError::Spent));
        assert_eq!(vault.commit(vec![use_otp(done + 1)]).await, Err(CommitError::Spent));
        vault.verify().unwrap();
        drop(vault);
        look(&open(Path::new(&dir)));
        say(&format!("recovered after {done}"));
    });
}

#[test]
fn o_23_a_write_that_fails_is_an_outage_and_the_store_recovers_by_itself() {
    let dir = TempDir::new().unwrap();
    // A file that may not grow fails as a full disk does, and needs no root. The signal is ignored so that it is an error and no death.
    let output = child("store::full_disk_writer", dir.path(), Some("trap '' XFSZ; ulimit -S -f 8192")).stderr(Stdio::piped()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.lines().any(|line| line.starts_with("recovered after ")), "{out}\n{err}");
}

#[tokio::test]
async fn o_23_with_too_little_space_nothing_is_written_and_reading_goes_on() {
    let dir = TempDir::new().unwrap();
    let Some(_mounted) = Mounted::new(dir.path()) else {
        assert!(!nix::unistd::geteuid().is_root(), "root, and yet no small file system can be mounted: this was not tried");
        say("store: no small file system can be mounted here: the full disk was tried by a limit on file size alone");
        return;
    };
    let vault = open(dir.path());
    let fail = || vec![Change::Fail { who: who("a"), at: Timestamp(1), lock: NEVER, tally: Tally::Common }];
    assert!(vault.commit(fail()).await.is_ok());
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![1; 28 << 20]).unwrap();
    assert_eq!(vault.commit(fail()).await, Err(CommitError::Outage));
    assert_eq!(vault.standing(&who("a")).unwrap().tries.failures, 1);
    std::fs::remove_file(&ballast).unwrap();
    assert!(vault.commit(fail()).await.is_ok());
    assert_eq!(vault.standing(&who("a")).unwrap().tries.failures, 2);
}

// ---- Two implementations agree ----

fn identities() -> impl Strategy<Value = Identity> {
    prop::sample::select(vec!["a", "b", "b!"]).prop_map(who)
}

/// People, the number of everybody's, and one of nobody's.
fn blocked() -> impl Strategy<Value = Blocked> {
    let number = prop::sample::select(vec!["+49 30 1234567", "+49 30 7654321"]);
    prop_oneof![identities().prop_map(Blocked::Identity), number.prop_map(|number| Blocked::Phone(Phone::of(number).unwrap()))]
}

fn tally() -> impl Strategy<Value = Tally> {
    prop::sample::select(vec![Tally::Common, Tally::Exempt])
}

fn changes() -> impl Strategy<Value = Change> {
    let name = || prop::sample::select(vec!["Ann", "ann", "Bob", "Ännchen"]);
    let id = || prop::sample::select(vec!["t", "u"]).prop_map(str::to_owned);
    let lock = Lock { failures_max: 2, wait_ms: 3, window_ms: 4 };
    prop_oneof![
        (blocked(), 0..9_u64).prop_map(|(whom, until)| {
            let block = Block { until: Timestamp(until), reason: "r".into(), by: "b".into(), at: Timestamp(0), name: None };
            Change::Block { whom, block }
        }),
        blocked().prop_map(Change::Unblock),
        (identities(), any::<bool>()).prop_map(|(who, enabled)| Change::EnableAccount { who, enabled }),
        (identities(), 0..9_u64, tally()).prop_map(move |(who, at, tally)| Change::Fail { who, at: Timestamp(at), lock, tally }),
        (identities(), 0..9_u64).prop_map(|(who, until)| {
            let bypass = Bypass { until: Timestamp(until), reason: "r".into(), granted_by: "g".into(), granted_at: Timestamp(0) };
            Change::GrantBypass { who, bypass }
        }),
        (identities(), name(), 0..9_u64).prop_map(|(who, name, version)| Change::PutAccount(account(&who.0, name, version).into())),
        (identities(), id(), 0..6_u64).prop_map(|(who, id, step)| Change::PutToken(token(&who.0, &id, step))),
        identities().prop_map(Change::RemoveAccount),
        (identities(), id()).prop_map(|(who, token)| Change::RemoveToken { who, token }),
        identities().prop_map(Change::RevokeBypass),
        (identities(), 0..9_u64).prop_map(|(who, at)| Change::SpendBypass { who, at: Timestamp(at) }),
        (identities(), tally()).prop_map(|(who, tally)| Change::Succeed(who, tally)),
        identities().prop_map(Change::Unlock),
        (identities(), id(), 0..8_u64).prop_map(|(who, token, step)| Change::UseOtp { who, token, step }),
        Just(Change::Unlock(who("zero\0byte"))),
    ]
}

/// All that can be read, in words.
fn seen(store: &dyn Store) -> Vec<String> {
    let mut seen = Vec::new();
    for id in ["a", "b", "b!", "nobody"] {
        seen.push(format!("{:?} {:?}", store.standing(&who(id)), store.tokens(&who(id))));
        // A seed prints as nothing, so it is compared by what it opens to.
        seen.extend(store.tokens(&who(id)).unwrap().iter().map(|token| token.seed.expose_text().unwrap().to_owned()));
    }
    for (search, after, count_max) in [("", None, 100), ("ANN", None, 100), ("", Some("ann"), 100), ("", Some("Ann\0a"), 1), ("b!", None, 1), ("", None, 0)] {
        seen.push(format!("{:?}", store.accounts(search, after, count_max)));
    }
    seen.extend(["ANN", "bob", "ännCHEN", "an", ""].map(|name| format!("{:?}", store.accounts_named(name))));
    seen.extend([0, 1, 100].map(|count_max| format!("{:?}", store.block_list(count_max))));
    seen.extend([0, 1, 100].map(|count_max| format!("{:?} {:?}", store.token_list(count_max), store.bypass_list(count_max))));
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_changes_leave_disk_and_memory_alike(lists in prop::collection::vec(prop::collection::vec(changes(), 0..5), 1..60), close_at in 0..60_usize) {
        Runtime::new().unwrap().block_on(async {
            let dir = TempDir::new().unwrap();
            let (mut vault, memory) = (open(dir.path()), Memory::default());
            for (at, list) in lists.into_iter().enumerate() {
                assert_eq!(vault.commit(list.clone()).await, memory.commit(list.clone()).await, "{list:?}");
                // Some are read before they are written again, and some are not.
                if at % 3 != 2 {
                    assert_eq!(seen(&*vault), seen(&memory), "after {list:?}");
                }
                if at == close_at {
                    drop(vault);
                    vault = open(dir.path());
                }
            }
            vault.verify().unwrap();
            let warm = seen(&*vault);
            assert_eq!(warm, seen(&memory));
            replay(&vault).await;
            drop(vault);
            assert_eq!(warm, seen(&*open(dir.path())), "what was remembered is not what is on disk");
        });
    }
}
