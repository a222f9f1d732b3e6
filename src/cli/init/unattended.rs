//! `--answers`: a file answers, and nobody is asked.

use std::fs;
use std::path::Path;

use super::end;
use super::failed;
use super::steps;
use super::steps::Report;
use super::steps::Serving;
use crate::app::config;
use crate::app::config::AnsweredUser;
use crate::app::config::Answers;
use crate::app::init;
use crate::app::init::Draft;
use crate::app::init::Ground;
use crate::app::init::Made;
use crate::app::init::machine;
use crate::app::init::service;
use crate::app::shapes::Enrolled;
use crate::app::shapes::Once;
use crate::cli::output::Failure;
use crate::cli::output::complain;
use crate::cli::output::say;
use crate::cli::output::say_json;
use crate::cli::server::Server;
use crate::cli::token;

/// Does it.
///
/// # Errors
/// What is wrong with the answers or does not work by them; then nothing is written. What fails later leaves the configuration as it is.
pub(super) async fn run(ground: &Ground, file: &Path, json: bool) -> Result<(), Failure> {
    let answers = config::answers(file).map_err(|problems| Failure::Config(problems.iter().map(ToString::to_string).collect()))?;
    let draft = init::from_answers(&answers, &ground.draft())
        .ok_or_else(|| Failure::failed("a secret that the answers name can no longer be read", "nothing was changed"))?;
    let config = steps::checked(ground, &draft)?;
    let said = steps::asked(&config).await;
    if !said.wrong.is_empty() {
        return Err(Failure::failed(said.wrong.join("\n"), "nothing was changed"));
    }
    let made = ground.make(&draft).map_err(|error| failed(&error))?;
    let client = draft.client.as_ref().map(|client| client.name.clone()).unwrap_or_default();
    let mut report = Report { made, client, notes: said.notes, ..Report::default() };
    let wanted = answers.start || answers.user.is_some();
    let worked = if wanted { serve(ground, &draft, &answers, &mut report, json).await } else { Ok(()) };
    let waiting = answers.user.as_ref().filter(|_| report.user.is_none()).map(|user| user.name.as_str());
    report.next = steps::next(ground, report.running, waiting);
    if json {
        say_json(&report)?;
    } else {
        tell(ground, &draft, &report)?;
    }
    worked
}

/// Starts a server where there is a way to, and brings the first person to it.
async fn serve(ground: &Ground, draft: &Draft, answers: &Answers, report: &mut Report, json: bool) -> Result<(), Failure> {
    let managed = answers.start && service::is_managed(ground) || service::runs(&ground.config);
    if answers.user.is_none() && !managed {
        return Ok(());
    }
    let serving = match Serving::begin(ground, draft, &report.made, answers.start).await {
        Ok(serving) => serving,
        Err(why) => {
            report.undone.push(format!("the server was not started: {why}"));
            return Err(Failure::failed(format!("the server was not started: {why}"), "everything is written; what to type next is above"));
        }
    };
    report.running = serving.stays();
    let worked = match &answers.user {
        Some(user) => person(ground, draft, user, report, json).await,
        None => Ok(()),
    };
    serving.end().await;
    worked.inspect_err(|failure| report.undone.push(failure.words()))
}

async fn person(ground: &Ground, draft: &Draft, user: &AnsweredUser, report: &mut Report, json: bool) -> Result<(), Failure> {
    let server = Server::new(&steps::reach(ground)?)?;
    let (account, _, tokens) = steps::account(&server, draft, &user.name).await?;
    report.user = Some(account.name.clone());
    if tokens > 0 || !draft.has_tokens() {
        return Ok(());
    }
    // The file first: a seed that could then not be written would be lost.
    let file = user.svg.as_deref().map(token::create).transpose()?;
    let enrolled = steps::token(&server, &account).await.inspect_err(|_| {
        let _ = user.svg.as_deref().map(fs::remove_file);
    })?;
    match user.svg.as_deref().zip(file) {
        Some((path, file)) => token::draw(path, file, &enrolled.uri)?,
        None if json => report.otpauth = Some(enrolled.uri.clone()),
        None => say(enrolled.uri.expose())?,
    }
    try_login(&server, draft, user, &enrolled, report).await
}

async fn try_login(server: &Server, draft: &Draft, user: &AnsweredUser, enrolled: &Enrolled, report: &mut Report) -> Result<(), Failure> {
    let Some(password) = user.password.as_ref().and_then(|password| password.expose_text()) else { return Ok(()) };
    let told = steps::login(server, draft, &user.name, Once::new(password.to_owned()), machine::code(enrolled)).await?;
    report.verdict = Some(format!("{} ({})", told.verdict, told.why));
    if told.verdict == "accept" {
        return Ok(());
    }
    Err(Failure::failed(
        format!("the login that was tried ended in {} ({})", told.verdict, told.why),
        "everything is written; `vestibule client simulate` tries another one",
    ))
}

fn tell(ground: &Ground, draft: &Draft, report: &Report) -> Result<(), Failure> {
    let Report { made, .. } = report;
    let mut lines = written(made);
    lines.extend(report.user.iter().map(|user| format!("{user} has an account")));
    lines.extend(report.notes.iter().map(|note| format!("worth a second look: {note}")));
    lines.extend(report.verdict.iter().map(|verdict| format!("a login was tried: {verdict}")));
    complain(&lines);
    let read = ground.how_to_read(&report.client);
    say(&end::nas(draft, &format!("The secret of {}, for root: {read}", report.client)))?;
    say(&end::next(&report.next))
}

fn written(made: &Made) -> Vec<String> {
    if !made.changed {
        return vec![format!("{} is as these answers want it: nothing was changed", made.config.display())];
    }
    let mut lines: Vec<_> = made.files.iter().map(|file| format!("written: {}", file.display())).collect();
    lines.extend(made.kept.iter().map(|kept| format!("what was there before is in {}", kept.display())));
    lines.extend(made.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines
}
