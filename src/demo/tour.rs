//! The scripted tour: logins that must go well and logins that must not, with what happened behind them.

use std::io::Write;

use tokio::time::Instant;

use super::DemoError;
use super::clients;
use super::clients::Bound;
use super::clients::Heard;
use super::directory::Lab;
use super::house::House;
use crate::wire::radius::Code;

/// Prints as it goes and remembers whether everything went as it must.
#[derive(Debug)]
pub(super) struct Tour {
    /// To standard error, because standard output is for machines.
    aside: bool,
    stop: u32,
    went_wrong: u32,
}

/// What stood behind the doors before a step.
struct Before {
    binds: u64,
    pushes: u64,
    began: Instant,
}

impl Tour {
    pub(super) fn new(aside: bool) -> Self {
        Self { aside, stop: 0, went_wrong: 0 }
    }

    /// Walks all of it; says whether every login went as it must.
    pub(super) async fn walk(&mut self, house: &House) -> bool {
        self.line("");
        if let Err(error) = self.radius(house).await {
            self.broken(&error);
        }
        if let Err(error) = self.ldap(house).await {
            self.broken(&error);
        }
        let verdict = match self.went_wrong {
            0 => "\nEvery login went as it must: the right ones in, the wrong ones out.".to_owned(),
            wrong => format!("\n{wrong} logins did NOT go as they must."),
        };
        self.line(&verdict);
        self.line(&format!("The tour has used up a code of alice's: her app shows a fresh one in {} s at the latest.", house.next_code_s()));
        self.went_wrong == 0
    }

    async fn radius(&mut self, house: &House) -> Result<(), DemoError> {
        let server = house.radius()?;
        let alice = house.guest("alice")?;
        self.head("RADIUS", "alice, with a wrong password");
        let before = self.before(house, "alice");
        let heard = self.request(server, "alice", "not-her-password", None).await?;
        self.behind(house, "alice", &before);
        self.must(heard.code == Code::AccessReject && heard.signed_first);

        self.head("RADIUS", "alice, with her password and a wrong code");
        let before = self.before(house, "alice");
        let heard = self.request(server, "alice", alice.password, None).await?;
        let state = self.challenged(&heard);
        let heard = self.request(server, "alice", "000000", Some(&state)).await?;
        self.behind(house, "alice", &before);
        self.must(heard.code == Code::AccessReject);

        self.head("RADIUS", "alice, with her password and the right code");
        let before = self.before(house, "alice");
        let heard = self.request(server, "alice", alice.password, None).await?;
        let state = self.challenged(&heard);
        let code = house.code(alice).unwrap_or_default();
        let heard = self.request(server, "alice", &code, Some(&state)).await?;
        self.behind(house, "alice", &before);
        self.must(heard.code == Code::AccessAccept && heard.signed_first);

        self.head("RADIUS", "alice, with the same code once more");
        let heard = self.request(server, "alice", alice.password, None).await?;
        let state = self.challenged(&heard);
        let heard = self.request(server, "alice", &code, Some(&state)).await?;
        self.must(heard.code == Code::AccessReject);
        Ok(())
    }

    async fn ldap(&mut self, house: &House) -> Result<(), DemoError> {
        let (bob, carol) = (house.guest("bob")?, house.guest("carol")?);
        self.head("LDAP", "bob, with a wrong password: his phone stays quiet");
        let pushes = house.cloud.pushes("bob");
        let bound = self.bind(house, "bob", "not-his-password").await?;
        self.must(bound.code == 49 && house.cloud.pushes("bob") == pushes);

        self.head("LDAP", "bob, with his password: his phone asks and he approves");
        let pushes = house.cloud.pushes("bob");
        let bound = self.bind(house, "bob", bob.password).await?;
        self.must(bound.code == 0 && bound.found.is_some() && house.cloud.pushes("bob") == pushes.saturating_add(1));

        self.head("LDAP", "carol, with her password: her phone asks and she says no");
        let bound = self.bind(house, "carol", carol.password).await?;
        self.must(bound.code == 49 && bound.whoami.is_none());
        Ok(())
    }

