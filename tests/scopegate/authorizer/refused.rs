//! Questions that are refused themselves: from who may not ask, not whole, or about headers that a plane would forward
//! otherwise than the gateway.

use serde_json::{Value, json};

use super::{Asked, listener, passed_on, question};
use crate::harness::free_address;
use crate::reasons::{self, get, token};

#[test]
fn who_may_not_ask_is_refused_counted_and_recorded_as_such() {
    for plane in ["nginx", "traefik", "caddy", "envoy_http", "envoy_grpc"] {
        let authorizer = free_address();
        let keys = format!("as: {plane}, peers: [192.0.2.0/24, \"2001:db8::1\"]");
        let asked = Asked { gateway: reasons::start(&listener(authorizer, &keys)), authorizer, plane };
        let good = get("/data/acme/x", token(json!({ "scope": "data-read", "account_id": "acme" })));
        let answer = passed_on(plane, asked.ask(&good));
        assert_eq!((answer.status, &*answer.reason()), (403, "question_rejected"), "{plane}");
        let line = asked.gateway.audit(1).remove(0);
        assert_eq!((&line["reason"], &line["decision"]), (&json!("question_rejected"), &json!("deny")));
        assert_eq!(line["asked_by"], json!({ "as": plane, "peer": "127.0.0.1" }));
        assert_eq!(line["client"], Value::Null);
        assert_eq!(asked.gateway.metric("scopegate_authorizer_peers_refused_total"), Some(1.0));
    }
}

#[test]
fn a_question_that_is_not_whole_is_refused() {
    let good = get("/data/acme/x", token(json!({ "scope": "data-read", "account_id": "acme" })));
    for (plane, names) in [
        ("nginx", &["X-Original-Method", "X-Original-URI", "X-Original-Host", "X-Original-Proto"][..]),
        ("traefik", &["X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host", "X-Forwarded-Proto"]),
        ("envoy_http", &["X-Forwarded-Proto"]),
    ] {
        let asked = Asked::start(plane, "", "");
        let whole = question(plane, &good, "api.example.com");
        assert_eq!(asked.send(&whole).status, 200);
        for name in names {
            let line = whole.lines().find(|line| line.starts_with(name)).unwrap();
            let line = format!("{line}\r\n");
            let value = line.split_once(": ").unwrap().1;
            let spoofed = format!("{name}: /data/beta/x\r\n");
            for (what, text) in [
                ("missing", whole.replace(&line, "")),
                ("empty", whole.replace(value, "\r\n")),
                ("twice", whole.replace(&line, &format!("{line}{line}"))),
                ("spoofed", whole.replace(&line, &format!("{spoofed}{line}"))),
            ] {
                // Of a host that another would do as well.
                if what == "empty" && whole.matches(value).count() > 1 {
                    continue;
                }
                let answer = passed_on(plane, asked.send(&text));
                assert_eq!((answer.status, &*answer.reason()), (400, "question_rejected"), "{plane} {name} {what}");
            }
        }
    }
}

#[test]
fn what_the_gateway_would_take_off_must_not_be_forwarded_by_others() {
    let own = || json!({ "scope": "data-read", "account_id": "acme" });
    let more = "identity_headers: { subject: X-Auth-Subject }\n";
    for (plane, refused) in [("nginx", true), ("traefik", true), ("caddy", true), ("envoy_http", false)] {
        let asked = Asked::start(plane, "", more);
        for name in [
            "X-Auth-Subject",
            "X_Auth_Subject",
            "X-HTTP-Method-Override",
            "X-Rewrite-URL",
            "Remote-User",
            "Client-Cert",
        ] {
            let request = get("/data/acme/x", token(own())).and(name, "1");
            let answer = passed_on(plane, asked.ask(&request));
            if refused {
                assert_eq!((answer.status, &*answer.reason()), (400, "header_ambiguous"), "{plane} {name}");
            } else {
                let removed = answer.header("x-envoy-auth-headers-to-remove").unwrap();
                let is_listed = removed.split(',').any(|one| one.eq_ignore_ascii_case(name));
                assert!(answer.status == 200 && (is_listed || answer.header(name).is_some()), "{name}: {removed}");
            }
        }
    }
}

#[test]
fn what_another_plane_writes_itself_is_its_client_s_word_here() {
    let own = || json!({ "scope": "data-read", "account_id": "acme" });
    for (plane, written) in [
        ("nginx", &["X-Forwarded-For"][..]),
        ("traefik", &["X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Server", "X-Real-IP"]),
        ("caddy", &["X-Forwarded-For"]),
        ("envoy_http", &["X-Forwarded-For", "X-Envoy-External-Address"]),
    ] {
        let asked = Asked::start(plane, "", "");
        for name in [
            "X-Forwarded-For",
            "X-Forwarded-Port",
            "X-Forwarded-Server",
            "X-Forwarded-Prefix",
            "X-Forwarded-Ssl",
            "X-Real-IP",
            "X-Envoy-External-Address",
            "Forwarded",
        ] {
            let answer = asked.ask(&get("/data/acme/x", token(own())).and(name, "192.0.2.1"));
            let removed = answer.header("x-envoy-auth-headers-to-remove").unwrap_or_default();
            let is_removed = removed.split(',').any(|one| one.eq_ignore_ascii_case(name));
            let passes = answer.status == 200 && !is_removed;
            assert_eq!(passes, written.contains(&name), "{plane} {name}: {answer:?}");
        }
    }
}
