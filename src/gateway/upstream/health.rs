//! The checks of a server, without requests of clients.
//!
//! How one is made is `pingora-load-balancing`'s, or `onward`'s where there is TLS or HTTP/2; what it comes to
//! is `condition`'s.

use std::net;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{Extensions, Method};
use parking_lot::Mutex;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use pingora_load_balancing::Backend;
use pingora_load_balancing::health_check::{self, HttpHealthCheck, TcpHealthCheck};

use super::server::Server;
use crate::config::{HealthCheck, ServerAddress};
use crate::gateway::onward::probe;
use crate::record::UpstreamSeries;

/// How one server is checked, and when next.
pub(super) struct Check {
    every: HealthCheck,
    /// The server, as its own `Host`.
    name: Box<str>,
    /// `None` if the server's name makes no `Host`: nobody could be asked.
    how: Option<How>,
    next: Mutex<Option<Instant>>,
    is_running: AtomicBool,
}

impl Check {
    /// Of a server at `address` that is called `name`.
    pub(super) fn new(every: &HealthCheck, name: &ServerAddress, address: net::SocketAddr) -> Self {
        let mut peer = HttpPeer::new(address, false, String::new());
        peer.options.connection_timeout = Some(every.timeout);
        peer.options.total_connection_timeout = Some(every.timeout);
        peer.options.read_timeout = Some(every.timeout);
        peer.options.write_timeout = Some(every.timeout);
        let how = match &every.path {
            Some(path) => asking(path, name, peer).ok(),
            None => Some(connecting(peer)),
        };
        Self {
            every: every.clone(),
            name: name.to_string().into(),
            how,
            next: Mutex::new(None),
            is_running: AtomicBool::new(false),
        }
    }

    /// Whether one is to begin now.
    pub(super) fn begins(&self, now: Instant) -> bool {
        let mut next = self.next.lock();
        if next.is_some_and(|next| now < next) || self.is_running.swap(true, Ordering::AcqRel) {
            return false;
        }
        // Not all at once, where many gateways check a server.
        *next = Some(now + self.every.interval.mul_f64(0.9 + 0.2 * fastrand::f64()));
        true
    }

    /// Checks the server once.
    pub(super) async fn run(self: Arc<Self>, server: Arc<Server>, upstream: Box<str>, series: UpstreamSeries) {
        let target = Backend { addr: SocketAddr::Inet(server.address), weight: 1, ext: Extensions::new() };
        let check = async {
            match &self.how {
                Some(_) if server.handshake().is_some() => probe(&server, &self.name, self.every.path.as_deref()).await,
                Some(how) => how.check(&target).await,
                None => Err(Error::new(ErrorType::InvalidHTTPHeader)),
            }
        };
        let checked = tokio::time::timeout(self.every.timeout, check).await;
        let failure = match checked {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it did not end in time".to_owned()),
        };
        self.is_running.store(false, Ordering::Release);
        series.checked(failure.is_none());
        if server.condition.checked(failure.is_none(), &self.every) {
            match failure {
                None => tracing::info!(%upstream, server = %server.address, "the server passes its checks"),
                Some(why) => {
                    tracing::warn!(%upstream, server = %server.address, why, "the server fails its checks and gets no requests");
                }
            }
        }
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.every.fmt(f)
    }
}

type How = Box<dyn health_check::HealthCheck + Send + Sync>;

/// That a connection can be made.
fn connecting(peer: HttpPeer) -> How {
    let mut check = TcpHealthCheck::default();
    check.peer_template.options = peer.options;
    Box::new(check)
}

/// That what is at the path is answered well.
fn asking(path: &str, name: &ServerAddress, peer: HttpPeer) -> Result<How> {
    let host = name.to_string();
    let mut check = HttpHealthCheck::new("localhost", false);
    check.req = RequestHeader::build(Method::GET, path.as_bytes(), None)?;
    check.req.insert_header(HOST, host)?;
    check.req.insert_header(USER_AGENT, "scopegate")?;
    check.req.insert_header(CONNECTION, "close")?;
    check.peer_template = peer;
    check.validator = Some(Box::new(is_success));
    Ok(Box::new(check))
}

fn is_success(answer: &ResponseHeader) -> Result<()> {
    if answer.status.is_success() {
        return Ok(());
    }
    Error::e_explain(ErrorType::HTTPStatus(answer.status.as_u16()), "checking")
}
