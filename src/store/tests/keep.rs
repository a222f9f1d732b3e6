//! Backups, restores, other keys and other formats.

use super::super::format;
use super::super::parcel::Packer;
use super::super::parcel::Unpacker;
use super::super::record::DataKey;
use super::super::record::DataKeys;
use super::super::seal::Cipher;
use super::*;
use crate::domain::pin::Hashed;
use crate::ports::keep::Keep;
use crate::ports::keep::Outgoing;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const TOTP_AFTER: u64 = 1_700_000_000 / 30 + 2;

fn recovery() -> Secret {
    Secret::new(vec![9; 32])
}

fn codes() -> BackupCodes {
    BackupCodes { salt: [1; 16], hashes: vec![Some(Secret::new(vec![2; 32]))], until: Timestamp(NOW.0 + 9), issued_by: "root".into(), issued_at: Timestamp(5) }
}

fn pin() -> Pin {
    Pin { hash: Hashed { salt: [3; Hashed::SALT_BYTES], hash: Secret::new(vec![4; Hashed::HASH_BYTES]) }, length: 4, earlier: Vec::new(), set_at: Timestamp(5) }
}

/// Everything that can be sealed, and everything that cannot.
fn furnished() -> Vec<Change> {
    let mut hotp = token("S-2", "h", 7);
    hotp.info.kind = TokenKind::Hotp;
    vec![
        Change::PutAccount(account("S-1", "ann").into()),
        Change::PutAccount(account("S-2", "bob").into()),
        Change::PutToken(token("S-1", "t", 4)),
        Change::PutToken(hotp),
        Change::PutPin { who: who("S-1"), pin: pin() },
        Change::PutBackups { who: who("S-1"), codes: codes() },
        Change::GrantBypass { who: who("S-2"), bypass: bypass(NOW.0 + 9) },
        Change::Block {
            whom: Blocked::Identity(who("S-2")),
            block: Block { until: Timestamp(NOW.0 + 9), reason: "r".into(), by: "b".into(), at: NOW, name: None },
        },
        fail("S-1"),
    ]
}

async fn all(mut outgoing: Box<dyn Outgoing>) -> Vec<u8> {
    let mut file = Vec::new();
    loop {
        let piece = outgoing.piece().await.unwrap();
        file.extend(piece.bytes);
        if piece.last {
            return file;
        }
    }
}

fn restored(file: &[u8], dir: &TempDir) -> Result<Restored, RestoreError> {
    restore(file, &recovery(), &Settings { master_key: Secret::new(vec![8; 32]), ..settings(dir) }, NOW, HotpJump::ByAge)
}

fn reopened(dir: &TempDir) -> Arc<Vault> {
    open(&Settings { master_key: Secret::new(vec![8; 32]), ..settings(dir) }).unwrap()
}

#[tokio::test]
async fn o_25_a_restored_store_has_every_person_and_no_code_that_may_have_been_used() {
    let (_dir, vault) = fresh();
    let lsn = vault.commit(furnished()).await.unwrap();
    let file = all(Keeper::new(Arc::clone(&vault)).backup(&recovery(), "mfa1", Timestamp(NOW.0 - 1_000)).await.unwrap()).await;
    for plain in [SEED.as_bytes(), b"ann@corp.example", b"S-1"] {
        assert!(!file.windows(plain.len()).any(|window| window == plain), "the file shows {plain:?}");
    }
    let other = TempDir::new().unwrap();
    let told = restored(&file, &other).unwrap();
    let expected = Restored {
        node: "mfa1".into(),
        made_at: Timestamp(NOW.0 - 1_000),
        accounts: 2,
        tokens: 2,
        hotp: 1,
        hotp_jump: 20,
        backup_codes_void: 1,
        bypasses_void: 1,
    };
    assert_eq!(told, expected);
    let back = reopened(&other);
    back.verify().unwrap();
    let standing = back.standing(&who("S-1")).unwrap();
    assert_eq!((standing.account, standing.tries.failures), (Some(account("S-1", "ann").into()), 1));
    assert_eq!(back.standing(&who("S-2")).unwrap().bypass, None);
    assert!(back.standing(&who("S-2")).unwrap().block.is_some());
    assert_eq!((back.pin(&who("S-1")).unwrap(), back.backup_codes(&who("S-1")).unwrap()), (Some(pin()), None));
    assert_eq!(back.tokens(&who("S-1")).unwrap()[0].seed, Secret::from(SEED));
    // The last code before the backup, and the one that somebody may have used a moment ago.
    for step in [4, TOTP_AFTER - 1] {
        assert_eq!(back.commit(vec![use_otp("S-1", "t", step)]).await, Err(CommitError::Spent), "{step}");
    }
    assert_eq!(back.commit(vec![use_otp("S-2", "h", 26)]).await, Err(CommitError::Spent));
    assert_eq!(back.commit(vec![use_otp("S-2", "h", 27)]).await, Ok(Lsn(lsn.0 + 1)));
    assert!(back.commit(vec![use_otp("S-1", "t", TOTP_AFTER)]).await.is_ok());
    // Neither key is the old one.
    assert_eq!(back.shelf.seal().newest(), 2);
    assert!(matches!(open(&settings(&other)), Err(OpenError::Locked { .. })));
    drop(back);
    assert!(matches!(open(&settings(&other)), Err(OpenError::WrongKey { .. })));
    drop(reopened(&other));
}

