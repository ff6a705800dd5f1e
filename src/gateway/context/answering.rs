//! How a request's answer is written, and what is done with one that its upstream gives.
//!
//! What a refusal says is `answer`'s; what of an answer passes is `hygiene`'s.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora::Error;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;

use super::{Context, written};
use crate::gateway::cors::Shared;
use crate::gateway::failure::Failure;
use crate::gateway::grpc;
use crate::gateway::known::Known;
use crate::gateway::problem::Answer;
use crate::gateway::tenure::{Grounds, Kind, Tenure, Watched};
use crate::policy::Reason;

/// How much of a refused request's body is read and thrown away, and how long that may take, so that
/// a client that is still sending gets to read its answer (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 256 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

impl Context {
    /// Answers, and leaves the connection so that nothing of this request is read as the next one:
    /// pingora closes it where the body was not read to its end. Where a request is ambiguous, so is
    /// what comes after it.
    pub(in crate::gateway) async fn answer(&mut self, session: &mut ServerSession, mut answer: Answer) {
        answer.headers.extend(self.found.limits_told.iter().flat_map(|told| told.headers()));
        if matches!(self.found.reason, Some(Reason::PathAmbiguous | Reason::HeaderAmbiguous)) {
            session.set_keepalive(None);
        }
        if let Some(cors) = &self.generation.cors {
            cors.share_own(self.found.api, &shared(session.req_header()), &self.generation.policy, &mut answer);
        }
        if grpc::is_grpc(session.req_header()) {
            answer = grpc::say(answer, self.found.reason, self.failure);
        }
        self.give(session, answer).await;
    }

    /// Gives an answer as it is.
    pub(super) async fn give(&mut self, session: &mut ServerSession, answer: Answer) {
        let has_body = session.req_header().method != Method::HEAD && !answer.is_trailers_only();
        // Who does not take the answer has gone: there is nobody to tell.
        if let Ok(head) = answer.head()
            && write_head(session, head, !has_body).await.is_ok()
            && has_body
        {
            let _ = session.write_response_body(answer.body, true).await;
        }
        self.answered = Some(self.started.elapsed());
        linger(session).await;
    }

    /// Answers a request that was allowed and could not be served, if that can still be done. A call of gRPC
    /// can be told so after its answer has begun, too.
    pub(in crate::gateway) async fn fail(&mut self, session: &mut ServerSession, error: &Error) {
        let failure = *self.failure.get_or_insert_with(|| Failure::of(error));
        let Some(answer) = failure.answer(&self.request_id) else { return };
        if written(session).is_some() {
            if failure.upstream_error().is_some() && takes_trailers(session) {
                // Who does not take them has gone: there is nobody to tell.
                let trailers = grpc::trailers(answer, failure);
                let _ = session.write_response_trailers(trailers).await;
            }
            return;
        }
        // The connection is closed, and who is not told so may send what then is lost.
        session.set_keepalive(None);
        self.answer(session, answer).await;
    }

