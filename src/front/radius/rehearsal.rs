//! A login made up for a dry run: a packet as this client would send it, read as every packet is.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use super::Charset;
use super::Client;
use super::First;
use super::map;
use super::map::Errand;
use crate::domain::AuthRequest;
use crate::domain::CodeEntry;
use crate::domain::Secret;
use crate::wire::radius::Integrity;
use crate::wire::radius::Request;
use crate::wire::radius::attr;
use crate::wire::radius::attr::Attribute;
use crate::wire::radius::dictionary::Dictionary;
use crate::wire::radius::upstream::AccessRequest;

/// What somebody types at a client.
#[derive(Clone, Copy, Debug)]
pub struct Typed<'a> {
    /// The name.
    pub login: &'a str,
    /// The password; without one some other is put in its place.
    pub password: Option<&'a Secret>,
    /// The code.
    pub code: Option<&'a Secret>,
    /// Where the person is.
    pub from: Option<IpAddr>,
}

/// What the doors would make of it.
#[derive(Clone, Debug)]
pub struct MadeUp {
    /// The login, or the word for why there is none.
    pub request: Result<Box<AuthRequest>, &'static str>,
    /// What the person answers to a challenge.
    pub answer: Option<Secret>,
}

impl Client {
    /// A login as this client would send it.
    ///
    /// # Errors
    /// This client cannot send that, and why.
    pub fn make_up(&self, typed: &Typed<'_>) -> Result<MadeUp, String> {
        let mut authenticator = [0; 16];
        getrandom::fill(&mut authenticator).map_err(|error| error.to_string())?;
        let (password, answer) = self.handed_over(typed)?;
        let nas = self.nas_identifier.as_deref().unwrap_or("vestibule");
        let mut packet = AccessRequest::new(1, authenticator).with(attr::USER_NAME, typed.login.as_bytes()).with(attr::NAS_IDENTIFIER, nas.as_bytes());
        if let Some(from) = typed.from {
            packet = self.located(packet, from)?;
        }
        packet = match (&self.first, password) {
            (First::MsChap2(_), _) => packet
                .with(attr::VENDOR_SPECIFIC, &microsoft(attr::MS_CHAP_CHALLENGE, &authenticator))
                .with(attr::VENDOR_SPECIFIC, &microsoft(attr::MS_CHAP2_RESPONSE, &[0; 50])),
            (_, Some(password)) => packet.password(self.octets(&password)?.expose()),
            (_, None) => packet,
        };
        let bytes = packet.signed(self.secret.expose()).map_err(|error| error.to_string())?;
        let request = Request::verify(&bytes, self.secret.expose(), Integrity::Require).map_err(|refusal| refusal.to_string())?;
        let request = match map::read(&request, self, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))) {
            Errand::Begin(request) => Ok(request),
            Errand::Refuse(unfit) => Err(unfit.as_str()),
            Errand::Answer(_) => Err("a challenge is answered that nobody asked"),
        };
        Ok(MadeUp { request, answer })
    }

    /// Groups that decide which attributes of ours go into a reply.
    #[must_use]
    pub fn reply_groups(&self) -> Vec<String> {
        self.additions.iter().filter_map(|addition| addition.group.clone()).collect()
    }

    /// Name, value and group of the attributes of ours in a reply for somebody in these groups.
    #[must_use]
    pub fn reply_attributes(&self, groups: &[String]) -> Vec<(String, String, Option<String>)> {
        let due = self.additions.iter().filter(|addition| addition.group.as_ref().is_none_or(|group| groups.contains(group)));
        due.flat_map(|addition| {
            let described = match addition.attribute.as_slice() {
                [kind, _, value @ ..] => Dictionary::shipped().describe(Attribute { kind: *kind, value }),
                _ => Vec::new(),
            };
            described.into_iter().map(|(name, value)| (name, value, addition.group.clone()))
        })
        .collect()
    }

    /// What stands in the password's place, and what comes as an answer.
    fn handed_over(&self, typed: &Typed<'_>) -> Result<(Option<Secret>, Option<Secret>), String> {
        if typed.password.is_some() && matches!(self.first, First::MsChap2(_)) {
            return Err("this client sends MS-CHAPv2, and a password alone is none: leave it out, and the first factor is taken as passed".to_owned());
        }
        if typed.code.is_some()
            && matches!((&self.first, &self.code), (First::MsChap2(_), CodeEntry::Append(_) | CodeEntry::AppendDigits(_) | CodeEntry::AppendWithPin(_)))
        {
            return Err("this client sends MS-CHAPv2, and nothing can be typed behind such a password".to_owned());
        }
        if let First::Waived(_) = self.first {
            return Ok(match &self.code {
                CodeEntry::Challenge(_) => (None, typed.code.cloned()),
                _ => (typed.code.cloned(), None),
            });
        }
        let sends_none = matches!(self.first, First::Upstream { without_credential: true, .. }) && typed.password.is_none();
        let password = typed.password.cloned().unwrap_or_else(|| Secret::from(ANY));
        let behind = |separator: &[u8], code: &Secret| Secret::new([password.expose(), separator, code.expose()].concat());
        match (typed.code, &self.code) {
            (None, _) => Ok(((!sends_none).then_some(password), None)),
            (Some(code), CodeEntry::Challenge(_)) => Ok(((!sends_none).then_some(password), Some(code.clone()))),
            (Some(code), CodeEntry::Append(separator) | CodeEntry::AppendWithPin(separator)) => Ok((Some(behind(separator.as_bytes(), code)), None)),
            (Some(code), CodeEntry::AppendDigits(digits)) if code.len() == usize::from(*digits) => Ok((Some(behind(b"", code)), None)),
            (Some(_), CodeEntry::AppendDigits(digits)) => Err(format!("codes of this client have {digits} digits (code = {{ append_digits = {digits} }})")),
            (Some(_), CodeEntry::None) => Err("this client hands over no codes (code = \"none\")".to_owned()),
        }
    }

    /// Where the person is, in the attribute that this client tells it by.
    fn located(&self, packet: AccessRequest, from: IpAddr) -> Result<AccessRequest, String> {
        let kind = self.source.ok_or("this client does not tell where people are (it has no `source`), so nobody of its is in a trusted network")?;
        match (kind, from) {
            (attr::FRAMED_IP_ADDRESS, IpAddr::V4(address)) => Ok(packet.with(kind, &address.octets())),
            (attr::FRAMED_IPV6_ADDRESS, IpAddr::V6(address)) => Ok(packet.with(kind, &address.octets())),
            (attr::FRAMED_IP_ADDRESS | attr::FRAMED_IPV6_ADDRESS, _) => Err("the attribute that this client tells it by holds no such address".to_owned()),
            _ => Ok(packet.with(kind, from.to_string().as_bytes())),
        }
    }

    /// A password in the octets of this client.
    fn octets(&self, password: &Secret) -> Result<Secret, String> {
        let foreign = || "the password has characters that this client cannot send (charset = \"latin1\")".to_owned();
        match (self.charset, password.expose_text()) {
            (Charset::Utf8, _) => Ok(password.clone()),
            (Charset::Latin1, Some(text)) => text.chars().map(|c| u8::try_from(c).ok()).collect::<Option<Vec<u8>>>().map(Secret::new).ok_or_else(foreign),
            (Charset::Latin1, None) => Err(foreign()),
        }
    }
}

