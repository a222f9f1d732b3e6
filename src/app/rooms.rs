//! Rooms built from a configuration: names become what they stand for.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use super::config::Config;
use super::config::LdapListen;
use super::config::ProviderSettings;
use super::config::RadiusClient;
use crate::directory;
use crate::directory::ByDirectory;
use crate::domain::Rules;
use crate::front::ldap;
use crate::front::radius;
use crate::ports::Clock;
use crate::ports::Directory;
use crate::ports::PrimaryCheck;
use crate::ports::Provider;
use crate::ports::Store;
use crate::provider::duo::Duo;
use crate::provider::oath::Oath;

/// What stands between the doors and the world.
#[derive(Debug)]
pub(super) struct Rooms {
    pub(super) directories: BTreeMap<String, Arc<dyn Directory>>,
    pub(super) providers: HashMap<String, Arc<dyn Provider>>,
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
    /// A name leads nowhere.
    #[error("`{0}` is named but not configured")]
    Missing(String),
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
    pub(super) fn build(config: &Config, store: &Arc<dyn Store>, clock: &Arc<dyn Clock>) -> Result<Self, RoomError> {
        let mut directories = BTreeMap::new();
        for settings in &config.directories {
            let name = settings.name.clone();
            let directory = directory::open(settings.clone()).map_err(|error| RoomError::Directory { name: name.clone(), error })?;
            directories.insert(name, directory);
        }
        let mut providers: HashMap<String, Arc<dyn Provider>> = HashMap::new();
        for settings in &config.providers {
            providers.insert(settings.name().to_owned(), provider(settings, store, clock)?);
        }
        Ok(Self { directories, providers })
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
        let check: Arc<dyn PrimaryCheck> = Arc::new(ByDirectory(self.directory(&client.first_directory)?));
        Ok(radius::Client {
            name: client.name.clone(),
            networks: client.networks.clone(),
            secret: client.secret.clone(),
            integrity: client.integrity,
            nas_identifier: None,
            nas_address: radius::NasAddress::Log,
            first: radius::First::Password(check),
            code: client.code.clone(),
            code_in_ms_chap2: false,
            charset: radius::Charset::Utf8,
            patience: client.patience,
            source: client.source,
            rules: policy(config, &client.policy)?,
            additions: Arc::default(),
            enrol_url: None,
            card: radius::Card { profile: None, first: format!("directory {}", client.first_directory), retransmits: None, tally: census.tally(&client.name) },
        })
    }

    /// What one LDAP listener needs.
    pub(super) fn ldap(&self, config: &Config, listen: &LdapListen, connections_max: usize) -> Result<ldap::Settings, RoomError> {
        Ok(ldap::Settings {
            name: listen.name.clone(),
            transport: listen.transport.clone(),
            directory: self.directory(&listen.directory)?,
            code: listen.code.clone(),
            rules: policy(config, &listen.policy)?,
            connections_max,
            pdu_bytes_max: config.limits.ldap_pdu_bytes_max,
            reject_delay: config.limits.reject_delay,
            login_deadline: config.limits.login_deadline,
        })
    }

    fn directory(&self, name: &str) -> Result<Arc<dyn Directory>, RoomError> {
        self.directories.get(name).map(Arc::clone).ok_or_else(|| RoomError::Missing(format!("directory.{name}")))
    }
}

fn provider(settings: &ProviderSettings, store: &Arc<dyn Store>, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Provider>, RoomError> {
    Ok(match settings {
        ProviderSettings::Oath(settings) => Arc::new(Oath::new(settings, Arc::clone(store), Arc::clone(clock))),
        ProviderSettings::Duo(settings) => {
            let duo = Duo::new(settings.clone(), Arc::clone(clock));
            Arc::new(duo.map_err(|error| RoomError::Provider { name: settings.name.clone(), error: error.to_string() })?)
        }
    })
}

fn policy(config: &Config, name: &str) -> Result<Arc<Rules>, RoomError> {
    config.policies.get(name).map(Arc::clone).ok_or_else(|| RoomError::Missing(format!("policy.{name}")))
}
