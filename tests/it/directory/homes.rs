//! Whose an id is that stands in several directories.

use vestibule::directory::homes::Homes;
use vestibule::domain::Account;
use vestibule::domain::Change;
use vestibule::domain::Identity;
use vestibule::domain::Timestamp;
use vestibule::ports::Store;
use vestibule::store::Memory;

use super::*;

const ID: &str = "S-1-5-21-1-2-3-1104";

fn homes(sections: &[(&str, Option<&str>)], store: &Arc<dyn Store>) -> Homes {
    let all: Vec<_> =
        sections.iter().map(|(name, same_as)| Settings { name: (*name).to_owned(), same_as: same_as.map(str::to_owned), ..settings(&[]) }).collect();
    Homes::new(&all, Arc::clone(store))
}

async fn with_account(identity: &str, directory: &str) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let account = Account::new(Identity(identity.to_owned()), "alice", Some(directory.to_owned()), Timestamp(1));
    store.commit(vec![Change::PutAccount(Box::new(account))]).await.unwrap();
    store
}

fn whose(homes: &Homes, directory: &str) -> String {
    homes.whose(directory, ID.to_owned()).unwrap().0
}

#[tokio::test]
async fn m_20_one_id_in_two_directories_is_two_people() {
    let store = with_account(ID, "corp").await;
    let both = homes(&[("corp", None), ("lab", None)], &store);
    assert_eq!(whose(&both, "corp"), ID, "added while corp was alone");
    assert_eq!(whose(&both, "lab"), format!("{ID}@lab"));
    // Whoever has no account yet gets one that is of one directory from the beginning.
    let store = with_account("S-1-5-18", "corp").await;
    let both = homes(&[("corp", None), ("lab", None)], &store);
    assert_eq!((whose(&both, "corp"), whose(&both, "lab")), (format!("{ID}@corp"), format!("{ID}@lab")));
}

#[tokio::test]
async fn one_directory_alone_knows_its_people_by_the_bare_id_whatever_it_is_called() {
    let store = with_account(ID, "corp").await;
    assert_eq!(whose(&homes(&[("corp", None)], &store), "corp"), ID);
    assert_eq!(whose(&homes(&[("renamed", None)], &store), "renamed"), ID);
    assert_eq!(homes(&[("corp", None)], &store).whose("corp", "S-1-5-18".to_owned()).unwrap().0, "S-1-5-18");
    // Added while there were two, and still there.
    let housed = format!("{ID}@corp");
    let store = with_account(&housed, "corp").await;
    assert_eq!(whose(&homes(&[("corp", None)], &store), "corp"), housed);
}

#[tokio::test]
async fn sections_of_the_very_same_directory_know_the_same_people() {
    let store = with_account(ID, "catalog").await;
    let joined = homes(&[("corp", None), ("catalog", Some("corp"))], &store);
    assert_eq!((whose(&joined, "corp"), whose(&joined, "catalog")), (ID.to_owned(), ID.to_owned()));
    let three = homes(&[("corp", None), ("catalog", Some("corp")), ("lab", None)], &store);
    assert_eq!((whose(&three, "corp"), whose(&three, "catalog"), whose(&three, "lab")), (ID.to_owned(), ID.to_owned(), format!("{ID}@lab")));
    let renamed = homes(&[("main", Some("catalog")), ("lab", None)], &store);
    assert_eq!((whose(&renamed, "main"), whose(&renamed, "lab")), (ID.to_owned(), format!("{ID}@lab")));
    // Nobody says that it is the one that is gone.
    assert_eq!(whose(&homes(&[("main", None), ("lab", None)], &store), "main"), format!("{ID}@main"));
}
