//! Where keys and introspection are, found by the issuer's name: in which order, and what is believed.

use super::*;
use crate::config::{ClientAuthentication, RevocationList};

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// A provider that says what it is, and an issuer of which nothing but its name is known.
struct Told {
    provider: Provider,
    key: Key,
    issuer: String,
}

impl Told {
    /// With keys at `/jwks`, and metadata nowhere yet. `path` is what the issuer's name ends with.
    async fn new(path: &str) -> Self {
        let key = Key::new("a");
        let provider = Provider::start(Says::not_found()).await;
        provider.says_at("/jwks", Says::ok(jwks(&[&key])));
        let issuer = provider.url_of(path);
        Self { provider, key, issuer }
    }

    fn document(&self, members: &Value) -> Says {
        let document = json!({ "issuer": self.issuer, "jwks_uri": self.provider.url_of("/jwks") });
        Says::ok(with(document, members).to_string())
    }

    fn settings(&self) -> config::Issuer {
        let rules = IssuerRules { issuer: (*self.issuer).into(), ..rules() };
        config::Issuer { rules: Arc::new(rules), ..of_source(KeySource::Discover) }
    }

    fn token(&self, members: &Value) -> String {
        self.key.token(&with(json!({ "iss": self.issuer }), members))
    }

    /// How often it was asked at that path.
    fn asked(&self, path: &str) -> usize {
        self.provider.paths().iter().filter(|asked| *asked == path).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_where_either_document_says() {
    for (path, openid, oauth) in [
        ("", OPENID.to_owned(), OAUTH.to_owned()),
        ("/", OPENID.to_owned(), OAUTH.to_owned()),
        ("/realms/acme", format!("/realms/acme{OPENID}"), format!("{OAUTH}/realms/acme")),
    ] {
        for place in [&openid, &oauth] {
            let told = Told::new(path).await;
            told.provider.says_at(place, told.document(&json!({})));
            let world = World::ready(unhurried(), vec![told.settings()]).await;
            world.ask(&told.token(&json!({}))).await.unwrap();
            let order: &[&str] = if *place == openid { &[&openid] } else { &[&openid, &oauth] };
            let paths = told.provider.paths();
            assert_eq!(paths[..order.len()], *order, "{paths:?}");
            assert_eq!(paths[order.len()..], ["/jwks"], "{paths:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_not_exactly_the_issuers_is_never_used() {
    let told = Told::new("").await;
    let other = Provider::start(Says::ok(jwks(&[&told.key]))).await;
    let elsewhere = json!({ "jwks_uri": other.url() });
    for name in [format!("{}/", told.issuer), told.issuer.replace("127.0.0.1", "localhost"), String::new()] {
        let members = with(elsewhere.clone(), &json!({ "issuer": name }));
        told.provider.says_at(OPENID, told.document(&members));
        told.provider.says_at(OAUTH, told.document(&members));
        let world = World::new(unhurried(), vec![told.settings()]);
        assert!(!in_time("an attempt", world.held().attempts.end_of(1)).await, "{name}");
        unavailable(world.ask(&told.token(&json!({}))).await);
        assert!(!world.set.are_ready());
        let counted = format!("scopegate_issuer_fetches_total{{issuer=\"{}\",result=\"bad_metadata\"}}", told.issuer);
        assert!(world.metric::<u64>(&counted) >= 1);
    }
    assert_eq!(other.asked(), 0);
    // The second place is asked where the first has another's.
    told.provider.says_at(OAUTH, told.document(&json!({})));
    World::ready(unhurried(), vec![told.settings()]).await.ask(&told.token(&json!({}))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let told = Told::new("").await;
    let other = Provider::start(told.document(&json!({}))).await;
    let headers = format!("Location: {}\r\n", other.url());
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
        let moved = Says { status, headers: headers.clone(), ..told.document(&json!({})) };
        told.provider.says_at(OPENID, moved.clone());
        told.provider.says_at(OAUTH, moved);
        let world = World::new(unhurried(), vec![told.settings()]);
        assert!(!in_time("an attempt", world.held().attempts.end_of(1)).await, "{status}");
        assert!(!world.set.are_ready());
    }
    assert_eq!(other.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_document_never_replaces_a_good_one() {
    let told = Told::new("").await;
    told.provider.says_at(OPENID, told.document(&json!({})));
    let world = World::ready(Pace { metadata_every: Duration::ZERO, ..quick() }, vec![told.settings()]).await;
    let stranger = Key::new("a");
    told.provider.says_at("/evil", Says::ok(jwks(&[&stranger])));
    let evil = json!({ "jwks_uri": told.provider.url_of("/evil") });
    let of = |issuer: Value| json!({ "jwks_uri": evil["jwks_uri"], "issuer": issuer });
    let good = told.document(&json!({}));
    for (what, says) in [
        ("another issuer's", told.document(&of(json!("https://evil.example")))),
        ("an array of issuers", told.document(&of(json!([told.issuer])))),
        ("no issuer", told.document(&of(Value::Null))),
        ("no keys", told.document(&json!({ "jwks_uri": null }))),
        ("keys at no URL", told.document(&json!({ "jwks_uri": "/evil" }))),
        ("nothing", Says::ok("")),
        ("a page", Says::ok("<!doctype html>")),
        ("an error", Says { status: "500 Internal Server Error", ..told.document(&evil) }),
        ("too long", Says::ok([good.body.clone(), vec![b' '; 512 * 1024]].concat())),
        ("cut off", Says { cut_at: good.body.len() / 2, ..good.clone() }),
    ] {
        told.provider.says_at(OPENID, says);
        let asked = told.asked(OPENID);
        eventually(what, async || told.asked(OPENID) > asked + 1).await;
        assert!(in_time(what, world.fetched()).await, "{what}");
        world.ask(&told.token(&json!({ "jti": what }))).await.unwrap_or_else(|denial| panic!("{what}: {denial:?}"));
    }
    assert_eq!(told.asked("/evil"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_move_are_followed_and_the_old_ones_end() {
    let told = Told::new("").await;
    told.provider.says_at(OPENID, told.document(&json!({})));
    let world = World::ready(Pace { metadata_every: Duration::ZERO, ..quick() }, vec![told.settings()]).await;
    let old = told.token(&json!({}));
    world.ask(&old).await.unwrap();
    let new = Key::new("new");
    told.provider.says_at("/moved", Says::ok(jwks(&[&new])));
    told.provider.says_at("/jwks", Says::not_found());
    told.provider.says_at(OPENID, told.document(&json!({ "jwks_uri": told.provider.url_of("/moved") })));
    eventually("the new keys", async || world.ask(&new.token(&json!({ "iss": told.issuer }))).await.is_ok()).await;
    refused(world.ask(&old).await, TokenFault::KeyUnknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_not_asked_for_again_with_each_fetch_of_keys() {
    let told = Told::new("").await;
    told.provider.says_at(OPENID, told.document(&json!({})));
    let world = World::ready(unhurried(), vec![told.settings()]).await;
    for _ in 0..5 {
        assert!(world.fetched().await);
    }
    // Nor when keys cannot be had, right after it was fetched.
    told.provider.says_at("/jwks", Says::not_found());
    for _ in 0..5 {
        assert!(!world.fetched().await);
    }
    assert_eq!(told.asked(OPENID), 1);
    world.ask(&told.token(&json!({}))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_comes_up_later_is_discovered_within_two_seconds() {
    let mut told = Told::new("").await;
    told.provider.says_at(OPENID, told.document(&json!({})));
    told.provider.stop().await;
    let world = World::new(unhurried(), vec![told.settings()]);
    in_time("four attempts", world.held().attempts.end_of(4)).await;
    unavailable(world.ask(&told.token(&json!({}))).await);
    told.provider.run().await;
    let up = std::time::Instant::now();
    eventually("a good answer", async || world.ask(&told.token(&json!({}))).await.is_ok()).await;
    assert!(up.elapsed() < Duration::from_secs(2), "{:?}", up.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_whose_packets_were_lost_is_discovered_within_two_seconds_of_its_return() {
    check_noticed(async || {
        let provider = Provider::silent(Says::not_found()).await;
        let key = Key::new("a");
        let issuer = provider.url_of("/realms/acme");
        let told = Told { provider, key, issuer };
        told.provider.says_at("/jwks", Says::ok(jwks(&[&told.key])));
        // At the second place that is looked at.
        told.provider.says_at(&format!("{OAUTH}/realms/acme"), told.document(&json!({})));
        let (world, token) = (Arc::new(World::new(unhurried(), vec![told.settings()])), told.token(&json!({})));
        (told.provider, world, token)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_introspection_endpoint_is_discovered_with_the_keys() {
    let told = Told::new("").await;
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let introspection = Introspection {
        url: None,
        client_id: "gateway".into(),
        authentication: ClientAuthentication::Secret { file: secret },
        cache_for: Duration::ZERO,
        jwts: false,
    };
    let issuer = config::Issuer { introspection: Some(introspection), ..told.settings() };
    let active = with(with(claims(), &json!({ "active": true })), &json!({ "iss": told.issuer }));
    told.provider.says_at("/introspect", Says::ok(active.to_string()));
    let world = World::new(Pace { metadata_every: Duration::ZERO, ..quick() }, vec![issuer]);
    // Nobody knows yet where to ask.
    unavailable(world.ask("opaque").await);
    told.provider.says_at(OPENID, told.document(&json!({})));
    eventually("keys", async || world.set.are_ready()).await;
    unavailable(world.ask("opaque").await);
    let counted = format!("scopegate_introspections_total{{issuer=\"{}\",result=\"not_asked\"}}", told.issuer);
    assert_eq!(world.metric::<u64>(&counted), 2);
    let endpoint = json!({ "introspection_endpoint": told.provider.url_of("/introspect") });
    told.provider.says_at(OPENID, told.document(&endpoint));
    eventually("the endpoint", async || world.ask("opaque").await.is_ok()).await;
    // Aliases are for those who show a certificate.
    let aliases = json!({ "mtls_endpoint_aliases": { "introspection_endpoint": told.provider.url_of("/other") } });
    told.provider.says_at(OPENID, told.document(&with(endpoint, &aliases)));
    let asked = told.asked(OPENID);
    eventually("the new document", async || told.asked(OPENID) > asked + 1).await;
    world.ask("opaque").await.unwrap();
    assert_eq!(told.asked("/other"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_what_was_discovered() {
    let told = Told::new("").await;
    told.provider.says_at(OPENID, told.document(&json!({})));
    let world = World::ready(unhurried(), vec![told.settings()]).await;
    let elsewhere = Settings {
        revocations: Some(RevocationList { file: "none".into(), endpoint: None }),
        ..settings(vec![told.settings()])
    };
    let next = world.issuers.adopt(&elsewhere);
    assert!(next.are_ready());
    assert_eq!(told.asked(OPENID), 1);
}
