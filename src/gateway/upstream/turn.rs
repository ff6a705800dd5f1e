//! One request's turn among the servers of an upstream.

use std::sync::Arc;

use smallvec::SmallVec;

use super::server::Server;

/// More servers than these are not tried for one request.
const MOST_TRIES: usize = 4;

/// The servers of an upstream at one moment.
#[derive(Debug, Default)]
pub(super) struct Servers {
    pub(super) list: Box<[Arc<Server>]>,
    /// Who comes after whom, as places in the list.
    pub(super) order: Box<[u16]>,
}

/// One request's turn among the servers.
#[derive(Debug)]
pub(in crate::gateway) struct Turn {
    servers: Arc<Servers>,
    /// A place in their order.
    first: usize,
    /// The places of those that were chosen, the last one last.
    tried: SmallVec<[u16; MOST_TRIES]>,
}

impl Servers {
    /// They take turns.
    pub(super) fn new(list: Box<[Arc<Server>]>) -> Self {
        // More than that are not of use.
        let order = (0..u16::MAX).take(list.len()).collect();
        Self { list, order }
    }
}

impl Turn {
    pub(super) fn new(servers: Arc<Servers>, first: usize) -> Self {
        Self { servers, first, tried: SmallVec::new() }
    }

    /// The server to try next; `None` if there is none.
    pub(in crate::gateway) fn next(&mut self) -> Option<Arc<Server>> {
        let place = self.find()?;
        self.tried.push(place);
        self.servers.list.get(usize::from(place)).cloned()
    }

    /// Whether there is a server that was not tried.
    pub(in crate::gateway) fn has_more(&self) -> bool {
        self.find().is_some()
    }

    /// The server that was tried last is to be tried again.
    pub(in crate::gateway) fn again(&mut self) {
        self.tried.pop();
    }

    fn find(&self) -> Option<u16> {
        let Servers { order, .. } = &*self.servers;
        if self.tried.len() >= MOST_TRIES {
            return None;
        }
        let first = self.first.checked_rem(order.len())?;
        let (before, after) = order.split_at_checked(first)?;
        after.iter().chain(before).copied().find(|place| !self.tried.contains(place))
    }
}
