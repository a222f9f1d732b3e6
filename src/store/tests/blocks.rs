//! Blocks by number: whoever is called at it is kept out, whatever is remembered of the account.

use super::*;
use crate::domain::Phone;
use crate::domain::Standing;

const NUMBER: &str = "+491705550142";

fn held(until: u64) -> Block {
    Block { until: Timestamp(until), reason: String::new(), by: "root".into(), at: Timestamp(1), name: None }
}

fn by_number(until: u64) -> Change {
    Change::Block { whom: Blocked::Phone(Phone::of(NUMBER).unwrap()), block: held(until) }
}

fn called_at(id: &str, phone: Option<&str>, backup_phone: Option<&str>) -> Change {
    let [phone, backup_phone] = [phone, backup_phone].map(|number| number.map(str::to_owned));
    Change::PutAccount(Box::new(Account { phone, backup_phone, ..Account::new(who(id), id, None, Timestamp(1)) }))
}

fn until(standing: Standing) -> Option<u64> {
    standing.block.map(|block| block.until.0)
}

#[tokio::test]
async fn a_blocked_number_keeps_everybody_out_who_is_called_at_it_and_nobody_else() {
    let (dir, vault) = fresh();
    let memory = Memory::default();
    let people = vec![
        called_at("first", Some("+49 (170) 555-0142"), None),
        called_at("backup", Some("+49301234567"), Some("+491705550142x12")),
        called_at("other", Some("+491705550143"), None),
        called_at("none", None, None),
    ];
    let all = ["first", "backup", "other", "none", "nobody"];
    let seen = |store: &dyn Store| all.map(|id| until(store.standing(&who(id)).unwrap()));
    for store in [&*vault as &dyn Store, &memory] {
        store.commit(people.clone()).await.unwrap();
        // Read before, so that it is remembered.
        assert_eq!(seen(store), [None; 5]);
        store.commit(vec![by_number(500)]).await.unwrap();
        assert_eq!(seen(store), [Some(500), Some(500), None, None, None]);
        // Of several the one that holds longest, whichever it is.
        store.commit(vec![Change::Block { whom: Blocked::Identity(who("first")), block: held(900) }]).await.unwrap();
        store.commit(vec![Change::Block { whom: Blocked::Identity(who("backup")), block: held(100) }]).await.unwrap();
        assert_eq!(seen(store), [Some(900), Some(500), None, None, None]);
        // A number that is another's now keeps that one out.
        store.commit(vec![called_at("first", None, None), called_at("other", Some(NUMBER), None)]).await.unwrap();
        assert_eq!(seen(store), [Some(900), Some(500), Some(500), None, None]);
    }
    drop(vault);
    let vault = open(&settings(&dir)).unwrap();
    assert_eq!(seen(&*vault), [Some(900), Some(500), Some(500), None, None], "and after reopening");
    vault.commit(vec![Change::Unblock(Blocked::Phone(Phone::of(NUMBER).unwrap()))]).await.unwrap();
    assert_eq!(seen(&*vault), [Some(900), Some(100), None, None, None]);
}

#[tokio::test]
async fn l_082_both_counts_of_failures_are_on_disk_and_each_is_its_own() {
    let (dir, vault) = fresh();
    let fail = |tally| Change::Fail { who: who("svc"), at: Timestamp(5), lock: LOCK, tally };
    vault.commit(vec![fail(Tally::Common), fail(Tally::Exempt), fail(Tally::Exempt)]).await.unwrap();
    drop(vault);
    let vault = open(&settings(&dir)).unwrap();
    let counted = |vault: &Vault| {
        let standing = vault.standing(&who("svc")).unwrap();
        (standing.tries.failures, standing.exempt_tries.failures)
    };
    assert_eq!(counted(&vault), (1, 2));
    vault.commit(vec![Change::Succeed(who("svc"), Tally::Exempt)]).await.unwrap();
    assert_eq!(counted(&vault), (1, 0));
    vault.commit(vec![fail(Tally::Exempt), Change::Succeed(who("svc"), Tally::Common)]).await.unwrap();
    assert_eq!(counted(&vault), (0, 1));
    let logged: Vec<_> = vault.changes(Lsn(0), 9).unwrap().into_iter().map(|(_, change)| change).collect();
    assert_eq!(logged[1], fail(Tally::Exempt));
    vault.commit(vec![Change::Unlock(who("svc"))]).await.unwrap();
    assert_eq!((counted(&vault), vault.verify().unwrap()), ((0, 0), Counts::default()));
}
