//! Groups of the directory that decide: whose members are let in, kept out, or need no second factor (M-47).

use super::decision::Decision;
use super::decision::Denial;
use super::decision::Grant;
use super::decision::Outage;

/// Groups as the configuration names them: by name or DN. Who is in a group of theirs is in them too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// Whose members need no second factor.
    pub exempt: Vec<String>,
    /// Where there are any, nobody else is let in.
    pub required: Vec<String>,
    /// Whose members are kept out.
    pub denied: Vec<String>,
}

/// Proof that somebody is in an exempt group, read in this login. Made here alone.
#[derive(Debug)]
pub(super) struct Member(());

impl Member {
    /// What it is a reason for.
    pub(super) fn grant(self) -> Grant {
        let Self(()) = self;
        Grant::ExemptGroup
    }
}

impl Groups {
    /// Whether they decide anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exempt.is_empty() && self.required.is_empty() && self.denied.is_empty()
    }

    /// All of them, each once.
    #[must_use]
    pub fn wanted(&self) -> Vec<String> {
        let mut wanted: Vec<String> = [&self.exempt, &self.required, &self.denied].into_iter().flatten().cloned().collect();
        wanted.sort();
        wanted.dedup();
        wanted
    }

    /// What the groups of a person come to. What nobody can tell is never to the person's good: no exemption, and where groups are required or denied no login.
    pub(super) fn judge(&self, heard: Result<Option<Vec<String>>, Outage>) -> Result<Option<Member>, Decision> {
        let bars = !self.required.is_empty() || !self.denied.is_empty();
        let theirs = match heard {
            Ok(theirs) => theirs,
            Err(outage) if bars => return Err(Decision::Drop(outage)),
            Err(_) => return Ok(None),
        };
        let in_any = |groups: &[String]| theirs.as_ref().is_some_and(|theirs| groups.iter().any(|group| theirs.contains(group)));
        // Of whom no directory knows anything nobody can say that they are in none.
        if in_any(&self.denied) || (theirs.is_none() && !self.denied.is_empty()) {
            return Err(Decision::Reject(Denial::GroupDenied));
        }
        if !self.required.is_empty() && !in_any(&self.required) {
            return Err(Decision::Reject(Denial::GroupMissing));
        }
        Ok(in_any(&self.exempt).then_some(Member(())))
    }
}
