//! What the head of an answer tells beside its status: how long to keep silent, and what time it is there.

use std::time::Duration;

use reqwest::header::DATE;
use reqwest::header::HeaderMap;
use reqwest::header::RETRY_AFTER;

/// Seconds alone; a date, nonsense or nothing is the usual pause.
pub(super) fn retry_after(headers: &HeaderMap, usual: Duration) -> Duration {
    let told = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok());
    told.map_or(usual, Duration::from_secs)
}

/// RFC 9110 §6.6.1, in the one form that is still written.
pub(super) fn date_s(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let moment = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    u64::try_from(moment.as_second()).ok()
}
