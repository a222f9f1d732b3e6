//! What we understand of a message: requests as far as a decision needs them, results, controls, entries.

use super::ber::Cursor;
use super::ber::number;
use super::ber::truth;
use super::frame::Frame;
use super::frame::Refusal;
use super::make::NOTICE_OF_DISCONNECTION;
use super::search::Search;

/// Controls on one message (L-043).
const CONTROLS_MAX: usize = 64;

/// The operations a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Abandon; has no answer.
    Abandon,
    /// Add.
    Add,
    /// Bind.
    Bind,
    /// Compare.
    Compare,
    /// Delete.
    Delete,
    /// Extended.
    Extended,
    /// Modify.
    Modify,
    /// Modify DN.
    Rename,
    /// Search.
    Search,
    /// Unbind; has no answer.
    Unbind,
}

impl Op {
    /// By the tag byte; `None` for what is no request.
    #[must_use]
    pub fn of(tag: u8) -> Option<Self> {
        Some(match tag {
            0x42 => Self::Unbind,
            0x4a => Self::Delete,
            0x50 => Self::Abandon,
            0x60 => Self::Bind,
            0x63 => Self::Search,
            0x66 => Self::Modify,
            0x68 => Self::Add,
            0x6c => Self::Rename,
            0x6e => Self::Compare,
            0x77 => Self::Extended,
            _ => return None,
        })
    }

    /// The tag byte of the answer that ends it; `None` for what has no answer.
    #[must_use]
    pub fn ended_by(self) -> Option<u8> {
        Some(match self {
            Self::Abandon | Self::Unbind => return None,
            Self::Bind => 0x61,
            Self::Search => 0x65,
            Self::Modify => 0x67,
            Self::Add => 0x69,
            Self::Delete => 0x6b,
            Self::Rename => 0x6d,
            Self::Compare => 0x6f,
            Self::Extended => 0x78,
        })
    }
}

/// A request, as far as we look into it.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// Nobody waits for the answer to this message id any more.
    Abandon(u32),
    /// Who the client wants to be.
    Bind(Bind<'a>),
    /// An extended operation.
    Extended {
        /// Its OID, dotted.
        name: &'a [u8],
        /// Whether it came with a value.
        valued: bool,
    },
    /// Delete or Modify DN.
    Other(Op),
    /// Search.
    Search(Search<'a>),
    /// Goodbye.
    Unbind,
    /// Add, Modify or Compare: it names attributes with their values.
    Write(Write<'a>),
}

/// A bind request (RFC 4511 §4.2).
#[derive(Clone, Copy)]
pub struct Bind<'a> {
    /// 3, or something old.
    pub version: u32,
    /// The name, as bytes: it may be anything.
    pub name: &'a [u8],
    /// How the client wants to prove it.
    pub choice: Choice<'a>,
}

/// Tells nothing of the credentials.
impl std::fmt::Debug for Bind<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bind").field("version", &self.version).finish_non_exhaustive()
    }
}

/// The authentication choice of a bind.
#[derive(Clone, Copy)]
pub enum Choice<'a> {
    /// Any other: Kerberos 4 of old (`0x81`, `0x82`), Active Directory's Sicily (`0x89` to `0x8b`), whatever comes.
    Other(u8),
    /// SASL with this mechanism.
    Sasl(&'a [u8]),
    /// This password.
    Simple(&'a [u8]),
}

/// Tells nothing of the credentials.
impl std::fmt::Debug for Choice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Other(_) => "Other(..)",
            Self::Sasl(_) => "Sasl(..)",
            Self::Simple(_) => "Simple(..)",
        })
    }
}

/// An Add, a Modify or a Compare, without its values.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// Which of them.
    pub op: Op,
    /// Whose it is; of a rename the new name.
    name: &'a [u8],
    content: &'a [u8],
}

