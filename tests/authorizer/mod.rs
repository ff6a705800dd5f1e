//! Real data planes that ask: nginx, Envoy over HTTP and gRPC, Caddy and Traefik, as `deploy/` sets them up, before a real
//! upstream. Each answers, and forwards, what the gateway itself does in-line, case by case.
//!
//! `make test-authorizer` runs it. What each plane is known to do differently is written down here, and in
//! `docs/authorizer.md`. `fronts` has proxies that forward to the gateway itself.

mod certificates;
mod forwarded;
mod fronts;
mod planes;
mod targets;

use harness::Response;
use harness::refusals::{self, Request};
use planes::{Kind, Stage};

#[test]
fn each_reason_is_answered_as_in_line_behind_every_plane() {
    let stage = Stage::start("", refusals::start);
    let cases = refusals::cases();
    for plane in &stage.planes {
        println!("{}: {} refusals", plane.kind.name(), cases.len());
        for case in &cases {
            refusals::check(case, &refusals::send(&stage.gateway, &case.request));
            let answer = plane.send(&case.request);
            if plane.kind.refuses_itself(case.reason) {
                assert_eq!(answer.status, 400, "{answer:?}");
            } else {
                refusals::check(case, &answer);
            }
        }
        // Every plane shows that the account is named twice.
        let own = refusals::token(serde_json::json!({ "scope": "data-read", "account_id": "acme" }));
        let twice = refusals::get("/data/acme/x", own).and("X-Account-Id", "acme").and("X-Account-Id", "acme");
        assert_eq!(plane.send(&twice).reason(), "header_ambiguous");
    }
    assert_eq!(stage.gateway.upstream.count(), 0, "a refused request was forwarded");
    let asked = |kind: Kind| cases.iter().filter(|case| !kind.refuses_itself(case.reason)).count() + 1;
    let all: usize = stage.planes.iter().map(|plane| cases.len() + asked(plane.kind)).sum();
    let lines = stage.gateway.audit(all + planes::ASKED_AT_START);
    for plane in &stage.planes {
        let of = lines.iter().filter(|line| line["asked_by"]["as"] == plane.kind.name()).count();
        assert_eq!(of, asked(plane.kind), "{}: one line a question", plane.kind.name());
    }
}

#[test]
fn nothing_passes_where_the_gateway_cannot_be_asked() {
    let stage = Stage::start("", refusals::start);
    let request = refusals::plain("GET", "/data/health");
    for plane in &stage.planes {
        assert_eq!(plane.send(&request).status, 200);
    }
    let before = stage.gateway.upstream.count();
    stage.gateway.kill();
    for plane in &stage.planes {
        let expected = match plane.kind {
            Kind::Nginx | Kind::EnvoyHttp | Kind::EnvoyGrpc => 503,
            Kind::Caddy => 502,
            Kind::Traefik => 500,
        };
        assert_eq!(plane.send(&request).status, expected, "{}", plane.kind.name());
    }
    assert_eq!(stage.gateway.upstream.count(), before);
}

#[test]
fn nothing_that_a_client_sends_makes_a_plane_ask_about_another_request() {
    let stage = Stage::start("", refusals::start);
    let own = || refusals::token(serde_json::json!({ "scope": "data-read", "account_id": "acme" }));
    let spoofed = [
        ("X-Original-URI", "/data/acme/x"),
        ("X-Original-Method", "GET"),
        ("X-Original-Host", "api.example.com"),
        ("X-Original-Proto", "https"),
        ("X-Forwarded-Uri", "/data/acme/x"),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Host", "other.example"),
        ("X-Forwarded-Proto", "https"),
        ("X-Envoy-Original-Path", "/data/acme/x"),
    ];
    for plane in &stage.planes {
        for (name, value) in spoofed {
            let request = refusals::get("/data/beta/x", own()).and(name, value);
            let answer = plane.send(&request);
            assert_eq!((answer.status, &*answer.reason()), (403, "account_forbidden"), "{} {name}", plane.kind.name());
            let request = refusals::get("/data/acme/x", own()).and(name, "/data/beta/x").with_method("DELETE");
            assert_eq!(plane.send(&request).status, 403, "{} {name}", plane.kind.name());
        }
    }
    assert_eq!(stage.gateway.upstream.count(), 0);
}

/// A request as text.
fn text(request: &Request) -> String {
    let Request { method, target, headers } = request;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: api.example.com\r\n{headers}Connection: close\r\n\r\n")
}

impl Kind {
    /// What is refused before anybody is asked: two `Authorization` lines, by nginx.
    fn refuses_itself(self, reason: &str) -> bool {
        self == Self::Nginx && reason == "header_ambiguous"
    }

    /// What is done at the plane with a request whose target is to be another than the one that came.
    fn takes_targets(self) -> bool {
        matches!(self, Self::Nginx | Self::EnvoyGrpc)
    }
}

/// The members of an answer that a client sees.
fn seen(answer: &Response) -> (u16, Option<String>) {
    (answer.status, answer.header("www-authenticate").map(str::to_owned))
}
