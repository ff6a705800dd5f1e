//! The harness of all test binaries, whose gateways' answers are held against their explanations here.

use std::ops::{Deref, DerefMut};
use std::path::Path;

pub(crate) use ::harness::{
    Asked, Connection, EndOnDrop, Load, PATIENCE, Process, Recorded, Response, Signer, Upstream, check_schema, connect,
    encode, free_address, now, payload, read_until, scopegate, wait_for, waves,
};

use crate::agreeing;

/// A gateway, each answer of which is explained too.
pub(crate) struct Gateway(::harness::Gateway);

impl Gateway {
    pub(crate) fn start(policy: &str) -> Self {
        Self::watched(|| ::harness::Gateway::start(policy))
    }

    pub(crate) fn start_in(policy: &str, prepare: impl Fn(&Path)) -> Self {
        Self::watched(|| ::harness::Gateway::start_in(policy, prepare))
    }

    pub(crate) fn start_with(policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        Self::watched(|| ::harness::Gateway::start_with(policy, upstream, prepare))
    }

    pub(crate) fn start_listening(listener: &str, policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        Self::watched(|| ::harness::Gateway::start_listening(listener, policy, upstream, prepare))
    }

    pub(crate) fn start_saying_all(listener: &str, policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        Self::watched(|| ::harness::Gateway::start_saying_all(listener, policy, upstream, prepare))
    }

    pub(crate) fn launch(listener: &str, policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        Self::watched(|| ::harness::Gateway::launch(listener, policy, upstream, prepare))
    }

    fn watched(start: impl FnOnce() -> ::harness::Gateway) -> Self {
        agreeing::watch();
        Self(start())
    }
}

impl Deref for Gateway {
    type Target = ::harness::Gateway;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Gateway {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
