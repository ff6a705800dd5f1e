//! Sets the demo's issuers and upstreams up, on the addresses that the file names.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use reqwest::Url;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::echo;
use super::issuer::{self, DemoIssuer, RequiredScopes};
use super::key::KeyFault;
use crate::config::{ServerAddress, Settings};

/// The issuers and upstreams that run; they end when it is dropped.
pub struct Stage {
    issuers: Vec<Arc<DemoIssuer>>,
    servers: Vec<JoinHandle<io::Result<()>>>,
}

/// Why the demo's own servers cannot start.
#[derive(Debug, Error)]
pub enum CannotStart {
    /// Most likely something else listens there.
    #[error("the demo's {what} cannot listen on {address}, which the file names: {error}")]
    Address {
        /// What was to listen.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// Its tokens could not be signed.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// Two issuers of the file would have the same endpoints.
    #[error("the demo cannot be the issuer `{0}`: another of the file would have the same endpoints")]
    SameEndpoints(String),
    /// There is nothing to play.
    #[error(
        "the file names no issuer such as `http://127.0.0.1:9400`, on an address of this machine, for the demo to be"
    )]
    NoIssuer,
}

impl Stage {
    /// Starts every issuer and upstream of the file whose address is a loopback one.
    ///
    /// # Errors
    /// If there is no such issuer, an address is taken, or keys cannot be made.
    pub async fn start(settings: &Settings, required: &RequiredScopes) -> Result<Self, CannotStart> {
        let mut stage = Self { issuers: Vec::new(), servers: Vec::new() };
        let mut routers: BTreeMap<SocketAddr, Router> = BTreeMap::new();
        let mut played = BTreeSet::new();
        for issuer in &settings.issuers {
            let Some((address, path)) = loopback_url(&issuer.rules.issuer) else { continue };
            if !played.insert((address, path.clone())) {
                return Err(CannotStart::SameEndpoints(issuer.rules.issuer.to_string()));
            }
            let demo = Arc::new(DemoIssuer::new(&issuer.rules, Arc::clone(required))?);
            let router = routers.remove(&address).unwrap_or_default();
            routers.insert(address, router.merge(issuer::router(Arc::clone(&demo), &path)));
            stage.issuers.push(demo);
        }
        if stage.issuers.is_empty() {
            return Err(CannotStart::NoIssuer);
        }
        let upstreams = settings
            .upstreams
            .iter()
            .flat_map(|upstream| &upstream.servers)
            .filter_map(|server| loopback(&server.address));
        // An issuer may be an upstream too: that of its token endpoint.
        let upstreams: BTreeSet<_> = upstreams.filter(|address| !routers.contains_key(address)).collect();
        for (address, router) in routers {
            stage.serve("issuer", address, router).await?;
        }
        for address in upstreams {
            stage.serve("upstream", address, echo::router()).await?;
        }
        Ok(stage)
    }

    /// The addresses on which it serves issuers, by their URLs.
    pub fn issuer_urls(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().map(|issuer| issuer.url())
    }

    pub(super) fn issuers(&self) -> &[Arc<DemoIssuer>] {
        &self.issuers
    }

    async fn serve(&mut self, what: &'static str, address: SocketAddr, router: Router) -> Result<(), CannotStart> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| CannotStart::Address { what, address, error })?;
        self.servers.push(tokio::spawn(async move { axum::serve(listener, router).await }));
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

/// Address and path of a plain URL on a loopback address.
fn loopback_url(text: &str) -> Option<(SocketAddr, String)> {
    let url = Url::parse(text).ok()?;
    if url.scheme() != "http" {
        return None;
    }
    let server = ServerAddress { host: url.host_str()?.into(), port: url.port_or_known_default()? };
    Some((loopback(&server)?, url.path().trim_end_matches('/').to_owned()))
}

fn loopback(server: &ServerAddress) -> Option<SocketAddr> {
    let ip = match &*server.host {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        host => host.trim_start_matches('[').trim_end_matches(']').parse().ok()?,
    };
    ip.is_loopback().then(|| SocketAddr::new(ip, server.port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::samples::repository_file;

    #[test]
    fn only_plain_urls_on_loopback_addresses_are_played() {
        for (url, expected) in [
            ("http://127.0.0.1:9400", Some(("127.0.0.1:9400", ""))),
            ("http://127.0.0.1:9400/", Some(("127.0.0.1:9400", ""))),
            ("http://127.0.0.1:9400/venafi", Some(("127.0.0.1:9400", "/venafi"))),
            ("http://localhost:9400", Some(("127.0.0.1:9400", ""))),
            ("http://[::1]:9400/a/b", Some(("[::1]:9400", "/a/b"))),
            ("https://127.0.0.1:9400", None),
            ("http://192.0.2.1:9400", None),
            ("https://login.example.com", None),
            ("acme", None),
        ] {
            let expected = expected.map(|(address, path)| (address.parse().unwrap(), path.to_owned()));
            assert_eq!(loopback_url(url), expected, "{url}");
        }
    }

    #[tokio::test]
    async fn a_taken_address_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = repository_file().settings;
        settings.issuers.truncate(1);
        for upstream in &mut settings.upstreams {
            for server in &mut upstream.servers {
                server.address.port = taken.local_addr().unwrap().port();
            }
        }
        for issuer in &mut settings.issuers {
            let mut rules = (*issuer.rules).clone();
            rules.issuer = "http://127.0.0.1:0".into();
            issuer.rules = Arc::new(rules);
        }
        let required: RequiredScopes = Arc::new(|_| Vec::new());
        let started = Stage::start(&settings, &required).await.err();
        match started {
            Some(CannotStart::Address { what, address, .. }) => {
                assert_eq!((what, address), ("upstream", taken.local_addr().unwrap()));
            }
            other => panic!("{other:?}"),
        }
        settings.issuers.clear();
        let started = Stage::start(&settings, &required).await.err();
        assert!(matches!(started, Some(CannotStart::NoIssuer)), "{started:?}");
    }
}
