//! The processes, played by a shell script that answers as it is told and writes down what it was asked.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;
use tokio::time::Instant;

use super::*;

const YES: &str = r"printf 'Authenticated: Yes\nUser-Session-Key: E6249FAFE3E2B7872A55267ED43FF7B1\n.\n'";
const NO: &str = r"printf 'Authenticated: No\nAuthentication-Error: %s\n.\n.\n' 'The user account has expired.'";
const DENIED: WinbindError = WinbindError::Refused(Refused::AccountExpired);
const AWAY: WinbindError = WinbindError::Outage(Outage::Directory);

/// A program that runs `reply` whenever a question ends, and the winbind that uses it.
pub(super) struct Stage {
    folder: TempDir,
    pub(super) winbind: Arc<Winbind>,
}

impl Stage {
    pub(super) fn new(reply: &str) -> Self {
        Self::of(reply, 4)
    }

    fn of(reply: &str, helpers_max: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("ntlm_auth");
        let (pids, asked) = (folder.path().join("pids"), folder.path().join("asked"));
        let script = format!(
            "#!/bin/sh\necho $$ >>{pids:?}\necho \"$*\" >>{asked:?}\nwhile IFS= read -r line; do\n  printf '%s\\n' \"$line\" >>{asked:?}\n  if [ \"$line\" = . ]; then\n{reply}\n  fi\ndone\n"
        );
        write_elsewhere(&program, &script);
        let settings = Settings { name: "corp".to_owned(), program, helpers_max, timeout: Duration::from_secs(30) };
        Self { folder, winbind: Winbind::new(settings) }
    }

    async fn check(&self) -> Result<HashHash, WinbindError> {
        self.winbind.check("CORP", "alice", &[0xa1; 8], &[0xb2; 24]).await
    }

