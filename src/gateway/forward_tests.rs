//! Permitted requests as upstreams get them: `forward`, `outbound`, `hygiene` and `head` together.
//!
//! Whatever is asked here is written in every way, by `outbound`, by `head` and for servers of HTTP/1.1 and HTTP/2 by
//! `onward`, which must agree.

mod origin;
mod random;
mod rig;

use http::header::HeaderName;
use rig::{Asked, forwarded};

use crate::policy::{AccountSource, Denial, HeaderFault, Reach};

#[track_caller]
fn check(asked: &Asked, expected: &[(&str, &[&str])]) {
    let request = forwarded(asked).unwrap();
    for (name, values) in expected {
        let found: Vec<_> = request.headers.get_all(*name).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(found, *values, "{name}");
    }
}

#[track_caller]
fn check_target(asked: &Asked, expected: &str) {
    assert_eq!(forwarded(asked).unwrap().raw_path().escape_ascii().to_string(), expected);
}

#[test]
fn the_upstream_is_told_the_caller_and_nothing_that_the_client_says_of_itself() {
    let headers = &[
        ("X-Auth-Subject", "root"),
        ("x_auth_client", "root"),
        ("X.Auth.Account", "other"),
        ("X-Auth-Scopes", "all"),
        ("X-Auth-Scopes", "more"),
        ("Authorization", "Bearer t"),
        ("X-Custom", "kept"),
    ];
    check(
        &Asked { headers, ..Asked::default() },
        &[
            ("x-auth-subject", &["sub"]),
            ("x-auth-client", &["app"]),
            ("x-auth-account", &["acme"]),
            ("x-auth-scopes", &["read"]),
            ("x_auth_client", &[]),
            ("x.auth.account", &[]),
            ("authorization", &["Bearer t"]),
            ("x-custom", &["kept"]),
            ("host", &["api.example"]),
        ],
    );
}

#[test]
fn a_public_service_is_told_of_nobody() {
    let headers = &[("X-Auth-Subject", "root"), ("X-Auth-Account", "other")];
    check(
        &Asked { target: "/public", headers, ..Asked::default() },
        &[("x-auth-subject", &[]), ("x-auth-client", &[]), ("x-auth-account", &[]), ("x-auth-scopes", &[])],
    );
}

#[test]
fn identity_headers_are_written_in_title_case() {
    let mut wire = Vec::new();
    forwarded(&Asked::default()).unwrap().header_to_h1_wire(&mut wire);
    assert!(String::from_utf8(wire).unwrap().contains("\r\nX-Auth-Subject: sub\r\n"));
}

#[test]
fn the_account_is_the_one_that_the_request_touches() {
    let any = |target| Asked { target, reach: Reach::Any, ..Asked::default() };
    for (asked, account) in [
        (any("/a/other/x"), "other"),
        (any("/a/o%40x/x"), "o@x"),
        (any("/a/acme/x"), "acme"),
        (any("/plain?accountId=third"), "third"),
        (any("/plain"), "acme"),
    ] {
        check(&asked, &[("x-auth-account", &[account])]);
    }
    let trimmed = forwarded(&any("/a/%20acme/x"));
    assert_eq!(trimmed.map(|_| ()), Err(Denial::HeaderAmbiguous(HeaderFault::AccountUnreadable)));
}

#[test]
fn the_callers_account_is_written_in_where_the_request_names_none() {
    let into_query = |target, own| Asked { target, own, ..Asked::default() };
    check_target(&into_query("/plain", "acme"), "/plain?accountId=acme");
    check_target(&into_query("/plain?", "acme"), "/plain?&accountId=acme");
    check_target(&into_query("/plain?a=%2F&b", "a b&c=d#é"), "/plain?a=%2F&b&accountId=a%20b%26c%3Dd%23%C3%A9");
    let into_header = |own| Asked {
        target: "/plain",
        own,
        source: AccountSource::Header(HeaderName::from_static("x-account")),
        headers: &[("X_Account", "other")],
        ..Asked::default()
    };
    check(&into_header("acme"), &[("x-account", &["acme"]), ("x_account", &[]), ("x-auth-account", &["acme"])]);
    check_target(&into_header("acme"), "/plain");
    let listed = forwarded(&into_header("acme,other"));
    assert_eq!(listed.map(|_| ()), Err(Denial::HeaderAmbiguous(HeaderFault::AccountUnreadable)));
}

#[test]
fn the_target_is_the_one_that_was_judged() {
    let target = |target| Asked { target, ..Asked::default() };
    check_target(&target("/a/acme/x/?q=%61&r"), "/a/acme/x/?q=%61&r");
    check_target(&target("/a/%61cme/%78?q=%61"), "/a/acme/x?q=%61");
}

#[test]
fn authorization_goes_on_unless_the_api_says_otherwise() {
    let headers = &[("Authorization", "Bearer t"), ("DPoP", "p")];
    let with = |forward_authorization| Asked { headers, forward_authorization, ..Asked::default() };
    check(&with(true), &[("authorization", &["Bearer t"]), ("dpop", &["p"])]);
    check(&with(false), &[("authorization", &[]), ("dpop", &[])]);
}
