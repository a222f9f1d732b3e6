//! Rooms built from a configuration: names become what they stand for.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use super::config;
use super::config::AccountingTo;
use super::config::Config;
use super::config::FirstFactor;
use super::config::LdapClient;
use super::config::LdapExempt;
use super::config::LdapListen;
use super::config::Policy;
use super::config::ProviderSettings;
use super::config::RadiusClient;
use crate::directory;
use crate::directory::ByDirectory;
use crate::directory::homes::Homes;
use crate::directory::identify::Identify;
use crate::directory::identify::Waived;
use crate::directory::identify::WithGroups;
use crate::directory::realms;
use crate::directory::upstream;
use crate::directory::upstream::ByUpstream;
use crate::directory::upstream::EapNames;
use crate::directory::upstream::Upstream;
use crate::directory::winbind::ByWinbind;
use crate::directory::winbind::Winbind;
use crate::domain::CodeEntry;
use crate::domain::Rules;
use crate::domain::phone::Numbers;
use crate::domain::pin::PinRules;
use crate::front::ldap;
use crate::front::radius;
use crate::mail;
use crate::mail::Smtp;
use crate::mail::alerts::Readers;
use crate::ports::Clock;
use crate::ports::Directory;
use crate::ports::Mailer;
use crate::ports::PrimaryCheck;
use crate::ports::Provider;
use crate::ports::Store;
use crate::provider::duo::Duo;
use crate::provider::email::Email;
use crate::provider::entra::Entra;
use crate::provider::http;
use crate::provider::ledger::Ledgers;
use crate::provider::oath::Oath;
use crate::provider::okta::Okta;
use crate::provider::pin::WithPin;
use crate::provider::privacyidea::PrivacyIdea;
use crate::provider::sms::Gateway;
use crate::provider::twilio::Twilio;
use crate::provider::webhook::Webhook;

/// What stands between the doors and the world.
#[derive(Debug)]
pub(super) struct Rooms {
    pub(super) directories: BTreeMap<String, Arc<dyn Directory>>,
    /// With each, what its User-Name is worth after EAP.
    upstreams: BTreeMap<String, (Arc<Upstream>, EapNames)>,
    /// Where accounting goes, by the upstream it belongs to.
    accountants: BTreeMap<String, Arc<Upstream>>,
    winbinds: BTreeMap<String, Arc<Winbind>>,
    store: Arc<dyn Store>,
    pub(super) providers: HashMap<String, Arc<dyn Provider>>,
    pub(super) numbers: Numbers,
    pub(super) pin: PinRules,
    /// Who is told by mail what somebody should look at.
    pub(super) readers: Option<Readers>,
}

/// Why a room could not be built.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// A directory's certificates cannot be used.
    #[error("directory.{name}: {error}")]
    Directory {
        /// Its name.
        name: String,
        /// Why.
        error: directory::OpenError,
    },
    /// The mail server cannot be set up.
    #[error("mail.{0}")]
    Mail(#[from] mail::OpenError),
    /// A name leads nowhere.
    #[error("`{0}` is named but not configured")]
    Missing(String),
    /// An upstream's certificates cannot be used.
    #[error("upstream.{name}: {error}")]
    Upstream {
        /// Its name.
        name: String,
        /// Why.
        error: upstream::OpenError,
    },
    /// A provider cannot be set up.
    #[error("provider.{name}: {error}")]
    Provider {
        /// Its name.
        name: String,
        /// Why.
        error: String,
    },
}