    fn pids(&self) -> Vec<String> {
        fs::read_to_string(self.folder.path().join("pids")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    pub(super) fn asked(&self) -> Vec<String> {
        fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// Written by another process: a program that somebody has open for writing cannot be started, and a test beside this one may fork at any moment.
fn write_elsewhere(path: &Path, text: &str) {
    let mut cat = std::process::Command::new("/bin/sh").arg("-c").arg("cat >\"$0\"").arg(path).stdin(Stdio::piped()).spawn().unwrap();
    cat.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(cat.wait().unwrap().success());
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
}

/// Whether all of these have been killed, as soon as the kernel gets to it. What is left of a process until somebody asks for it counts as dead.
async fn all_end(pids: &[String]) -> bool {
    let lives = |pid: &String| fs::read_to_string(Path::new("/proc").join(pid).join("stat")).is_ok_and(|stat| !stat.contains(") Z "));
    for _ in 0..100_000 {
        if !pids.iter().any(lives) {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test]
async fn r_092_a_right_response_brings_the_key_of_the_session() {
    let stage = Stage::new(YES);
    let key = stage.check().await.unwrap();
    assert_eq!((key[0], key[15]), (0xe6, 0xb1));
    assert_eq!(
        stage.asked(),
        [
            "--helper-protocol=ntlm-server-1 --allow-mschapv2",
            "NT-Domain:: Q09SUA==",
            "Username:: YWxpY2U=",
            "LANMAN-Challenge: a1a1a1a1a1a1a1a1",
            "NT-Response: b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2",
            "Request-User-Session-Key: Yes",
            "."
        ]
    );
}

#[tokio::test]
async fn one_process_answers_question_after_question_through_both_dots_of_a_refusal() {
    let stage = Stage::new(&format!("count=$((count+1))\nif [ $((count%2)) = 1 ]; then {NO}; else {YES}; fi"));
    for _ in 0..3 {
        assert_eq!(stage.check().await.err(), Some(DENIED));
        assert!(stage.check().await.is_ok());
    }
    assert_eq!(stage.pids().len(), 1);
}

#[tokio::test]
async fn a_process_that_dies_is_an_outage_once_and_then_replaced() {
    let stage = Stage::new(&format!("if [ ! -e \"$0.once\" ]; then : >\"$0.once\"; exit 0; fi\n{YES}"));
    assert_eq!(stage.check().await.err(), Some(AWAY));
    assert!(stage.check().await.is_ok());
    assert_eq!(stage.pids().len(), 2);
}

#[tokio::test]
async fn a_process_that_died_while_nobody_asked_is_replaced_unnoticed() {
    let stage = Stage::new(&format!("{YES}; exit 0"));
    for _ in 0..3 {
        assert!(stage.check().await.is_ok());
        // Its end, and with it the end of its output, is what one waits for.
        let mut idle = std::mem::take(&mut *stage.winbind.idle());
        idle[0].child.wait().await.unwrap();
        stage.winbind.idle().append(&mut idle);
    }
    assert_eq!(stage.pids().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_never_answers_is_killed_at_the_deadline_and_replaced() {
    let stage = Stage::new(&format!("if [ ! -e \"$0.once\" ]; then : >\"$0.once\"; else {YES}; fi"));
    // Started before time may jump: what is measured is its silence.
    let begun = Instant::now();
    assert_eq!(stage.check().await.err(), Some(AWAY));
    assert_eq!(begun.elapsed(), Duration::from_secs(30));
    assert!(all_end(&stage.pids()).await);
}

#[tokio::test]
async fn nonsense_ends_a_process_before_its_next_word_could_be_anothers_answer() {
    for nonsense in [
        r"printf 'Error: hex decode failed\n.\n'",
        r"printf 'Authenticated: Yes\n.\n'",
        r"printf '%s\n' 'Authenticated: Maybe'",
        r"printf '\377\n'",
        // No end of a line, for ever.
        r"while :; do printf 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' || exit; done",
    ] {
        let stage = Stage::new(nonsense);
        for tries in 1..=2 {
            assert_eq!(stage.check().await.err(), Some(AWAY), "{nonsense}");
            assert_eq!(stage.pids().len(), tries);
        }
        assert!(all_end(&stage.pids()).await, "{nonsense}");
    }
}

#[tokio::test]
async fn a_word_too_many_ends_a_process_too() {
    // Two answers to one question: the second would be the next person's.
    let stage = Stage::new(&format!("{YES}; {YES}"));
    let first = stage.check().await;
    if first.is_ok() {
        // The words came one by one; the second answer lies in the pipe, and once it does the process is not asked again.
        let mut idle = std::mem::take(&mut *stage.winbind.idle());
        while idle[0].is_ready() {
            tokio::task::yield_now().await;
        }
        stage.winbind.idle().append(&mut idle);
        assert!(stage.winbind.take().is_none());
    }
    assert!(stage.winbind.idle().is_empty());
}

#[tokio::test]
async fn words_about_no_person_are_an_outage() {
    let stage = Stage::new(r"printf 'Authenticated: No\nAuthentication-Error: Reading winbind reply failed!\n.\n.\n'");
    assert_eq!(stage.check().await.err(), Some(AWAY));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_outage() {
    let program = PathBuf::from("/nonexistent/ntlm_auth");
    let winbind = Winbind::new(Settings { name: "corp".to_owned(), program, helpers_max: 1, timeout: Duration::from_secs(30) });
    assert_eq!(winbind.check("CORP", "alice", &[0; 8], &[0; 24]).await.err(), Some(AWAY));
}

#[tokio::test]
async fn no_typed_sign_is_a_line() {
    let stage = Stage::new(YES);
    for user in ["alice\n.\nUsername: bob", "alice\0", "alice\r", "", &"a".repeat(257)] {
        for (domain, user) in [("CORP", user), (user, "alice"), ("CORP", "bob@example.test"), ("CORP", r"OTHER\alice")] {
            let refused = stage.winbind.check(domain, user, &[0; 8], &[0; 24]).await.err();
            assert_eq!(refused, Some(WinbindError::Refused(Refused::UnknownName)), "{user:?}");
            assert_eq!(stage.winbind.change(domain, user, &[0; 516], &[0; 16]).await, Err(PasswordError::WrongOld));
        }
    }
    assert!(stage.asked().is_empty());
    for user in [".", "a: b", ": ", "Username: bob", "jörg müller", &"ä".repeat(128)] {
        assert!(stage.winbind.check("CORP", user, &[0; 8], &[0; 24]).await.is_ok(), "{user:?}");
        let asked = stage.asked();
        let typed = asked.iter().rev().find_map(|line| line.strip_prefix("Username:: ")).unwrap();
        assert_eq!(STANDARD.decode(typed).unwrap(), user.as_bytes());
    }
    // Six questions, six dots.
    assert_eq!(stage.asked().iter().filter(|line| *line == ".").count(), 6);
}

#[tokio::test]
async fn many_share_one_process() {
    let stage = Stage::of(YES, 1);
    let (one, two, three) = tokio::join!(stage.check(), stage.check(), stage.check());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(stage.pids().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_process_waits_no_longer_than_a_while() {
    let stage = Stage::of(":", 1);
    let begun = Instant::now();
    let (first, second) = tokio::join!(stage.check(), stage.check());
    assert_eq!(first.err(), Some(AWAY));
    assert!(matches!(second.err(), Some(WinbindError::Outage(_))));
    // For the other's process, and for one of its own.
    assert!(begun.elapsed() <= Duration::from_secs(60));
}

#[tokio::test]
async fn a_question_given_up_ends_its_process() {
    let stage = Stage::new(":");
    let mut asking = Box::pin(stage.check());
    while !stage.asked().iter().any(|line| line == ".") {
        tokio::select! {
            _ = &mut asking => panic!("nobody answered"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(asking);
    // Its late answer is nobody's: the process is not among those that wait.
    assert!(stage.winbind.idle().is_empty());
}

#[tokio::test]
async fn r_095_a_change_is_asked_for_once_by_a_process_of_its_own() {
    let stage = Stage::new(r"printf 'Password-Change: Yes\n.\n'");
    assert_eq!(stage.winbind.change("CORP", "alice", &[0xc3; 516], &[0xd4; 16]).await, Ok(()));
    let asked = stage.asked();
    assert_eq!(asked[..3], ["--helper-protocol=ntlm-change-password-1", "NT-Domain:: Q09SUA==", "Username:: YWxpY2U="]);
    assert_eq!(asked[3], format!("new-nt-password-blob: {}", "c3".repeat(516)));
    assert_eq!(asked[4..], [format!("old-nt-hash-blob: {}", "d4".repeat(16)), ".".to_owned()]);
    assert!(stage.winbind.idle().is_empty());
    assert!(all_end(&stage.pids()).await);
    let rule = Stage::new(r"printf 'Password-Change: No\nPassword-Change-Error: Password restriction\n.\n.\n'");
    assert_eq!(rule.winbind.change("CORP", "alice", &[0; 516], &[0; 16]).await, Err(PasswordError::Refused));
    let dead = Stage::new("exit 0");
    assert_eq!(dead.winbind.change("CORP", "alice", &[0; 516], &[0; 16]).await, Err(PasswordError::Outage(Outage::Directory)));
}

#[tokio::test]
async fn how_it_is_is_asked_about_a_name_that_no_account_can_have() {
    let stage = Stage::new(r"printf 'Authenticated: No\nAuthentication-Error: %s\n.\n.\n' 'The specified account does not exist.'");
    assert_eq!(stage.winbind.probe("CORP").await, Ok(()));
    let names: Vec<_> = stage.asked().iter().filter_map(|line| line.strip_prefix("Username:: ").map(str::to_owned)).collect();
    assert_eq!(names.iter().map(|name| STANDARD.decode(name).unwrap()).collect::<Vec<_>>(), [b"vestibule:check?"]);
    let away =
        Stage::new(r"printf 'Authenticated: No\nAuthentication-Error: %s\n.\n.\n' 'No logon servers are currently available to service the logon request.'");
    assert!(away.winbind.probe("CORP").await.unwrap_err().contains("No logon servers"));
    let settings = Settings { name: "corp".to_owned(), program: "/nonexistent".into(), helpers_max: 1, timeout: Duration::from_secs(30) };
    assert!(Winbind::new(settings).probe("CORP").await.unwrap_err().contains("cannot be started"));
}
