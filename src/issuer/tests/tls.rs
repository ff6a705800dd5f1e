//! Providers behind TLS: with an authority of their own, and with certificates that clients show.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::*;
use crate::config::ClientAuthentication;

/// An authority, and a folder with what it has signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key.
struct Signed {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: tempfile::tempdir().unwrap() };
        fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sign(&self, name: &str) -> Signed {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        Signed { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    /// A server at 127.0.0.1 that asks for a client certificate by the same authority, or for none.
    fn server(&self, asks: bool) -> TlsAcceptor {
        let Signed { certificate, key } = self.sign("127.0.0.1");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.issuer.der().to_vec())).unwrap();
        let clients = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        let builder = ServerConfig::builder();
        let builder = if asks { builder.with_client_cert_verifier(clients) } else { builder.with_no_client_auth() };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()).into()
    }
}

impl Signed {
    fn put(&self, certificate: &Path, key: &Path) {
        fs::write(certificate, self.certificate.pem()).unwrap();
        fs::write(key, self.key.serialize_pem()).unwrap();
    }
}

fn trusting(ca: &Path, issuer: config::Issuer) -> config::Issuer {
    config::Issuer { ca_file: Some(ca.into()), ..issuer }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_from_a_provider_whose_authority_the_file_names_and_from_no_other() {
    let (authority, other) = (Authority::new("one"), Authority::new("other"));
    let key = Key::new("a");
    let provider = Provider::start_tls(Says::ok(jwks(&[&key])), authority.server(false)).await;
    let with_keys = || with_keys_at(provider.url());
    for (what, issuer) in [
        ("an authority that nobody named", with_keys()),
        ("another authority", trusting(&other.path("ca.pem"), with_keys())),
        ("no authority", trusting(&other.path("none.pem"), with_keys())),
    ] {
        let world = World::new(unhurried(), vec![issuer]);
        assert!(!in_time(what, world.held().attempts.end_of(1)).await, "{what}");
        unavailable(world.ask(&key.token(&json!({}))).await);
    }
    assert_eq!(provider.asked(), 0);
    let world = World::ready(unhurried(), vec![trusting(&authority.path("ca.pem"), with_keys())]).await;
    world.ask(&key.token(&json!({}))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_authority_is_trusted_and_a_broken_file_is_not_noticed() {
    let (authority, next) = (Authority::new("one"), Authority::new("next"));
    let key = Key::new("a");
    let file = authority.path("trusted.pem");
    fs::copy(next.path("ca.pem"), &file).unwrap();
    let provider = Provider::start_tls(Says::ok(jwks(&[&key])), authority.server(false)).await;
    let world = World::new(quick(), vec![trusting(&file, with_keys_at(provider.url()))]);
    assert!(!in_time("an attempt", world.held().attempts.end_of(1)).await);
    fs::copy(authority.path("ca.pem"), &file).unwrap();
    eventually("keys", async || world.set.are_ready()).await;
    for broken in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fs::write(&file, broken).unwrap();
        // Nothing tells that it was looked at: give it time for several looks.
        tokio::time::sleep(quick().look * 3).await;
        assert!(world.fetched().await, "{broken}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_an_issuer_behind_https_names_nothing_behind_http() {
    let authority = Authority::new("one");
    let key = Key::new("a");
    let plain = Provider::start(Says::ok(jwks(&[&key]))).await;
    let provider = Provider::start_tls(Says::not_found(), authority.server(false)).await;
    let issuer = provider.url_of("");
    let document = |keys: String| Says::ok(json!({ "issuer": issuer, "jwks_uri": keys }).to_string());
    provider.says_at("/jwks", Says::ok(jwks(&[&key])));
    let rules = Arc::new(IssuerRules { issuer: (*issuer).into(), ..rules() });
    let discovering = config::Issuer { rules, ..of_source(KeySource::Discover) };
    let world = World::new(quick(), vec![trusting(&authority.path("ca.pem"), discovering)]);
    provider.says_at("/.well-known/openid-configuration", document(plain.url()));
    let asked = provider.asked();
    eventually("attempts", async || provider.asked() > asked + 4).await;
    assert!(!world.set.are_ready());
    assert_eq!(plain.asked(), 0);
    provider.says_at("/.well-known/openid-configuration", document(provider.url_of("/jwks")));
    eventually("keys", async || world.set.are_ready()).await;
    world.ask(&key.token(&json!({ "iss": issuer }))).await.unwrap();
}

/// An issuer that is asked by somebody with a certificate.
fn asking(provider: &Provider, authority: &Authority) -> config::Issuer {
    let introspection = Introspection {
        url: Some(provider.url().into()),
        client_id: "gate&way".into(),
        authentication: ClientAuthentication::Certificate {
            file: authority.path("client.pem"),
            key_file: authority.path("client.key"),
        },
        cache_for: Duration::ZERO,
        jwts: false,
    };
    let issuer = asked_by(introspection);
    trusting(&authority.path("ca.pem"), issuer)
}

fn active() -> Says {
    Says::ok(with(claims(), &json!({ "active": true })).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_shows_its_certificate_and_says_whose_it_is() {
    let authority = Authority::new("one");
    let provider = Provider::start_tls(active(), authority.server(true)).await;
    let client = authority.sign("gateway");
    client.put(&authority.path("client.pem"), &authority.path("client.key"));
    let world = World::new(quick(), vec![asking(&provider, &authority)]);
    world.ask("opaque").await.unwrap();
    let question = provider.last_question();
    assert_eq!(question.certificate.as_deref(), Some(client.certificate.der().as_ref()));
    assert_eq!(question.body, "token=opaque&token_type_hint=access_token&client_id=gate%26way");
    assert!(!question.head.to_ascii_lowercase().contains("authorization:"), "{}", question.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_certificate_nobody_is_asked() {
    let (authority, other) = (Authority::new("one"), Authority::new("other"));
    let provider = Provider::start_tls(active(), authority.server(true)).await;
    let (certificate, key) = (authority.path("client.pem"), authority.path("client.key"));
    let world = World::new(quick(), vec![asking(&provider, &authority)]);
    unavailable(world.ask("there are no files").await);
    let [one, next] = [(); 2].map(|()| authority.sign("gateway"));
    one.put(&certificate, &authority.path("its.key"));
    next.put(&authority.path("its.pem"), &key);
    tokio::time::sleep(quick().look * 3).await;
    unavailable(world.ask("the key is of another").await);
    other.sign("gateway").put(&certificate, &key);
    tokio::time::sleep(quick().look * 3).await;
    unavailable(world.ask("the provider does not know its authority").await);
    assert_eq!(provider.asked(), 0);
    one.put(&certificate, &key);
    eventually("a good certificate", async || world.ask("opaque").await.is_ok()).await;
    // Renewed, in two steps.
    next.put(&certificate, &authority.path("its.key"));
    tokio::time::sleep(quick().look * 3).await;
    world.ask("opaque").await.unwrap();
    next.put(&certificate, &key);
    eventually("the next", async || {
        world.ask("opaque").await.unwrap();
        provider.last_question().certificate.as_deref() == Some(next.certificate.der().as_ref())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_a_certificate_asks_where_the_metadata_says_for_that() {
    let authority = Authority::new("one");
    let provider = Provider::start_tls(Says::not_found(), authority.server(true)).await;
    let plain = Provider::start_tls(Says::not_found(), authority.server(false)).await;
    authority.sign("gateway").put(&authority.path("client.pem"), &authority.path("client.key"));
    let name = plain.url_of("");
    let document = json!({
        "issuer": name, "jwks_uri": plain.url_of("/jwks"), "introspection_endpoint": plain.url_of("/introspect"),
        "mtls_endpoint_aliases": { "introspection_endpoint": provider.url_of("/introspect") },
    });
    plain.says_at("/.well-known/openid-configuration", Says::ok(document.to_string()));
    plain.says_at("/jwks", Says::ok(jwks(&[&Key::new("a")])));
    let claims = with(with(claims(), &json!({ "active": true })), &json!({ "iss": name }));
    provider.says_at("/introspect", Says::ok(claims.to_string()));
    let mut issuer = asking(&provider, &authority);
    issuer.rules = Arc::new(IssuerRules { issuer: (*name).into(), ..rules() });
    issuer.keys = Some(KeySource::Discover);
    issuer.introspection.as_mut().unwrap().url = None;
    let world = World::ready(unhurried(), vec![issuer]).await;
    world.ask("opaque").await.unwrap();
    assert_eq!(provider.paths(), ["/introspect"]);
}
