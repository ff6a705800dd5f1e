//! `gateway.yaml` and the patterns in it: what is wrong has its place, and what is right means what it says.

use std::fmt::Write as _;
use std::path::Path;

use http::HeaderMap;
use serde_json::json;

use crate::config::{Configuration, Problems, Source, compile};
use crate::policy::{BasePath, Basis, Caller, Denial, Identity, MethodSet, Pattern, Request, Segment, Service, Target};

/// Any text as the file.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(problems) = read(text) {
        check_problems(text, &problems);
    }
}

fn read(text: &str) -> Result<Configuration, Problems> {
    compile(&Source { shown: "gateway.yaml", directory: Path::new("/etc/scopegate"), text })
}

/// Every problem is in the text, and can be shown.
#[track_caller]
pub(crate) fn check_problems(text: &str, problems: &Problems) {
    assert!(!problems.list().is_empty());
    let lines = text.split(['\n', '\r']).count();
    for problem in problems.list() {
        assert!(problem.line >= 1 && problem.column >= 1 && problem.line <= lines, "{problem}");
        assert!(!problem.to_string().contains('\u{1b}'), "{problem}");
    }
    assert!(!problems.render(false).contains('\u{1b}'));
    problems.render(true);
}

/// Services, a line each, and after an empty line targets: each target gets the first service that takes it, tried
/// one by one.
pub fn patterns(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (services, targets) = text.split_once("\n\n").unwrap_or((text, ""));
    let services: Vec<Service> = services.lines().take(8).filter_map(check_service).collect();
    if services.is_empty() {
        return;
    }
    let document = document(&services);
    let Ok(Configuration { policy, .. }) = read(&document) else {
        panic!("services that are good by themselves are refused: {document}");
    };
    let standing = policy.standing(&caller(services.len()));
    let headers = HeaderMap::new();
    for target in targets.lines().take(8) {
        let Ok(target) = Target::parse(target.as_bytes()) else { continue };
        for method in ["GET", "POST", "DELETE"] {
            let asked = MethodSet::of_request(method);
            let request = Request { method: asked, target: &target, host: "a.example", headers: &headers };
            let found = policy
                .find(request)
                .and_then(|route| policy.decide(&route, Identity::Known { standing: &standing, certificate: None }));
            let taking: Vec<_> = services.iter().map(|service| takes(service, target.path())).collect();
            let expected = (0..services.len()).find(|n| taking[*n] && !services[*n].methods().and(asked).is_empty());
            match (found, expected) {
                (Ok(permit), Some(place)) => {
                    let Basis::Scope(scope) = permit.basis() else { panic!("it rests on no scope") };
                    assert_eq!(scope.0 as usize, place, "{services:?} {method} {}", target.path());
                }
                (Err(Denial::MethodNotAllowed { .. }), None) => assert!(taking.contains(&true), "{services:?}"),
                (Err(Denial::RouteUnknown), None) => assert!(!taking.contains(&true), "{services:?}"),
                (found, _) => panic!("{found:?} for {method} {} of {services:?}", target.path()),
            }
        }
    }
}

/// The service that a text is, if it is one: it reads back as what it shows.
fn check_service(text: &str) -> Option<Service> {
    if let Ok(base) = BasePath::parse(text) {
        assert_eq!(BasePath::parse(&base.to_string()).as_ref(), Ok(&base), "{text:?}");
    }
    let service = Service::parse(text).ok()?;
    assert_eq!(Service::parse(service.as_str()).as_ref(), Ok(&service), "{text:?}");
    let pattern = service.pattern();
    assert_eq!(Pattern::parse(&pattern.to_string()).as_ref(), Ok(pattern), "{text:?}");
    for segment in pattern.segments() {
        if let Segment::Literal(text) = segment {
            let path = format!("/{text}");
            let target = Target::parse(path.as_bytes()).expect("no request can have this segment");
            assert_eq!(target.path(), path, "no request is written so");
        }
    }
    Some(service)
}

/// One scope a service, in their order.
fn document(services: &[Service]) -> String {
    let mut scopes = String::new();
    for (place, service) in services.iter().enumerate() {
        let _ = write!(scopes, "{{ name: s{place}, services: [{}] }}, ", json!(service.as_str()));
    }
    format!(
        "version: 1\nlisteners: [{{ address: \"127.0.0.1:1\" }}]\nupstreams: {{ b: {{ servers: [\"127.0.0.1:2\"] }} }}\n\
         issuers: [{{ issuer: https://i.example, audiences: [a], keys: {{ file: k }} }}]\n\
         apis: [{{ name: a, base_path: /, upstream: b, scopes: [{scopes}] }}]\n"
    )
}

fn takes(service: &Service, path: &str) -> bool {
    let pattern = service.pattern();
    let path: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let fits = pattern.segments().iter().zip(&path).all(|(pattern, segment)| match pattern {
        Segment::Literal(text) => **text == **segment,
        Segment::Any | Segment::Capture(_) => true,
    });
    let length = pattern.segments().len();
    fits && (path.len() == length || pattern.any_rest() && path.len() > length)
}

fn caller(scopes: usize) -> Caller {
    Caller {
        scopes: (0..scopes).map(|place| format!("s{place}").into()).collect(),
        ..Caller::supposed("https://i.example")
    }
}