#[tokio::test]
async fn a_backup_is_of_one_moment_whatever_is_written_meanwhile() {
    let (_dir, vault) = fresh();
    vault.commit(furnished()).await.unwrap();
    for number in 0..5_000 {
        vault.commit(vec![Change::PutAccount(account(&format!("S-9{number:04}"), &format!("many{number}")).into())]).await.unwrap();
    }
    let mut outgoing = Keeper::new(Arc::clone(&vault)).backup(&recovery(), "mfa1", NOW).await.unwrap();
    let mut file = outgoing.piece().await.unwrap().bytes;
    // Behind what was taken along already, and in front of it: changed, removed, new.
    let moved = Account { name: "zoe".into(), ..account("S-1", "ann") };
    vault.commit(vec![Change::PutAccount(moved.clone().into()), use_otp("S-1", "t", TOTP_AFTER + 90)]).await.unwrap();
    vault.commit(vec![Change::RemoveAccount(who("S-90001")), Change::RemoveAccount(who("S-2"))]).await.unwrap();
    vault.commit(vec![Change::PutAccount(account("S-00", "eve").into())]).await.unwrap();
    file.extend(all(outgoing).await);
    let other = TempDir::new().unwrap();
    restored(&file, &other).unwrap();
    let back = reopened(&other);
    assert_eq!(back.verify().unwrap(), Counts { backups: 0, bypasses: 0, ..vault.verify().unwrap() });
    assert_eq!(back.standing(&who("S-1")).unwrap().account, Some(moved.into()));
    assert_eq!(back.accounts("", None, 9_999).unwrap(), vault.accounts("", None, 9_999).unwrap());
    assert_eq!(back.tokens(&who("S-1")).unwrap()[0].info.next_step, TOTP_AFTER + 91);
    assert!(back.tokens(&who("S-2")).unwrap().is_empty());
}

#[tokio::test]
async fn of_two_backups_at_once_the_older_is_given_up_and_one_let_go_notes_no_more() {
    let (_dir, vault) = fresh();
    vault.commit(furnished()).await.unwrap();
    let keeper = Keeper::new(Arc::clone(&vault));
    let mut older = keeper.backup(&recovery(), "mfa1", NOW).await.unwrap();
    let newer = keeper.backup(&recovery(), "mfa1", NOW).await.unwrap();
    let ended = loop {
        match older.piece().await {
            Ok(piece) => assert!(!piece.last),
            Err(error) => break error,
        }
    };
    assert!(ended.to_string().contains("another backup"), "{ended}");
    assert!(keeper.begin_rekey().await.is_err(), "a key that the backup has not would lock it");
    assert!(vault.commit(vec![Change::PutAccount(account("S-5", "eve").into())]).await.is_ok(), "the disk is as well as it was");
    drop(newer);
    assert!(vault.shelf.touched().is_none());
    assert!(keeper.begin_rekey().await.is_ok());
}