    async fn request(&mut self, server: std::net::SocketAddr, name: &str, password: &str, state: Option<&[u8]>) -> Result<Heard, DemoError> {
        let shown = if state.is_some() { format!("{password} (the code), State") } else { "*".repeat(password.len()) };
        self.line(&format!("     → Access-Request     User-Name {name}, User-Password {shown}"));
        let began = Instant::now();
        let heard = clients::nas(server, name, password, state).await?;
        let (code, after) = (rfc_name(heard.code), began.elapsed().as_secs_f64());
        let extra = if heard.state.is_some() { ", State" } else { "" };
        let message = if heard.message.is_empty() { String::new() } else { format!("Reply-Message {:?}{extra}   ", heard.message) };
        self.line(&format!("     ← {code:<18} {message}({after:.1} s)"));
        Ok(heard)
    }

    async fn bind(&mut self, house: &House, name: &str, password: &str) -> Result<Bound, DemoError> {
        let before = self.before(house, name);
        let dn = format!("{name}@{}", Lab::DOMAIN);
        self.line(&format!("     → BindRequest        {dn}, {}", "*".repeat(password.len())));
        let bound = clients::application(house.ldap()?, &dn, password).await?;
        let result = match bound.code {
            0 => "success (0)".to_owned(),
            49 => "invalidCredentials (49)".to_owned(),
            other => format!("resultCode {other}"),
        };
        self.line(&format!("     ← BindResponse       {result}   ({:.1} s)", before.began.elapsed().as_secs_f64()));
        if let Some(whoami) = &bound.whoami {
            self.line(&format!("     ← Who am I?          {whoami}"));
        }
        if let Some(found) = &bound.found {
            self.line(&format!("     ← SearchResultEntry  {found}"));
        }
        self.behind(house, name, &before);
        Ok(bound)
    }

    fn challenged(&mut self, heard: &Heard) -> Vec<u8> {
        if heard.code != Code::AccessChallenge {
            self.line("     !! an Access-Challenge was due");
        }
        heard.state.clone().unwrap_or_default()
    }

    fn before(&self, house: &House, name: &str) -> Before {
        Before { binds: house.directory.binds_of(name), pushes: house.cloud.pushes(name), began: Instant::now() }
    }

    /// What the login cost behind the door.
    fn behind(&self, house: &House, name: &str, before: &Before) {
        let binds = house.directory.binds_of(name).saturating_sub(before.binds);
        let pushes = house.cloud.pushes(name).saturating_sub(before.pushes);
        self.line(&format!(
            "       behind the door: {}, {}",
            times(binds, "bind at the directory", "binds at the directory"),
            times(pushes, "push to the phone", "pushes to the phone")
        ));
    }

    fn head(&mut self, door: &str, what: &str) {
        self.stop = self.stop.saturating_add(1);
        self.line(&format!("  {}  {door}: {what}", self.stop));
    }

    fn must(&mut self, went: bool) {
        if !went {
            self.went_wrong = self.went_wrong.saturating_add(1);
        }
        self.line(if went { "     as it must be\n" } else { "     NOT as it must be\n" });
    }

    fn broken(&mut self, error: &DemoError) {
        self.went_wrong = self.went_wrong.saturating_add(1);
        self.line(&format!("     broke off: {error}"));
    }

    /// A reader who has gone away is no reason to stop.
    fn line(&self, text: &str) {
        let _ = if self.aside { writeln!(std::io::stderr(), "{text}") } else { writeln!(std::io::stdout(), "{text}") };
    }
}

fn rfc_name(code: Code) -> &'static str {
    match code {
        Code::AccessAccept => "Access-Accept",
        Code::AccessChallenge => "Access-Challenge",
        Code::AccessReject => "Access-Reject",
        _ => "another reply",
    }
}

fn times(count: u64, one: &str, many: &str) -> String {
    match count {
        0 => format!("no {one}"),
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}
