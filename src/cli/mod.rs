//! The command line: one file a noun, and what all of them share.

mod audit;
mod backup;
mod block;
mod bypass;
mod check;
mod client;
mod demo;
mod exempt;
mod init;
mod log;
mod output;
mod pages;
mod reload;
mod secret;
mod serve;
mod server;
mod support;
mod token;
mod typed;
mod user;

use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;

use crate::app;
use output::Failure;

/// Two-step verification in front of everything that speaks RADIUS or LDAP.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, about, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 fine, 1 failed, 2 wrong usage, 3 wrong configuration\nPages to read: /usr/share/doc/vestibule/README.md, or docs/README.md of the sources"
)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try the whole thing with no set-up, unprivileged, in a temporary folder
    Demo(demo::Options),
    /// Set it up: asks, tries each answer, writes the configuration, enrols the first person and tries a login
    Init(init::Options),
    /// Run the server
    ///
    /// One JSON line on standard output says when every door is open. SIGHUP reads the configuration anew, SIGTERM lets logins under way finish and ends. The log goes to standard error.
    Serve(serve::Options),
    /// Validate a configuration, and ask everything it names whether it is well
    Check(check::Options),
    /// Have the server read its configuration anew, and tell what is wrong with it
    Reload(reload::Options),
    /// Accounts: who may log in with a second factor
    #[command(subcommand)]
    User(user::Verb),
    /// Tokens: what makes people's codes, apps and hardware
    #[command(subcommand)]
    Token(token::Verb),
    /// Bypasses: somebody's next login needs no second factor, once
    #[command(subcommand)]
    Bypass(bypass::Verb),
    /// Blocks: people and telephone numbers that nobody comes in with
    #[command(subcommand)]
    Block(block::Verb),
    /// Clients, RADIUS and LDAP: who signs, how long each waits, and what a login would come to
    #[command(subcommand)]
    Client(client::Verb),
    /// The audit: how logins ended and why, and whether nobody changed what was written of it
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Write accounts and tokens into a sealed file, while the server runs
    Backup(backup::BackupOptions),
    /// Make the store anew out of a backup, while no server runs
    Restore(backup::RestoreOptions),
    /// Seal all secrets in the store with a new data key, while the server runs
    Rekey(server::Reach),
    /// Secrets: put them where the configuration looks for them
    #[command(subcommand)]
    Secret(secret::Verb),
    /// Gather what somebody who helps needs to know, without secrets
    Support(support::Options),
    /// Exemptions: service accounts that need no second factor
    #[command(subcommand)]
    Exempt(exempt::Verb),
    /// The log: how much the running server writes
    #[command(subcommand)]
    Log(log::Verb),
    /// Write manual pages and shell completions
    #[command(hide = true)]
    Pages(pages::Options),
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    // Before any secret is read. A server tries once more, and says so where it cannot.
    let _ = app::keep_memory_private();
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    let done = match line.command {
        Command::Demo(options) => wait(demo::run(options)),
        // What it does before there is a second thread holds for all of them, so it makes its runtime itself.
        Command::Serve(options) => serve::run(&options),
        Command::Init(options) => wait(init::run(&options)),
        Command::Check(options) => wait(check::run(&options)),
        Command::Reload(options) => wait(reload::run(&options)),
        Command::User(verb) => wait(user::run(verb)),
        Command::Token(verb) => wait(token::run(verb)),
        Command::Bypass(verb) => wait(bypass::run(verb)),
        Command::Block(verb) => wait(block::run(verb)),
        Command::Client(verb) => wait(client::run(verb)),
        Command::Audit(verb) => wait(audit::run(verb)),
        Command::Backup(options) => wait(backup::backup(&options)),
        Command::Restore(options) => wait(backup::restore(options)),
        Command::Rekey(reach) => wait(backup::rekey(&reach)),
        Command::Secret(verb) => secret::run(verb),
        Command::Support(options) => wait(support::run(&options)),
        Command::Exempt(verb) => wait(exempt::run(verb)),
        Command::Pages(options) => pages::run(&options, Line::command()),
        Command::Log(verb) => wait(log::run(verb)),
    };
    done.map_or_else(Failure::tell, |()| ExitCode::SUCCESS)
}

