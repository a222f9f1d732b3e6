//! `vestibule client sessions`: who is on, as RADIUS clients tell by accounting.

use crate::app::shapes::Session;
use crate::app::shapes::SessionPage;
use crate::cli::output::Failure;
use crate::cli::output::or_dash;
use crate::cli::output::say_json;
use crate::cli::output::say_table;
use crate::cli::server::Reach;
use crate::cli::server::Server;

/// Lists them, all pages: each is read when the one before is in.
///
/// # Errors
/// What the server says.
pub(super) async fn sessions(search: &str, reach: &Reach) -> Result<(), Failure> {
    let server = Server::new(reach)?;
    let mut sessions: Vec<Session> = Vec::new();
    let mut after = None;
    loop {
        let mut query = vec![("search", search)];
        query.extend(after.as_deref().map(|after| ("after", after)));
        let page: SessionPage = server.get(&["sessions"], &query).await?;
        sessions.extend(page.sessions);
        // A server that says the same page twice would keep us for ever.
        if page.next.is_none() || page.next == after {
            break;
        }
        after = page.next;
    }
    if reach.json {
        return say_json(&sessions);
    }
    let rows: Vec<_> = sessions.iter().map(row).collect();
    say_table(&["NAME", "CLIENT", "SINCE", "FROM", "ADDRESS", "IN", "OUT"], &rows)
}

fn row(session: &Session) -> Vec<String> {
    vec![
        or_dash(session.name.as_deref()),
        session.client.clone(),
        session.since.clone(),
        or_dash(session.source.as_deref()),
        or_dash(session.address.as_deref()),
        traffic(session.input_octets),
        traffic(session.output_octets),
    ]
}

/// Octets as people read them: `17`, `1.5 KiB`, `20 GiB`.
fn traffic(octets: u64) -> String {
    let mut unit = 1_u64;
    let mut name = None;
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if octets / unit < 1024 {
            break;
        }
        (unit, name) = (unit.saturating_mul(1024), Some(larger));
    }
    let Some(name) = name else { return octets.to_string() };
    let (whole, tenth) = (octets / unit, (octets % unit).saturating_mul(10) / unit);
    if whole < 10 { format!("{whole}.{tenth} {name}") } else { format!("{whole} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_told_in_the_unit_that_fits() {
        let told = [0, 1023, 1024, 1536, 10 * 1024, 5 << 30, u64::MAX].map(traffic);
        assert_eq!(told, ["0", "1023", "1.0 KiB", "1.5 KiB", "10 KiB", "5.0 GiB", "16777215 TiB"]);
    }
}
