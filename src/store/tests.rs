//! The store's promises, each with the hand that would break it.

mod blocks;
mod locked;

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::record::Logged;
use super::*;
use crate::domain::Lock;
use crate::domain::Method;
use crate::domain::Tally;
use crate::domain::Timestamp;
use crate::domain::TokenKind;
use crate::domain::Tries;
use crate::domain::otp::Algorithm;

const LOCK: Lock = Lock { failures_max: 3, wait_ms: 1_000, window_ms: 0 };
const SEED: &str = "the seed nobody may see";

fn settings(dir: &TempDir) -> Settings {
    Settings { data_dir: dir.path().join("data"), master_key: Secret::new(vec![7; 32]) }
}

fn fresh() -> (TempDir, Arc<Vault>) {
    let dir = TempDir::new().unwrap();
    let vault = open(&settings(&dir)).unwrap();
    (dir, vault)
}

fn who(id: &str) -> Identity {
    Identity(id.into())
}

fn account(id: &str, name: &str) -> Account {
    Account { method: Some(Method::Oath), mail: Some(format!("{name}@corp.example")), ..Account::new(who(id), name, Some("corp".into()), Timestamp(1)) }
}

fn token(owner: &str, id: &str, next_step: u64) -> Token {
    let info = TokenInfo {
        id: id.into(),
        owner: who(owner),
        kind: TokenKind::Totp { period_s: 30 },
        algorithm: Algorithm::Sha1,
        digits: 6,
        next_step,
        created_at: Timestamp(1),
    };
    Token { info, seed: Secret::from(SEED) }
}

fn bypass(until: u64) -> Bypass {
    Bypass { until: Timestamp(until), reason: "lost phone".into(), granted_by: "root".into(), granted_at: Timestamp(0) }
}

fn use_otp(owner: &str, id: &str, step: u64) -> Change {
    Change::UseOtp { who: who(owner), token: id.into(), step }
}

fn fail(id: &str) -> Change {
    Change::Fail { who: who(id), at: Timestamp(5), lock: LOCK, tally: Tally::Common }
}

/// Puts bytes where a record is, as a bad disk would, and nobody remembers what was there.
fn overwrite(vault: &Vault, tree: Tree, key: &[u8], bytes: Vec<u8>) {
    vault.shelf.cache().clear();
    vault.shelf.disk().unwrap().write(&Writes::from([(tree, [(key.to_vec(), Some(bytes))].into())])).unwrap();
}

fn flip(vault: &Vault, tree: Tree, key: &[u8]) {
    let mut bytes = vault.shelf.disk().unwrap().bytes(tree, key).unwrap().unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    overwrite(vault, tree, key, bytes);
}

fn damaged(error: &StoreError) -> bool {
    matches!(error, StoreError::Damaged { .. })
}

#[tokio::test]
async fn what_is_acknowledged_is_there_after_reopening() {
    let (dir, vault) = fresh();
    let changes = vec![Change::PutAccount(account("S-1", "Ann").into()), Change::PutToken(token("S-1", "t", 4)), fail("S-1")];
    assert_eq!(vault.commit(changes).await, Ok(Lsn(3)));
    assert_eq!(vault.commit(vec![Change::GrantBypass { who: who("S-1"), bypass: bypass(9) }]).await, Ok(Lsn(4)));
    vault.keep_audit_end(7);
    drop(vault);
    let vault = open(&settings(&dir)).unwrap();
    assert_eq!(vault.audit_end(), 7);
    let standing = vault.standing(&who("S-1")).unwrap();
    assert_eq!(standing.account, Some(account("S-1", "Ann").into()));
    assert_eq!(standing.tries.failures, 1);
    assert_eq!(standing.bypass, Some(bypass(9)));
    assert_eq!(vault.tokens(&who("S-1")).unwrap(), [token("S-1", "t", 4)]);
    assert_eq!(vault.verify().unwrap(), Counts { accounts: 1, bypasses: 1, tokens: 1, tries: 1, ..Counts::default() });
}

