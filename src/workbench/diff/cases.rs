//! How a request can name its account, and which ways it then opens.
//!
//! Of all requests of one class that name their account in the same places, one stands for the rest:
//! it names no more accounts that are the same, or the caller's own, than the way needs that it came by.

use super::shape::{Piece, Sample, decoded};
use super::way::{Asks, Way};
use crate::policy::{Account, AccountSource, Reach};

/// The places outside the path in which a request names an account, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Case {
    /// A bit for each source.
    pub(super) sent: u32,
    /// Whether the caller has a second account.
    pub(super) several: bool,
}

/// The request that stands for a case.
#[derive(Debug, Clone)]
pub(super) struct Stand {
    pub(super) sample: Sample,
    /// What each source says.
    pub(super) sent: Vec<(AccountSource, String)>,
    /// The caller's own accounts.
    pub(super) accounts: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Named {
    Nothing,
    One(String),
    Several,
}

/// Every case for these sources.
pub(super) fn cases(sources: usize) -> impl Iterator<Item = Case> {
    let masks = 1u32.checked_shl(u32::try_from(sources).unwrap_or(u32::MAX)).unwrap_or(1);
    (0..masks).flat_map(|sent| [false, true].map(|several| Case { sent, several }))
}

impl Case {
    /// The request that comes by `way` on such a path and stands for the case, if one can. `own` is
    /// the account that the caller must have, if it must have a certain one.
    pub(super) fn stand(
        self,
        way: &Way<'_>,
        sample: &Sample,
        sources: &[&AccountSource],
        own: Option<&str>,
    ) -> Option<Stand> {
        let Some(asks) = &way.asks else {
            let stand = Stand { sample: sample.clone(), sent: Vec::new(), accounts: Vec::new() };
            return (self.sent == 0 && !self.several).then_some(stand);
        };
        let own = own.filter(|_| asks.reach == Reach::Own);
        let sample = agreeing(sample, &asks.places, own)?;
        let in_path = asks.places.first().and_then(|place| sample.segments.get(*place));
        let account = match (in_path, own) {
            (Some(piece), _) => decoded(&piece.text),
            (None, Some(own)) => own.to_owned(),
            (None, None) => unlike(&sample, "own"),
        };
        let mut sent = Vec::new();
        for (place, source) in sources.iter().enumerate() {
            if self.sent & (1 << place) != 0 {
                let value = if asks.outside.contains(source) {
                    account.clone()
                } else {
                    unlike(&sample, &format!("other{place}"))
                };
                sent.push(((*source).clone(), value));
            }
        }
        let names_it = in_path.is_some() || sent.iter().any(|(source, _)| asks.outside.contains(&source));
        let second = self.several.then(|| unlike(&sample, "second"));
        let accounts = match asks.reach {
            Reach::Any if self.several => return None,
            Reach::Any => Vec::new(),
            Reach::Own if !names_it && (!asks.injects || self.several) => return None,
            Reach::Own => {
                Account::parse(&account)?;
                std::iter::once(account).chain(second).collect()
            }
        };
        let stand = Stand { sample, sent, accounts };
        way.admits(&stand).then_some(stand)
    }
}

impl Way<'_> {
    /// Whether the request names its account as this way asks; path, method and scopes aside.
    pub(super) fn admits(&self, stand: &Stand) -> bool {
        let Some(asks) = &self.asks else { return true };
        let is_own =
            |account: &str| stand.accounts.iter().any(|own| own == account) && Account::parse(account).is_some();
        match (asks.named(stand), asks.reach) {
            (Named::Several, _) => false,
            (_, Reach::Any) => true,
            (Named::One(account), Reach::Own) => is_own(&account),
            (Named::Nothing, Reach::Own) => asks.injects && stand.accounts.len() == 1,
        }
    }
}

impl Asks<'_> {
    fn named(&self, stand: &Stand) -> Named {
        let in_path = self.places.iter().filter_map(|place| stand.sample.segments.get(*place));
        let in_path = in_path.map(|piece| decoded(&piece.text));
        let outside = stand.sent.iter().filter(|(source, _)| self.outside.contains(&source));
        let outside = outside.map(|(_, value)| value.clone());
        in_path.chain(outside).fold(Named::Nothing, |named, account| match named {
            Named::Nothing => Named::One(account),
            Named::One(earlier) if earlier == account => Named::One(earlier),
            Named::One(_) | Named::Several => Named::Several,
        })
    }
}

/// The path with the same account at all of these places, if that leaves it in its class.
fn agreeing(sample: &Sample, places: &[usize], own: Option<&str>) -> Option<Sample> {
    let mut sample = sample.clone();
    let named: Vec<&Piece> = places.iter().filter_map(|place| sample.segments.get(*place)).collect();
    let Some(first) = named.iter().find(|piece| !piece.free).or(named.first()) else { return Some(sample) };
    let text = match own {
        Some(own) if first.free => super::classes::as_segment(own)?,
        Some(_) | None => first.text.clone(),
    };
    if own.is_some_and(|own| decoded(&text) != own) {
        return None;
    }
    let free = first.free;
    if named.iter().any(|piece| piece.free != free || !free && decoded(&piece.text) != decoded(&text)) {
        return None;
    }
    if free {
        for place in places {
            if let Some(piece) = sample.segments.get_mut(*place) {
                *piece = Piece::new(&text, true);
            }
        }
    }
    Some(sample)
}

/// An account that no segment of the path names.
fn unlike(sample: &Sample, account: &str) -> String {
    let mut account = format!("{account}-account");
    while sample.segments.iter().any(|piece| decoded(&piece.text) == account) {
        account.push('-');
    }
    account
}
