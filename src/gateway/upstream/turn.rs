//! One request's turn among the servers of an upstream: who is first, and who is next.

use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::choice::Servers;
use super::condition::State;
use super::server::Server;

/// More servers than these are not tried for one request.
const MOST_TRIES: usize = 4;

/// One request's turn among the servers.
#[derive(Debug)]
pub(in crate::gateway) struct Turn {
    servers: Arc<Servers>,
    /// A place in their order.
    first: usize,
    /// The places of those that were chosen, the last one last.
    tried: SmallVec<[u16; MOST_TRIES]>,
    /// The one that has the request, where requests are counted.
    counted: Option<Arc<Server>>,
}

impl Turn {
    pub(super) fn new(servers: Arc<Servers>, first: usize) -> Self {
        Self { servers, first, tried: SmallVec::new(), counted: None }
    }

    /// The server to try next; `None` if there is none.
    pub(in crate::gateway) fn next(&mut self) -> Option<Arc<Server>> {
        let place = self.find()?;
        self.tried.push(place);
        let server = self.servers.list.get(usize::from(place))?;
        if self.servers.counts {
            server.condition.begun();
            if let Some(before) = self.counted.replace(Arc::clone(server)) {
                before.condition.ended();
            }
        }
        Some(Arc::clone(server))
    }

    /// Whether there is a server that was not tried.
    pub(in crate::gateway) fn has_more(&self) -> bool {
        self.find().is_some()
    }

    /// The server that was tried last is to be tried again.
    pub(in crate::gateway) fn again(&mut self) {
        self.tried.pop();
    }

    /// The request is to be sent again: to a server that was not tried, if there is one.
    pub(in crate::gateway) fn retry(&mut self) {
        if !self.has_more() {
            self.tried.clear();
        }
    }

    /// The server that was tried last has answered.
    pub(in crate::gateway) fn succeeded(&self) {
        if self.servers.ejection.is_some()
            && let Some(server) = self.last()
        {
            server.condition.succeeded();
        }
    }

    /// The server that was tried last has failed the request.
    pub(in crate::gateway) fn failed(&self) {
        if let Some(ejection) = self.servers.ejection
            && let Some(server) = self.last()
            && server.condition.failed(ejection.failures)
        {
            self.servers.eject(server, Instant::now() + ejection.time);
        }
    }

    fn last(&self) -> Option<&Arc<Server>> {
        self.servers.list.get(usize::from(*self.tried.last()?))
    }

    fn find(&self) -> Option<u16> {
        if self.tried.len() >= MOST_TRIES {
            return None;
        }
        let is_new = |place: &u16| !self.tried.contains(place);
        let is = |place: &u16, state| self.servers.state(*place) == Some(state);
        let mut places = self.servers.from(self.first)?.filter(is_new);
        let usable = places.find(|place| is(place, State::Usable));
        // Better one that has failed requests than none; one that fails its checks is none.
        usable.or_else(|| self.servers.from(self.first)?.filter(is_new).find(|place| is(place, State::Ejected)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(server) = &self.counted {
            server.condition.ended();
        }
    }
}
