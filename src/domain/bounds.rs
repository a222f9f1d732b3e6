//! The play of what policies demand beside the factors: groups, hours, and outages that end.

use std::sync::Arc;

use super::flow::Event;
use super::groups::Groups;
use super::hours::Hours;
use super::oracle::Story;
use super::play::OUTAGE_MAX_MS;
use super::play::Scene;
use super::play::Shape;
use super::play::Tally;
use super::play::alphabet;
use super::play::explore;
use super::play::explore_from;
use super::play::passed;
use super::play::request;
use super::play::rules;
use super::rules::FirstAlone;
use super::rules::OnOutage;
use super::rules::Rules;

fn grouped(exempt: &[&str], required: &[&str], denied: &[&str]) -> Groups {
    let owned = |groups: &[&str]| groups.iter().map(|group| (*group).to_owned()).collect();
    Groups { exempt: owned(exempt), required: owned(required), denied: owned(denied) }
}

/// A group lets nobody in who is not in it, and what nobody can tell is to nobody's good.
#[test]
fn m_47_no_order_of_events_lets_anybody_in_whom_the_groups_keep_out() {
    let plain = rules(FirstAlone::Accept, FirstAlone::Accept, OnOutage::Open, 3);
    let lines = [
        (grouped(&["robots"], &[], &[]), true),
        (grouped(&[], &["staff"], &[]), false),
        (grouped(&[], &[], &["guests"]), false),
        (grouped(&["robots"], &["staff"], &["guests"]), true),
    ];
    let mut plays = 0;
    for (groups, exempts) in lines {
        for shape in [Shape::Asks, Shape::Exempt, Shape::Trusted, Shape::Renews, Shape::Hashed] {
            let scene = Scene { rules: Arc::new(Rules { groups: groups.clone(), ..(*plain).clone() }), request: request(shape) };
            let mut tally = Tally::default();
            explore_from(&scene, vec![Event::Begin, Event::Hinted(Ok(None))], 5, &mut tally);
            assert_eq!(tally.grants.contains("exempt_group"), exempts, "{groups:?}");
            assert!(tally.actions.contains("groups") && tally.grants.contains("disabled"));
            plays += tally.plays;
        }
    }
    eprintln!("{plays} plays of groups");
    assert!(plays > 50_000, "only {plays} plays");
}

/// At an hour at which nobody logs in the password is not even asked about.
#[test]
fn no_order_of_events_lets_anybody_in_outside_the_hours() {
    let plain = rules(FirstAlone::Accept, FirstAlone::Accept, OnOutage::Open, 3);
    let hours = Hours(vec!["mon-fri 07:00-19:00".parse().unwrap()]);
    let scene = Scene { rules: Arc::new(Rules { hours, ..(*plain).clone() }), request: request(Shape::Trusted) };
    let mut tally = Tally::default();
    explore(&scene, &alphabet(), &mut Story::new(), 7, &mut tally);
    assert!(tally.grants.contains("trusted_network") && tally.actions.contains("hour"));
}

/// Open in an outage, but not in one that lasts.
#[test]
fn m_14_no_order_of_events_lets_anybody_in_by_an_outage_that_lasts() {
    let plain = rules(FirstAlone::Reject, FirstAlone::Reject, OnOutage::Open, 3);
    let scene = Scene { rules: Arc::new(Rules { outage_max_ms: OUTAGE_MAX_MS, ..(*plain).clone() }), request: request(Shape::Bare) };
    let mut tally = Tally::default();
    explore_from(&scene, passed(), 5, &mut tally);
    assert!(tally.grants.contains("fail_open") && tally.actions.contains("away"));
}
