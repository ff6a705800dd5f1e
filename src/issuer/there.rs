//! What the shared state has of revoked tokens, as far as this gateway was told by it.

use crate::policy::UnixTime;
use crate::token::{Revocation, Revocations};

/// What the shared state has.
#[derive(Default)]
pub(super) struct There {
    known: Revocations,
    /// What was heard since all is heard again.
    again: Option<Revocations>,
}

impl There {
    /// All is heard once more: what is not among it then has been lost.
    pub(super) fn hear_again(&mut self) {
        self.again = Some(Revocations::default());
    }

    /// It has this.
    pub(super) fn add(&mut self, entry: Revocation) {
        if let Some(again) = &mut self.again {
            again.add(entry.clone());
        }
        self.known.add(entry);
    }

    /// That nothing more is to be heard; whether all was heard once more by that.
    pub(super) fn was_all_heard(&mut self) -> bool {
        match self.again.take() {
            Some(again) => {
                self.known = again;
                true
            }
            None => false,
        }
    }

    /// What of a list it has not, and what matters still.
    pub(super) fn lacks<'l>(&'l self, list: &'l Revocations, now: UnixTime) -> impl Iterator<Item = Revocation> + 'l {
        list.beyond(&self.known, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64) -> Revocation {
        Revocation::parse(format!(r#"{{"jti":"t-{id}","iss":"i","exp":1000}}"#).as_bytes()).unwrap()
    }

    fn list(ids: impl IntoIterator<Item = u64>) -> Revocations {
        ids.into_iter().fold(Revocations::default(), |mut list, id| {
            list.add(entry(id));
            list
        })
    }

    #[track_caller]
    fn check(there: &There, lacking: &[u64]) {
        let lacks: Vec<_> = there.lacks(&list(0..4), UnixTime(0)).collect();
        assert_eq!(lacks.len(), lacking.len(), "{lacks:?}");
        assert!(lacking.iter().all(|id| lacks.contains(&entry(*id))), "{lacks:?}");
    }

    #[test]
    fn what_was_lost_without_a_word_is_lacking_once_all_was_heard_again() {
        let mut there = There::default();
        for id in 0..3 {
            there.add(entry(id));
        }
        check(&there, &[3]);
        assert!(!there.was_all_heard());
        there.hear_again();
        there.add(entry(0));
        // Nothing is told for what may come yet.
        check(&there, &[3]);
        there.add(entry(2));
        there.add(entry(3));
        check(&there, &[]);
        assert!(there.was_all_heard());
        check(&there, &[1]);
        assert!(!there.was_all_heard());
        assert_eq!(there.lacks(&list(0..4), UnixTime(1_300)).count(), 0, "what is over is not told");
    }
}
