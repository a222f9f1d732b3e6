//! What monitoring sees of the server, and the listener through which it looks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::Config;
use super::server::ServerError;
use crate::domain::Timestamp;
use crate::front::monitor::Monitor;
use crate::front::monitor::View;
use crate::metrics;

/// Between two times at which what was measured is put into its buckets, whether or not anybody asks.
const UPKEEP: Duration = Duration::from_secs(5);

/// The view, its listener if one is configured, and who tidies up behind the counters.
#[derive(Debug)]
pub(super) struct Monitoring {
    views: watch::Sender<Arc<View>>,
    door: Option<Door>,
    upkeep: Option<JoinHandle<()>>,
}

/// A listener; it closes when this is dropped.
#[derive(Debug)]
pub(super) struct Door {
    wanted: SocketAddr,
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Monitoring {
    /// Opens the listener of `[metrics]`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(config: &Config, view: View, began: Timestamp) -> Result<Self, ServerError> {
        let upkeep = view.counters.clone().map(|counters| tokio::spawn(keep_up(counters)));
        metrics::began(&config.name, began);
        metrics::healthy("store", "disk", true);
        let (views, _) = watch::channel(Arc::new(view));
        let mut monitoring = Self { views, door: None, upkeep };
        monitoring.door = monitoring.door_for(config)?;
        monitoring.tell(config);
        Ok(monitoring)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.door.as_ref().map(|door| door.address)
    }

    /// The listener of another configuration, where the one that is open is not it.
    ///
    /// # Errors
    /// It cannot be opened; the old one goes on.
    pub(super) fn prepare(&self, config: &Config) -> Result<Option<Door>, ServerError> {
        let stays = config.metrics.as_ref().is_some_and(|metrics| self.door.as_ref().is_some_and(|door| door.wanted == metrics.address));
        if stays { Ok(None) } else { self.door_for(config) }
    }

    /// Takes another configuration, with the listener that was prepared for it.
    pub(super) fn settle(&mut self, config: &Config, prepared: Option<Door>, view: View) {
        self.views.send_replace(Arc::new(view));
        if prepared.is_some() || config.metrics.is_none() {
            self.door = prepared;
        }
        self.tell(config);
    }

    /// No new logins are taken any more.
    pub(super) fn closing(&self) {
        self.views.send_modify(|view| *view = Arc::new(View { is_closing: true, ..View::clone(view) }));
    }

    fn door_for(&self, config: &Config) -> Result<Option<Door>, ServerError> {
        let Some(wanted) = config.metrics.as_ref().map(|metrics| metrics.address) else { return Ok(None) };
        let monitor = Monitor::open(wanted, self.views.subscribe()).map_err(|error| ServerError::Listen { kind: "metrics", address: wanted, error })?;
        let (stop, stopped) = oneshot::channel::<()>();
        let address = monitor.address();
        tokio::spawn(async move {
            let ended = monitor.run(async { stopped.await.unwrap_or_default() }).await;
            if let Err(error) = ended {
                tracing::error!(%error, "the metrics listener is closed");
            }
        });
        Ok(Some(Door { wanted, address, _stop: stop }))
    }

    /// What a configuration says about numbers: of what is not in it any more there are none.
    fn tell(&self, config: &Config) {
        let mut until: BTreeMap<String, Timestamp> = BTreeMap::new();
        for certificate in &config.certificates {
            let first = until.entry(certificate.key.clone()).or_insert(certificate.not_after);
            *first = (*first).min(certificate.not_after);
        }
        metrics::certificates(&until);
        metrics::keep_healthy("directory", &config.directories.iter().map(|settings| settings.name.as_str()).collect::<Vec<_>>());
        metrics::keep_healthy("provider", &config.providers.iter().map(super::config::ProviderSettings::name).collect::<Vec<_>>());
        metrics::keep_healthy("upstream", &config.upstreams.iter().map(|settings| settings.login.name.as_str()).collect::<Vec<_>>());
    }
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        if let Some(upkeep) = &self.upkeep {
            upkeep.abort();
        }
    }
}

async fn keep_up(counters: PrometheusHandle) {
    let mut turns = tokio::time::interval(UPKEEP);
    loop {
        turns.tick().await;
        counters.run_upkeep();
    }
}
