//! By HTTP: a post of lines, one JSON object each, which is taken when the answer is 2xx.

use std::io;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Certificate;
use reqwest::Client;
use reqwest::header;
use reqwest::header::HeaderValue;
use reqwest::redirect;
use zeroize::Zeroizing;

use super::Batch;
use super::Sink;
use super::WITHIN;
use crate::domain::Secret;

pub(super) struct Post {
    client: Client,
    url: String,
    token: Option<HeaderValue>,
}

impl Post {
    pub(super) fn new(url: &str, ca_file: Option<&Path>, token: Option<&Secret>) -> io::Result<Self> {
        let builder = Client::builder()
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .timeout(WITHIN);
        let builder = match ca_file {
            Some(path) => builder.tls_certs_only(Certificate::from_pem_bundle(&std::fs::read(path)?).map_err(io::Error::other)?),
            None => builder,
        };
        Ok(Self { client: builder.build().map_err(io::Error::other)?, url: url.to_owned(), token: token.map(bearer).transpose()? })
    }

    /// Any answer will do: a receiver of posts need not know anything else, and a post is a line in somebody's books.
    pub(super) async fn reach(&self) -> io::Result<()> {
        let asked = self.client.head(&self.url).timeout(REACH_WITHIN).send().await;
        asked.map(|_| ()).map_err(|error| io::Error::other(causes(&error.without_url())))
    }
}

/// An error and its causes in one line: the outermost alone says next to nothing.
fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

const REACH_WITHIN: Duration = Duration::from_secs(10);

fn bearer(token: &Secret) -> io::Result<HeaderValue> {
    let text = Zeroizing::new([&b"Bearer "[..], token.expose()].concat());
    let mut value = HeaderValue::from_bytes(&text).map_err(|_| io::Error::other("the token has signs that no header can hold"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[async_trait]
impl Sink for Post {
    async fn send(&mut self, batch: &Batch) -> io::Result<()> {
        let body: String = batch.lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect();
        let mut request = self.client.post(&self.url).header(header::CONTENT_TYPE, "application/x-ndjson").body(body);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token.clone());
        }
        let response = request.send().await.map_err(|error| io::Error::other(error.without_url()))?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(io::Error::other(format!("the receiver answers {status}"))) }
    }
}
