//! Groups that decide, at the LDAP door: asked of the directory in each bind, of whoever the first factor proved.

use vestibule::domain::Groups;

use super::client::bind;
use super::rig::Plan;
use super::rig::Rig;

const DENIED: u32 = 49;
const UNAVAILABLE: u32 = 52;

/// What comes of a bind of alice's who is in these groups, and whether her phone rang.
async fn bound(groups: Groups, member_of: Option<&'static [&'static str]>) -> (u32, bool) {
    let rig = Rig::open(Plan { groups, member_of, ..Plan::default() }).await;
    rig.answer(true);
    let mut client = rig.client().await;
    client.send(&bind(1, "alice", "pass")).await;
    let (_, _, code) = client.result().await;
    (code, rig.diary.lines().iter().any(|line| line.starts_with("push")))
}

fn required() -> Groups {
    Groups { required: vec!["Wiki".into()], ..Groups::default() }
}

fn denied() -> Groups {
    Groups { denied: vec!["Leavers".into()], ..Groups::default() }
}

fn exempt() -> Groups {
    Groups { exempt: vec!["Robots".into()], ..Groups::default() }
}

#[tokio::test]
async fn m_47_a_bind_is_held_to_the_groups_of_its_policy() {
    assert_eq!(bound(required(), Some(&["Wiki"])).await, (0, true));
    assert_eq!(bound(required(), Some(&["Mail"])).await, (DENIED, false), "in none that is let in, and not rung");
    assert_eq!(bound(denied(), Some(&["Wiki"])).await, (0, true));
    assert_eq!(bound(denied(), Some(&["Leavers"])).await, (DENIED, false));
    assert_eq!(bound(exempt(), Some(&["Robots"])).await, (0, false), "the password is enough");
    assert_eq!(bound(exempt(), Some(&["Wiki"])).await, (0, true));
}

#[tokio::test]
async fn m_47_groups_that_nobody_can_tell_let_no_bind_in_where_they_keep_people_out() {
    assert_eq!(bound(required(), None).await, (UNAVAILABLE, false));
    assert_eq!(bound(denied(), None).await, (UNAVAILABLE, false));
    assert_eq!(bound(exempt(), None).await, (0, true), "and exempt nobody");
}
