//! The check of a server that has TLS or speaks HTTP/2, without a request of a client.

use http::header::{HOST, USER_AGENT};
use http::uri::Scheme;
use http::{Method, Request, StatusCode, Uri};
use pingora::http::RequestHeader;
use pingora::protocols::http::HttpTask;
use pingora::{Error, ErrorType, Result};

use super::exchange::{Event, Exchange, Times};
use super::{dial, http1, http2};
use crate::gateway::upstream::Server;

/// As whom the gateway asks.
const AGENT: &str = "scopegate";

/// Whether a server can be connected to, and answers well what is at the path, if there is one. How long that
/// may take is the caller's.
///
/// # Errors
/// If it cannot, or does not.
pub(in crate::gateway) async fn probe(server: &Server, host: &str, path: Option<&str>) -> Result<()> {
    let times = Times::of(&server.transport, false);
    let mut exchange = match &server.streams {
        Some(streams) => {
            let (place, _) = dial::http2(server, streams).await?;
            let Some(path) = path else { return Ok(()) };
            Exchange::Http2(Box::new(http2::Exchange::begin(place, asking(server, host, path)?, true).await?))
        }
        None => {
            let (connection, _) = dial::http1(server, true).await?;
            let Some(path) = path else { return Ok(()) };
            let mut head = RequestHeader::build(Method::GET, path.as_bytes(), None)?;
            head.insert_header(HOST, host)?;
            head.insert_header(USER_AGENT, AGENT)?;
            Exchange::Http1(Box::new(http1::Exchange::begin(connection, head, true, times).await?))
        }
    };
    match status(&mut exchange, times).await? {
        status if status.is_success() => Ok(()),
        status => Error::e_explain(ErrorType::HTTPStatus(status.as_u16()), "checking"),
    }
}

async fn status(exchange: &mut Exchange, times: Times) -> Result<StatusCode> {
    loop {
        if let Event::Answered(HttpTask::Header(head, _)) = exchange.step(&mut None, times).await?
            && !head.status.is_informational()
        {
            return Ok(head.status);
        }
    }
}

fn asking(server: &Server, host: &str, path: &str) -> Result<Request<()>> {
    let scheme = if server.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(path).build();
    let request = uri.and_then(|uri| Request::get(uri).header(USER_AGENT, AGENT).body(()));
    request.map_err(|error| Error::because(ErrorType::InvalidHTTPHeader, "checking", error))
}