impl Write<'_> {
    /// Whether one of the attribute descriptions in it, options cut off, is one that `test` looks for.
    ///
    /// # Errors
    /// `Form` when the list is not one.
    pub fn any_attribute(&self, test: impl Fn(&[u8]) -> bool) -> Result<bool, Refusal> {
        let described = |description: &[u8]| description.split(|octet| *octet == b';').next().is_some_and(&test);
        // The name of an entry is attributes of it too (RFC 4511 §4.7, §4.9).
        if matches!(self.op, Op::Add | Op::Rename) && types_in(self.name).any(&test) {
            return Ok(true);
        }
        let mut list = Cursor::new(self.content);
        if self.op == Op::Compare {
            return list.expect(0x04).map(described);
        }
        while let Some(element) = list.next()? {
            let mut item = Cursor::new(element.value);
            if self.op == Op::Modify {
                item.expect(0x0a)?;
                item = Cursor::new(item.expect(0x30)?);
            }
            if described(item.expect(0x04)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What stands before each `=` in a name (RFC 4514 §2). What is escaped or quoted is cut too: rather an attribute too many than one too few.
fn types_in(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let pieces = name.split(|octet| b",;+".contains(octet)).filter(|piece| piece.contains(&b'='));
    pieces.filter_map(|piece| piece.split(|octet| *octet == b'=').next()).map(<[u8]>::trim_ascii)
}

/// A control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control<'a> {
    /// Its OID, dotted.
    pub oid: &'a [u8],
    /// Whether the operation may not be done without it.
    pub critical: bool,
    /// Its value, which is of its own form; nothing where it has none.
    pub value: &'a [u8],
}

/// What an operation came to (RFC 4511 §4.1.9). Result codes nobody knows yet are numbers like others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LdapResult<'a> {
    /// 0 is success.
    pub code: u32,
    /// For people.
    pub diagnostic: &'a [u8],
}

/// Whether more answers to a request follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The operation's last.
    Last,
    /// An entry, a reference, or something in between.
    More,
}

/// An entry found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub dn: String,
    /// Its attributes with their values, in the order they came.
    pub attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    /// The values of an attribute, its name compared without case; none where it is not there.
    pub fn values(&self, attribute: &str) -> impl Iterator<Item = &[u8]> {
        let mine = move |(name, _): &&(String, Vec<Vec<u8>>)| name.eq_ignore_ascii_case(attribute);
        self.attributes.iter().filter(mine).flat_map(|(_, values)| values.iter().map(Vec::as_slice))
    }
}

impl<'a> Frame<'a> {
    /// The request in it. Trailing components of its sequence are ignored (L-034).
    ///
    /// # Errors
    /// `Op` where it is none, else what is wrong with it.
    pub fn request(&self) -> Result<Request<'a>, Refusal> {
        match Op::of(self.op).ok_or(Refusal::Op)? {
            Op::Abandon => Ok(Request::Abandon(number(self.body)?)),
            Op::Bind => Ok(Request::Bind(bind(self.body)?)),
            Op::Extended => extended(self.body),
            Op::Search => Ok(Request::Search(Search::read(self.body)?)),
            Op::Unbind => Ok(Request::Unbind),
            op @ (Op::Add | Op::Compare | Op::Modify) => {
                let mut cursor = Cursor::new(self.body);
                let name = cursor.expect(0x04)?;
                Ok(Request::Write(Write { op, name, content: cursor.expect(0x30)? }))
            }
            op @ Op::Rename => {
                let mut cursor = Cursor::new(self.body);
                cursor.expect(0x04)?;
                Ok(Request::Write(Write { op, name: cursor.expect(0x04)?, content: &[] }))
            }
            op @ Op::Delete => Ok(Request::Other(op)),
        }
    }

    /// Its controls; none where there are none.
    ///
    /// # Errors
    /// `Form` where they are none, or stand there twice: another reader might see the other ones. `Many` above 64.
    pub fn controls(&self) -> Result<Vec<Control<'a>>, Refusal> {
        let Some(list) = self.control_list()? else { return Ok(Vec::new()) };
        let mut controls = Vec::new();
        let mut cursor = Cursor::new(list);
        while !cursor.rest().is_empty() {
            if controls.len() == CONTROLS_MAX {
                return Err(Refusal::Many);
            }
            let mut control = Cursor::new(cursor.expect(0x30)?);
            let oid = control.expect(0x04)?;
            let critical = control.optional(0x01)?.map(truth).transpose()?.unwrap_or(false);
            let value = control.optional(0x04)?.unwrap_or_default();
            controls.push(Control { oid, critical, value });
        }
        Ok(controls)
    }

    /// The list of its controls; refused where it stands there twice.
    pub(super) fn control_list(&self) -> Result<Option<&'a [u8]>, Refusal> {
        let mut list = None;
        let mut cursor = Cursor::new(self.rest);
        while let Some(element) = cursor.next()? {
            if element.tag == 0xa0 && list.replace(element.value).is_some() {
                return Err(Refusal::Form);
            }
        }
        Ok(list)
    }

    /// The result in a response.
    ///
    /// # Errors
    /// `Form` or `Number` where there is none.
    pub fn result(&self) -> Result<LdapResult<'a>, Refusal> {
        let mut cursor = Cursor::new(self.body);
        let code = number(cursor.expect(0x0a)?)?;
        cursor.expect(0x04)?;
        Ok(LdapResult { code, diagnostic: cursor.expect(0x04)? })
    }

    /// Whether it answers a request that is forwarded, and whether more follows; `None` for everything else, a bind's answer among it.
    #[must_use]
    pub fn reply(&self) -> Option<Reply> {
        match self.op {
            0x65 | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | 0x78 => Some(Reply::Last),
            0x64 | 0x73 | 0x79 => Some(Reply::More),
            _ => None,
        }
    }

    /// Whether it is the Notice of Disconnection, or a message of id 0 that cannot be told from one. Other notifications say their name (RFC 4511 §4.4).
    #[must_use]
    pub fn is_notice(&self) -> bool {
        self.id == 0 && !matches!(unsolicited(self.body), Ok(Some(name)) if name != NOTICE_OF_DISCONNECTION.as_bytes())
    }

    /// The entry in it; `None` where it is something else, or not of RFC 4511's form.
    #[must_use]
    pub fn entry(&self) -> Option<Entry> {
        if self.op != 0x64 {
            return None;
        }
        entry(self.body).ok()
    }
}

