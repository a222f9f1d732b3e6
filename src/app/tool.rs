//! Programs of the system that are asked something: they have a deadline, and what they are told stands in no argument and no file.

use std::io;
use std::io::Read;
use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Output;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use zeroize::Zeroizing;

/// Starts it, hands it `input`, and waits until it has ended. Blocks.
///
/// # Errors
/// There is no such program, or it has not ended in time: then it is killed.
pub(super) fn ask(command: &mut Command, input: &[u8], deadline: Duration) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let input = Zeroizing::new(input.to_vec());
        // One that reads nothing would hold us up; one that wants no more of it says why.
        std::thread::spawn(move || stdin.write_all(&input));
    }
    let [stdout, stderr] = [child.stdout.take().map(all_of), child.stderr.take().map(all_of)];
    let status = ended(&mut child, deadline)?;
    let heard = |from: Option<Receiver<Vec<u8>>>| from.and_then(|from| from.recv_timeout(REST).ok()).unwrap_or_default();
    Ok(Output { status, stdout: heard(stdout), stderr: heard(stderr) })
}

/// Reads on while it runs: a full pipe would stop it.
fn all_of(from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (done, waiting) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
        let _ = done.send(bytes);
    });
    waiting
}

fn ended(child: &mut Child, deadline: Duration) -> io::Result<ExitStatus> {
    let looks = deadline.as_millis().div_ceil(LOOK.as_millis());
    for _ in 0..looks {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::park_timeout(LOOK);
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("it has not ended after {} s", deadline.as_secs())))
}

/// How often one looks whether it has ended.
const LOOK: Duration = Duration::from_millis(10);
/// How long its last words may still take: somebody whom it started may hold the pipe open.
const REST: Duration = Duration::from_secs(1);
const ANSWER_BYTES_MAX: u64 = 1 << 23;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_its_input_and_heard_to_the_end() {
        let long = vec![b'x'; 300_000];
        let heard = ask(Command::new("sh").args(["-c", "cat; echo why >&2; exit 3"]), &long, Duration::from_secs(60)).unwrap();
        assert_eq!((heard.stdout.len(), heard.stderr.as_slice(), heard.status.code()), (long.len(), b"why\n".as_slice(), Some(3)));
        let deaf = ask(Command::new("sh").args(["-c", "exec 0<&-; echo done"]), &long, Duration::from_secs(60)).unwrap();
        assert_eq!(deaf.stdout, b"done\n");
    }

    #[test]
    fn one_that_never_ends_is_killed() {
        let error = ask(Command::new("sh").args(["-c", "exec sleep 600"]), &[7; 300_000], Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let absent = ask(&mut Command::new("/no/such/tool"), b"", Duration::from_secs(1)).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
    }
}
