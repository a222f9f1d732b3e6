//! Distinguished names: read, compared, and written again in one spelling (RFC 4514).

use std::borrow::Cow;
use std::fmt;

/// A distinguished name, the leaf first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dn(Vec<Rdn>);

/// One step of it: type and value, more than one pair only in a multi-valued step.
type Rdn = Vec<(String, String)>;

impl Dn {
    /// Reads a DN of one step or more.
    ///
    /// A numeric type that has a short name is written with it. `#` values, quotes and bare semicolons are refused: only who wants a name to look like another types those.
    pub(super) fn parse(text: &str) -> Option<Self> {
        cut(text, ',').map(rdn).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Whether this is `base` or lies below it; types and values are compared without regard to case (L-076).
    pub(super) fn is_under(&self, base: &Self) -> bool {
        let Some(below) = self.0.len().checked_sub(base.0.len()) else { return false };
        // Mostly they are spelled alike.
        self.0.iter().skip(below).zip(&base.0).all(|(one, other)| one == other || key(one) == key(other))
    }

    /// How many steps it has.
    pub(super) fn depth(&self) -> usize {
        self.0.len()
    }

    /// The `DC` steps at the end: the whole domain that this lies in; itself where there are none.
    pub(super) fn domain(&self) -> Self {
        let is_step = |rdn: &&Rdn| matches!(rdn.as_slice(), [(name, _)] if one_name(name) == "dc");
        let others = self.0.len().saturating_sub(self.0.iter().rev().take_while(is_step).count());
        Self(self.0.get(others..).filter(|steps| !steps.is_empty()).unwrap_or(&self.0).to_vec())
    }

    /// The DNS name that the `DC` steps spell: `example.test` for `OU=Staff,DC=example,DC=test`; empty where there are none.
    pub(super) fn dns_domain(&self) -> String {
        let labels = self.0.iter().filter_map(|rdn| match rdn.as_slice() {
            [(name, value)] if one_name(name) == "dc" => Some(value.to_lowercase()),
            _ => None,
        });
        labels.collect::<Vec<_>>().join(".")
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, rdn) in self.0.iter().enumerate() {
            for (nth, (name, value)) in rdn.iter().enumerate() {
                let before = match (at, nth) {
                    (0, 0) => "",
                    (_, 0) => ",",
                    _ => "+",
                };
                write!(f, "{before}{name}={}", escaped(value))?;
            }
        }
        Ok(())
    }
}

/// RFC 4514 §2.4.
fn escaped(value: &str) -> Cow<'_, str> {
    let is_special = |letter: char| matches!(letter, '"' | '#' | ',' | '+' | '\\' | '<' | '>' | ';' | '=');
    if !value.contains(is_special) && !value.starts_with(' ') && !value.ends_with(' ') {
        return Cow::Borrowed(value);
    }
    let last = value.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(value.len());
    for (at, letter) in value.chars().enumerate() {
        let is_edge = letter == ' ' && (at == 0 || at == last) || letter == '#' && at == 0;
        if is_edge || letter != '#' && is_special(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    Cow::Owned(out)
}

/// The form in which two spellings of a step are equal: one name of the type, lower case, single blanks, values of a multi-valued step in order.
fn key(rdn: &Rdn) -> Rdn {
    let squeezed = |value: &str| value.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let mut pairs: Rdn = rdn.iter().map(|(name, value)| (one_name(name), squeezed(value))).collect();
    pairs.sort();
    pairs
}

/// Cuts at each `separator` that no backslash stands before.
fn cut(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_escaped = false;
    text.split(move |letter| {
        let is_cut = letter == separator && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        is_cut
    })
}

fn rdn(text: &str) -> Option<Rdn> {
    cut(text, '+').map(pair).collect()
}

fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim_matches(' ');
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_name && !is_number(name) {
        return None;
    }
    let known = TYPES.iter().find(|(_, number, _)| !is_name && *number == name);
    let written = known.map_or(name, |(short, ..)| short);
    Some((written.to_owned(), unescaped(trimmed(value))?))
}

/// RFC 4512 §1.4: numbers with dots between them, none beginning with a zero but zero itself.
fn is_number(name: &str) -> bool {
    let is_arc = |arc: &str| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'));
    name.contains('.') && name.split('.').all(is_arc)
}