/// The name in an extended response.
fn unsolicited(body: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    let mut cursor = Cursor::new(body);
    cursor.expect(0x0a)?;
    cursor.expect(0x04)?;
    cursor.expect(0x04)?;
    cursor.optional(0xa3)?;
    cursor.optional(0x8a)
}

fn entry(body: &[u8]) -> Result<Entry, Refusal> {
    let mut cursor = Cursor::new(body);
    let dn = text(cursor.expect(0x04)?)?;
    let mut list = Cursor::new(cursor.expect(0x30)?);
    let mut attributes = Vec::new();
    while !list.rest().is_empty() {
        let mut attribute = Cursor::new(list.expect(0x30)?);
        let name = text(attribute.expect(0x04)?)?;
        let mut set = Cursor::new(attribute.expect(0x31)?);
        let mut values = Vec::new();
        while !set.rest().is_empty() {
            values.push(set.expect(0x04)?.to_vec());
        }
        attributes.push((name, values));
    }
    Ok(Entry { dn, attributes })
}

fn text(bytes: &[u8]) -> Result<String, Refusal> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Refusal::Form)
}

fn bind(body: &[u8]) -> Result<Bind<'_>, Refusal> {
    let mut cursor = Cursor::new(body);
    let version = number(cursor.expect(0x02)?)?;
    let name = cursor.expect(0x04)?;
    let choice = cursor.next()?.ok_or(Refusal::Form)?;
    let choice = match choice.tag {
        0x80 => Choice::Simple(choice.value),
        0xa3 => Choice::Sasl(Cursor::new(choice.value).expect(0x04)?),
        tag => Choice::Other(tag),
    };
    Ok(Bind { version, name, choice })
}

fn extended(body: &[u8]) -> Result<Request<'_>, Refusal> {
    let mut cursor = Cursor::new(body);
    let name = cursor.expect(0x80)?;
    Ok(Request::Extended { name, valued: cursor.optional(0x81)?.is_some() })
}

#[cfg(test)]
mod tests {
    use super::super::make;
    use super::super::make::Code;
    use super::*;