#[tokio::test]
async fn o_04_a_broken_backup_or_another_key_leaves_nothing_and_a_store_is_never_written_over() {
    let (dir, vault) = fresh();
    vault.commit(furnished()).await.unwrap();
    let file = all(Keeper::new(Arc::clone(&vault)).backup(&recovery(), "mfa1", NOW).await.unwrap()).await;
    let other = TempDir::new().unwrap();
    for broken in [&file[..file.len() - 1], &file[..80], &[], &[&file[..], b"x"].concat()] {
        assert!(matches!(restored(broken, &other), Err(RestoreError::File(_))));
    }
    let wrong = restore(&*file, &Secret::new(vec![1; 32]), &settings(&other), NOW, HotpJump::ByAge).unwrap_err();
    assert!(wrong.to_string().contains("recovery key"), "{wrong}");
    let left = std::fs::read_dir(other.path().join("data")).unwrap().count();
    assert_eq!(left, 0);
    assert!(matches!(restored(&file, &dir), Err(RestoreError::Occupied(_))));
    assert_eq!(vault.verify().unwrap().accounts, 2);
    // Killed in the middle: no server takes the folder for an empty one, and the next try begins again.
    let half = other.path().join("data/store.restoring");
    std::fs::create_dir_all(&half).unwrap();
    assert!(open(&settings(&other)).unwrap_err().to_string().contains("restore"));
    restored(&file, &other).unwrap();
    assert!(!half.exists());
    drop(reopened(&other));
}

#[tokio::test]
async fn o_02_a_rekey_leaves_every_secret_as_it_was_and_nothing_under_the_old_key() {
    let (dir, mut vault) = fresh();
    vault.commit(furnished()).await.unwrap();
    for number in 0..700 {
        vault.commit(vec![Change::PutToken(token("S-3", &format!("t{number}"), 0))]).await.unwrap();
    }
    let old = vault.shelf.seal().keys();
    let mut keeper = Keeper::new(Arc::clone(&vault));
    let mut steps = 0;
    keeper.begin_rekey().await.unwrap();
    loop {
        steps += 1;
        // Logins go on, and what they write is under the new key at once.
        vault.commit(vec![Change::PutToken(token("S-4", &format!("t{steps}"), 0)), use_otp("S-3", "t1", steps)]).await.unwrap();
        if keeper.rekey().await.unwrap().finished {
            break;
        }
        if steps % 2 == 0 && steps < 10 {
            // As after a kill: nothing but what is on disk, and begun at the first record again.
            drop(keeper);
            drop(vault);
            vault = open(&settings(&dir)).unwrap();
            vault.verify().unwrap();
            keeper = Keeper::new(Arc::clone(&vault));
            let epoch = keeper.begin_rekey().await.unwrap().epoch;
            assert_eq!(epoch, 2, "who was interrupted goes on with the same key");
        }
        assert!(steps < 100);
    }
    vault.verify().unwrap();
    let keys = vault.shelf.seal().keys();
    assert_eq!((keys.len(), keys[0].0), (1, 2));
    assert_ne!(keys[0].1, old[0].1);
    vault.shelf.cache().clear();
    assert_eq!(vault.tokens(&who("S-1")).unwrap()[0].seed, Secret::from(SEED));
    assert_eq!((vault.pin(&who("S-1")).unwrap(), vault.backup_codes(&who("S-1")).unwrap()), (Some(pin()), Some(codes())));
    let mut dump = Vec::new();
    assert_eq!(vault.dump(&mut dump).unwrap(), 0);
    drop(keeper);
    drop(vault);
    let vault = open(&settings(&dir)).unwrap();
    assert_eq!(vault.tokens(&who("S-4")).unwrap().len(), usize::try_from(steps).unwrap());
    assert_eq!(vault.changes(Lsn(0), usize::MAX).unwrap()[2].1, Change::PutToken(token("S-1", "t", 4)));
}

