//! One-time codes (RFC 4226, RFC 6238): SHA-1, six digits, thirty seconds.

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha1::Sha1;

use crate::Fault;

pub const PERIOD_S: u64 = 30;

pub fn code(key: &[u8], step: u64) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let at = usize::from(digest[19] & 15);
    let word = u32::from_be_bytes([digest[at] & 0x7f, digest[at + 1], digest[at + 2], digest[at + 3]]);
    format!("{:06}", word % 1_000_000)
}

/// Keys in hex, one a line, by the users' numbers.
pub fn keys(path: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let key = |line: &str| (0..line.len()).step_by(2).map(|at| line.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())).collect::<Option<_>>();
    text.lines().enumerate().map(|(at, line)| key(line).ok_or_else(|| format!("{path}:{}: no key in hex", at + 1).into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_6238_appendix_b() {
        for (time, expected) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")] {
            assert_eq!(code(b"12345678901234567890", time / PERIOD_S), expected);
        }
    }
}
