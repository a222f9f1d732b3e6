//! The story of one login in plain words: what happened when, how it ended, and what to do about it.

use crate::app::shapes::Login;

/// Its lines.
pub(super) fn tell(at: &str, login: &Login) -> Vec<String> {
    let from = login.source.as_ref().map(|source| format!(", from {source}")).unwrap_or_default();
    let whose = login.identity.as_ref().map_or_else(|| "nobody whose account is known".to_owned(), |identity| identity.clone());
    let mut lines = vec![
        format!("Login of {:?} at {} by {}{from}", login.login, login.client, if login.door == "ldap" { "LDAP" } else { "RADIUS" }),
        format!("  who      {whose}"),
        format!("  policy   {}", login.policy),
        format!("  ended    {at}, after {}", time(login.ms)),
        format!("  trace    {}", login.trace),
        String::new(),
        moment(0, &format!("asked; this client is taken to wait {}", time(login.within_ms))),
    ];
    // Of all that were asked the last one alone stands in the account: what went before it was another's, or may have been.
    let last = login.steps.iter().rposition(|(_, word)| ASKED.contains(&word.as_str())).unwrap_or_default();
    let named = |at| login.provider.as_deref().filter(|_| at >= last);
    lines.extend(login.steps.iter().enumerate().map(|(at, (ms, word))| moment(*ms, &step(word, named(at)))));
    if login.repeats > 0 {
        let times = if login.repeats == 1 { "once".to_owned() } else { format!("{} times", login.repeats) };
        lines.push(moment(login.heard_ms, &format!("the client asked again, {times} in all, here for the last time")));
    }
    lines.push(moment(login.ms, &ended(login)));
    lines.extend(result(login));
    lines.extend(advice(login));
    lines
}

/// Milliseconds for people.
pub(super) fn time(ms: u32) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1_000, ms % 1_000 / 100) }
}

fn moment(ms: u32, what: &str) -> String {
    format!("{:>5}.{:03} s  {what}", ms / 1_000, ms % 1_000)
}

fn step(word: &str, provider: Option<&str>) -> String {
    let provider = provider.map(|provider| format!(" ({provider})")).unwrap_or_default();
    match word {
        "first_passed" => "the password was right".to_owned(),
        "push" => "a question was sent to the phone".to_owned(),
        "call" => "the phone was called".to_owned(),
        "text" => "a code was sent by text message".to_owned(),
        "email" => "a code was sent by mail".to_owned(),
        "oath" => "a code was asked for".to_owned(),
        "challenged" => "the person was asked for something where they log in (Access-Challenge)".to_owned(),
        "answered" => "the person answered".to_owned(),
        "approved" => "the second factor said yes".to_owned(),
        "backup_code" => "a backup code stood in for the second factor, and is used up".to_owned(),
        "bad_code" => "the code was wrong, used up or too old".to_owned(),
        "expired" => "nobody answered the question in time".to_owned(),
        "locked" => format!("the provider has locked this person out{provider}"),
        "misconfigured" => format!("the provider refuses us or answers nonsense: our key or account there is wrong{provider}"),
        "no_pin" => "the policy wants a PIN in front of the code, and this person has none: `vestibule user set NAME --pin` sets one".to_owned(),
        "not_enrolled" => format!("the person has nothing there that this method could use{provider}"),
        "throttled" => format!("the provider wants fewer requests{provider}"),
        "faltering" => format!("a request to the provider failed{provider}"),
        "unreachable" => format!("the provider does not answer{provider}"),
        "pushes_spent" => "this person was asked too often and is not asked this way now".to_owned(),
        "pin_expired" => "the PIN is too old".to_owned(),
        other => other.replace('_', " "),
    }
}

fn ended(login: &Login) -> String {
    let why = login.why.replace('_', " ");
    match login.decision.as_str() {
        "accept" => format!("let in: {}", grant(&login.why)),
        "reject" => match &login.detail {
            Some(detail) => format!("refused: {why} ({})", detail.replace('_', " ")),
            None => format!("refused: {why}"),
        },
        "drop" => format!("not answered, so that the client asks another server: our {why} failed"),
        "given_up" => format!("the {} gave up after {}: nobody waited for the answer any more", client(login), time(login.ms)),
        other => other.to_owned(),
    }
}

fn grant(why: &str) -> String {
    match why {
        "factor" => "both factors passed".to_owned(),
        "bypass" => "the password, and a one-time bypass that is spent now".to_owned(),
        "disabled" => "the password; the account is disabled here and the policy lets such people in".to_owned(),
        "exempt" => "the password; the account is exempt where it came from".to_owned(),
        "fail_open" => "the password alone: no provider could be reached and the policy is open then".to_owned(),
        "joined" => "the same login was let in a moment ago".to_owned(),
        "provider_bypass" => "the password; the provider's own rules ask this person for nothing".to_owned(),
        "remembered" => "the password, and a second factor that is still remembered".to_owned(),
        "trusted_network" => "the password, from a trusted network".to_owned(),
        "unenrolled" => "the password; the person has no account and the policy lets such people in".to_owned(),
        other => other.replace('_', " "),
    }
}

fn result(login: &Login) -> Option<String> {
    login.result.as_ref().map(|result| format!("             (Azure Multi-Factor Authentication Server called this {result})"))
}

fn client(login: &Login) -> &'static str {
    if login.door == "ldap" { "application" } else { "VPN" }
}