impl Rooms {
    pub(super) fn build(config: &Config, store: &Arc<dyn Store>, clock: &Arc<dyn Clock>, ledgers: &Ledgers) -> Result<Self, RoomError> {
        let mut directories = BTreeMap::new();
        let homes = Homes::new(&config.directories, Arc::clone(store));
        for settings in &config.directories {
            let name = settings.name.clone();
            let directory = directory::open_among(settings.clone(), &homes).map_err(|error| RoomError::Directory { name: name.clone(), error })?;
            directories.insert(name, directory);
        }
        let mailer = mailer(config)?;
        let behind = BehindProviders { server: &config.name, store, clock, mailer: mailer.as_ref(), ledgers };
        let mut providers: HashMap<String, Arc<dyn Provider>> = HashMap::new();
        for settings in &config.providers {
            // Every one of them: a policy that wants a PIN can then meet none that does not ask for it.
            let with_pin = WithPin::new(behind.provider(settings)?, config.pin, Arc::clone(store), Arc::clone(clock));
            providers.insert(settings.name().to_owned(), Arc::new(with_pin));
        }
        let (mut upstreams, mut accountants) = (BTreeMap::new(), BTreeMap::new());
        for settings in &config.upstreams {
            let name = &settings.login.name;
            let open = |settings: &upstream::Settings| Upstream::open(settings.clone()).map_err(|error| RoomError::Upstream { name: name.clone(), error });
            upstreams.insert(name.clone(), (open(&settings.login)?, settings.names));
            if let Some(settings) = &settings.accounting {
                accountants.insert(name.clone(), open(settings)?);
            }
        }
        let winbinds = config.winbinds.iter().map(|(domain, settings)| (domain.clone(), Winbind::new(settings.clone()))).collect();
        Ok(Self {
            directories,
            upstreams,
            accountants,
            winbinds,
            store: Arc::clone(store),
            providers,
            numbers: config.numbers,
            pin: config.pin,
            readers: readers(config, mailer.as_ref()),
        })
    }

    /// What the RADIUS listeners share.
    pub(super) fn radius(&self, config: &Config, census: &radius::Census) -> Result<radius::Settings, RoomError> {
        let clients = config.radius_clients.iter().map(|client| self.client(config, client, census)).collect::<Result<_, _>>()?;
        Ok(radius::Settings {
            clients: radius::Clients::new(clients),
            inflight_max: config.limits.radius_inflight_max,
            answer_keep: config.limits.radius_answer_keep,
            reject_delay: config.limits.reject_delay,
            login_deadline: config.limits.login_deadline,
        })
    }

    fn client(&self, config: &Config, client: &RadiusClient, census: &radius::Census) -> Result<radius::Client, RoomError> {
        let policy = policy(config, &client.policy)?;
        Ok(radius::Client {
            name: client.name.clone(),
            networks: client.networks.clone(),
            nas_identifier: client.nas_identifier.clone(),
            nas_address: client.nas_address,
            secret: client.secret.clone(),
            certificate: client.certificate.clone(),
            accounting: self.accounting(client)?,
            integrity: client.integrity,
            first: self.first(config, client, policy)?,
            code: entry(&client.code, &policy.rules),
            menu: client.menu,
            approval: client.approval,
            late_ms: u64::try_from(client.late_approval.as_millis()).unwrap_or(0),
            join_ms: u64::try_from(client.join.as_millis()).unwrap_or(0),
            code_in_ms_chap2: client.code_in_ms_chap2,
            one_station: client.one_station,
            charset: client.charset,
            patience: client.patience,
            source: client.source,
            rules: Arc::clone(&policy.rules),
            additions: Arc::clone(&policy.reply),
            enrol_url: policy.enrol_url.clone(),
            card: radius::Card {
                profile: client.profile.map(str::to_owned),
                first: first_words(&client.first),
                retransmits: client.retransmits,
                tally: census.tally(&client.name),
            },
        })
    }

    fn first(&self, config: &Config, client: &RadiusClient, policy: &Policy) -> Result<radius::First, RoomError> {
        let grouped = |check: Arc<dyn PrimaryCheck>| self.with_groups(config, check, client.identify.as_deref(), policy);
        Ok(match &client.first {
            FirstFactor::Directory(names) => radius::First::Password(grouped(Arc::new(ByDirectory(self.directory(config, names)?)))?),
            FirstFactor::Upstream { name, without_credential } => {
                let (upstream, names) = self.upstreams.get(name).cloned().ok_or_else(|| RoomError::Missing(format!("upstream.{name}")))?;
                let check = grouped(Arc::new(ByUpstream { upstream, identify: self.identify(config, client)?, names }))?;
                radius::First::Upstream { check, without_credential: *without_credential }
            }
            FirstFactor::Waived => radius::First::Waived(grouped(Arc::new(Waived(self.identify(config, client)?)))?),
            FirstFactor::Winbind(domain) => {
                let directory = client.identify.as_deref().ok_or_else(|| RoomError::Missing(format!("identify of {}", client.name)))?;
                let winbind = self.winbinds.get(domain).map(Arc::clone).ok_or_else(|| RoomError::Missing(format!("winbind.{domain}")))?;
                radius::First::MsChap2(grouped(Arc::new(ByWinbind { directory: self.directory(config, directory)?, domain: domain.clone(), winbind }))?)
            }
        })
    }

