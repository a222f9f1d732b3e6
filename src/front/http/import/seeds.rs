//! Files of hardware tokens: what every form of them comes to, and tables of them.

use zeroize::Zeroizing;

use super::csv::Row;
use super::csv::Table;
use crate::domain::Secret;
use crate::domain::TokenKind;
use crate::domain::otp::Algorithm;

/// A token in a file.
#[derive(Debug)]
pub(in crate::front::http) struct Found {
    /// Where it stands, from 1 on.
    pub(in crate::front::http) line: u64,
    /// What is printed on it.
    pub(in crate::front::http) serial: String,
    pub(in crate::front::http) seed: Secret,
    pub(in crate::front::http) kind: TokenKind,
    pub(in crate::front::http) algorithm: Algorithm,
    pub(in crate::front::http) digits: u8,
    /// The first counter that was not used; 0 where codes go by time.
    pub(in crate::front::http) next_step: u64,
    /// Whose it is to be: a name, and the directory where it must be said.
    pub(in crate::front::http) owner: Option<(String, Option<String>)>,
}

/// Who is to have a token.
#[derive(Debug)]
pub(in crate::front::http) struct Assignment {
    /// Where it stands, from 1 on.
    pub(in crate::front::http) line: u64,
    /// The token.
    pub(in crate::front::http) serial: String,
    /// As [`Found::owner`].
    pub(in crate::front::http) owner: (String, Option<String>),
}

/// What is wrong, and where; line 0 is the file as a whole.
pub(in crate::front::http) type Wrong = (u64, String);

/// Tokens in one file.
pub(in crate::front::http) const TOKENS_MAX: usize = 10_000;

/// Reads a table of tokens. What it says of one that is not wrong is a token that codes can be made with.
///
/// # Errors
/// All lines that are wrong.
pub(in crate::front::http) fn table(text: &str) -> Result<Vec<Found>, Vec<Wrong>> {
    let named = renamed(text);
    let table = Table::read(&named, COLUMNS, TOKENS_MAX).map_err(|wrong| vec![wrong])?;
    for needed in ["serial", "secret"] {
        if !table.has(needed) {
            return Err(vec![(1, format!("there is no column {needed:?}: the first line names the columns, at least serial and secret"))]);
        }
    }
    all(table.rows().iter().map(|row| found(&table, row).map_err(|error| (row.line, error))))
}

/// Who is to have which token.
///
/// # Errors
/// All lines that are wrong.
pub(in crate::front::http) fn assignments(text: &str) -> Result<Vec<Assignment>, Vec<Wrong>> {
    let named = renamed(text);
    let table = Table::read(&named, &["serial", "owner", "directory"], TOKENS_MAX).map_err(|wrong| vec![wrong])?;
    let read = |row: &Row| {
        let serial = table.cell(row, "serial").ok_or("there is no serial number")?;
        let owner = table.cell(row, "owner").ok_or("there is no owner")?;
        let owner = (owner.to_owned(), table.cell(row, "directory").map(str::to_owned));
        Ok(Assignment { line: row.line, serial: serial.to_owned(), owner })
    };
    all(table.rows().iter().map(|row| read(row).map_err(|error: &str| (row.line, error.to_owned()))))
}

/// All of it, or all that is wrong.
pub(super) fn all<T>(each: impl Iterator<Item = Result<T, Wrong>>) -> Result<Vec<T>, Vec<Wrong>> {
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for one in each {
        match one {
            Ok(one) => good.push(one),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.is_empty() { Ok(good) } else { Err(wrong) }
}

/// A token as every file describes it, checked: `kind` in `totp`, `hotp`; hash in `SHA1`, `SHA256`, `SHA512`.
///
/// # Errors
/// What nobody's codes could be checked with.
pub(super) fn checked(found: Found) -> Result<Found, String> {
    if !(6..=8).contains(&found.digits) {
        return Err(format!("codes of {} digits are not possible: 6, 7 or 8", found.digits));
    }
    if let TokenKind::Totp { period_s } = found.kind
        && ![30, 60].contains(&period_s)
    {
        return Err(format!("codes that live {period_s} s are not possible: 30 or 60"));
    }
    if !(SEED_BYTES_MIN..=SEED_BYTES_MAX).contains(&found.seed.len()) {
        return Err(format!("the secret has {} bytes: {SEED_BYTES_MIN} to {SEED_BYTES_MAX} are possible", found.seed.len()));
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if found.serial.is_empty() || found.serial.len() > SERIAL_LEN_MAX || !found.serial.chars().all(fine) {
        return Err(format!("{:?} is no serial number: 1 to 64 letters, digits, `.`, `_` and `-`", found.serial));
    }
    Ok(found)
}

/// The hash of that name.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    match name.to_ascii_uppercase().trim_start_matches("HMAC-").replace('-', "").as_str() {
        "SHA1" => Some(Algorithm::Sha1),
        "SHA256" => Some(Algorithm::Sha256),
        "SHA512" => Some(Algorithm::Sha512),
        _ => None,
    }
}

fn found(table: &Table, row: &Row) -> Result<Found, String> {
    let number = |column: &'static str, usual: u64| match table.cell(row, column) {
        Some(text) => text.parse::<u64>().map_err(|_| format!("{column}: {text:?} is no number")),
        None => Ok(usual),
    };
    let period_s = u32::try_from(number("interval", 30)?).unwrap_or(u32::MAX);
    let kind = match table.cell(row, "type").unwrap_or("totp").to_ascii_lowercase().as_str() {
        "totp" | "time" => TokenKind::Totp { period_s },
        "hotp" | "event" | "counter" => TokenKind::Hotp,
        other => return Err(format!("{other:?} is no type: totp or hotp")),
    };
    let hash = table.cell(row, "algorithm").unwrap_or("SHA1");
    checked(Found {
        line: row.line,
        serial: table.cell(row, "serial").ok_or("there is no serial number")?.to_owned(),
        seed: seed(table.cell(row, "secret").ok_or("there is no secret")?).ok_or("the secret is neither hexadecimal nor Base32")?,
        kind,
        algorithm: algorithm(hash).ok_or_else(|| format!("{hash:?} is no hash: SHA1, SHA256 or SHA512"))?,
        digits: u8::try_from(number("digits", 6)?).unwrap_or(u8::MAX),
        next_step: if kind == TokenKind::Hotp { number("counter", 0)? } else { 0 },
        owner: table.cell(row, "owner").map(|owner| (owner.to_owned(), table.cell(row, "directory").map(str::to_owned))),
    })
}

