//! Questions in headers: which request a data plane asks about, in the names of its kind.
//!
//! What a plane says of a request stands in headers that it writes over its client's. One that is
//! missing or there twice is a refusal: then the plane is not set up to write it, and a client could.
//! Questions of Envoy over gRPC are `check`'s.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;

use crate::config::{Authorizer, Plane};
use crate::policy::{Certificate, Denial, HeaderFault, PathFault, QuestionFault};
use crate::token::{certificate_from_client_cert, certificate_from_forwarded_client_cert};

/// A request that a data plane has, as the gateway would have got it.
#[derive(Debug)]
pub(in crate::gateway) struct Question {
    pub(in crate::gateway) head: RequestHeader,
    /// Whether the plane's client speaks TLS to it.
    pub(in crate::gateway) secure: bool,
    /// What the client has shown the plane, where the plane is one that says so.
    pub(in crate::gateway) certificate: Option<Certificate>,
}

/// What a plane itself says of a request.
pub(super) struct Told<'q> {
    pub(super) method: &'q [u8],
    pub(super) target: &'q [u8],
    pub(super) host: HeaderValue,
    pub(super) secure: bool,
}

/// The names under which one kind of plane says it.
struct Names {
    method: HeaderName,
    target: HeaderName,
    host: HeaderName,
    scheme: HeaderName,
    /// Of the body, where the plane says it.
    length: Option<HeaderName>,
}

const NGINX: Names = Names {
    method: HeaderName::from_static("x-original-method"),
    target: HeaderName::from_static("x-original-uri"),
    host: HeaderName::from_static("x-original-host"),
    scheme: HeaderName::from_static("x-original-proto"),
    length: Some(HeaderName::from_static("x-original-content-length")),
};

