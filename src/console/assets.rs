//! Style sheet, script and icon: compiled in, so that pages need nobody else.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::hex::hex;

/// A file that pages refer to.
struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const ASSETS: [Asset; 3] = [
    Asset {
        name: "console.css",
        kind: "text/css; charset=utf-8",
        text: concat!(
            include_str!("assets/base.css"),
            include_str!("assets/components.css"),
            include_str!("assets/forms.css"),
            include_str!("assets/looking.css")
        ),
    },
    Asset { name: "console.js", kind: "text/javascript; charset=utf-8", text: include_str!("assets/console.js") },
    Asset { name: "icon.svg", kind: "image/svg+xml", text: include_str!("assets/icon.svg") },
];

/// Their `ETag`s.
static ETAGS: LazyLock<Vec<Option<HeaderValue>>> =
    LazyLock::new(|| ASSETS.iter().map(|asset| HeaderValue::try_from(etag(asset.text)).ok()).collect());

/// `/console/assets/{name}`.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let mut found = ASSETS.iter().zip(ETAGS.iter()).filter(|(asset, _)| asset.name == name);
    let Some((asset, etag)) = found.next() else {
        return answer(
            StatusCode::NOT_FOUND,
            Body::from("there is no such asset\n"),
            "text/plain; charset=utf-8",
            None,
        );
    };
    let is_known = |known: &HeaderValue| etag.as_ref() == Some(known);
    if headers.get_all(header::IF_NONE_MATCH).iter().any(is_known) {
        return answer(StatusCode::NOT_MODIFIED, Body::empty(), asset.kind, etag.as_ref());
    }
    answer(StatusCode::OK, Body::from(asset.text), asset.kind, etag.as_ref())
}

fn etag(text: &str) -> String {
    let sum = digest::digest(&digest::SHA256, text.as_bytes());
    let half = sum.as_ref().get(..16).unwrap_or_default();
    format!("\"{}\"", hex(half))
}

fn answer(status: StatusCode, body: Body, kind: &'static str, etag: Option<&HeaderValue>) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Asked for again each time, and answered by 304: another version of the program has others.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(etag) = etag {
        headers.insert(header::ETAG, etag.clone());
    }
    response
}
