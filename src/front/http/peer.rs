//! Who is at the other end of the socket, told by the kernel, and whether they may administrate.

use std::ffi::CString;

use nix::unistd::Gid;
use nix::unistd::Uid;
use nix::unistd::User;
use nix::unistd::getgrouplist;

/// The process that connected, as the kernel saw it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// Somebody who may administrate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    /// The user's number.
    pub uid: u32,
    /// And name; the number again where the machine knows no name for it.
    pub name: String,
}

/// Who may come in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// We ourselves.
    pub own: Uid,
    /// Members of this group; where there is none, nobody but root and we.
    pub group: Option<Gid>,
}

impl Gate {
    /// Whether it is root or we ourselves: who has the store's files in hand whatever we say. A member of the group has not.
    pub(super) fn has_the_files(self, uid: u32) -> bool {
        Uid::from_raw(uid).is_root() || uid == self.own.as_raw()
    }

    /// The operator behind `peer`; `None` for all others. Asks the machine's user database, so it may block.
    pub(super) fn admit(self, peer: Peer) -> Option<Operator> {
        let uid = Uid::from_raw(peer.uid);
        // A user database that cannot be read knows nobody: then only root and we come in.
        let user = User::from_uid(uid).unwrap_or_default();
        let may =
            self.has_the_files(peer.uid) || self.group.is_some_and(|group| peer.gid == group.as_raw() || user.as_ref().is_some_and(|user| member(user, group)));
        let name = user.map_or_else(|| peer.uid.to_string(), |user| user.name);
        may.then_some(Operator { uid: peer.uid, name })
    }
}

/// Whether it is the user's own group or one of the others.
fn member(user: &User, group: Gid) -> bool {
    let Ok(name) = CString::new(user.name.as_str()) else { return false };
    user.gid == group || getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: Peer = Peer { uid: 4_000_000_001, gid: 4_000_000_001 };

    fn gate(group: Option<u32>) -> Gate {
        Gate { own: Uid::from_raw(4_000_000_002), group: group.map(Gid::from_raw) }
    }

    #[test]
    fn root_and_the_servers_own_user_come_in() {
        assert_eq!(gate(None).admit(Peer { uid: 0, gid: 0 }), Some(Operator { uid: 0, name: "root".into() }));
        let own = Peer { uid: 4_000_000_002, gid: 7 };
        assert_eq!(gate(None).admit(own), Some(Operator { uid: 4_000_000_002, name: "4000000002".into() }));
    }

    #[test]
    fn o_09_a_member_of_the_group_has_not_the_files() {
        let gate = gate(Some(STRANGER.gid));
        assert!(gate.admit(STRANGER).is_some() && !gate.has_the_files(STRANGER.uid));
        assert!(gate.has_the_files(0) && gate.has_the_files(4_000_000_002));
    }

    #[test]
    fn a_stranger_stays_out_whatever_groups_there_are() {
        assert_eq!(gate(None).admit(STRANGER), None);
        assert_eq!(gate(Some(12)).admit(STRANGER), None);
    }

    #[test]
    fn a_member_comes_in_by_its_effective_or_its_listed_group() {
        assert!(gate(Some(STRANGER.gid)).admit(STRANGER).is_some());
        let daemon = User::from_name("daemon").unwrap().unwrap();
        let peer = Peer { uid: daemon.uid.as_raw(), gid: 4_000_000_003 };
        assert!(gate(Some(daemon.gid.as_raw())).admit(peer).is_some());
        assert!(gate(Some(4_000_000_004)).admit(peer).is_none());
    }
}