/// A store as version 0.1.0 made it.
fn first_format(dir: &TempDir) {
    let disk = Disk::open(&dir.path().join("data/store"), 1).unwrap();
    let master = Cipher::new(&settings(dir).master_key).unwrap();
    let key = Secret::new(vec![6; 32]);
    let head = Head { format: 1, first: 1, last: 0, counts: Counts { tokens: 1, ..Counts::default() } };
    let sealed = master.close(Tree::Meta, keys::DATA_KEY, &key).unwrap();
    let Token { info, .. } = token("S-1", "t", 4);
    let at = keys::token(&info.owner, &info.id);
    let stored = StoredToken { seed: Cipher::new(&key).unwrap().close(Tree::Tokens, &at, &Secret::from(SEED)).unwrap(), info };
    let meta = [
        (keys::HEAD.to_vec(), Some(record::encode(Tree::Meta, keys::HEAD, &head).unwrap())),
        (keys::DATA_KEY.to_vec(), Some(record::encode(Tree::Meta, keys::DATA_KEY, &DataKey { sealed }).unwrap())),
    ];
    let tokens = [(at.clone(), Some(record::encode(Tree::Tokens, &at, &stored).unwrap()))];
    disk.write(&Writes::from([(Tree::Meta, meta.into()), (Tree::Tokens, tokens.into())])).unwrap();
    disk.mark().note(0).unwrap();
}

#[tokio::test]
async fn o_26_a_store_of_the_first_format_is_brought_up_once_and_works() {
    let dir = TempDir::new().unwrap();
    first_format(&dir);
    for _ in 0..2 {
        let vault = open(&settings(&dir)).unwrap();
        assert_eq!(vault.tokens(&who("S-1")).unwrap()[0].seed, Secret::from(SEED));
        assert_eq!(vault.shelf.disk().unwrap().head().unwrap().format, keys::FORMAT);
        let disk = vault.shelf.disk().unwrap();
        assert!(disk.read::<DataKey>(Tree::Meta, keys::DATA_KEY).unwrap().is_none());
        assert_eq!(disk.read::<DataKeys>(Tree::Meta, keys::DATA_KEYS).unwrap().unwrap().keys.len(), 1);
        vault.verify().unwrap();
    }
    let vault = open(&settings(&dir)).unwrap();
    vault.commit(vec![use_otp("S-1", "t", 4)]).await.unwrap();
    let keeper = Keeper::new(Arc::clone(&vault));
    keeper.begin_rekey().await.unwrap();
    while !keeper.rekey().await.unwrap().finished {}
    vault.verify().unwrap();
}

#[test]
fn o_26_another_master_key_brings_nothing_up() {
    let dir = TempDir::new().unwrap();
    first_format(&dir);
    let other = Settings { master_key: Secret::new(vec![5; 32]), ..settings(&dir) };
    assert!(matches!(open(&other), Err(OpenError::WrongKey { .. })));
    let disk = Disk::open(&dir.path().join("data/store"), 50).unwrap();
    assert_eq!(disk.head().unwrap().format, 1);
    let master = Cipher::new(&settings(&dir).master_key).unwrap();
    format::bring_up(&disk, dir.path(), &master).unwrap();
    format::bring_up(&disk, dir.path(), &master).unwrap();
    assert_eq!(disk.head().unwrap().format, keys::FORMAT);
}

#[tokio::test]
async fn o_34_a_backup_of_a_later_format_is_refused_with_the_version_that_made_it() {
    let mut packer = Packer::new(&recovery()).unwrap();
    packer.put(b"{\"line\":\"made\",\"by\":\"9.9.9\",\"format\":99,\"node\":\"n\",\"at\":1,\"keys\":[]}\n").unwrap();
    packer.finish().unwrap();
    let file = packer.take();
    assert!(Unpacker::new(&*file, &recovery()).is_ok());
    let error = restored(&file, &TempDir::new().unwrap()).unwrap_err();
    assert!(matches!(&error, RestoreError::Newer { by, found: 99 } if by == "9.9.9"), "{error}");
}

#[tokio::test]
async fn a_backup_that_broke_off_never_looks_whole() {
    let (_dir, vault) = fresh();
    vault.commit(furnished()).await.unwrap();
    let mut outgoing = Keeper::new(Arc::clone(&vault)).backup(&recovery(), "mfa1", NOW).await.unwrap();
    outgoing.piece().await.unwrap();
    vault.shelf.close();
    assert!(outgoing.piece().await.is_err());
    vault.shelf.reopen();
    vault.verify().unwrap();
    assert!(outgoing.piece().await.unwrap_err().to_string().contains("make it again"));
}