/// Of the names of a type the one by which it is compared, in lower case.
fn one_name(name: &str) -> String {
    let known = TYPES.iter().find(|(short, _, others)| name.eq_ignore_ascii_case(short) || others.iter().any(|other| name.eq_ignore_ascii_case(other)));
    known.map_or(name, |(short, ..)| short).to_ascii_lowercase()
}

/// Types that names are made of: as they are written, as numbers, and what else they are called (RFC 4519, RFC 2985 §5.2.1).
const TYPES: &[(&str, &str, &[&str])] = &[
    ("CN", "2.5.4.3", &["commonName"]),
    ("OU", "2.5.4.11", &["organizationalUnitName"]),
    ("DC", "0.9.2342.19200300.100.1.25", &["domainComponent"]),
    ("UID", "0.9.2342.19200300.100.1.1", &["userId"]),
    ("O", "2.5.4.10", &["organizationName"]),
    ("C", "2.5.4.6", &["countryName"]),
    ("L", "2.5.4.7", &["localityName"]),
    ("ST", "2.5.4.8", &["S", "stateOrProvinceName"]),
    ("SN", "2.5.4.4", &["surname"]),
    ("serialNumber", "2.5.4.5", &[]),
    ("emailAddress", "1.2.840.113549.1.9.1", &["E", "email", "pkcs9email"]),
];

/// Without the blanks around; a last one that is escaped belongs to the value.
fn trimmed(value: &str) -> &str {
    let value = value.trim_start_matches(' ');
    let bare = value.trim_end_matches(' ');
    let backslashes = bare.len().saturating_sub(bare.trim_end_matches('\\').len());
    if backslashes % 2 == 1 { value.get(..bare.len().saturating_add(1)).unwrap_or(value) } else { bare }
}