#[tokio::test]
async fn m_01_a_used_code_is_spent_and_takes_its_whole_list_with_it() {
    let (_dir, vault) = fresh();
    vault.commit(vec![Change::PutToken(token("S-1", "t", 5))]).await.unwrap();
    assert_eq!(vault.commit(vec![use_otp("S-1", "t", 4)]).await, Err(CommitError::Spent));
    assert_eq!(vault.commit(vec![use_otp("S-1", "t", 7)]).await, Ok(Lsn(2)));
    for step in [5, 6, 7] {
        let list = vec![Change::PutAccount(account("S-1", "ann").into()), use_otp("S-1", "t", step), fail("S-1")];
        assert_eq!(vault.commit(list).await, Err(CommitError::Spent));
    }
    assert_eq!(vault.standing(&who("S-1")).unwrap(), Standing::default());
    assert_eq!(vault.commit(vec![use_otp("S-1", "other", 9)]).await, Err(CommitError::Spent));
    assert_eq!(vault.commit(vec![use_otp("S-1", "t", u64::MAX)]).await, Err(CommitError::Spent));
    assert_eq!(vault.tokens(&who("S-1")).unwrap()[0].info.next_step, 8);
    assert_eq!(vault.changes(Lsn(0), 10).unwrap().len(), 2);
}