/// Hexadecimal where every letter could be so, for a Base32 text is never of those letters alone (1 in 10^7 even at 10 bytes); else Base32 (RFC 4648 §6).
pub(super) fn seed(text: &str) -> Option<Secret> {
    let plain: Zeroizing<String> = Zeroizing::new(text.chars().filter(|c| !" -=".contains(*c)).collect());
    if plain.len().is_multiple_of(2) && plain.bytes().all(|digit| digit.is_ascii_hexdigit()) { hex(&plain) } else { base32(&plain) }
}

/// Bytes in hexadecimal.
pub(super) fn hex(text: &str) -> Option<Secret> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().filter(|pair| !pair.contains('+')).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    text.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>().map(Secret::new)
}

/// RFC 4648 §6 without padding, in letters of either kind.
pub(in crate::front::http) fn base32(text: &str) -> Option<Secret> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut held, mut bits) = (0_u32, 0_u32);
    for letter in text.bytes() {
        let value = match letter.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        held = (held << 5 | u32::from(value)) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    // What is left over is less than a letter and nothing but zeros, else letters are missing.
    let rest = held & ((1 << bits) - 1);
    (bits < 5 && rest == 0).then(|| Secret::new(bytes))
}

/// The table with the columns of other servers' tables under the names they have here.
fn renamed(text: &str) -> Zeroizing<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (header, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut header = header.to_ascii_lowercase().replace(['-', '_'], " ");
    for (theirs, ours) in
        [("serial number", "serial"), ("secret key", "secret"), ("time interval", "interval"), ("upn", "owner"), ("username", "owner"), ("seed", "secret")]
    {
        header = header.replace(theirs, ours);
    }
    Zeroizing::new(format!("{header}\n{rest}"))
}

const COLUMNS: &[&str] = &["serial", "secret", "type", "interval", "digits", "algorithm", "counter", "owner", "directory", "manufacturer", "model"];
/// RFC 4226 wants 16; tokens of 10 are about.
const SEED_BYTES_MIN: usize = 10;
const SEED_BYTES_MAX: usize = 128;
const SERIAL_LEN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hexadecimal_or_base32() {
        let plain = |text: &str| seed(text).map(|seed| seed.expose().to_vec());
        assert_eq!(plain("3132333435363738393031323334353637383930"), Some(b"12345678901234567890".to_vec()));
        assert_eq!(plain("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), Some(b"12345678901234567890".to_vec()));
        assert_eq!(plain("gezd gnbv-gy3tqojqgezdgnbvgy3tqojq"), Some(b"12345678901234567890".to_vec()));
        assert_eq!(plain("MZXW6YTBOI======"), Some(b"foobar".to_vec()));
        for wrong in ["GEZDGNBV1", "M", "MZ8", "ü", "MZXW6YTBOJ"] {
            assert_eq!(plain(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_table_of_another_server_is_read() {
        let text = "upn,serial number,secret key,time interval,manufacturer,model\nann@corp.example,1234567,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ,60,Contoso,Key\n";
        let found = table(text).unwrap();
        let [token] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((token.serial.as_str(), token.kind, token.digits), ("1234567", TokenKind::Totp { period_s: 60 }, 6));
        assert_eq!(token.owner, Some(("ann@corp.example".to_owned(), None)));
        assert_eq!(token.seed, Secret::from("12345678901234567890"));
    }

    #[test]
    fn every_wrong_line_is_told() {
        let good = "GEZDGNBVGY3TQOJQ";
        let text = format!(
            "serial,secret,type,interval,digits,algorithm\nS1,{good}GEZA,,45,,\nS2,hello!,,,,\n,{good}GEZA,,,,\nS4,{good}GEZA,rsa,,,\nS5,{good}GEZA,,,9,\nS6,{good}GEZA,,,,md5\nS 7,{good}GEZA,,,,\nS8,GEZA,,,,\nS9,{good}GEZA,hotp,,8,sha256\n"
        );
        let wrong = table(&text).unwrap_err();
        assert_eq!(wrong.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8, 9], "{wrong:?}");
        assert!(!wrong.iter().any(|(_, error)| error.contains(good) || error.contains("hello")), "no secret is told");
        assert!(table("name\nx\n").is_err());
    }
}
