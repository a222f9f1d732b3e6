//! Who people are at Okta, and by what they can be asked: looked up, and known for a minute.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use reqwest::Method as Verb;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::Okta;
use super::answer::Factor;
use super::answer::User;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::provider::http::segment;
use crate::provider::object::Object;

/// Those who were looked up lately.
#[derive(Debug, Default)]
pub(super) struct People(Mutex<HashMap<String, (Instant, Arc<Person>)>>);

/// Somebody there, and by what they can be asked.
#[derive(Debug)]
pub(super) struct Person {
    /// `/api/v1/users/{id}`
    path: String,
    factors: Vec<Factor>,
}

impl People {
    fn find(&self, login: &str) -> Option<Arc<Person>> {
        let people = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        people.get(login).filter(|(until, _)| Instant::now() < *until).map(|(_, person)| Arc::clone(person))
    }

    fn keep(&self, login: String, person: Arc<Person>) {
        let now = Instant::now();
        let mut people = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if people.len() >= PEOPLE_MAX {
            people.retain(|_, (until, _)| now < *until);
        }
        if people.len() >= PEOPLE_MAX {
            people.clear();
        }
        people.insert(login, (now.checked_add(KNOWN_FOR).unwrap_or(now), person));
    }
}

impl Okta {
    /// The person, as asked within the last minute or now.
    pub(super) async fn person(&self, asking: &Asking) -> Result<Arc<Person>, FactorError> {
        let login = self.settings.login.of(&asking.account).ok_or(FactorError::NotEnrolled)?;
        if let Some(person) = self.people.find(&login).filter(|person| person.factors.iter().any(|factor| factor.does(asking.choice.method))) {
            return Ok(person);
        }
        let person = Arc::new(self.look_up(&login).await?);
        self.people.keep(login, Arc::clone(&person));
        Ok(person)
    }

    async fn look_up(&self, login: &str) -> Result<Person, FactorError> {
        let name = segment(login).ok_or(FactorError::NotEnrolled)?;
        let found = self.send(Verb::GET, format!("/api/v1/users/{name}"), HeaderMap::new(), None).await?;
        let user: User = found.object().filter(|_| found.status == 200).ok_or_else(|| self.refused(&found, false))?;
        if !user.is(login) {
            return Err(self
                .complaints
                .misconfigured("user", "Okta answers with another user than the one asked for: are `user` and `domain` the whole login people have there?"));
        }
        match user.status.as_str() {
            "ACTIVE" | "PASSWORD_EXPIRED" | "PROVISIONED" | "RECOVERY" => {}
            "LOCKED_OUT" => return Err(FactorError::Locked),
            _ => return Err(FactorError::NotEnrolled),
        }
        let path = format!("/api/v1/users/{}", user.id);
        let listed = self.send(Verb::GET, format!("{path}/factors"), HeaderMap::new(), None).await?;
        let factors: Option<Vec<Object<Factor>>> = serde_json::from_slice(&listed.body).ok().filter(|_| listed.status == 200);
        let factors = factors.ok_or_else(|| self.refused(&listed, false))?;
        Ok(Person { path, factors: factors.into_iter().map(|Object(factor)| factor).collect() })
    }
}

impl Person {
    /// The paths of the factors that can do it: those that the account names come first.
    pub(super) fn factors_for<'a>(&'a self, asking: &Asking) -> impl Iterator<Item = String> + use<'a> {
        let named: Vec<&str> =
            asking.account.devices.iter().filter(|device| *device.provider == *asking.choice.provider).map(|device| device.id.as_str()).collect();
        let mut able: Vec<&Factor> = self.factors.iter().filter(|factor| factor.does(asking.choice.method)).collect();
        able.sort_by_key(|factor| !named.contains(&factor.id.as_str()));
        able.into_iter().map(|factor| format!("{}/factors/{}", self.path, factor.id))
    }
}

/// How long a person's factors are taken for known.
const KNOWN_FOR: Duration = Duration::from_secs(60);
const PEOPLE_MAX: usize = 4_096;