const FORWARDED: Names = Names {
    method: HeaderName::from_static("x-forwarded-method"),
    target: HeaderName::from_static("x-forwarded-uri"),
    host: HeaderName::from_static("x-forwarded-host"),
    scheme: HeaderName::from_static("x-forwarded-proto"),
    length: None,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const DPOP: HeaderName = HeaderName::from_static("dpop");

pub(super) const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
pub(super) const FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// What is the plane's own connection's.
const OF_CONNECTION: [HeaderName; 9] =
    [HOST, CONNECTION, KEEP_ALIVE, CONTENT_LENGTH, TRANSFER_ENCODING, TE, TRAILER, UPGRADE, EXPECT];

/// The question that a head is; `None` where this kind of plane asks in bodies.
///
/// # Errors
/// If it does not say which request it is about, or that request could not be forwarded by anyone.
pub(super) fn in_head(authorizer: &Authorizer, head: &RequestHeader) -> Option<Result<Question, Denial>> {
    let asked = match authorizer.plane {
        Plane::Nginx => named(&NGINX, head),
        Plane::Traefik | Plane::Caddy => named(&FORWARDED, head),
        Plane::EnvoyHttp => whole(head),
        Plane::EnvoyGrpc => return None,
    };
    Some(asked.and_then(|question| question.with_certificate(authorizer)))
}

/// The header in which a plane that tells of its client's certificate does so. Any other that would tell of one is
/// its client's.
pub(super) fn told_in(authorizer: &Authorizer) -> Option<HeaderName> {
    match authorizer.plane {
        Plane::Nginx | Plane::EnvoyHttp => authorizer.tells_certificate.then_some(FORWARDED_CLIENT_CERT),
        Plane::Caddy => authorizer.tells_certificate.then_some(CLIENT_CERT),
        Plane::Traefik | Plane::EnvoyGrpc => None,
    }
}

fn named(names: &Names, head: &RequestHeader) -> Result<Question, Denial> {
    let headers = &head.headers;
    let method = only(headers, &names.method, "the method")?;
    let target = only(headers, &names.target, "the target")?;
    let host = only(headers, &names.host, "the host")?.clone();
    let secure = is_secure(only(headers, &names.scheme, "the scheme")?.as_bytes())?;
    let told = Told { method: method.as_bytes(), target: target.as_bytes(), host, secure };
    // The host and scheme may be of use to the decision under the names that all proxies use.
    let own = [Some(&names.method), Some(&names.target), names.length.as_ref()];
    let is_own = |name: &HeaderName| {
        own.contains(&Some(name)) || (names.length.is_some() && [&names.host, &names.scheme].contains(&name))
    };
    let mut question = Question::new(&told, headers.iter().filter(|(name, _)| !is_own(name)), None)?;
    if let Some(name) = &names.length
        && headers.contains_key(name)
    {
        let length = only(headers, name, "the length of the body")?.clone();
        append(&mut question.head, &CONTENT_LENGTH, length)?;
    }
    Ok(question)
}

/// Envoy asks under the request's own method, target and host, and joins repeated `Authorization` lines.
fn whole(head: &RequestHeader) -> Result<Question, Denial> {
    let headers = &head.headers;
    let host = only(headers, &HOST, "the host")?.clone();
    let secure = is_secure(only(headers, &FORWARDED.scheme, "the scheme")?.as_bytes())?;
    check_joined(headers)?;
    let told = Told { method: head.method.as_str().as_bytes(), target: head.raw_path(), host, secure };
    Question::new(&told, headers.iter(), None)
}

/// Refuses a credential or proof that was several lines: neither has a comma in it.
pub(super) fn check_joined(headers: &HeaderMap) -> Result<(), HeaderFault> {
    let is_joined = |name: &HeaderName| headers.get_all(name).iter().any(|value| value.as_bytes().contains(&b','));
    if is_joined(&http::header::AUTHORIZATION) {
        return Err(HeaderFault::SeveralAuthorizations);
    }
    if is_joined(&DPOP) { Err(HeaderFault::SeveralOfOne) } else { Ok(()) }
}

/// Whether a scheme is one with TLS.
pub(super) fn is_secure(scheme: &[u8]) -> Result<bool, QuestionFault> {
    match scheme {
        b"https" | b"wss" => Ok(true),
        b"http" | b"ws" => Ok(false),
        _ => Err(QuestionFault::Unreadable("the scheme")),
    }
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName, what: &'static str) -> Result<&'h HeaderValue, QuestionFault> {
    let mut values = headers.get_all(name).iter();
    match (values.next().filter(|value| !value.is_empty()), values.next()) {
        (Some(value), None) => Ok(value),
        (Some(_) | None, Some(_)) => Err(QuestionFault::Repeated(what)),
        (None, None) => Err(QuestionFault::Missing(what)),
    }
}

fn append(head: &mut RequestHeader, name: &HeaderName, value: HeaderValue) -> Result<(), QuestionFault> {
    head.append_header(name, value).map(|_| ()).map_err(|_| QuestionFault::Unreadable("a header"))
}

impl Question {
    /// The request that is told of, with these headers but for those of a connection.
    pub(super) fn new<'h>(
        told: &Told<'_>,
        headers: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>,
        certificate: Option<Certificate>,
    ) -> Result<Self, Denial> {
        let method = Method::from_bytes(told.method).map_err(|_| QuestionFault::Unreadable("the method"))?;
        // What parses a target next drops what follows a `#`.
        if told.target.contains(&b'#') {
            return Err(PathFault::Fragment.into());
        }
        if told.target.first() != Some(&b'/') {
            return Err(PathFault::NotOriginForm.into());
        }
        let built = RequestHeader::build_no_case(method, told.target, None);
        let mut head = built.map_err(|_| PathFault::IllegalCharacter)?;
        if head.raw_path() != told.target {
            return Err(PathFault::IllegalCharacter.into());
        }
        append(&mut head, &HOST, told.host.clone())?;
        for (name, value) in headers.filter(|(name, _)| !OF_CONNECTION.contains(name)) {
            append(&mut head, name, value.clone())?;
        }
        Ok(Self { head, secure: told.secure, certificate })
    }

    /// The same, with what its plane tells of a certificate.
    fn with_certificate(self, authorizer: &Authorizer) -> Result<Self, Denial> {
        let headers = &self.head.headers;
        let certificate = match told_in(authorizer) {
            Some(name) if name == CLIENT_CERT => certificate_from_client_cert(headers),
            Some(_) => certificate_from_forwarded_client_cert(headers),
            None => Ok(None),
        };
        Ok(Self { certificate: certificate.map_err(|_| HeaderFault::CertificateUnreadable)?, ..self })
    }

    /// How many bytes its head would have.
    pub(in crate::gateway) fn size(&self) -> usize {
        let line = self.head.method.as_str().len() + self.head.raw_path().len() + "  HTTP/1.1\r\n\r\n".len();
        self.head.headers.iter().fold(line, |size, (name, value)| size + name.as_str().len() + value.len() + 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_head(plane: Plane, head: &RequestHeader) -> Option<Result<Question, Denial>> {
        let peers = vec!["127.0.0.1/32".parse().unwrap()];
        let none = Authorizer { plane, peers, applies_account: false, applies_target: false, tells_certificate: false };
        super::in_head(&none, head)
    }

    fn head(method: &str, target: &str, list: &[(&str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build(method, target.as_bytes(), None).unwrap();
        for (name, value) in list {
            head.append_header((*name).to_owned(), *value).unwrap();
        }
        head
    }

    const ASKED: [(&str, &str); 4] = [
        ("X-Original-Method", "DELETE"),
        ("X-Original-URI", "/a/%61?b"),
        ("X-Original-Host", "api.example"),
        ("X-Original-Proto", "https"),
    ];

    #[test]
    fn a_question_is_of_the_request_that_its_plane_tells_of() {
        let more = [("Host", "inner"), ("Connection", "close"), ("X-Original-Content-Length", "5"), ("X-A", "b")];
        for (plane, prefix) in
            [(Plane::Nginx, "X-Original-"), (Plane::Traefik, "X-Forwarded-"), (Plane::Caddy, "X-Forwarded-")]
        {
            let renamed = ASKED.map(|(name, value)| (name.replace("X-Original-", prefix), value));
            let list: Vec<_> = renamed.iter().map(|(name, value)| (&**name, *value)).chain(more).collect();
            let question = in_head(plane, &head("GET", "/ask", &list)).unwrap().unwrap();
            assert_eq!((question.head.method.as_str(), question.head.raw_path()), ("DELETE", &b"/a/%61?b"[..]));
            assert!(question.secure);
            let headers = &question.head.headers;
            assert_eq!((headers["host"].as_bytes(), headers["x-a"].as_bytes()), (&b"api.example"[..], &b"b"[..]));
            assert!(!headers.contains_key("connection"));
            let length = headers.get("content-length").map(HeaderValue::as_bytes);
            assert_eq!(length, (plane == Plane::Nginx).then_some(&b"5"[..]));
        }
    }

    #[test]
    fn what_a_plane_must_tell_is_there_once() {
        for (missing, _) in ASKED {
            let without: Vec<_> = ASKED.into_iter().filter(|(name, _)| *name != missing).collect();
            let refused = in_head(Plane::Nginx, &head("GET", "/", &without)).unwrap().unwrap_err();
            assert!(matches!(refused, Denial::Question(QuestionFault::Missing(_))), "{missing}: {refused:?}");
            let twice: Vec<_> = ASKED.into_iter().chain([(missing, "/x")]).collect();
            let refused = in_head(Plane::Nginx, &head("GET", "/", &twice)).unwrap().unwrap_err();
            assert!(matches!(refused, Denial::Question(QuestionFault::Repeated(_))), "{missing}: {refused:?}");
            let empty = ASKED.map(|(name, value)| (name, if name == missing { "" } else { value }));
            let refused = in_head(Plane::Nginx, &head("GET", "/", &empty)).unwrap().unwrap_err();
            assert!(matches!(refused, Denial::Question(QuestionFault::Missing(_))), "{missing}: {refused:?}");
        }
        let refused = in_head(Plane::EnvoyHttp, &head("GET", "/", &[("Host", "a")])).unwrap().unwrap_err();
        assert_eq!(refused, QuestionFault::Missing("the scheme").into());
    }

    #[test]
    fn a_target_that_would_be_read_in_part_is_refused() {
        for (target, fault) in [
            ("/a#b", PathFault::Fragment),
            ("http://a/b", PathFault::NotOriginForm),
            ("*", PathFault::NotOriginForm),
            ("/a b", PathFault::IllegalCharacter),
            ("/a<b", PathFault::IllegalCharacter),
        ] {
            let asked = ASKED.map(|(name, value)| (name, if name == "X-Original-URI" { target } else { value }));
            let refused = in_head(Plane::Nginx, &head("GET", "/", &asked)).unwrap().unwrap_err();
            assert_eq!(refused, fault.into(), "{target}");
        }
    }

    #[test]
    fn joined_credentials_are_several() {
        let told = |value: &str| {
            let list = [("Host", "a"), ("X-Forwarded-Proto", "http"), ("Authorization", value)];
            in_head(Plane::EnvoyHttp, &head("GET", "/", &list)).unwrap().map(|_| ())
        };
        assert_eq!(told("Bearer a"), Ok(()));
        assert_eq!(told("Bearer a,Bearer b"), Err(HeaderFault::SeveralAuthorizations.into()));
    }
}
