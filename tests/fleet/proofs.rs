//! Proofs of possession (RFC 9449): one that was shown to one gateway is taken by no other.

use aws_lc_rs::digest::{SHA256, digest};
use harness::{Gateway, Response, Signer, wait_for};
use harness::{encode, now};
use serde_json::json;

use super::redis::Redis;
use super::{ask, policy, start};

/// A token bound to a key, and who can prove to have it.
struct Holder {
    token: String,
    x: String,
    y: String,
}

impl Holder {
    fn new() -> Self {
        let key = Signer::shared().jwks()["keys"][1].clone();
        let [x, y] = ["x", "y"].map(|name| key[name].as_str().unwrap().to_owned());
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let thumbprint = encode(digest(&SHA256, canonical.as_bytes()).as_ref());
        let token = Signer::shared().token(json!({ "scope": "read", "cnf": { "jkt": thumbprint } }));
        Self { token, x, y }
    }

    fn proof(&self, id: &str) -> String {
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": self.x, "y": self.y });
        let payload = json!({
            "jti": id, "htm": "GET", "htu": "http://api.example.com/data/x", "iat": now(),
            "ath": encode(digest(&SHA256, self.token.as_bytes()).as_ref()),
        });
        Signer::shared().sign(&json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": jwk }), &payload)
    }

    fn show(&self, gateway: &Gateway, proof: &str) -> Response {
        let authorization = format!("DPoP {}", self.token);
        ask(gateway, "GET", "/data/x", &[("Authorization", &authorization), ("DPoP", proof)], "")
    }
}

#[test]
fn a_proof_is_taken_once_by_all_together_and_in_an_outage_as_the_file_says() {
    let mut redis = Redis::start();
    let (local, deny) = (start(&policy(&redis.url(), "local", "")), start(&policy(&redis.url(), "deny", "")));
    let holder = Holder::new();
    wait_for("both to share", || [&local, &deny].into_iter().all(super::is_connected).then_some(()));
    for round in 0..20 {
        let proof = holder.proof(&format!("p-{round}"));
        let (first, second) = if round % 2 == 0 { (&local, &deny) } else { (&deny, &local) };
        assert_eq!(holder.show(first, &proof).status, 200, "{round}");
        let replayed = holder.show(second, &proof);
        assert_eq!((replayed.status, &*replayed.reason()), (401, "binding_mismatch"), "{round}");
        assert_eq!(holder.show(first, &proof).status, 401, "{round}");
    }
    // At the very same time: one of them.
    for round in 0..20 {
        let proof = holder.proof(&format!("same-{round}"));
        let statuses = std::thread::scope(|scope| {
            let asked = [&local, &deny].map(|gateway| scope.spawn(|| holder.show(gateway, &proof).status));
            asked.map(|asked| asked.join().unwrap())
        });
        assert!(statuses == [200, 401] || statuses == [401, 200], "{statuses:?}");
    }
    redis.end();
    wait_for("both to notice", || (!super::is_connected(&local) && !super::is_connected(&deny)).then_some(()));
    let proof = holder.proof("away");
    assert_eq!(holder.show(&local, &proof).status, 200);
    assert_eq!(holder.show(&local, &proof).status, 401, "what it knows itself counts");
    let refused = holder.show(&deny, &holder.proof("denied"));
    assert_eq!((refused.status, &*refused.reason()), (503, "shared_state_unavailable"));
    assert!(refused.header("retry-after").is_some());
    redis.begin();
    wait_for("it to go on", || {
        (holder.show(&deny, &holder.proof(&fastrand::u64(..).to_string())).status == 200).then_some(())
    });
}
