//! PINs and backup codes: sealed, single use, and gone with their account.

use super::*;
use crate::domain::pin::Hashed;

fn hashed(byte: u8) -> Hashed {
    Hashed { salt: [byte; 16], hash: Secret::new(vec![byte; 32]) }
}

fn pin(byte: u8) -> Pin {
    Pin { hash: hashed(byte), length: 4, earlier: vec![hashed(8), hashed(9)], set_at: Timestamp(3) }
}

fn codes(bytes: &[u8]) -> BackupCodes {
    let hashes = bytes.iter().map(|byte| Some(Secret::new(vec![*byte; 32]))).collect();
    BackupCodes { salt: [5; 16], hashes, until: Timestamp(100), issued_by: "root".into(), issued_at: Timestamp(4) }
}

fn put(id: &str) -> Vec<Change> {
    vec![Change::PutPin { who: who(id), pin: pin(1) }, Change::PutBackups { who: who(id), codes: codes(&[1, 2]) }]
}

fn use_backup(place: u8, at: u64) -> Vec<Change> {
    vec![Change::UseBackup { who: who("S-1"), place, issued_at: Timestamp(4), at: Timestamp(at) }]
}

#[tokio::test]
async fn pins_and_backup_codes_are_there_after_reopening() {
    let (dir, vault) = fresh();
    assert_eq!(vault.commit(put("S-1")).await, Ok(Lsn(2)));
    drop(vault);
    let vault = open(&settings(&dir)).unwrap();
    assert_eq!(vault.pin(&who("S-1")), Ok(Some(pin(1))));
    assert_eq!(vault.backup_codes(&who("S-1")), Ok(Some(codes(&[1, 2]))));
    assert_eq!((vault.pin(&who("S-2")), vault.backup_codes(&who("S-2"))), (Ok(None), Ok(None)));
    assert_eq!(vault.verify().unwrap(), Counts { backups: 1, pins: 1, ..Counts::default() });
    let logged: Vec<_> = vault.changes(Lsn(0), 9).unwrap().into_iter().map(|(_, change)| change).collect();
    assert_eq!(logged, put("S-1"));
}

#[tokio::test]
async fn m_44_a_backup_code_is_used_once_however_many_bring_it() {
    let (dir, vault) = fresh();
    vault.commit(put("S-1")).await.unwrap();
    let many = (0..16).map(|_| {
        let vault = Arc::clone(&vault);
        tokio::spawn(async move { vault.commit(use_backup(1, 99)).await })
    });
    let mut let_in = 0;
    for one in many.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Ok(_) => let_in += 1,
            Err(error) => assert_eq!(error, CommitError::Spent),
        }
    }
    assert_eq!(let_in, 1);
    assert_eq!(vault.commit(use_backup(0, 100)).await, Err(CommitError::Spent), "run out");
    drop(vault);
    let vault = open(&settings(&dir)).unwrap();
    assert_eq!(vault.backup_codes(&who("S-1")).unwrap().unwrap().left(), 1);
    assert_eq!(vault.commit(use_backup(1, 99)).await, Err(CommitError::Spent), "used up before it was closed");
    vault.commit(use_backup(0, 99)).await.unwrap();
    assert_eq!(vault.backup_codes(&who("S-1")), Ok(None));
    assert_eq!(vault.commit(use_backup(0, 99)).await, Err(CommitError::Spent));
    assert_eq!(vault.verify().unwrap().backups, 0);
}

#[tokio::test]
async fn codes_of_an_earlier_issue_do_not_use_up_later_ones() {
    let (_dir, vault) = fresh();
    vault.commit(put("S-1")).await.unwrap();
    let later = BackupCodes { issued_at: Timestamp(50), ..codes(&[6]) };
    vault.commit(vec![Change::PutBackups { who: who("S-1"), codes: later.clone() }]).await.unwrap();
    assert_eq!(vault.commit(use_backup(0, 60)).await, Err(CommitError::Spent));
    assert_eq!(vault.backup_codes(&who("S-1")), Ok(Some(later)));
}

#[tokio::test]
async fn with_the_account_go_its_pin_and_its_codes() {
    let (_dir, vault) = fresh();
    vault.commit([put("S-1"), put("S-2")].concat()).await.unwrap();
    vault.commit(vec![Change::RemoveAccount(who("S-1")), Change::RemovePin(who("S-2"))]).await.unwrap();
    assert_eq!((vault.pin(&who("S-1")), vault.backup_codes(&who("S-1"))), (Ok(None), Ok(None)));
    assert_eq!((vault.pin(&who("S-2")), vault.backup_codes(&who("S-2"))), (Ok(None), Ok(Some(codes(&[1, 2])))));
    vault.commit(vec![Change::RemoveBackups(who("S-2"))]).await.unwrap();
    assert_eq!(vault.verify().unwrap(), Counts::default());
}

#[tokio::test]
async fn m_25_no_hash_lies_open_and_none_is_in_a_dump() {
    let (_dir, vault) = fresh();
    vault.commit(put("S-1")).await.unwrap();
    let mut dump = Vec::new();
    assert_eq!(vault.dump(&mut dump).unwrap(), 0);
    let dump = String::from_utf8(dump).unwrap();
    assert!(dump.contains("\"sealed\":\"sealed\"") && !dump.contains("hash"), "{dump}");
    // A record in another's place opens nowhere.
    let disk = vault.shelf.disk().unwrap();
    let stored: StoredPin = disk.read(Tree::Pins, b"S-1").unwrap().unwrap();
    assert!(stored.clone().open(vault.shelf.seal(), Tree::Pins, b"S-2").is_err());
    assert!(stored.open(vault.shelf.seal(), Tree::Changes, b"S-1").is_err());
    flip(&vault, Tree::Pins, b"S-1");
    assert!(damaged(&vault.pin(&who("S-1")).unwrap_err()) && vault.verify().is_err());
}

#[tokio::test]
async fn both_stores_have_the_same_rules() {
    let (_dir, vault) = fresh();
    let memory = Memory::default();
    for changes in [
        put("S-1"),
        use_backup(0, 99),
        use_backup(0, 99),
        use_backup(1, 200),
        vec![Change::PutPin { who: who("S-1"), pin: pin(3) }],
        use_backup(1, 99),
        use_backup(1, 99),
        vec![Change::RemoveBackups(who("S-1")), Change::RemovePin(who("S-1"))],
    ] {
        assert_eq!(vault.commit(changes.clone()).await, memory.commit(changes).await);
        assert_eq!(vault.pin(&who("S-1")), memory.pin(&who("S-1")));
        assert_eq!(vault.backup_codes(&who("S-1")), memory.backup_codes(&who("S-1")));
    }
}
