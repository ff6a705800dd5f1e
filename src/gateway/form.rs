//! Forms that requests carry: read whole, within bounds. What they say is `token`'s.

use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;

use super::known::Known;
use crate::policy::FormFault;
use crate::token::check_media_type;

/// How long a form may take to arrive.
const FORM_TIME: Duration = Duration::from_secs(10);

/// The form as it came, read to its end.
///
/// # Errors
/// If it is no form, has more than `most` bytes, or does not come whole and in time.
pub(super) async fn read(session: &mut ServerSession, most: usize) -> Result<Vec<u8>, FormFault> {
    check_head(&session.req_header().headers, most)?;
    if waits_for_leave(session.req_header()) {
        let keepalive = session.get_keepalive();
        session.write_continue_response().await.map_err(|_| FormFault::Broken)?;
        // Pingora takes this for the answer to a request whose body is left unread.
        session.set_keepalive(keepalive);
        // It waits no more, and nobody else need make it.
        session.req_header_mut().remove_header(&EXPECT);
    }
    let reading = async {
        let mut form = Vec::new();
        while let Some(bytes) = session.read_request_body().await.map_err(|_| FormFault::Broken)? {
            if form.len() + bytes.len() > most {
                return Err(FormFault::TooLarge);
            }
            form.extend_from_slice(&bytes);
        }
        Ok(form)
    };
    let form = tokio::time::timeout(FORM_TIME, reading).await.unwrap_or(Err(FormFault::TooSlow))?;
    if let Some(known) = Known::of(session.digest()) {
        known.listen();
    }
    Ok(form)
}

/// What can be said before the body is read, so that a client that waits need not send it.
pub(super) fn check_head(headers: &HeaderMap, most: usize) -> Result<(), FormFault> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(media_type), None) = (types.next(), types.next()) else { return Err(FormFault::MediaType) };
    check_media_type(media_type.as_bytes())?;
    let is_plain = |coding: &http::HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Err(FormFault::Compressed);
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    // INVARIANT: a length is made of digits; one that does not fit is larger than all.
    let is_too_large = length.is_some_and(|length| length.parse::<usize>().map_or(true, |length| length > most));
    if is_too_large { Err(FormFault::TooLarge) } else { Ok(()) }
}

/// RFC 9110 section 10.1.1.
fn waits_for_leave(head: &RequestHeader) -> bool {
    head.headers.get_all(EXPECT).iter().any(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