    /// Says of an upstream's answer which pages may read it.
    ///
    /// # Errors
    /// As [`Cors::share`](crate::gateway::cors::Cors::share).
    pub(in crate::gateway) fn share(
        &self,
        request: &RequestHeader,
        response: &mut ResponseHeader,
    ) -> pingora::Result<()> {
        match (&self.generation.cors, &self.forward) {
            (Some(cors), Some(forward)) if !response.status.is_informational() => {
                cors.share(forward.api(), &shared(request), response)
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// Sees to it that an exchange which goes on ends when what lets it through does.
    pub(in crate::gateway) fn watch(&mut self, session: &ServerSession, response: &ResponseHeader) {
        let kind = Kind::of(response);
        if let Some(kind) = kind {
            self.watch_as(kind, session);
        }
        // It may not come to its end for hours, and has begun well.
        if kind.is_some() || self.watched.is_some() && !response.status.is_informational() {
            self.served();
        }
    }

    /// The same of a call of gRPC, which may go on from its start.
    pub(in crate::gateway) fn watch_call(&mut self, session: &ServerSession) {
        if grpc::is_grpc(session.req_header()) {
            self.watch_as(Kind::Call, session);
        }
    }

    fn watch_as(&mut self, kind: Kind, session: &ServerSession) {
        if self.watched.is_some() {
            return;
        }
        let grounds = Grounds {
            gateway: Arc::clone(&self.gateway),
            head: session.req_header().clone(),
            peer: self.peer,
            certificate: Known::certificate(session.digest()).cloned(),
            account: Grounds::account(self.forward.as_ref()),
        };
        // Streams of HTTP/2 share theirs.
        let own = session.as_http1().and_then(|_| Known::of(session.digest()));
        self.watched = Some(Watched::new(kind, grounds, own.cloned()));
    }

    /// How long the exchange may go on, if it can end before its answer does.
    pub(in crate::gateway) fn tenure(&self) -> Option<Arc<Tenure>> {
        self.watched.as_ref().map(Watched::tenure)
    }

    /// Whether the exchange has ended before its answer has.
    pub(in crate::gateway) fn has_ended(&self) -> bool {
        self.watched.as_ref().is_some_and(Watched::has_ended)
    }

    /// Tells the client of an exchange that has ended so, as far as there is a way. That of other failures is
    /// told elsewhere.
    pub(in crate::gateway) async fn part(&self, session: &mut ServerSession) {
        let Some(tenure) = self.tenure().filter(|tenure| tenure.has_ended()) else { return };
        match tenure.kind {
            // Its connection says goodbye when it is read, and waits for the client's.
            Kind::WebSocket => {
                let read = async { while let Ok(Some(_)) = session.read_request_body().await {} };
                let _ = tokio::time::timeout(LINGER_TIME, read).await;
            }
            Kind::Call => self.end_call(session, tenure.why()).await,
            // It breaks off.
            Kind::Events => {}
        }
    }

    /// Ends a call of gRPC in gRPC's own way.
    async fn end_call(&self, session: &mut ServerSession, why: Option<Reason>) {
        let trailers = grpc::ended(why);
        // Who does not take it has gone: there is nobody to tell.
        if written(session).is_some() {
            let _ = session.write_response_trailers(trailers).await;
        } else if let Ok(head) = grpc::head_of(&trailers, &self.request_id) {
            let _ = write_head(session, head, true).await;
        }
    }
}

/// Whether it is a call of gRPC whose answer's end is where it is said to be.
fn takes_trailers(session: &ServerSession) -> bool {
    let is_open = |head: &ResponseHeader| !head.headers.contains_key(CONTENT_LENGTH);
    grpc::is_grpc(session.req_header()) && session.response_written().is_some_and(is_open)
}

/// Writes a head, which is all of the answer if it is `whole`: pingora itself would end that with an
/// empty piece of a body, which is not what trailers alone are to gRPC.
async fn write_head(session: &mut ServerSession, head: ResponseHeader, whole: bool) -> pingora::Result<()> {
    match session {
        ServerSession::H2(http2) if whole => http2.write_response_header(Box::new(head), true),
        ServerSession::H1(_) | ServerSession::H2(_) | ServerSession::Subrequest(_) | ServerSession::Custom(_) => {
            session.write_response_header(Box::new(head)).await
        }
    }
}

pub(super) fn shared(request: &RequestHeader) -> Shared<'_> {
    Shared { method: &request.method, target: request.raw_path(), headers: &request.headers }
}

/// Reads the rest of a body, or some of it, and throws it away.
pub(in crate::gateway) async fn linger(session: &mut ServerSession) {
    let waits_to_send = session.req_header().headers.contains_key(EXPECT);
    if waits_to_send || session.is_body_done() {
        return;
    }
    let read = async {
        let mut left = LINGER_BYTES;
        while let (Ok(Some(bytes)), true) = (session.read_request_body().await, left > 0) {
            left = left.saturating_sub(bytes.len());
        }
    };
    // Whatever comes of it, the connection is closed.
    let _ = tokio::time::timeout(LINGER_TIME, read).await;
}