/// What an administrator would want to know next.
fn advice(login: &Login) -> Vec<String> {
    let said = |text: String| vec![String::new(), text];
    let asked = login.steps.iter().any(|(_, word)| ASKED.contains(&word.as_str()) && word != "oath");
    match (login.decision.as_str(), login.why.as_str()) {
        ("given_up", _) if asked => said(format!(
            "The {} stopped waiting after {}, before the person answered. People need 30 s and more: raise its time-out (to 60 s) and see what `patience` says here.",
            client(login),
            time(login.ms)
        )),
        ("given_up", _) => said(format!(
            "The {} stopped waiting after {}, before the password was checked: how fast does the directory answer?",
            client(login),
            time(login.ms)
        )),
        // Whoever still waits asks again every few seconds.
        ("accept", "factor") if login.repeats > 0 && login.ms.saturating_sub(login.heard_ms) > SILENCE_MS => said(format!(
            "The {} was last heard of after {}, and the answer went out after {}. If nobody got in, it gave up in between: raise its time-out.",
            client(login),
            time(login.heard_ms),
            time(login.ms)
        )),
        ("accept", "factor") if login.ms.saturating_add(LAST_MS) > login.within_ms && login.within_ms > 0 => {
            said(format!("The answer took {} and this client is taken to wait {}: that was close.", time(login.ms), time(login.within_ms)))
        }
        ("reject", "no_answer") => {
            said("Nobody answered in time. Does the phone ring? `vestibule client simulate --ask`, for a RADIUS client and this person, rings it.".to_owned())
        }
        ("reject", "factor_unavailable") => said("No provider could ask this person: `vestibule check` shows how each of them is.".to_owned()),
        ("reject", "unenrolled") => said("There is no account here for this person: `vestibule user add` makes one.".to_owned()),
        ("reject", "no_method") => said("This person has none of the methods that the policy allows: `vestibule user show` tells what there is.".to_owned()),
        ("reject", "locked") => said("Too many wrong passwords or codes: `vestibule user unlock` ends it at once.".to_owned()),
        ("reject", "blocked") => said("`vestibule block list` tells since when and why; `vestibule block remove` ends it.".to_owned()),
        _ => Vec::new(),
    }
}

/// A provider was asked for one of these.
const ASKED: [&str; 5] = ["push", "call", "text", "email", "oath"];
/// A client that waits repeats itself more often than this.
const SILENCE_MS: u32 = 12_000;
/// What is left on the way back.
const LAST_MS: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn login(decision: &str, why: &str, ms: u32, steps: &[(u32, &str)]) -> Login {
        Login {
            trace: "0".repeat(32),
            door: "radius".into(),
            client: "fortigate".into(),
            login: "alice".into(),
            identity: Some("S-1-5-21-1".into()),
            source: Some("192.0.2.7".into()),
            policy: "vpn".into(),
            decision: decision.into(),
            why: why.into(),
            detail: None,
            method: Some("push".into()),
            provider: Some("duo".into()),
            result: None,
            first_ms: None,
            second_ms: None,
            ms,
            within_ms: 58_000,
            repeats: 0,
            heard_ms: 0,
            steps: steps.iter().map(|(ms, word)| (*ms, (*word).to_owned())).collect(),
        }
    }

    fn text(login: &Login) -> String {
        tell("2026-01-01T00:00:00.000Z", login).join("\n")
    }

    #[test]
    fn a_client_that_gives_up_is_told_in_plain_words() {
        let told = text(&login("given_up", "second_factor", 10_012, &[(9, "first_passed"), (10, "push")]));
        assert!(told.contains("the VPN gave up after 10.0 s"), "{told}");
        assert!(told.contains("raise its time-out"), "{told}");
    }

    #[test]
    fn an_answer_to_somebody_who_was_not_heard_of_any_more_is_told() {
        let late = Login { repeats: 2, heard_ms: 6_000, ..login("accept", "factor", 31_000, &[(9, "first_passed"), (10, "push"), (30_990, "approved")]) };
        assert!(text(&late).contains("last heard of after 6.0 s, and the answer went out after 31.0 s"), "{}", text(&late));
        let fine = Login { repeats: 2, heard_ms: 28_000, ..late };
        assert!(!text(&fine).contains("gave up"), "{}", text(&fine));
    }

    /// The push failed at another provider than the one whose code was asked for then.
    #[test]
    fn a_failure_is_said_of_a_provider_only_where_it_was_the_last_one_asked() {
        let steps = [(9, "first_passed"), (10, "push"), (20, "misconfigured"), (21, "oath"), (900, "unreachable")];
        let told = text(&Login { provider: Some("tokens".into()), ..login("reject", "factor_unavailable", 1_000, &steps) });
        assert!(told.contains("account there is wrong\n") && told.contains("does not answer (tokens)"), "{told}");
    }

    #[test]
    fn a_plain_login_is_told_step_by_step() {
        let told = text(&login("accept", "factor", 8_100, &[(12, "first_passed"), (13, "push"), (8_090, "approved")]));
        let order = ["asked", "the password was right", "a question was sent to the phone", "the second factor said yes", "let in: both factors passed"];
        let found: Vec<usize> = order.iter().map(|part| told.find(part).unwrap_or_else(|| panic!("{part}: {told}"))).collect();
        assert!(found.is_sorted(), "{told}");
    }
}