/// RFC 4514 §3. Never empty, always text, nothing in it that cannot be seen.
fn unescaped(value: &str) -> Option<String> {
    if value.starts_with('#') {
        return None;
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' | b';' | b'<' | b'>' | b',' | b'+' => return None,
            b'\\' => {
                let next = rest.next()?;
                if b" \"#+,;<=>\\".contains(&next) {
                    bytes.push(next);
                } else {
                    bytes.push(hex(next)?.checked_mul(16)?.checked_add(hex(rest.next()?)?)?);
                }
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.trim().is_empty() && !text.contains(char::is_control))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Dn::parse(text).map(|dn| dn.to_string())
    }

    #[test]
    fn l_076_spellings_of_one_name_become_one() {
        for text in [
            "CN=Alice Archer,CN=Users,DC=example,DC=test",
            "CN=Alice Archer, CN=Users , DC=example,DC = test",
            r"CN=\41lice Archer,CN=Users,DC=example,DC=test",
            r"CN=Alice\20Archer,CN=Users,DC=example,DC=test",
            " CN=  Alice Archer  ,CN=Users,DC=example,DC=test ",
        ] {
            assert_eq!(canonical(text).as_deref(), Some("CN=Alice Archer,CN=Users,DC=example,DC=test"), "{text}");
        }
    }

    #[test]
    fn l_075_signs_are_escaped_when_written_again() {
        for (text, written) in [
            (r"CN=Smith\, John (Ext) #1,DC=test", r"CN=Smith\, John (Ext) #1,DC=test"),
            (r"CN=Smith\2c John,DC=test", r"CN=Smith\, John,DC=test"),
            (r"CN=a=b,DC=test", r"CN=a\=b,DC=test"),
            (r"CN=\#1\ ,DC=test", r"CN=\#1\ ,DC=test"),
            (r"CN=back\\slash\\,DC=test", r"CN=back\\slash\\,DC=test"),
            ("OU=Étrangers,DC=test", "OU=Étrangers,DC=test"),
            (r"CN=J\C3\B6rg,DC=test", "CN=Jörg,DC=test"),
            ("uid=a+cn=b,DC=test", "uid=a+cn=b,DC=test"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(written), "{text}");
            assert_eq!(canonical(written).as_deref(), Some(written), "{text} twice");
        }
    }

    #[test]
    fn l_076_a_type_is_one_by_its_number_and_by_all_of_its_names() {
        for (one, other) in [
            ("2.5.4.3=a,DC=test", "cn=A,dc=test"),
            ("commonName=a,domainComponent=test", "cn=a,0.9.2342.19200300.100.1.25=test"),
            ("2.5.4.11=a,DC=test", "OU=a,DC=test"),
            ("0.9.2342.19200300.100.1.1=a,2.5.4.10=b", "uid=a,O=b"),
            ("2.5.4.6=de,2.5.4.8=x,2.5.4.7=y", "C=DE,S=x,localityName=Y"),
            ("2.5.4.5=1+1.2.840.113549.1.9.1=a@b,DC=test", "E=a@b+SERIALNUMBER=1,DC=test"),
            ("1.2.3.4=a,DC=test", "1.2.3.4=A,dc=test"),
        ] {
            let [one, other] = [one, other].map(|text| Dn::parse(text).unwrap());
            assert!(one.is_under(&other) && other.is_under(&one), "{one} {other}");
        }
        let unlike = ["cn=a,DC=test", "1.2.3.4=a,DC=test", "1.2.3.5=a,DC=test", "2.5.4.11=a,DC=test"].map(|text| Dn::parse(text).unwrap());
        for (at, one) in unlike.iter().enumerate() {
            assert!(unlike.iter().skip(at + 1).all(|other| !one.is_under(other)), "{one}");
        }
        assert_eq!(canonical("2.5.4.3=a,1.2.3.4=b").as_deref(), Some("CN=a,1.2.3.4=b"));
        let numbers = Dn::parse("2.5.4.11=x,0.9.2342.19200300.100.1.25=Example,0.9.2342.19200300.100.1.25=test").unwrap();
        assert_eq!((numbers.dns_domain().as_str(), numbers.domain().depth()), ("example.test", 2));
    }

    #[test]
    fn l_072_what_is_no_plain_dn_is_none() {
        for text in [
            "",
            "alice",
            "CN=,DC=test",
            "CN=alice,,DC=test",
            "CN=alice;DC=test",
            r#"CN="alice",DC=test"#,
            "2.5.4.03=alice,DC=test",
            "2..3=alice,DC=test",
            "2=alice,DC=test",
            "OID.2.5.4.3=alice,DC=test",
            "2.5.4.3=#04056616c696365,DC=test",
            "CN=#04056616c696365,DC=test",
            r"CN=alice\00,DC=test",
            r"CN=alice\0a,DC=test",
            r"CN=\ff,DC=test",
            r"CN=alice\",
            r"CN=alice\4",
            r"CN=alice\zz",
            "<GUID=f7d2>,DC=test",
            "CN=<b>,DC=test",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    #[test]
    fn l_076_below_a_base_is_told_by_steps_not_by_text() {
        let base = Dn::parse("DC=example,DC=test").unwrap();
        for (text, is_under) in [
            ("CN=a,dc=EXAMPLE, dc=Test", true),
            ("DC=example,DC=test", true),
            ("CN=a,DC=anexample,DC=test", false),
            (r"CN=a\,DC=example,DC=test", false),
            ("DC=test", false),
            ("DC=example,DC=test,DC=evil", false),
            ("CN=a,OU=example,DC=test", false),
        ] {
            assert_eq!(Dn::parse(text).unwrap().is_under(&base), is_under, "{text}");
        }
        assert!(Dn::parse("cn=B+uid=a,DC=test").unwrap().is_under(&Dn::parse("UID=A+CN=b,DC=test").unwrap()));
    }

    #[test]
    fn the_domain_of_a_base_is_what_its_dc_steps_spell() {
        assert_eq!(Dn::parse("OU=Staff,DC=Example,DC=test").unwrap().dns_domain(), "example.test");
        assert_eq!(Dn::parse("o=Example").unwrap().dns_domain(), "");
    }

    #[test]
    fn the_domain_a_base_lies_in_is_its_last_dc_steps_or_itself() {
        for (base, domain) in [
            ("OU=Staff,DC=example,DC=test", "DC=example,DC=test"),
            ("DC=example,DC=test", "DC=example,DC=test"),
            ("DC=host,OU=Staff,DC=example,DC=test", "DC=example,DC=test"),
            ("ou=people,o=Example", "ou=people,o=Example"),
        ] {
            assert_eq!(Dn::parse(base).unwrap().domain().to_string(), domain);
        }
    }
}
