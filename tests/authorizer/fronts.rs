//! Proxies that end TLS in front of a gateway that believes them: nginx, Envoy and Caddy, as `deploy/in-front` sets them
//! up. What they tell of their client counts, and nothing that the client writes itself.

use harness::authority::Authority;
use harness::refusals;
use harness::tls_client::TlsClient;
use harness::{Gateway, Response, Upstream};
use serde_json::json;

use super::certificates::{POLICY, forgeries, refused, said, token};
use super::planes::{Certificates, Kind, Plane};

const FRONTS: [Kind; 3] = [Kind::Nginx, Kind::EnvoyHttp, Kind::Caddy];
/// An address that a client claims.
const FORGED: &str = "198.51.100.7";
const TRUSTED: &str = "trusted_proxies: [127.0.0.1/32]\n";

fn start() -> Gateway {
    Gateway::start_listening("", &format!("{TRUSTED}{POLICY}"), Upstream::start(), |_| {})
}

fn send(front: &Plane, client: &TlsClient, target: &str, headers: &[(&str, &str)]) -> Response {
    client.get(front.address, target, headers).unwrap_or_else(|| panic!("{} does not answer", front.kind.name()))
}

#[test]
fn a_front_is_believed_in_which_certificate_its_client_has_shown_and_its_client_is_not() {
    let (gateway, by) = (start(), Certificates::new());
    let (acme, globex) = (by.clients.issue("acme", &[]), by.clients.issue("globex", &[]));
    let bound = format!("Bearer {}", token(&json!({ "cnf": { "x5t#S256": acme.thumbprint() } })));
    let kept = format!("Bearer {}", token(&json!({ "client_id": "kept" })));
    for kind in FRONTS {
        let front = Plane::in_front(kind, &gateway, &by);
        let name = kind.name();
        let ask = |shown, bearer: &str, more: &[(&str, &str)]| {
            let headers = [&[("Authorization", bearer)], more].concat();
            said(&send(&front, &TlsClient::new(&by.root, shown), "/data/x", &headers))
        };
        for bearer in [&bound, &kept] {
            assert_eq!(ask(Some(&acme), bearer, &[]), (200, String::new()), "{name}");
        }
        let before = gateway.upstream.count();
        for (bearer, expected) in
            [(&bound, refused(401, "binding_mismatch")), (&kept, refused(403, "certificate_mismatch"))]
        {
            for shown in [None, Some(&globex)] {
                assert_eq!(ask(shown, bearer, &[]), expected, "{name}");
                for (header, value) in forgeries(&acme) {
                    for more in [&[(header, &*value)][..], &[(header, &*value), ("Connection", header)]] {
                        let found = ask(shown, bearer, more);
                        assert!(found == expected || found.0 == 400, "{name} {more:?} {found:?}");
                    }
                }
            }
            // Nor can the client have taken off what the front writes.
            for named in ["client-cert", "x-forwarded-client-cert", "X-Forwarded-For"] {
                let found = ask(Some(&globex), bearer, &[("Connection", named)]);
                assert!(found == expected || found.0 == 400, "{name} {named} {found:?}");
            }
        }
        let stranger = Authority::new("strangers").issue("acme", &[]);
        let client = TlsClient::new(&by.root, Some(&stranger));
        let answer = client.get(front.address, "/data/x", &[("Authorization", &bound)]);
        assert!(answer.is_none_or(|answer| answer.status >= 400), "{name}");
        assert_eq!(gateway.upstream.count(), before, "{name}");
    }
}

#[test]
fn an_upstream_hears_of_the_client_what_the_front_says_and_no_more() {
    let (gateway, by) = (start(), Certificates::new());
    let bearer = format!("Bearer {}", token(&json!({})));
    let forged = [
        ("X-Forwarded-For", FORGED),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "other.example"),
        ("Forwarded", "for=198.51.100.7;proto=http"),
        ("X-Real-IP", FORGED),
    ];
    for kind in FRONTS {
        let front = Plane::in_front(kind, &gateway, &by);
        let client = TlsClient::new(&by.root, Some(&by.clients.issue("acme", &[])));
        for headers in [&[][..], &forged] {
            let headers = [&[("Authorization", &*bearer)], headers].concat();
            assert_eq!(send(&front, &client, "/data/%61?b=%2f", &headers).status, 200, "{kind:?}");
            let seen = gateway.upstream.last();
            assert_eq!(seen.line, "GET /data/a?b=%2f HTTP/1.1", "{kind:?}");
            for (name, expected) in [
                ("X-Forwarded-Proto", &["https"][..]),
                ("X-Forwarded-Host", &["api.example.com"]),
                ("Forwarded", &[]),
                ("X-Real-IP", &[]),
                ("Client-Cert", &[]),
                ("X-Forwarded-Client-Cert", &[]),
            ] {
                assert_eq!(seen.all(name), expected, "{kind:?} {name}");
            }
            // Envoy says the machine's own address of a client on the same machine.
            let addresses: Vec<_> = seen.all("X-Forwarded-For")[0].split(", ").map(str::to_owned).collect();
            assert!(addresses.len() == 2 && addresses[0] != FORGED && addresses[1] == "127.0.0.1", "{addresses:?}");
        }
    }
}

#[test]
fn each_refusal_reaches_the_clients_of_a_front_as_it_is() {
    let (gateway, by) = (refusals::start("", TRUSTED), Certificates::new());
    for kind in FRONTS {
        let front = Plane::in_front(kind, &gateway, &by);
        let client = TlsClient::new(&by.root, None);
        for case in refusals::cases().iter().filter(|case| case.request.method == "GET") {
            let headers = case.request.headers.iter().map(|(name, value)| (&**name, &**value));
            let answer = send(&front, &client, case.request.target, &headers.collect::<Vec<_>>());
            if case.reason == "header_ambiguous" {
                // nginx refuses two lines of what must be one by itself, and Envoy makes one of them.
                assert!(matches!(answer.status, 400 | 401), "{kind:?} {answer:?}");
            } else {
                refusals::check(case, &answer);
            }
        }
    }
    assert_eq!(gateway.upstream.count(), 0, "a refused request was forwarded");
}