    fn accounting(&self, client: &RadiusClient) -> Result<radius::Accounting, RoomError> {
        match &client.accounting {
            AccountingTo::Record => Ok(radius::Accounting::Record),
            AccountingTo::Upstream(name) => {
                let upstream = self.accountants.get(name).map(Arc::clone).ok_or_else(|| RoomError::Missing(format!("upstream.{name}.accounting")))?;
                Ok(radius::Accounting::Relay(upstream))
            }
        }
    }

    /// Who tells whose a name is.
    fn identify(&self, config: &Config, client: &RadiusClient) -> Result<Identify, RoomError> {
        match &client.identify {
            Some(names) => self.directory(config, names).map(Identify::ByDirectory),
            None => Ok(Identify::ByAccount(Arc::clone(&self.store))),
        }
    }

    /// Groups are asked for where a policy names some, for its reply or to decide.
    fn with_groups(
        &self,
        config: &Config,
        check: Arc<dyn PrimaryCheck>,
        directory: Option<&[String]>,
        policy: &Policy,
    ) -> Result<Arc<dyn PrimaryCheck>, RoomError> {
        let wanted: BTreeSet<String> = policy.reply.iter().filter_map(|addition| addition.group.clone()).collect();
        match directory {
            Some(names) if !wanted.is_empty() || !policy.rules.groups.is_empty() => {
                Ok(Arc::new(WithGroups { check, directory: self.directory(config, names)?, wanted: wanted.into_iter().collect() }))
            }
            _ => Ok(check),
        }
    }

    /// What one LDAP listener needs.
    pub(super) fn ldap(&self, config: &Config, listen: &LdapListen, connections_max: usize, roll: &ldap::Roll) -> Result<ldap::Settings, RoomError> {
        Ok(ldap::Settings {
            name: listen.name.clone(),
            transport: listen.transport.clone(),
            directory: self.directory(config, &listen.directory)?,
            code: entry(&listen.code, &policy(config, &listen.policy)?.rules),
            join_ms: u64::try_from(listen.join.as_millis()).unwrap_or(0),
            rules: Arc::clone(&policy(config, &listen.policy)?.rules),
            callers: callers(config, listen, roll)?,
            connections_max,
            pdu_bytes_max: config.limits.ldap_pdu_bytes_max,
            reject_delay: config.limits.reject_delay,
            login_deadline: config.limits.login_deadline,
        })
    }

    /// The directory of these names, which routes by realm where they are several.
    fn directory(&self, config: &Config, names: &[String]) -> Result<Arc<dyn Directory>, RoomError> {
        let member = |name: &String| {
            let settings = config.directories.iter().find(|settings| settings.name == *name);
            settings.zip(self.directories.get(name).map(Arc::clone)).ok_or_else(|| RoomError::Missing(format!("directory.{name}")))
        };
        let members = names.iter().map(member).collect::<Result<_, _>>()?;
        realms::gather(members).ok_or_else(|| RoomError::Missing("directory".to_owned()))
    }
}

/// What tells the callers of a listener apart; the accounts that it names stand in `roll`.
fn callers(config: &Config, listen: &LdapListen, roll: &ldap::Roll) -> Result<ldap::Callers, RoomError> {
    let directory = listen.directory.join(", ");
    let named = |dn: &str| roll.entry(&listen.name, &directory, dn);
    let application = |client: &LdapClient| {
        Ok(ldap::Application {
            name: client.name.clone(),
            networks: client.networks.clone(),
            certificate: client.certificate.clone(),
            service: client.service.as_deref().map(named),
            code: entry(&client.code, &policy(config, &client.policy)?.rules),
            rules: Arc::clone(&policy(config, &client.policy)?.rules),
        })
    };
    let exemption = |exempt: &LdapExempt| ldap::Exemption {
        named: named(&exempt.dn),
        from: exempt.from.clone(),
        certificate: exempt.certificate.clone(),
        until: exempt.until,
    };
    Ok(ldap::Callers {
        applications: listen.clients.iter().map(application).collect::<Result<_, RoomError>>()?,
        exemptions: listen.exempt.iter().map(exemption).collect(),
        verifier: listen.verifier.clone(),
        proxy_from: listen.proxy_from.clone(),
        trust_session_tracking: listen.trust_session_tracking.clone(),
    })
}

