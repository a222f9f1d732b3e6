//! `vestibule audit ..`: what became of logins, told line by line or as a story, and whether nobody changed it.

mod story;

use clap::Subcommand;
use reqwest::Method;

use super::output::Failure;
use super::output::harmless;
use super::output::or_dash;
use super::output::progress;
use super::output::say;
use super::output::say_json;
use super::output::say_table;
use super::server::NOTHING;
use super::server::Reach;
use super::server::Server;
use crate::app::shapes::AuditPage;
use crate::app::shapes::Entry;
use crate::app::shapes::Login;
use crate::app::shapes::Record;
use crate::app::shapes::Verified;

/// What can be done with the audit; nobody can write in it.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show the last logins; with --json the lines as they stand in the file
    Tail {
        /// How many
        #[arg(short = 'n', long = "lines", value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        count: u16,
        /// Go on with each new one until you stop it
        #[arg(long)]
        follow: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Check that no line was changed, left out or put in
    Verify {
        #[command(flatten)]
        reach: Reach,
    },
    /// Tell the story of one login
    Explain {
        /// Its trace id, from `audit tail` or the log
        trace: String,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Does it.
///
/// # Errors
/// What the server says; that a line is wrong.
pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Tail { count, follow, reach } => tail(count, follow, &reach).await,
        Verb::Verify { reach } => verify(&reach).await,
        Verb::Explain { trace, reach } => explain(&trace, &reach).await,
    }
}

async fn tail(count: u16, follow: bool, reach: &Reach) -> Result<(), Failure> {
    let server = Server::new(reach)?;
    let mut page: AuditPage = server.get(&["audit"], &[("count", &count.to_string())]).await?;
    show(&page.lines, reach.json, true)?;
    let mut last = page.lines.last().map_or(0, |line| number(line));
    if !follow {
        return Ok(());
    }
    loop {
        let after = last.to_string();
        page = server.get(&["audit"], &[("after", &after), ("wait_s", "25"), ("count", "1000")]).await?;
        show(&page.lines, reach.json, false)?;
        last = page.lines.last().map_or(last, |line| number(line));
    }
}

fn show(lines: &[String], json: bool, header: bool) -> Result<(), Failure> {
    if json {
        return lines.iter().try_for_each(|line| say(line));
    }
    let records = lines.iter().map(|line| read(line)).collect::<Result<Vec<_>, _>>()?;
    let rows: Vec<_> = records.iter().map(row).collect();
    let names: &[&str] = if header { &["AT", "NAME", "CLIENT", "FROM", "DECISION", "WHY", "TIME", "TRACE"] } else { &[] };
    if rows.is_empty() && !header { Ok(()) } else { say_table(names, &rows) }
}

fn row(record: &Record) -> Vec<String> {
    let at = record.at.clone();
    let told = |what: String| vec![at.clone(), String::new(), String::new(), String::new(), what, String::new(), String::new(), String::new()];
    match &record.what {
        Entry::Login(login) => vec![
            at,
            harmless(&login.login),
            login.client.clone(),
            or_dash(login.source.as_deref()),
            login.decision.clone(),
            why(login),
            story::time(login.ms),
            login.trace.clone(),
        ],
        Entry::Lost { lines: 0 } => told("lines may be lost".to_owned()),
        Entry::Lost { lines } => told(format!("{lines} lines were lost")),
        Entry::Opened { .. } => told("a file begins".to_owned()),
    }
}

fn why(login: &Login) -> String {
    match &login.method {
        Some(method) => format!("{} ({method})", login.why),
        None => login.why.clone(),
    }
}

async fn verify(reach: &Reach) -> Result<(), Failure> {
    let server = Server::new(reach)?;
    let files: Vec<u64> = server.get(&["audit", "files"], &[]).await?;
    let mut found: Vec<Verified> = Vec::new();
    let bar = progress(files.len(), "files checked");
    for file in &files {
        let mut one: Verified = server.ask(Method::GET, &["audit", "files", &file.to_string()], &[], NOTHING).await?;
        if let (Some(before), None) = (found.last(), &one.wrong)
            && before.wrong.is_none()
            && (before.seal != one.prev || before.last.saturating_add(1) != one.first)
        {
            one.wrong = Some((1, format!("lines are missing before it: number {} should follow number {}", one.first, before.last)));
        }
        found.push(one);
        bar.step();
    }
    bar.done();
    if reach.json {
        say_json(&found)?;
    }
    let lines: u64 = found.iter().map(|file| file.lines).sum();
    match found.iter().find_map(|file| file.wrong.as_ref().map(|wrong| (file.first, wrong))) {
        Some((file, (line, wrong))) => {
            Err(Failure::failed(format!("{file:020}.jsonl, line {line}: {wrong}"), "compare it with what your log server has; the lines before it are right"))
        }
        None if found.iter().any(|file| !file.lost.is_empty()) => Err(Failure::failed(
            format!("{lines} lines are right, but others are lost: {}", lost(&found)),
            "the log of the server says why: its queue or disk was full, or somebody took lines away; compare with what your log server has",
        )),
        None if reach.json => Ok(()),
        None => say(&match (found.first(), found.last()) {
            (Some(first), Some(last)) => format!("{lines} lines in {} files, numbers {} to {}: all are right", files.len(), first.first, last.last),
            _ => "the audit is empty".to_owned(),
        }),
    }
}

/// `3 before number 17, some before number 20`
fn lost(files: &[Verified]) -> String {
    let told = |(seq, lines): &(u64, u64)| match lines {
        0 => format!("perhaps some before number {seq}"),
        lines => format!("{lines} before number {seq}"),
    };
    files.iter().flat_map(|file| file.lost.iter().map(told)).collect::<Vec<_>>().join(", ")
}

async fn explain(trace: &str, reach: &Reach) -> Result<(), Failure> {
    let page: AuditPage = Server::new(reach)?.get(&["audit", "logins", trace], &[]).await?;
    if reach.json {
        return page.lines.iter().try_for_each(|line| say(line));
    }
    for line in &page.lines {
        let record = read(line)?;
        if let Entry::Login(login) = &record.what {
            for told in story::tell(&record.at, login) {
                say(&harmless(&told))?;
            }
        }
    }
    Ok(())
}

fn read(line: &str) -> Result<Record, Failure> {
    serde_json::from_str(line)
        .map_err(|error| Failure::failed(format!("a line of the audit is not understood: {error}"), "is the command as old as the server?"))
}

fn number(line: &str) -> u64 {
    read(line).map_or(0, |record| record.seq)
}
