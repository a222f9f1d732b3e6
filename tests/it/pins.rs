//! PINs beside codes, through the engine and before the real store: what they count for, what they use up, and what is told of them.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;

use tempfile::TempDir;
use tokio::sync::watch;
use vestibule::domain::Change;
use vestibule::domain::Choice;
use vestibule::domain::Decision;
use vestibule::domain::Denial;
use vestibule::domain::Ending;
use vestibule::domain::Grant;
use vestibule::domain::Lock;
use vestibule::domain::Method;
use vestibule::domain::Rules;
use vestibule::domain::Secret;
use vestibule::domain::Timestamp;
use vestibule::domain::Trace;
use vestibule::domain::pin::Pin;
use vestibule::domain::pin::PinPlace;
use vestibule::engine::Asks;
use vestibule::engine::Engine;
use vestibule::ports::Store;
use vestibule::ports::audit::Audit;
use vestibule::ports::audit::Verified;
use vestibule::store::Vault;
use vestibule::stretch;

use crate::races::Corp;
use crate::races::LONG;
use crate::races::NOW;
use crate::races::accepted;
use crate::races::alice;
use crate::races::at_once;
use crate::races::code;
use crate::races::request;
use crate::races::stage;

/// Every ending that was told.
#[derive(Debug, Default)]
struct Endings(Mutex<Vec<Ending>>);

impl Audit for Endings {
    fn note(&self, ending: Ending) {
        self.0.lock().unwrap().push(ending);
    }

    fn newest(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    fn tail(&self, _: Option<u64>, _: usize) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn find(&self, _: Trace) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn files(&self) -> io::Result<Vec<u64>> {
        Ok(Vec::new())
    }

    fn verify(&self, _: u64) -> io::Result<Verified> {
        Ok(Verified::default())
    }
}

/// Alice has the PIN 4711.
async fn with_pin() -> (TempDir, Arc<Vault>, Vec<Arc<Engine>>) {
    let (folder, vault, engines) = stage(1).await;
    let hash = stretch::hash(&Secret::from("4711")).await.unwrap();
    let pin = Pin { hash, length: 4, earlier: Vec::new(), set_at: Timestamp(0) };
    vault.commit(vec![Change::PutPin { who: alice(), pin }]).await.unwrap();
    (folder, vault, engines)
}

fn rules(place: PinPlace, failures_max: u32) -> Arc<Rules> {
    let choice = Choice { pin: Some(place), ..Choice::new(Method::Oath, "tokens") };
    Arc::new(Rules { lock: Lock { failures_max, wait_ms: 900_000, window_ms: 0 }, ..Rules::bare("codes", vec![choice]) })
}

async fn login(engines: &[Arc<Engine>], rules: &Arc<Rules>, number: usize, typed: &str) -> Arc<Decision> {
    at_once(engines, rules, std::iter::once(request(number, "right", Some(typed)))).await.remove(0)
}

#[tokio::test]
async fn m_05_a_wrong_pin_counts_to_the_lock_as_a_wrong_code_does() {
    let (_folder, vault, engines) = with_pin().await;
    let (rules, code) = (rules(PinPlace::Front, 5), code());
    for (number, typed) in (0..).zip([format!("4712{code}"), "4711000000".to_owned(), code.clone(), format!("{code}4711"), format!("0000{code}")]) {
        assert_eq!(*login(&engines, &rules, number, &typed).await, Decision::Reject(Denial::BadCode), "{typed}");
        assert_eq!(vault.standing(&alice()).unwrap().tries.failures, u32::try_from(number).unwrap() + 1, "{typed}");
    }
    assert!(vault.standing(&alice()).unwrap().tries.locked(NOW));
    assert_eq!(*login(&engines, &rules, 9, &format!("4711{code}")).await, Decision::Reject(Denial::Locked));
}

#[tokio::test]
async fn m_30_a_code_behind_a_wrong_pin_is_not_used_up_and_one_with_the_right_pin_is() {
    for place in [PinPlace::Front, PinPlace::Behind] {
        let (_folder, _vault, engines) = with_pin().await;
        let rules = rules(place, 0);
        let typed = |pin: &str| if place == PinPlace::Front { pin.to_owned() + &code() } else { code() + pin };
        assert_eq!(*login(&engines, &rules, 1, &typed("4712")).await, Decision::Reject(Denial::BadCode));
        let right = login(&engines, &rules, 2, &typed("4711")).await;
        assert_eq!(accepted(&[right], Grant::Factor), 1, "{place:?}");
        assert_eq!(*login(&engines, &rules, 3, &typed("4711")).await, Decision::Reject(Denial::BadCode), "the same code again");
    }
}

#[tokio::test]
async fn a_provider_goes_by_the_name_that_the_operator_gave_it_with_a_pin_too() {
    let (_folder, _vault, engines) = with_pin().await;
    let (endings, rules) = (Arc::new(Endings::default()), rules(PinPlace::Front, 0));
    engines[0].report_to(Arc::<Endings>::clone(&endings));
    login(&engines, &rules, 1, "4712000000").await;
    let asked = endings.0.lock().unwrap()[0].asked.clone().unwrap();
    assert_eq!((&*asked.provider, asked.pin), ("tokens", Some(PinPlace::Front)));
    let told = engines[0].simulate(request(2, "right", None), rules, Arc::new(Corp), Asks::default(), LONG).await;
    let told: Vec<_> = told.steps.iter().map(|step| step.told.as_str()).collect();
    assert!(told.iter().any(|step| step.starts_with("oath through tokens, a PIN in front of the code: ")), "{told:?}");
}