/// Who checks the first factor, for people.
fn first_words(first: &FirstFactor) -> String {
    match first {
        FirstFactor::Directory(names) => format!("directory {}", names.join(", ")),
        FirstFactor::Upstream { name, .. } => format!("upstream {name}"),
        FirstFactor::Waived => "waived".to_owned(),
        FirstFactor::Winbind(domain) => format!("winbind {domain}"),
    }
}

/// The provider of these settings alone, for whoever wants to know how it is.
pub(super) fn provider(config: &Config, settings: &ProviderSettings, store: &Arc<dyn Store>, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Provider>, RoomError> {
    let mailer = mailer(config)?;
    BehindProviders { server: &config.name, store, clock, mailer: mailer.as_ref(), ledgers: &Ledgers::default() }.provider(settings)
}

fn mailer(config: &Config) -> Result<Option<Arc<dyn Mailer>>, mail::OpenError> {
    let open = |mail: &config::Mail| Smtp::open(&mail.settings).map(|smtp| Arc::new(smtp) as Arc<dyn Mailer>);
    config.mail.as_ref().map(open).transpose()
}

fn readers(config: &Config, mailer: Option<&Arc<dyn Mailer>>) -> Option<Readers> {
    let mail = config.mail.as_ref().filter(|mail| !mail.alerts.is_empty())?;
    Some(Readers { mailer: Arc::clone(mailer?), to: mail.alerts.clone(), texts: Arc::clone(&mail.texts), server: config.name.clone() })
}

/// What providers are built on.
struct BehindProviders<'a> {
    server: &'a str,
    store: &'a Arc<dyn Store>,
    clock: &'a Arc<dyn Clock>,
    mailer: Option<&'a Arc<dyn Mailer>>,
    ledgers: &'a Ledgers,
}

impl BehindProviders<'_> {
    fn provider(&self, settings: &ProviderSettings) -> Result<Arc<dyn Provider>, RoomError> {
        let clock = || Arc::clone(self.clock);
        let ledger = || self.ledgers.of(settings.name());
        let wrong = |error: http::OpenError| RoomError::Provider { name: settings.name().to_owned(), error: error.to_string() };
        Ok(match settings {
            ProviderSettings::Duo(settings) => Arc::new(Duo::new(settings.clone(), clock()).map_err(wrong)?),
            ProviderSettings::Email(settings) => {
                let mailer = self.mailer.ok_or_else(|| RoomError::Missing("mail".to_owned()))?;
                Arc::new(Email::new(settings, Arc::clone(mailer), clock()).with_ledger(ledger()))
            }
            ProviderSettings::Entra(settings) => Arc::new(Entra::new((**settings).clone(), clock()).map_err(wrong)?),
            ProviderSettings::Oath(settings) => Arc::new(Oath::new(settings, Arc::clone(self.store), clock())),
            ProviderSettings::Okta(settings) => Arc::new(Okta::new(settings.clone()).map_err(wrong)?),
            ProviderSettings::PrivacyIdea(settings) => Arc::new(PrivacyIdea::new(settings.clone(), clock()).map_err(wrong)?),
            ProviderSettings::SmsGateway(settings) => Arc::new(Gateway::new(settings.clone(), clock()).map_err(wrong)?.with_ledger(ledger())),
            ProviderSettings::TwilioVerify(settings) => Arc::new(Twilio::new(settings.clone(), clock()).map_err(wrong)?.with_ledger(ledger())),
            ProviderSettings::Webhook(settings) => Arc::new(Webhook::new(settings.clone(), self.server, clock()).map_err(wrong)?),
        })
    }
}

/// Behind a separator stand more digits where a PIN comes with each code.
fn entry(code: &CodeEntry, rules: &Rules) -> CodeEntry {
    match code {
        CodeEntry::Append(separator) if rules.methods.iter().any(|choice| choice.pin.is_some()) => CodeEntry::AppendWithPin(separator.clone()),
        code => code.clone(),
    }
}

fn policy<'c>(config: &'c Config, name: &str) -> Result<&'c Policy, RoomError> {
    config.policies.get(name).ok_or_else(|| RoomError::Missing(format!("policy.{name}")))
}
