//! Services and the requests that they take, tried one by one on strings.

use scopegate::policy::Service;

use super::Asked;
use super::wire::{carelessly, unreserved_decoded};

pub(super) fn takes(service: &Service, asked: &Asked) -> bool {
    has_method(service, asked) && fits(&segments(service), &path_segments(&asked.path))
}

/// As `takes`, but of a path and a pattern as a careless server reads them.
pub(super) fn excepts(service: &Service, asked: &Asked) -> bool {
    let read = |segments: Vec<String>| segments.iter().map(|segment| carelessly(segment)).collect::<Vec<_>>();
    has_method(service, asked) && fits(&read(segments(service)), &read(path_segments(&asked.path)))
}

/// The segment that the service's `{name}` stands for.
pub(super) fn captured(service: &Service, path: &str, name: &str) -> Option<String> {
    let place = segments(service).iter().position(|segment| *segment == format!("{{{name}}}"))?;
    path_segments(path).get(place).cloned()
}

fn has_method(service: &Service, asked: &Asked) -> bool {
    let methods = service.as_str().split_once(' ').map_or("*", |(methods, _)| methods);
    is_method(&asked.method) && (methods == "*" || methods.split(',').any(|method| method == asked.method))
}

/// `get` is neither GET nor another method.
pub(super) fn is_method(method: &str) -> bool {
    let upper = method.to_uppercase();
    let never = ["CONNECT", "TRACE"].contains(&&*upper)
        || (upper != method && ["GET", "POST", "PUT", "DELETE"].contains(&&*upper));
    !never
}

fn fits(pattern: &[String], path: &[String]) -> bool {
    let fits_all = |pattern: &[String]| pattern.iter().zip(path).all(|(p, s)| p == "*" || p.starts_with('{') || p == s);
    match pattern.split_last() {
        Some((last, before)) if last == "**" => path.len() >= before.len() && fits_all(before),
        _ => path.len() == pattern.len() && fits_all(pattern),
    }
}

/// Of the path of `GET /x/y`, `/x/y`, `x/y/` or `https://host/x/y`.
fn segments(service: &Service) -> Vec<String> {
    let written = service.as_str().split_once(' ').map_or(service.as_str(), |(_, path)| path);
    let path = written.split_once("://").map_or(written, |(_, url)| url.split_once('/').map_or("", |(_, path)| path));
    path_segments(&unreserved_decoded(path))
}

fn path_segments(path: &str) -> Vec<String> {
    path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}
