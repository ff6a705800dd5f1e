//! What is known of a client's connection beside its bytes: what TLS has shown of the client, and how
//! much of a head it may still send.
//!
//! It travels in the only field of a connection that pingora leaves to others. Who reads and counts is
//! `connection`; who says when a head begins and ends is `patience` and `client`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use pingora::protocols::Digest;

use super::tenure::Tenure;
use crate::config::Authorizer;
use crate::policy::Certificate;

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Known {
    /// `None`: it has no TLS.
    security: Option<Security>,
    /// Of HTTP/1.
    pub(super) head: HeadMeter,
    /// Where it came to an authorizer, whose.
    pub(super) authorizer: OnceLock<Arc<Authorizer>>,
    /// Of HTTP/1: whether the exchange under way is one that can end before its connection would.
    is_watched: AtomicBool,
    tenure: ArcSwapOption<Tenure>,
    /// Of HTTP/1: whether what is written is to go at once.
    hurries: AtomicBool,
    /// Of HTTP/1: whether something has come since [`Self::listen`] that is no part of a head.
    heard: AtomicBool,
}

/// What TLS says of a client.
#[derive(Debug)]
pub(super) struct Security {
    /// What the client has shown, verified.
    pub(super) certificate: Option<Certificate>,
}

/// How much of a head may still come. Only one task at a time has to do with a connection of HTTP/1.
#[derive(Debug)]
pub(super) struct HeadMeter {
    /// `OFF` while no head is awaited.
    left: AtomicUsize,
    begun: AtomicBool,
    exceeded: AtomicBool,
}

/// That no head is awaited.
const OFF: usize = usize::MAX;

impl Known {
    pub(super) fn new(security: Option<Security>) -> Self {
        let head = HeadMeter { left: AtomicUsize::new(OFF), begun: false.into(), exceeded: false.into() };
        let authorizer = OnceLock::new();
        Self {
            security,
            head,
            authorizer,
            is_watched: false.into(),
            tenure: ArcSwapOption::empty(),
            hurries: false.into(),
            heard: false.into(),
        }
    }

    /// That of the connection that a request came by.
    pub(super) fn of(digest: Option<&Digest>) -> Option<&Arc<Self>> {
        digest?.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    /// How long the exchange under way may go on, if it can end before its connection would.
    pub(super) fn tenure(&self) -> Option<Arc<Tenure>> {
        if self.is_watched.load(Ordering::Relaxed) { self.tenure.load_full() } else { None }
    }

    pub(super) fn watch(&self, tenure: Option<Arc<Tenure>>) {
        let is_watched = tenure.is_some();
        self.tenure.store(tenure);
        self.is_watched.store(is_watched, Ordering::Relaxed);
    }

    /// That a request begins, whose head is read.
    pub(super) fn begin(&self) {
        self.head.stop();
        self.hurry(false);
        self.listen();
    }

    /// That nothing more of a request is to come: what does is of the next.
    pub(super) fn listen(&self) {
        self.heard.store(false, Ordering::Relaxed);
    }

    /// That something has come that is no part of a head. Pingora does not listen to the client any more then, and so
    /// nothing would have go what is held.
    pub(super) fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Whether what is written is to go at once. Otherwise it goes when something is read, or at its end.
    pub(super) fn hurry(&self, hurries: bool) {
        self.hurries.store(hurries, Ordering::Relaxed);
    }

    /// Whether what is written is to go at once.
    pub(super) fn hurries(&self) -> bool {
        self.hurries.load(Ordering::Relaxed) || self.heard.load(Ordering::Relaxed)
    }

    /// Whether the connection that a request came by has TLS.
    pub(super) fn is_secure(digest: Option<&Digest>) -> bool {
        Self::of(digest).is_some_and(|known| known.security.is_some())
    }

    /// The authorizer that the connection of a request came to, if it was one.
    pub(super) fn authorizer(digest: Option<&Digest>) -> Option<Arc<Authorizer>> {
        Self::of(digest)?.authorizer.get().cloned()
    }

    /// The certificate that the client of that connection has shown, verified.
    pub(super) fn certificate(digest: Option<&Digest>) -> Option<&Certificate> {
        Self::of(digest)?.security.as_ref()?.certificate.as_ref()
    }
}

impl HeadMeter {
    /// A head is awaited, of that many bytes at most.
    pub(super) fn start(&self, bytes: usize) {
        self.begun.store(false, Ordering::Relaxed);
        self.left.store(bytes, Ordering::Relaxed);
    }

    /// The head is read.
    pub(super) fn stop(&self) {
        self.left.store(OFF, Ordering::Relaxed);
    }

    /// Whether something of it has come.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether it was larger than it may be.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    /// How many bytes may be read now; `None`: as many as there are. At none, the head is larger than it may
    /// be.
    pub(super) fn left(&self) -> Option<usize> {
        Some(self.left.load(Ordering::Relaxed)).filter(|left| *left != OFF)
    }

    /// So many bytes have come.
    pub(super) fn take(&self, bytes: usize) {
        if let Some(left) = self.left() {
            self.left.store(left.saturating_sub(bytes), Ordering::Relaxed);
            self.begun.fetch_or(bytes > 0, Ordering::Relaxed);
        }
    }

    /// That it was larger than it may be.
    pub(super) fn exceed(&self) {
        self.exceeded.store(true, Ordering::Relaxed);
    }
}
