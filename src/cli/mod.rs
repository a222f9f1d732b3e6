//! The command line: one file a noun, and what all of them share.

mod audit;
mod block;
mod bypass;
mod check;
mod client;
mod demo;
mod exempt;
mod output;
mod reload;
mod serve;
mod server;
mod token;
mod user;

use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

use output::Failure;

/// Two-step verification in front of everything that speaks RADIUS or LDAP.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, about, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 fine, 1 failed, 2 wrong usage, 3 wrong configuration")]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try the whole thing with no set-up, unprivileged, in a temporary folder
    Demo(demo::Options),
    /// Run the server
    Serve(serve::Options),
    /// Validate a configuration, and ask everything it names whether it is well
    Check(check::Options),
    /// Have the server read its configuration anew, and tell what is wrong with it
    Reload(reload::Options),
    /// Accounts: who may log in with a second factor
    #[command(subcommand)]
    User(user::Verb),
    /// Code generators
    #[command(subcommand)]
    Token(token::Verb),
    /// Leave to log in once without the second factor
    #[command(subcommand)]
    Bypass(bypass::Verb),
    /// People and telephone numbers that nobody comes in with
    #[command(subcommand)]
    Block(block::Verb),
    /// RADIUS and LDAP clients: who signs, how long each waits, and what a login would come to
    #[command(subcommand)]
    Client(client::Verb),
    /// What became of logins, and whether nobody changed the account of it
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Service accounts that need no second factor
    #[command(subcommand)]
    Exempt(exempt::Verb),
}

/// Reads the command line and does what it says.
pub async fn run() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    let done = match line.command {
        Command::Demo(options) => demo::run(options).await,
        Command::Serve(options) => serve::run(options).await,
        Command::Check(options) => check::run(&options).await,
        Command::Reload(options) => reload::run(&options).await,
        Command::User(verb) => user::run(verb).await,
        Command::Token(verb) => token::run(verb).await,
        Command::Bypass(verb) => bypass::run(verb).await,
        Command::Block(verb) => block::run(verb).await,
        Command::Client(verb) => client::run(verb).await,
        Command::Audit(verb) => audit::run(verb).await,
        Command::Exempt(verb) => exempt::run(verb).await,
    };
    done.map_or_else(Failure::tell, |()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn exit_code(line: &str) -> i32 {
        Line::try_parse_from(line.split_whitespace()).map_or_else(|error| error.exit_code(), |_| 0)
    }

    #[test]
    fn the_command_line_is_sound() {
        Line::command().debug_assert();
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
            "vestibule audit tail -n 20 --follow --json",
            "vestibule audit verify --json",
            "vestibule audit explain 0123 --config f.toml",
        ] {
            assert_eq!(exit_code(line), 0, "{line}");
        }
    }

    #[test]
    fn what_is_not_built_is_unknown_and_wrong_usage_is_two() {
        for line in [
            "vestibule init",
            "vestibule audit tail -n 0",
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