/// One attribute of Microsoft's, as the value of Vendor-Specific (RFC 2548 §2).
fn microsoft(kind: u8, value: &[u8]) -> Vec<u8> {
    let len = u8::try_from(value.len().saturating_add(2)).unwrap_or(u8::MAX);
    [&attr::VENDOR_MICROSOFT.to_be_bytes()[..], &[kind, len], value].concat()
}

/// In the place of a password that nobody checks.
const ANY: &str = "any password";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Addition;
    use super::super::tests::World;
    use super::super::tests::client;
    use super::*;
    use crate::domain::Appended;
    use crate::domain::Method;
    use crate::domain::Primary;

    fn fixture() -> Client {
        client(&World::new(), Method::Oath)
    }

    fn typed(code: Option<&Secret>) -> Typed<'_> {
        Typed { login: "alice", password: None, code, from: Some([192, 0, 2, 7].into()) }
    }

    fn made_up(client: &Client) -> MadeUp {
        client.make_up(&typed(Some(&"123456".into()))).unwrap()
    }

    #[test]
    fn a_login_is_made_up_as_the_client_would_send_it() {
        let asked = made_up(&fixture());
        let request = asked.request.unwrap();
        assert_eq!((request.login.as_str(), request.source, request.client.as_str()), ("alice", Some([192, 0, 2, 7].into()), "fortigate"));
        assert_eq!(asked.answer, Some("123456".into()));
        let appended = made_up(&Client { code: CodeEntry::Append(",".into()), ..fixture() });
        assert_eq!((appended.request.unwrap().appended, appended.answer), (Some(Appended::Code("123456".into())), None));
        let digits = made_up(&Client { code: CodeEntry::AppendDigits(6), ..fixture() });
        assert_eq!(digits.request.unwrap().appended, Some(Appended::Code("123456".into())));
    }

    #[test]
    fn every_kind_of_first_factor_can_be_made_up() {
        let world = World::new();
        let upstream = First::Upstream { check: world.clone(), without_credential: true };
        for (first, fits) in [
            (First::Waived(world.clone()), (|primary| matches!(primary, Primary::Waived)) as fn(&Primary) -> bool),
            (First::MsChap2(world.clone()), |primary| matches!(primary, Primary::MsChap2 { .. })),
            (upstream, |primary| matches!(primary, Primary::Relayed(_))),
            (First::Password(world.clone()), |primary| matches!(primary, Primary::Password(_))),
        ] {
            let made = Client { first, ..fixture() }.make_up(&typed(None)).unwrap();
            assert!(fits(&made.request.as_ref().unwrap().primary), "{made:?}");
        }
    }

    #[test]
    fn what_a_client_cannot_send_is_said() {
        let said = |client: Client, typed: &Typed<'_>| client.make_up(typed).unwrap_err();
        let code = "1234567".into();
        assert!(said(Client { code: CodeEntry::None, ..fixture() }, &typed(Some(&code))).contains("no codes"));
        assert!(said(Client { code: CodeEntry::AppendDigits(6), ..fixture() }, &typed(Some(&code))).contains("6 digits"));
        assert!(said(Client { source: None, ..fixture() }, &typed(None)).contains("`source`"));
        let password = "пароль".into();
        let latin = Client { charset: Charset::Latin1, ..fixture() };
        assert!(said(latin, &Typed { password: Some(&password), ..typed(None) }).contains("latin1"));
        let ms_chap = Client { first: First::MsChap2(World::new()), ..fixture() };
        assert!(said(ms_chap, &Typed { password: Some(&password), ..typed(None) }).contains("MS-CHAPv2"));
        let ms_chap = Client { first: First::MsChap2(World::new()), code: CodeEntry::Append(",".into()), ..fixture() };
        assert!(said(ms_chap, &typed(Some(&"123456".into()))).contains("behind such a password"));
        let made = fixture().make_up(&Typed { login: "al\nice", ..typed(None) }).unwrap();
        assert_eq!(made.request.unwrap_err(), "bad_name");
    }

    #[test]
    fn own_attributes_are_those_of_the_groups() {
        let addition = |group: Option<&str>, value: &[u8]| {
            let len = u8::try_from(value.len() + 2).unwrap();
            Addition { group: group.map(str::to_owned), attribute: [&[11, len], value].concat() }
        };
        let additions: Arc<[Addition]> = [addition(None, b"all"), addition(Some("staff"), b"some")].into();
        let client = Client { additions, ..fixture() };
        assert_eq!(client.reply_groups(), ["staff"]);
        let told = |groups: &[String]| client.reply_attributes(groups).into_iter().map(|(name, value, _)| format!("{name} {value}")).collect::<Vec<_>>();
        assert_eq!(told(&[]).len(), 1);
        let both = told(&["staff".into()]);
        assert!(both[0].starts_with("Filter-Id") && both[1].contains("some"), "{both:?}");
    }
}