/// Does this work to its end, on a runtime of its own.
fn wait(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(Failure::failed(format!("the system gives no threads: {error}"), "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit_code(line: &str) -> i32 {
        Line::try_parse_from(line.split_whitespace()).map_or_else(|error| error.exit_code(), |_| 0)
    }

    #[test]
    fn the_command_line_is_sound() {
        Line::command().debug_assert();
    }

    #[test]
    fn every_command_has_its_manual_page_and_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        pages::run(&pages::Options { folder: folder.path().to_owned() }, Line::command()).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(read("man/vestibule-user-add.1").contains("--csv".replace('-', "\\-").as_str()));
        assert!(!folder.path().join("man/vestibule-pages.1").exists(), "a hidden command has none");
        assert!(!folder.path().join("man/vestibule-help.1").exists() && !folder.path().join("man/vestibule-user-help.1").exists(), "nor has `help`");
        for file in ["vestibule.bash", "_vestibule", "vestibule.fish"] {
            assert!(read(&format!("completions/{file}")).contains("check"), "{file}");
        }
    }

    #[test]
    fn every_command_of_the_contract_is_understood() {
        for line in [
            "vestibule demo --once --json --port-base 0",
            "vestibule serve --config f.toml",
            "vestibule check --config f.toml --offline --json",
            "vestibule check --config f.toml",
            "vestibule user add alice --directory corp --method push --mail a@b --phone +49",
            "vestibule user add bob --backup-phone +49301 --given-name Bob --language de --device duo=DP1:phone --device duo=DP2",
            "vestibule user add --csv people.csv",
            "vestibule user set alice --phone +49301 --notes x --method none --device none",
            "vestibule user set alice --pin",
            "vestibule token backup alice --count 5 --for 8h --json",
            "vestibule token backup alice --revoke",
            "vestibule user list --search al --json --socket /run/x.sock",
            r"vestibule user show CORP\alice --directory corp",
            "vestibule user unlock alice --config f.toml",
            "vestibule token enrol alice --svg q.svg --algorithm sha256 --digits 8 --period 60",
            "vestibule token enrol alice --hotp",
            "vestibule token resync alice 123456 654321",
            "vestibule token resync abc 123456 654321 111111 --directory corp",
            "vestibule token import keys.xml --key-file k --assign who.csv",
            "vestibule token import keys.xml --password-file p",
            "vestibule token list",
            "vestibule token list alice --json",
            "vestibule token remove abc",
            "vestibule bypass grant alice --for 10m --reason phone",
            "vestibule bypass list --json",
            "vestibule bypass revoke alice",
            "vestibule block add alice --directory corp --for 90d --reason fraud",
            "vestibule block add --phone +491705550142 --json",
            "vestibule block list --json",
            "vestibule block remove alice",
            "vestibule block remove --phone +491705550142",
            "vestibule client list --json",
            "vestibule client list --wide",
            "vestibule user list --wide",
            "vestibule reload --socket /run/x.sock --json",
            "vestibule client add fw1 --network 192.0.2.1,2001:db8::/64 --profile fortigate --first directory=corp --policy vpn",
            "vestibule client show fortigate",
            "vestibule client simulate --client fortigate --user alice --password-stdin --code 123456 --from 192.0.2.7 --ask --json",
            "vestibule client sessions --search alice --json",
            "vestibule exempt list --json --socket /run/x.sock",
            "vestibule log level",
            "vestibule log level debug --for 15m --json",
            "vestibule audit tail -n 20 --follow --json",
            "vestibule audit verify --json",
            "vestibule audit explain 0123 --config f.toml",
            "vestibule backup --new-key",
            "vestibule backup --new-key --key-file k",
            "vestibule backup b.vestibule --key-file k --config f.toml",
            "vestibule restore b.vestibule --key-file k --config f.toml --hotp-jump 50",
            "vestibule rekey --socket /run/x.sock",
            "vestibule secret set duo-key --config f.toml",
            "vestibule secret make master-key --root /mnt",
            "vestibule secret make master-key --file master --show",
            "vestibule init",
            "vestibule init --config f.toml --force",
            "vestibule init --answers a.toml --config f.toml --json",
            "vestibule support --config f.toml",
            "vestibule support s.json --config f.toml --names",
        ] {
            assert_eq!(exit_code(line), 0, "{line}");
        }
    }

    /// The words of the first command in a line of shell.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for sign in line.chars() {
            match (quote, sign) {
                (Some(open), sign) if sign == open => quote = None,
                (None, '"' | '\'') => {
                    quote = Some(sign);
                    word.get_or_insert_default();
                }
                (None, '#' | '|' | '>' | ';' | '&') => break,
                (None, ' ') => words.extend(word.take()),
                (_, sign) => word.get_or_insert_default().push(sign),
            }
        }
        words.extend(word);
        words
    }

    /// Every command that a page has: those to paste, which must be whole, and those in a sentence, which may stop anywhere.
    fn commands(page: &str) -> (Vec<&str>, Vec<&str>) {
        let (mut pasted, mut told, mut fence) = (Vec::new(), Vec::new(), None);
        for line in page.lines() {
            match (line.trim_start().strip_prefix("```"), fence) {
                (Some(kind), None) => fence = Some(kind),
                (Some(_), Some(_)) => fence = None,
                (None, Some("sh")) => pasted.extend(line.starts_with("vestibule ").then_some(line)),
                (None, Some(_)) => {}
                (None, None) => told.extend(line.split('`').skip(1).step_by(2).filter(|span| span.starts_with("vestibule "))),
            }
        }
        (pasted, told)
    }

    #[test]
    fn every_command_of_the_documentation_is_understood() {
        use clap::error::ErrorKind;
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let pages = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
        let (mut count, mut wrong) = (0, Vec::new());
        for page in pages.filter(|path| path.extension().is_some_and(|kind| kind == "md")).chain([root.join("README.md")]) {
            let text = std::fs::read_to_string(&page).unwrap();
            let (pasted, told) = commands(&text);
            let parse = |line: &str| Line::try_parse_from(words(line)).err();
            let unknown = |error: &clap::Error| matches!(error.kind(), ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument | ErrorKind::ArgumentConflict);
            let pasted = pasted.iter().map(|line| (line, parse(line)));
            let told = told.iter().map(|line| (line, parse(line).filter(unknown)));
            for (line, error) in pasted.chain(told) {
                count += 1;
                wrong.extend(error.map(|error| format!("{}: {line}\n{error}", page.display())));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(count > 100, "only {count} commands were found");
    }

    #[test]
    fn wrong_usage_is_two() {
        for line in [
            "vestibule init --json",
            "vestibule backup b.vestibule",
            "vestibule backup b.vestibule --new-key",
            "vestibule restore b.vestibule --config f.toml",
            "vestibule secret set duo-key hunter2",
            "vestibule secret make k --file f --root /mnt",
            "vestibule audit tail -n 0",
            "vestibule log level loud",
            "vestibule log level --for 15m",
            "vestibule log level debug --for 25h",
            "vestibule audit explain",
            "vestibule user import",
            "vestibule user add",
            "vestibule user add alice --csv people.csv",
            "vestibule user set alice --device duo",
            "vestibule token enrol alice --digits 5",
            "vestibule token backup alice --for 25h",
            "vestibule token resync alice 123456",
            "vestibule token import keys.xml --password-file p --key-file k",
            "vestibule user set alice --pin 4711",
            "vestibule token enrol alice --period 45",
            "vestibule token enrol alice --hotp --period 60",
            "vestibule user add alice --method telepathy",
            "vestibule bypass grant alice --for ever",
            "vestibule bypass grant alice --for 25h",
            "vestibule bypass grant alice --for 0s",
            "vestibule block add",
            "vestibule block add alice --phone +491705550142",
            "vestibule block add alice --for 366d",
            "vestibule demo --port-base 65535",
            "vestibule user add alice --mail foo",
            "vestibule user",
            "vestibule client add fw1",
            "vestibule client add ../fw1 --network 192.0.2.1",
            "vestibule client add fw1 --network 192.0.2.1 --profile fortgate",
            "vestibule client simulate --client fortigate",
            "vestibule client simulate --client fortigate --user alice --from nowhere",
        ] {
            assert_eq!(exit_code(line), 2, "{line}");
        }
    }
}