    fn frame(bytes: &[u8]) -> Frame<'_> {
        Frame::split(bytes, 262_144).unwrap().unwrap()
    }

    fn element(tag: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag, u8::try_from(value.len()).unwrap()];
        bytes.extend(value);
        bytes
    }

    fn message(op: u8, body: &[u8], rest: &[u8]) -> Vec<u8> {
        let inside = [element(0x02, &[1]), element(op, body), rest.to_vec()].concat();
        element(0x30, &inside)
    }

    fn message_of(id: u8, op: u8, body: &[u8]) -> Vec<u8> {
        element(0x30, &[element(0x02, &[id]), element(op, body)].concat())
    }

    fn bind_with(choice: &[u8]) -> Vec<u8> {
        message(0x60, &[element(0x02, &[3]), element(0x04, b"alice"), choice.to_vec()].concat(), &[])
    }

    #[test]
    fn l_001_a_simple_bind_is_name_and_password() {
        let bytes = make::bind_request(4, "CN=alice,DC=corp", b"p\xff\xfe");
        let Ok(Request::Bind(bind)) = frame(&bytes).request() else { panic!() };
        assert_eq!((bind.version, bind.name), (3, &b"CN=alice,DC=corp"[..]));
        assert!(matches!(bind.choice, Choice::Simple(b"p\xff\xfe")));
        assert!(!format!("{bind:?}").contains("alice"));
    }

    #[test]
    fn l_061_l_062_other_choices_are_told_apart_by_their_tag() {
        let sasl = bind_with(&element(0xa3, &[element(0x04, b"GSS-SPNEGO"), element(0x04, b"x")].concat()));
        assert!(matches!(frame(&sasl).request(), Ok(Request::Bind(Bind { choice: Choice::Sasl(b"GSS-SPNEGO"), .. }))));
        for tag in [0x81, 0x82, 0x89, 0x8a, 0x8b, 0xa0] {
            let bytes = bind_with(&element(tag, &[]));
            assert!(matches!(frame(&bytes).request(), Ok(Request::Bind(Bind { choice: Choice::Other(seen), .. })) if seen == tag));
        }
        assert!(frame(&bind_with(&[])).request().is_err());
    }

    #[test]
    fn l_034_trailing_components_nobody_knows_are_ignored() {
        let bytes = bind_with(&[element(0x80, b"pass"), element(0x85, b"of times to come")].concat());
        assert!(matches!(frame(&bytes).request(), Ok(Request::Bind(Bind { choice: Choice::Simple(b"pass"), .. }))));
        let bytes = message(0x42, &[], &element(0x8a, b"1.2.3"));
        assert!(matches!(frame(&bytes).request(), Ok(Request::Unbind)));
        assert_eq!(frame(&bytes).controls(), Ok(Vec::new()));
    }

    #[test]
    fn l_032_what_is_no_request_is_refused() {
        for op in [0x61, 0x64, 0x65, 0x78, 0x73, 0x40, 0x43, 0x7e] {
            assert!(matches!(frame(&message(op, &[], &[])).request(), Err(Refusal::Op)), "{op:x}");
        }
        assert!(frame(&message(0x60, &[], &[])).request().is_err());
        assert!(frame(&message(0x63, &element(0x04, b""), &[])).request().is_err());
        assert!(frame(&message(0x77, &element(0x04, b"1.2.3"), &[])).request().is_err());
        assert!(frame(&message(0x50, &[0x80], &[])).request().is_err());
    }

    #[test]
    fn l_066_the_attributes_of_a_change_are_seen_without_their_options() {
        let change = |name: &[u8]| element(0x30, &[element(0x0a, &[2]), element(0x30, &[element(0x04, name), element(0x31, &[])].concat())].concat());
        let list = [change(b"mail"), change(b"UnicodePwd;binary")].concat();
        let bytes = message(0x66, &[element(0x04, b"CN=alice"), element(0x30, &list)].concat(), &[]);
        let Ok(Request::Write(write)) = frame(&bytes).request() else { panic!() };
        assert_eq!(write.any_attribute(|name| name.eq_ignore_ascii_case(b"unicodepwd")), Ok(true));
        assert_eq!(write.any_attribute(|name| name == b"cn"), Ok(false));
    }

    #[test]
    fn l_066_the_attributes_in_a_name_are_seen_where_the_name_is_new() {
        let is_password = |name: &[u8]| name.eq_ignore_ascii_case(b"userPassword");
        let rename = |rdn: &[u8]| message(0x6c, &[element(0x04, b"uid=bob,dc=x"), element(0x04, rdn), element(0x01, &[0])].concat(), &[]);
        let add = |dn: &[u8]| message(0x68, &[element(0x04, dn), element(0x30, &[])].concat(), &[]);
        for (bytes, is_one) in [
            (rename(b"uid=bob+userPassword=x"), true),
            (rename(b"uid=bob + USERPASSWORD =x"), true),
            (rename(b"uid=userPassword"), false),
            (add(b"userPassword=x,dc=x"), true),
            (add(b"uid=bob,dc=x"), false),
        ] {
            let frame = frame(&bytes);
            let Ok(Request::Write(write)) = frame.request() else { panic!() };
            assert_eq!(write.any_attribute(is_password), Ok(is_one));
        }
    }

    #[test]
    fn l_066_a_compare_tells_its_attribute() {
        let bytes =
            message(0x6e, &[element(0x04, b"CN=alice"), element(0x30, &[element(0x04, b"userPassword;x"), element(0x04, b"pass")].concat())].concat(), &[]);
        let Ok(Request::Write(write)) = frame(&bytes).request() else { panic!() };
        assert_eq!((write.op, write.any_attribute(|name| name == b"userPassword")), (Op::Compare, Ok(true)));
        let bytes = message(0x6e, &[element(0x04, b"CN=alice"), element(0x30, &[])].concat(), &[]);
        let Ok(Request::Write(write)) = frame(&bytes).request() else { panic!() };
        assert_eq!(write.any_attribute(|_| true), Err(Refusal::Form));
    }

    #[test]
    fn l_026_the_notice_of_disconnection_is_told_from_other_notifications() {
        let notification = |name: Option<&str>| make::extended_answer(0, Code::Success, "", name, None);
        assert!(frame(&make::notice(Code::Unavailable, "")).is_notice());
        assert!(frame(&notification(None)).is_notice() && frame(&message_of(0, 0x78, &[])).is_notice(), "what does not say what it is");
        assert!(!frame(&notification(Some("1.3.6.1.1.21.4"))).is_notice());
        assert!(!frame(&make::extended_answer(1, Code::Success, "", None, None)).is_notice());
    }

    #[test]
    fn l_050_controls_tell_oid_and_criticality() {
        let control = |parts: &[Vec<u8>]| element(0x30, &parts.concat());
        let list = [
            control(&[element(0x04, b"1.1"), element(0x01, &[1]), element(0x04, b"value")]),
            control(&[element(0x04, b"1.2")]),
            control(&[element(0x04, b"1.3"), element(0x04, b"value")]),
        ]
        .concat();
        let bytes = message(0x42, &[], &element(0xa0, &list));
        let told: Vec<(&[u8], bool, &[u8])> = frame(&bytes).controls().unwrap().iter().map(|control| (control.oid, control.critical, control.value)).collect();
        assert_eq!(told, [(&b"1.1"[..], true, &b"value"[..]), (&b"1.2"[..], false, b""), (&b"1.3"[..], false, b"value")]);
        let twice = [element(0xa0, &list), element(0xa0, &[])].concat();
        assert_eq!(frame(&message(0x42, &[], &twice)).controls(), Err(Refusal::Form));
    }

    #[test]
    fn l_043_controls_are_counted() {
        let mut list = Vec::new();
        for _ in 0..65 {
            list.extend([0x30, 0x02, 0x04, 0x00]);
        }
        let inside = [vec![0x02, 0x01, 0x01, 0x42, 0x00, 0xa0, 0x82, 0x01, 0x04], list].concat();
        let bytes = [vec![0x30, 0x82, 0x01, 0x0d], inside].concat();
        assert_eq!(frame(&bytes).controls(), Err(Refusal::Many));
    }

    #[test]
    fn a_result_code_nobody_knows_is_read() {
        let bytes = message(0x61, &[element(0x0a, &[0x10, 0x01]), element(0x04, b""), element(0x04, b"data 52e")].concat(), &[]);
        assert_eq!(frame(&bytes).result(), Ok(LdapResult { code: 4_097, diagnostic: b"data 52e" }));
    }

    #[test]
    fn what_we_make_we_read_alike() {
        let answers = [(Op::Bind, 0x61), (Op::Search, 0x65), (Op::Modify, 0x67), (Op::Add, 0x69), (Op::Delete, 0x6b), (Op::Rename, 0x6d), (Op::Compare, 0x6f)];
        for (op, tag) in answers.into_iter().chain([(Op::Extended, 0x78)]) {
            let bytes = make::answer(op, 77, Code::InsufficientAccessRights, "no");
            let read = frame(&bytes);
            assert_eq!((read.id, read.op, op.ended_by()), (77, tag, Some(tag)));
            assert_eq!(read.result(), Ok(LdapResult { code: 50, diagnostic: b"no" }));
        }
        let found = Entry { dn: String::new(), attributes: vec![("tokenGroups".into(), vec![vec![], vec![1, 0xff]]), ("x".into(), vec![])] };
        let bytes = make::entry(3, &found);
        assert_eq!(frame(&bytes).entry(), Some(found.clone()));
        assert_eq!(found.values("TOKENGROUPS").count(), 2);
        let bytes = make::read_request(8, "", &["a", "b"]);
        assert!(matches!(frame(&bytes).request(), Ok(Request::Search(search)) if search.reads_root() && search.wants("B")));
        let bytes = make::abandon(9, 8);
        assert!(matches!(frame(&bytes).request(), Ok(Request::Abandon(8))));
        assert!(matches!(frame(&make::unbind_request(9)).request(), Ok(Request::Unbind)));
    }
}
