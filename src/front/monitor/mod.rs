//! The door for monitoring: `/metrics`, `/healthz`, `/readyz` over HTTP, for addresses that are named; one request a connection, and ten seconds for it.

mod doorway;
mod health;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use self::doorway::Doorway;
use self::health::Health;
use crate::domain::Network;
use crate::engine::Engine;
use crate::ports::Directory;

/// What monitoring sees; replaced whole on reload.
#[derive(Clone, Debug)]
pub struct View {
    /// Who may ask.
    pub networks: Vec<Network>,
    /// What is counted; `None` where nothing is.
    pub counters: Option<PrometheusHandle>,
    /// What is under way.
    pub engine: Arc<Engine>,
    /// Those that know passwords: one of them must answer.
    pub directories: Vec<Arc<dyn Directory>>,
    /// Names of servers behind us, of which one must be well, as far as anybody knows.
    pub upstreams: Vec<String>,
    /// Where the store lies.
    pub data_dir: PathBuf,
    /// The doors take no new logins any more.
    pub is_closing: bool,
}

/// The listener, open and answering once [`Monitor::run`] is.
#[derive(Debug)]
pub struct Monitor {
    doorway: Doorway,
    address: SocketAddr,
    desk: Desk,
}

impl Monitor {
    /// Opens the listener. Must be called inside the tokio runtime.
    ///
    /// # Errors
    /// The system's.
    pub fn open(address: SocketAddr, views: watch::Receiver<Arc<View>>) -> io::Result<Self> {
        let seen = views.clone();
        let doorway = Doorway::open(address, Box::new(move |who| seen.borrow().networks.iter().any(|network| network.contains(who))))?;
        let address = doorway.address()?;
        Ok(Self { doorway, address, desk: Desk { views, health: Arc::default() } })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is done.
    ///
    /// # Errors
    /// None that is known: connections that fail end, and others go on.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        axum::serve(self.doorway, routes(self.desk)).with_graceful_shutdown(stop).await
    }
}

#[derive(Clone, Debug)]
struct Desk {
    views: watch::Receiver<Arc<View>>,
    health: Arc<Health>,
}

impl Desk {
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.views.borrow())
    }
}

/// Whatever the recorder knows by now, in Prometheus' text format.
#[must_use]
pub fn text(engine: &Engine, counters: &PrometheusHandle) -> Response {
    engine.measure();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], counters.render()).into_response()
}

fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n") })
        .layer(axum::middleware::map_response(once))
        .with_state(desk)
}

/// A connection is for one request: whoever holds more than one place holds it for ten seconds at most.
async fn once(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn metrics(State(desk): State<Desk>) -> Response {
    let view = desk.view();
    let Some(counters) = view.counters.clone() else { return (StatusCode::NOT_FOUND, "nothing is counted here\n").into_response() };
    // Thousands of lines are no work for a thread that logins wait for.
    let written = tokio::task::spawn_blocking(move || text(&view.engine, &counters)).await;
    written.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn ready(State(desk): State<Desk>) -> Response {
    let readiness = desk.health.look(&desk.view()).await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}
