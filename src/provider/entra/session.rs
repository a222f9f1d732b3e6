//! A session with the connector: how it begins, where it goes on, and how its ticket is written.

use reqwest::Url;

use super::Settings;
use super::xml::element;
use crate::domain::Asking;
use crate::domain::Ticket;

/// One of Microsoft's clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// 21Vianet's in China.
    China,
    /// The one of almost everybody.
    Global,
    /// The one of the United States' government.
    UsGovernment,
}

/// A session under way, as its ticket says.
pub(super) struct Session<'a> {
    pub(super) server: usize,
    pub(super) target: &'a str,
    pub(super) id: &'a str,
    pub(super) context: &'a str,
    pub(super) user: &'a str,
}

impl Cloud {
    /// The login service, and the two names of the connector.
    #[must_use]
    pub fn hosts(self) -> (&'static str, [&'static str; 2]) {
        match self {
            Self::China => ("login.chinacloudapi.cn", ["adnotifications.windowsazure.cn", "strongauthenticationservice.auth.microsoft.cn"]),
            Self::Global => ("login.microsoftonline.com", ["adnotifications.windowsazure.com", "strongauthenticationservice.auth.microsoft.com"]),
            Self::UsGovernment => ("login.microsoftonline.us", ["adnotifications.windowsazure.us", "strongauthenticationservice.auth.microsoft.us"]),
        }
    }
}

impl Settings {
    /// The server and the path behind an `AffinityUrl`: ours or one of the connector's two, by TLS, and nothing else of a server than the connector.
    pub(super) fn affinity(&self, url: &str) -> Option<(usize, String)> {
        if url.is_empty() {
            return Some((0, format!("{CONNECTOR}/{END}")));
        }
        let url = Url::parse(url).ok()?;
        let origins = self.cloud.hosts().1.map(|host| format!("https://{host}"));
        let all = origins.iter().enumerate().chain(self.url.iter().map(|own| (0, own)));
        let server = all.filter_map(|(at, origin)| Some((at, Url::parse(origin).ok()?))).find(|(_, origin)| origin.origin() == url.origin())?.0;
        let path = url.path().trim_end_matches('/');
        let below = path.strip_prefix(CONNECTOR).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let end = if path.ends_with(&format!("/{END}")) { String::new() } else { format!("/{END}") };
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        (below && bare).then(|| (server, format!("{path}{end}{query}")))
    }
}

impl<'a> Session<'a> {
    pub(super) fn of(ticket: &'a Ticket) -> Option<Self> {
        let mut parts = ticket.0.splitn(5, ' ');
        let mut part = || parts.next();
        Some(Self { server: part()?.parse().ok()?, target: part()?, id: part()?, context: part()?, user: part()? })
    }
}

/// The elements stand in the order of their contract, or they are not seen.
pub(super) fn begin(tenant: &str, asking: &Asking, user: &str, method: &str, context: &str) -> String {
    // Without this a push would be answered by a demand for a code, for callers that cannot show a number.
    let plain = if method == "PhoneAppNotification" {
        "<a:KeyValueOfstringstring><a:Key>OverrideNumberMatchingWithOTP</a:Key><a:Value>false</a:Value></a:KeyValueOfstringstring>"
    } else {
        ""
    };
    let properties = format!(
        "<AuthenticationMethodProperties xmlns:a=\"http://schemas.microsoft.com/2003/10/Serialization/Arrays\">{plain}</AuthenticationMethodProperties>"
    );
    let fields = [
        element("Version", "1.0"),
        element("UserPrincipalName", user),
        element("TenantId", tenant),
        element("Lcid", asking.account.language.as_deref().unwrap_or("en-us")),
        element("AuthenticationMethodId", method),
        properties,
        element("ContextId", context),
        element("SyncCall", "false"),
    ];
    format!("<{BEGIN}Request>{}</{BEGIN}Request>", fields.concat())
}

/// The login's own number in the form of a GUID: unlike that of any other login.
pub(super) fn guid(number: u128) -> String {
    let hex = format!("{number:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

pub(super) const CONNECTOR: &str = "/StrongAuthenticationService.svc/Connector";
pub(super) const BEGIN: &str = "BeginTwoWayAuthentication";
pub(super) const END: &str = "EndTwoWayAuthentication";