#[tokio::test]
async fn one_list_cannot_spend_the_same_code_twice() {
    let (_dir, vault) = fresh();
    vault.commit(vec![Change::PutToken(token("S-1", "t", 0))]).await.unwrap();
    assert_eq!(vault.commit(vec![use_otp("S-1", "t", 1), use_otp("S-1", "t", 1)]).await, Err(CommitError::Spent));
    assert_eq!(vault.tokens(&who("S-1")).unwrap()[0].info.next_step, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m_03_of_many_who_bring_one_code_at_once_one_gets_in() {
    let (_dir, vault) = fresh();
    vault.commit(vec![Change::PutToken(token("S-1", "t", 0)), Change::GrantBypass { who: who("S-1"), bypass: bypass(9) }]).await.unwrap();
    let spends = [use_otp("S-1", "t", 3), Change::SpendBypass { who: who("S-1"), at: Timestamp(8) }];
    for spend in spends {
        let tasks: Vec<_> = (0..300)
            .map(|_| {
                let (vault, spend) = (Arc::clone(&vault), spend.clone());
                tokio::spawn(async move { vault.commit(vec![spend]).await })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert_eq!(error, CommitError::Spent),
            }
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn m_44_a_bypass_is_good_once_and_in_its_time() {
    let (_dir, vault) = fresh();
    let spend = |at| vec![Change::SpendBypass { who: who("S-1"), at: Timestamp(at) }];
    let grant = || vec![Change::GrantBypass { who: who("S-1"), bypass: bypass(9) }];
    assert_eq!(vault.commit(spend(1)).await, Err(CommitError::Spent));
    vault.commit(grant()).await.unwrap();
    assert_eq!(vault.commit(spend(9)).await, Err(CommitError::Spent));
    assert!(vault.commit(spend(8)).await.is_ok());
    assert_eq!(vault.commit(spend(8)).await, Err(CommitError::Spent));
    vault.commit(grant()).await.unwrap();
    vault.commit(vec![Change::RevokeBypass(who("S-1"))]).await.unwrap();
    assert_eq!(vault.commit(spend(8)).await, Err(CommitError::Spent));
    assert!(vault.bypass_list(10).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m_03_whoever_was_told_of_a_write_reads_it_and_nobody_reads_backwards() {
    let (_dir, vault) = fresh();
    vault.commit(vec![Change::PutToken(token("S-1", "t", 0))]).await.unwrap();
    let next_step = |vault: &Vault| vault.tokens(&who("S-1")).unwrap()[0].info.next_step;
    let told = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (vault, told) = (Arc::clone(&vault), Arc::clone(&told));
            tokio::task::spawn_blocking(move || {
                let mut before = 0;
                while before < 400 {
                    let least = before.max(told.load(std::sync::atomic::Ordering::SeqCst));
                    before = next_step(&vault);
                    assert!(before >= least, "{before} after {least}");
                }
            })
        })
        .collect();
    for step in 0..400 {
        vault.commit(vec![use_otp("S-1", "t", step), fail("S-1")]).await.unwrap();
        told.store(step + 1, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(next_step(&vault), step + 1);
        if step % 7 == 0 {
            vault.shelf.cache().clear();
        }
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn o_25_a_token_put_again_gets_no_burnt_step_back() {
    let (_dir, vault) = fresh();
    vault.commit(vec![Change::PutToken(token("S-1", "t", 0)), use_otp("S-1", "t", 41)]).await.unwrap();
    vault.commit(vec![Change::PutToken(token("S-1", "t", 0))]).await.unwrap();
    assert_eq!(vault.tokens(&who("S-1")).unwrap()[0].info.next_step, 42);
    vault.commit(vec![Change::PutToken(token("S-1", "t", 50))]).await.unwrap();
    assert_eq!(vault.tokens(&who("S-1")).unwrap()[0].info.next_step, 50);
}

#[tokio::test]
async fn m_06_a_success_ends_the_count_but_no_lock() {
    let (_dir, vault) = fresh();
    vault.commit(vec![fail("S-1"), Change::Succeed(who("S-1"), Tally::Common)]).await.unwrap();
    assert_eq!(vault.standing(&who("S-1")).unwrap().tries, Tries::default());
    vault.commit(vec![fail("S-1"), fail("S-1"), fail("S-1"), Change::Succeed(who("S-1"), Tally::Common)]).await.unwrap();
    assert!(vault.standing(&who("S-1")).unwrap().tries.locked(Timestamp(6)));
    vault.commit(vec![Change::Unlock(who("S-1"))]).await.unwrap();
    assert_eq!(vault.standing(&who("S-1")).unwrap().tries, Tries::default());
}

#[tokio::test]
async fn a_success_that_ends_no_count_is_not_written() {
    let (_dir, vault) = fresh();
    let done = vec![Change::PutToken(token("S-1", "t", 0)), Change::Succeed(who("S-1"), Tally::Common)];
    assert_eq!(vault.commit(done).await, Ok(Lsn(1)));
    assert_eq!(vault.commit(vec![use_otp("S-1", "t", 1), Change::Succeed(who("S-1"), Tally::Common)]).await, Ok(Lsn(2)));
    assert_eq!(vault.commit(vec![Change::Succeed(who("S-1"), Tally::Common)]).await, Ok(Lsn(2)));
    assert_eq!(vault.commit(vec![fail("S-1"), Change::Succeed(who("S-1"), Tally::Common), Change::Succeed(who("S-1"), Tally::Common)]).await, Ok(Lsn(4)));
    // The last entry of each commit says that it is the last.
    let disk = vault.shelf.disk().unwrap();
    let more = |lsn| disk.read::<Logged>(Tree::Changes, &keys::lsn(Lsn(lsn))).unwrap().unwrap().more;
    assert_eq!([1, 2, 3, 4].map(more), [false, false, true, false]);
}

#[tokio::test]
async fn removing_an_account_leaves_nothing_of_it_and_all_of_its_neighbours() {
    let (_dir, vault) = fresh();
    for id in ["S-1", "S-11"] {
        let grant = Change::GrantBypass { who: who(id), bypass: bypass(9) };
        vault.commit(vec![Change::PutAccount(account(id, "ann").into()), Change::PutToken(token(id, "t", 0)), fail(id), grant]).await.unwrap();
    }
    // The second token is in the same list: it must go too.
    vault.commit(vec![Change::PutToken(token("S-1", "u", 0)), Change::RemoveAccount(who("S-1"))]).await.unwrap();
    assert_eq!(vault.standing(&who("S-1")).unwrap(), Standing::default());
    assert!(vault.tokens(&who("S-1")).unwrap().is_empty());
    assert_eq!(vault.accounts_named("ANN").unwrap(), [account("S-11", "ann")]);
    assert_eq!(vault.tokens(&who("S-11")).unwrap().len(), 1);
    assert_eq!(vault.verify().unwrap(), Counts { accounts: 1, bypasses: 1, tokens: 1, tries: 1, ..Counts::default() });
}

#[tokio::test]
async fn a_renamed_account_is_found_by_its_new_name_alone() {
    let (_dir, vault) = fresh();
    vault.commit(vec![Change::PutAccount(account("S-1", "Ann").into())]).await.unwrap();
    vault.commit(vec![Change::PutAccount(account("S-1", "Bea").into())]).await.unwrap();
    assert!(vault.accounts_named("ann").unwrap().is_empty());
    assert_eq!(vault.accounts_named("bEA").unwrap().len(), 1);
    vault.commit(vec![Change::EnableAccount { who: who("S-1"), enabled: false }]).await.unwrap();
    assert!(!vault.accounts_named("bea").unwrap()[0].enabled);
    vault.verify().unwrap();
}

#[tokio::test]
async fn pages_lose_nobody_even_where_names_are_the_same() {
    let (_dir, vault) = fresh();
    for number in 0..25 {
        vault.commit(vec![Change::PutAccount(account(&format!("S-{number:02}"), ["ann", "Bob"][number / 20]).into())]).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = vault.accounts("", after.as_deref(), 4).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(format!("{}\0{}", last.name, last.identity.0));
        assert!(page.len() <= 4);
        seen.extend(page.into_iter().map(|account| account.identity.0));
    }
    assert_eq!(seen, (0..25).map(|number| format!("S-{number:02}")).collect::<Vec<_>>());
    assert_eq!(vault.accounts("", Some("ANN"), 100).unwrap().len(), 5);
    assert_eq!(vault.accounts("BOB@corp", None, 100).unwrap().len(), 5);
    assert_eq!(vault.accounts("s-07", None, 100).unwrap().len(), 1);
}

#[test]
fn a_wrong_master_key_is_refused_by_name() {
    let (dir, vault) = fresh();
    drop(vault);
    let wrong = Settings { master_key: Secret::new(vec![8; 32]), ..settings(&dir) };
    let error = open(&wrong).unwrap_err();
    assert!(matches!(error, OpenError::WrongKey { .. }));
    assert!(error.to_string().contains("node.master_key"));
    let short = Settings { master_key: Secret::new(vec![7; 31]), ..settings(&dir) };
    assert_eq!(open(&short).unwrap_err(), OpenError::KeyLength { bytes: 31 });
    assert!(open(&settings(&dir)).is_ok());
}

#[test]
fn o_34_a_store_of_a_later_program_is_refused() {
    let (dir, vault) = fresh();
    let disk = vault.shelf.disk().unwrap();
    let head = Head { format: keys::FORMAT + 1, ..disk.head().unwrap() };
    disk.put_head(&head).unwrap();
    drop(disk);
    drop(vault);
    let error = open(&settings(&dir)).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn a_store_that_somebody_has_open_is_not_opened_twice() {
    let (_dir, vault) = fresh();
    let error = Disk::open(vault.shelf.dir(), 1).unwrap_err();
    assert!(error.to_string().contains("another vestibule is running"), "{error}");
}

#[test]
fn o_04_nobody_else_can_look_in() {
    let (dir, vault) = fresh();
    drop(vault);
    drop(open(&settings(&dir)).unwrap());
    let store = dir.path().join("data/store");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&store), 0o700);
    for name in ["db", "conf", "mark"] {
        assert_eq!(mode(&store.join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn o_02_a_seed_moved_to_another_token_does_not_open() {
    let (_dir, vault) = fresh();
    vault.commit(vec![Change::PutToken(token("S-1", "t", 0)), Change::PutToken(token("S-2", "t", 0))]).await.unwrap();
    let (ones, others) = (keys::token(&who("S-1"), "t"), keys::token(&who("S-2"), "t"));
    let disk = vault.shelf.disk().unwrap();
    let stolen: StoredToken = disk.read(Tree::Tokens, &ones).unwrap().unwrap();
    let target: StoredToken = disk.read(Tree::Tokens, &others).unwrap().unwrap();
    let swapped = StoredToken { seed: stolen.seed, ..target };
    overwrite(&vault, Tree::Tokens, &others, record::encode(Tree::Tokens, &others, &swapped).unwrap());
    assert_eq!(vault.tokens(&who("S-2")), Err(StoreError::Sealed { tree: "tokens" }));
    assert!(vault.tokens(&who("S-1")).is_ok());
    assert!(vault.verify().is_err());
}

#[tokio::test]
async fn a_flipped_byte_is_an_error_and_never_a_clean_slate() {
    let (_dir, vault) = fresh();
    let grant = Change::GrantBypass { who: who("S-1"), bypass: bypass(9) };
    vault.commit(vec![Change::PutAccount(account("S-1", "ann").into()), Change::PutToken(token("S-1", "t", 0)), fail("S-1"), grant]).await.unwrap();
    for (tree, change) in [
        (Tree::Tries, fail("S-1")),
        (Tree::Tries, Change::Succeed(who("S-1"), Tally::Common)),
        (Tree::Bypasses, Change::SpendBypass { who: who("S-1"), at: Timestamp(1) }),
    ] {
        flip(&vault, tree, b"S-1");
        assert!(damaged(&vault.standing(&who("S-1")).unwrap_err()));
        assert!(damaged(&vault.verify().unwrap_err()));
        assert_eq!(vault.commit(vec![change]).await, Err(CommitError::Outage));
        flip(&vault, tree, b"S-1");
        assert!(vault.standing(&who("S-1")).is_ok());
    }
    let key = keys::token(&who("S-1"), "t");
    flip(&vault, Tree::Tokens, &key);
    assert!(damaged(&vault.tokens(&who("S-1")).unwrap_err()));
    assert!(damaged(&vault.token_list(9).unwrap_err()));
    assert_eq!(vault.commit(vec![use_otp("S-1", "t", 3)]).await, Err(CommitError::Outage));
    assert_eq!(vault.commit(vec![Change::PutToken(token("S-1", "t", 0))]).await, Err(CommitError::Outage));
    // Others go on.
    assert!(vault.commit(vec![fail("S-2")]).await.is_ok());
}

#[tokio::test]
async fn o_06_no_seed_comes_out_of_a_dump_or_a_debug_line_or_lies_in_the_files() {
    let (dir, vault) = fresh();
    vault.commit(vec![Change::PutAccount(account("S-1", "ann").into()), Change::PutToken(token("S-1", "t", 0))]).await.unwrap();
    let mut dump = Vec::new();
    assert_eq!(vault.dump(&mut dump).unwrap(), 0);
    let dump = String::from_utf8(dump).unwrap();
    let lines: Vec<serde_json::Value> = dump.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["tree"] == "tokens" && line["value"]["seed"] == "sealed" && line["value"]["info"]["id"] == "t"));
    assert!(lines.iter().any(|line| line["tree"] == "changes" && line["key"] == "2" && line["value"]["seed"] == "sealed"));
    let stored: StoredToken = vault.shelf.disk().unwrap().read(Tree::Tokens, b"S-1\0t").unwrap().unwrap();
    assert!(!dump.contains(SEED) && !dump.contains(&stored.seed));
    assert!(!format!("{vault:?} {:?}", vault.tokens(&who("S-1")).unwrap()).contains(SEED));
    drop(vault);
    let raw = std::fs::read(dir.path().join("data/store/db")).unwrap();
    assert!(!raw.windows(SEED.len()).any(|window| window == SEED.as_bytes()));
    assert!(!raw.windows(32).any(|window| window == [7; 32]));
}

#[tokio::test]
async fn a_damaged_record_is_named_in_the_dump_and_the_rest_comes_out() {
    let (_dir, vault) = fresh();
    vault.commit(vec![fail("S-1"), fail("S-2")]).await.unwrap();
    flip(&vault, Tree::Tries, b"S-1");
    let mut dump = Vec::new();
    assert_eq!(vault.dump(&mut dump).unwrap(), 1);
    let dump = String::from_utf8(dump).unwrap();
    assert!(dump.lines().any(|line| line.contains("\"S-1\"") && line.contains("damaged")));
    assert!(dump.lines().any(|line| line.contains("\"S-2\"") && line.contains("failures")));
}

#[tokio::test]
async fn the_log_keeps_its_newest_entries_and_no_gap() {
    let dir = TempDir::new().unwrap();
    let vault = open_keeping(&settings(&dir), 10).unwrap();
    for _ in 0..7 {
        vault.commit(vec![fail("S-1"), fail("S-2"), fail("S-3")]).await.unwrap();
    }
    let kept: Vec<u64> = vault.changes(Lsn(0), 100).unwrap().iter().map(|(lsn, _)| lsn.0).collect();
    assert_eq!(kept, (12..=21).collect::<Vec<_>>());
    vault.verify().unwrap();
    drop(vault);
    let vault = open_keeping(&settings(&dir), 10).unwrap();
    assert_eq!(vault.commit(vec![fail("S-1")]).await, Ok(Lsn(22)));
}

#[tokio::test]
async fn a_store_that_lost_its_end_says_so() {
    let (dir, vault) = fresh();
    vault.commit(vec![fail("S-1"), fail("S-1")]).await.unwrap();
    let store = dir.path().join("data/store");
    let older = TempDir::new().unwrap();
    copy_dir(&store, &older.path().join("data/store"));
    vault.commit(vec![fail("S-1")]).await.unwrap();
    // The database as it was before the last acknowledged change: an older file put back, or an end that was cut off.
    std::fs::copy(store.join("mark"), older.path().join("data/store/mark")).unwrap();
    let error = open(&settings(&older)).unwrap_err();
    assert!(error.to_string().contains("changes 3 to 3 are missing"), "{error}");
}

#[test]
fn a_store_that_is_suddenly_empty_is_not_begun_anew() {
    let (dir, vault) = fresh();
    drop(vault);
    std::fs::remove_file(dir.path().join("data/store/db")).unwrap();
    for entry in std::fs::read_dir(dir.path().join("data/store")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("snap") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let error = open(&settings(&dir)).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("restore it from a backup"));
}

#[tokio::test]
async fn a_database_closed_by_a_failure_is_read_anew_by_the_next_write() {
    let (_dir, vault) = fresh();
    vault.commit(vec![fail("S-1")]).await.unwrap();
    vault.shelf.close();
    assert!(matches!(vault.standing(&who("S-1")), Err(StoreError::Io(_))));
    assert_eq!(vault.commit(vec![fail("S-1")]).await, Ok(Lsn(2)));
    assert_eq!(vault.standing(&who("S-1")).unwrap().tries.failures, 2);
}

#[tokio::test]
async fn what_no_tree_can_hold_is_refused() {
    let (_dir, vault) = fresh();
    for id in ["", "S-1\0t", &"x".repeat(600)] {
        assert_eq!(vault.commit(vec![fail("S-1"), fail(id)]).await, Err(CommitError::Outage));
    }
    assert_eq!(vault.commit(vec![fail("S-1"); CHANGES_MAX + 1]).await, Err(CommitError::Outage));
    assert_eq!(vault.standing(&who("S-1")).unwrap(), Standing::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_the_files_is_told_and_never_a_panic_or_a_loss_in_silence() {
    let (dir, vault) = fresh();
    for number in 0..300 {
        vault.commit(vec![Change::PutAccount(account(&format!("S-{number}"), "ann").into()), Change::PutToken(token("S-1", "t", number))]).await.unwrap();
    }
    drop(vault);
    let store = dir.path().join("data/store");
    let length = std::fs::metadata(store.join("db")).unwrap().len();
    let mut told = 0;
    for round in 0..24 {
        let copy = TempDir::new().unwrap();
        let target = copy.path().join("data/store");
        copy_dir(&store, &target);
        let mut bytes = std::fs::read(target.join("db")).unwrap();
        let place = usize::try_from(length * round / 24).unwrap();
        match round % 3 {
            0 => bytes.truncate(place),
            1 => bytes[place] ^= 0x10,
            _ => bytes[place..].iter_mut().take(4_096).for_each(|byte| *byte = 0),
        }
        std::fs::write(target.join("db"), bytes).unwrap();
        let whole = open(&settings(&copy)).map_err(|_| ()).and_then(|vault| {
            vault.verify().map_err(|_| ())?;
            Ok((vault.accounts("", None, 1_000).unwrap().len(), vault.tokens(&who("S-1")).unwrap()[0].info.next_step))
        });
        match whole {
            Ok(found) => assert_eq!(found, (300, 299), "round {round}"),
            Err(()) => told += 1,
        }
    }
    assert!(told > 0);
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn m_10_a_fraud_shortens_no_block_and_an_administrator_may() {
    let (_dir, vault) = fresh();
    let block = |by: &str, until| {
        let block = Block { until: Timestamp(until), reason: String::new(), by: by.into(), at: Timestamp(1), name: None };
        vault.commit(vec![Change::Block { whom: Blocked::Identity(who("alice")), block }])
    };
    let held = || vault.standing(&who("alice")).unwrap().block.map(|block| block.until.0);
    for (by, until, then) in [("root", 500, 500), (Block::BY_THE_PERSON, 100, 500), (Block::BY_THE_PERSON, 900, 900), ("root", 200, 200)] {
        block(by, until).await.unwrap();
        assert_eq!(held(), Some(then), "{by} until {until}");
    }
}
