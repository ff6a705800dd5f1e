//! Planes that end TLS: which certificate their clients have shown, and for which address a proof is.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::planes::{Certificates, Kind, Plane, Stage};
use harness::authority::{Authority, Issued};
use harness::signer::encode;
use harness::tls_client::TlsClient;
use harness::{Gateway, Response, Signer, Upstream, now};

pub(super) const POLICY: &str = r#"
resource_metadata: { resource: https://api.example.com }
unregistered_clients: allow
clients:
  - { id: kept, certificate: { subject: "CN=acme" } }
apis:
  - name: data
    base_path: /data
    upstream: backend
    public: ["GET /data/open"]
    scopes: [{ name: read, services: ["GET /data/**"] }]
"#;

/// Two clients that the planes know, one that they do not, and planes.
struct Secured {
    stage: Stage,
    by: Certificates,
    acme: Issued,
    globex: Issued,
}

impl Secured {
    fn start() -> Self {
        let by = Certificates::new();
        let (acme, globex) = (by.clients.issue("acme", &[]), by.clients.issue("globex", &[]));
        let start = |listener: &str, more: &str| {
            Gateway::start_listening(listener, &format!("{more}{POLICY}"), Upstream::start(), |_| {})
        };
        let stage = Stage::start_secured("", start, &by);
        Self { stage, by, acme, globex }
    }

    fn send(&self, plane: &Plane, shown: Option<&Issued>, headers: &[(&str, &str)]) -> Response {
        TlsClient::new(&self.by.root, shown).get(plane.address, "/data/x", headers).expect("an answer")
    }

    /// The status and reason that a bearer of this token gets with these headers.
    fn bear(&self, plane: &Plane, shown: Option<&Issued>, token: &str, more: &[(&str, &str)]) -> (u16, String) {
        let authorization = format!("Bearer {token}");
        let headers: Vec<_> = [("Authorization", &*authorization)].into_iter().chain(more.iter().copied()).collect();
        said(&self.send(plane, shown, &headers))
    }
}

pub(super) fn said(answer: &Response) -> (u16, String) {
    // What a plane refuses by itself has no reason.
    let is_problem = answer.header("content-type") == Some("application/problem+json");
    (answer.status, if is_problem { answer.reason() } else { String::new() })
}

pub(super) fn refused(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

pub(super) fn token(claims: &Value) -> String {
    let mut all = json!({ "scope": "read" });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    Signer::shared().token(all)
}

/// All that some proxy tells of a client's certificate, as that client could write it.
pub(super) fn forgeries(of: &Issued) -> Vec<(&'static str, String)> {
    let base64 = STANDARD.encode(&of.certificate);
    let escaped: String = of.pem.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let hash: String = of.sha256().iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        ("Client-Cert", format!(":{base64}:")),
        ("Client_Cert", format!(":{base64}:")),
        ("X-Forwarded-Client-Cert", format!("Cert=\"{escaped}\"")),
        ("X-Forwarded-Client-Cert", format!("Hash={hash};Cert=\"{escaped}\";Subject=\"CN=acme\"")),
        ("X_Forwarded_Client_Cert", format!("Cert=\"{escaped}\"")),
        ("X-Forwarded-Tls-Client-Cert", base64),
        ("X-Ssl-Client-Escaped-Cert", escaped),
    ]
}

/// Traefik tells nobody whom it asks.
fn tells(plane: &Plane) -> bool {
    plane.kind != Kind::Traefik
}

#[test]
fn a_token_bound_to_a_certificate_is_its_holder_s_behind_every_plane_that_tells_of_it() {
    let secured = Secured::start();
    let bound = token(&json!({ "cnf": { "x5t#S256": secured.acme.thumbprint() } }));
    let kept = token(&json!({ "client_id": "kept" }));
    let upstream = &secured.stage.gateway.upstream;
    let stranger = Authority::new("strangers").issue("acme", &[]);
    for plane in &secured.stage.planes {
        let name = plane.kind.name();
        let mismatch = refused(401, "binding_mismatch");
        let not_kept = refused(403, "certificate_mismatch");
        let passes = |expected: &(u16, String)| if tells(plane) { (200, String::new()) } else { expected.clone() };
        assert_eq!(secured.bear(plane, Some(&secured.acme), &bound, &[]), passes(&mismatch), "{name}");
        assert_eq!(secured.bear(plane, Some(&secured.acme), &kept, &[]), passes(&not_kept), "{name}");
        let before = upstream.count();
        for shown in [None, Some(&secured.globex)] {
            assert_eq!(secured.bear(plane, shown, &bound, &[]), mismatch, "{name}");
            assert_eq!(secured.bear(plane, shown, &kept, &[]), not_kept, "{name}");
            for (header, value) in forgeries(&secured.acme) {
                let forged = [(header, &*value)];
                let said = secured.bear(plane, shown, &bound, &forged);
                assert!(said == mismatch || said.0 == 400, "{name} {header} {said:?}");
                let said = secured.bear(plane, shown, &kept, &forged);
                assert!(said == not_kept || said.0 == 400, "{name} {header} {said:?}");
            }
        }
        // One that no authority of the plane's has issued is no certificate at all.
        let authorization = format!("Bearer {bound}");
        let client = TlsClient::new(&secured.by.root, Some(&stranger));
        let answer = client.get(plane.address, "/data/x", &[("Authorization", &authorization)]);
        assert!(answer.is_none_or(|answer| answer.status >= 400), "{name}");
        assert_eq!(upstream.count(), before, "{name}");
    }
}

#[test]
fn what_a_plane_tells_of_a_certificate_goes_no_further() {
    let secured = Secured::start();
    let token = token(&json!({}));
    let upstream = &secured.stage.gateway.upstream;
    for plane in &secured.stage.planes {
        assert_eq!(secured.bear(plane, Some(&secured.acme), &token, &[]).0, 200);
        for (header, value) in forgeries(&secured.globex) {
            let before = upstream.count();
            let said = secured.bear(plane, Some(&secured.acme), &token, &[(header, &value)]);
            assert_eq!(upstream.count(), before + usize::from(said.0 == 200));
            assert!(matches!(said.0, 200 | 400), "{} {header}: {said:?}", plane.kind.name());
        }
    }
    let names: BTreeSet<_> = upstream
        .seen()
        .into_iter()
        .flat_map(|seen| seen.headers)
        .map(|(name, _)| name.to_ascii_lowercase().replace('_', "-"))
        .filter(|name| name.contains("client-cert"))
        .collect();
    assert_eq!(names, BTreeSet::new());
}

#[test]
fn a_proof_is_for_the_address_that_clients_know() {
    let secured = Secured::start();
    let jwk = Signer::shared().jwks()["keys"][1].clone();
    let [x, y] = ["x", "y"].map(|name| jwk[name].as_str().unwrap().to_owned());
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    let token = token(&json!({ "cnf": { "jkt": encode(digest(&SHA256, canonical.as_bytes()).as_ref()) } }));
    let proof = |id: &str, url: &str| {
        let head = json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": { "kty": "EC", "crv": "P-256", "x": x, "y": y } });
        let hash = encode(digest(&SHA256, token.as_bytes()).as_ref());
        Signer::shared().sign(&head, &json!({ "jti": id, "htm": "GET", "htu": url, "iat": now(), "ath": hash }))
    };
    let authorization = format!("DPoP {token}");
    for plane in &secured.stage.planes {
        let name = plane.kind.name();
        let show = |proof: &str, more: &[(&str, &str)]| {
            let own = [("Authorization", &*authorization), ("DPoP", proof)];
            said(&secured.send(plane, None, &[&own[..], more].concat()))
        };
        let good = proof(name, "https://api.example.com/data/x");
        assert_eq!(show(&good, &[]), (200, String::new()), "{name}");
        let mismatch = refused(401, "binding_mismatch");
        assert_eq!(show(&good, &[]), mismatch, "{name}: a second time");
        for (what, url, more) in [
            ("another scheme", "http://api.example.com/data/x", &[][..]),
            ("another path", "https://api.example.com/data/y", &[]),
            ("another host", "https://other.example/data/x", &[("X-Forwarded-Host", "other.example")]),
            ("a forged scheme", "http://api.example.com/data/x", &[("X-Forwarded-Proto", "http")]),
            ("a forged scheme of nginx's", "http://api.example.com/data/x", &[("X-Original-Proto", "http")]),
        ] {
            assert_eq!(show(&proof(&format!("{name} {what}"), url), more), mismatch, "{name}: {what}");
        }
    }
}
