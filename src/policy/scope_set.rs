//! A set of the policy's scopes and privileges, small where few are held.

use smallvec::SmallVec;

use super::ScopeId;

/// The scopes and privileges that a caller holds, as bits of the policy's numbering; only words
/// with a bit are kept, so that a token's few scopes stay small in a policy of many thousands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScopeSet {
    /// Sorted by `at`, none empty.
    words: SmallVec<[Word; 2]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    at: u32,
    bits: u64,
}

impl ScopeSet {
    /// Adds one.
    pub fn insert(&mut self, scope: ScopeId) {
        let (at, bit) = place(scope);
        match self.words.binary_search_by_key(&at, |word| word.at) {
            Ok(found) => {
                if let Some(word) = self.words.get_mut(found) {
                    word.bits |= bit;
                }
            }
            Err(free) => self.words.insert(free, Word { at, bits: bit }),
        }
    }

    /// Whether it is in the set.
    #[must_use]
    pub fn contains(&self, scope: ScopeId) -> bool {
        let (at, bit) = place(scope);
        self.words.iter().take_while(|word| word.at <= at).any(|word| word.at == at && word.bits & bit != 0)
    }

    /// What is in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.iter().filter(|scope| other.contains(*scope)).collect()
    }

    /// All that is in it, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = ScopeId> + '_ {
        self.words.iter().flat_map(|word| {
            (0..64).filter(move |bit| word.bits & (1 << bit) != 0).map(move |bit| ScopeId(word.at * 64 + bit))
        })
    }
}

impl FromIterator<ScopeId> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = ScopeId>>(scopes: I) -> Self {
        let mut set = Self::default();
        for scope in scopes {
            set.insert(scope);
        }
        set
    }
}

fn place(scope: ScopeId) -> (u32, u64) {
    (scope.0 / 64, 1 << (scope.0 % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in_and_nothing_else() {
        let members = [70_000, 0, 64, 63, 64, 9_999];
        let set: ScopeSet = members.iter().map(|place| ScopeId(*place)).collect();
        for place in 0..80_000 {
            assert_eq!(set.contains(ScopeId(place)), members.contains(&place), "{place}");
        }
        let listed: Vec<_> = set.iter().map(|scope| scope.0).collect();
        assert_eq!(listed, [0, 63, 64, 9_999, 70_000]);
    }
}
