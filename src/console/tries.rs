//! How often anybody may try to sign in: from one address, and in all.
//!
//! A guess at a token or an id is hopeless anyway. What is bounded here is the work that strangers can
//! cause, at the gateway and at the issuer.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

/// From one address at once, and how long each takes to be allowed again.
const EACH: Bounds = Bounds { most: 30, again: Duration::from_secs(2) };
/// From all together.
const ALL: Bounds = Bounds { most: 300, again: Duration::from_millis(100) };
/// Addresses that are remembered before those are dropped that have all their tries again.
const MANY: usize = 1000;

#[derive(Debug, Clone, Copy)]
struct Bounds {
    most: u32,
    again: Duration,
}

/// What has been tried lately.
#[derive(Debug, Default)]
pub(super) struct Tries {
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    all: Used,
    each: HashMap<IpAddr, Used>,
}

/// When all of it is allowed again; every try puts that off.
#[derive(Debug, Clone, Copy, Default)]
struct Used(Option<Instant>);

impl Tries {
    /// Notes a try from this address.
    ///
    /// # Errors
    /// If there were too many: how long to wait.
    pub(super) fn make(&self, from: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.each.len() >= MANY {
            made.each.retain(|_, used| !used.is_over(now));
        }
        let address = from.map(network);
        let mut each = address.and_then(|address| made.each.get(&address)).copied().unwrap_or_default();
        // A stranger who is refused takes nothing from the others.
        each.take(EACH, now)?;
        made.all.take(ALL, now)?;
        if let Some(address) = address {
            made.each.insert(address, each);
        }
        Ok(())
    }
}

impl Used {
    fn take(&mut self, bounds: Bounds, now: Instant) -> Result<(), Duration> {
        let until = self.0.filter(|until| *until > now).unwrap_or(now) + bounds.again;
        let longest = bounds.again * bounds.most;
        let wait = until.duration_since(now).saturating_sub(longest);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.0 = Some(until);
        Ok(())
    }

    fn is_over(self, now: Instant) -> bool {
        self.0.is_none_or(|until| until <= now)
    }
}

/// One customer of a provider has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u32) -> IpAddr {
        IpAddr::from(last.to_be_bytes())
    }

    fn make(tries: &Tries, last: u32, now: Instant) -> Result<(), Duration> {
        tries.make(Some(address(last)), now)
    }

    #[test]
    fn one_address_has_so_many_tries_and_gets_them_back_one_by_one() {
        let (tries, start) = (Tries::default(), Instant::now());
        for _ in 0..EACH.most {
            assert_eq!(make(&tries, 1, start), Ok(()));
        }
        assert_eq!(make(&tries, 1, start), Err(EACH.again));
        assert_eq!(make(&tries, 2, start), Ok(()));
        assert_eq!(make(&tries, 1, start + EACH.again / 2), Err(EACH.again / 2));
        assert_eq!(make(&tries, 1, start + EACH.again), Ok(()));
        assert!(make(&tries, 1, start + EACH.again).is_err());
    }

    #[test]
    fn all_together_have_so_many_tries_and_little_is_remembered() {
        let (tries, start) = (Tries::default(), Instant::now());
        for other in 0..ALL.most {
            assert_eq!(make(&tries, other, start), Ok(()));
        }
        assert!(make(&tries, 70_000, start).is_err());
        let mut now = start;
        for other in 0..5000 {
            now += ALL.again;
            assert_eq!(make(&tries, 100_000 + other, now), Ok(()));
        }
        assert!(tries.made.lock().unwrap().each.len() <= MANY);
    }

    #[test]
    fn addresses_of_one_customer_are_one() {
        let (tries, start) = (Tries::default(), Instant::now());
        for last in 0..EACH.most {
            assert!(tries.make(Some(format!("2001:db8::{last:x}").parse().unwrap()), start).is_ok());
        }
        assert!(tries.make(Some("2001:db8::ffff:1".parse().unwrap()), start).is_err());
        assert!(tries.make(Some("2001:db8:0:1::1".parse().unwrap()), start).is_ok());
    }
}