#[tokio::test]
async fn much_that_is_written_while_a_backup_is_made_is_taken_in_rounds() {
    let (_dir, vault) = fresh();
    vault.commit(furnished()).await.unwrap();
    let mut outgoing = Keeper::new(Arc::clone(&vault)).backup(&recovery(), "mfa1", NOW).await.unwrap();
    let many = |from: usize, count: usize| {
        (from..from + count).map(|number| Change::PutAccount(account(&format!("S-9{number:04}"), &format!("m{number}")).into())).collect()
    };
    let (mut file, mut written) = (Vec::new(), 0);
    loop {
        let piece = outgoing.piece().await.unwrap();
        file.extend(piece.bytes);
        if piece.last {
            break;
        }
        if written < 8_000 {
            vault.commit(many(written, 1_000)).await.unwrap();
            written += 1_000;
        }
    }
    let other = TempDir::new().unwrap();
    assert_eq!(restored(&file, &other).unwrap().accounts, 8_002);
    assert_eq!(reopened(&other).accounts("", None, 99_999).unwrap(), vault.accounts("", None, 99_999).unwrap());
}

#[tokio::test]
async fn o_25_neither_a_clock_that_is_behind_nor_a_small_jump_brings_a_code_back() {
    let (_dir, vault) = fresh();
    vault.commit(furnished()).await.unwrap();
    let made = async |at| all(Keeper::new(Arc::clone(&vault)).backup(&recovery(), "mfa1", at).await.unwrap()).await;
    let file = made(Timestamp(NOW.0 + 61_000)).await;
    let other = TempDir::new().unwrap();
    assert!(matches!(restored(&file, &other), Err(RestoreError::Clock { behind_s: 61 })));
    let file = made(Timestamp(NOW.0 - 1_000)).await;
    let told = restore(&*file, &recovery(), &Settings { master_key: Secret::new(vec![8; 32]), ..settings(&other) }, NOW, HotpJump::Presses(0)).unwrap();
    assert_eq!(told.hotp_jump, 20);
}

#[tokio::test]
async fn of_two_restores_at_once_one_waits() {
    let (_dir, vault) = fresh();
    let file = all(Keeper::new(Arc::clone(&vault)).backup(&recovery(), "mfa1", NOW).await.unwrap()).await;
    let other = TempDir::new().unwrap();
    std::fs::create_dir_all(other.path().join("data")).unwrap();
    let held = File::open(other.path().join("data")).unwrap();
    held.lock().unwrap();
    assert!(matches!(restored(&file, &other), Err(RestoreError::Busy(_))));
    drop(held);
    restored(&file, &other).unwrap();
    // A server keeps the folder also when somebody moved the store away under it.
    let back = reopened(&other);
    std::fs::rename(other.path().join("data/store"), other.path().join("data/store.moved")).unwrap();
    assert!(matches!(restored(&file, &other), Err(RestoreError::Busy(_))));
    drop(back);
    restored(&file, &other).unwrap();
}

#[tokio::test]
async fn o_25_a_backup_that_is_restored_twice_brings_no_press_of_a_counter_back() {
    let (_dir, vault) = fresh();
    vault.commit(furnished()).await.unwrap();
    let file = all(Keeper::new(Arc::clone(&vault)).backup(&recovery(), "mfa1", NOW).await.unwrap()).await;
    let other = TempDir::new().unwrap();
    assert_eq!(restored(&file, &other).unwrap().hotp_jump, 20);
    let back = reopened(&other);
    assert!(back.commit(vec![use_otp("S-2", "h", 27)]).await.is_ok());
    drop(back);
    std::fs::rename(other.path().join("data/store"), other.path().join("data/store.damaged")).unwrap();
    assert_eq!(restored(&file, &other).unwrap().hotp_jump, 40);
    let back = reopened(&other);
    assert_eq!(back.commit(vec![use_otp("S-2", "h", 27)]).await, Err(CommitError::Spent));
    // One that was made since knows of it.
    let later = all(Keeper::new(Arc::clone(&back)).backup(&recovery(), "mfa1", Timestamp(NOW.0 + 1)).await.unwrap()).await;
    drop(back);
    std::fs::remove_dir_all(other.path().join("data/store")).unwrap();
    let settings = Settings { master_key: Secret::new(vec![8; 32]), ..settings(&other) };
    assert_eq!(restore(&*later, &recovery(), &settings, Timestamp(NOW.0 + 2), HotpJump::ByAge).unwrap().hotp_jump, 20);
}
