//! Authorizers: listeners that forward nothing, and say of a data plane's requests whether they may pass.
//!
//! The decision is the very same as in-line: a question becomes the request that it is about
//! (`question`, `check`), which `context` judges, and the answer what the plane in its turn gives to its
//! client or makes of the request (`reply`, `edits`). Where a plane cannot do what the gateway would have
//! done, the request is refused.

pub(super) mod check;
pub(super) mod edits;
pub(super) mod grpc;
mod question;
mod reply;

use std::time::Duration;

use pingora::protocols::http::ServerSession;

use super::context::Context;
use crate::config::{Authorizer, Plane};
use crate::policy::{Denial, QuestionFault};

pub(super) use question::Question;

/// A head with all that Envoy says of it besides: twice, where it sends both forms, and a certificate.
const MESSAGE_HEADS: usize = 4;
/// How long a question in a body may take to arrive.
const MESSAGE_TIME: Duration = Duration::from_secs(10);

/// Answers the question that a request is. Whoever does not take the answer has gone: there is nobody to
/// tell.
pub(super) async fn answer(session: &mut ServerSession, context: &mut Context, authorizer: &Authorizer) {
    let is_stranger = !context.is_asked_by(authorizer);
    if authorizer.plane == Plane::EnvoyGrpc && grpc::is_call(session) {
        return answer_call(session, context, authorizer, is_stranger).await;
    }
    let question = if is_stranger {
        Err(QuestionFault::Stranger.into())
    } else {
        let asked = question::in_head(authorizer, session.req_header());
        asked.unwrap_or(Err(QuestionFault::Unreadable("the call").into()))
    };
    let answer = match context.judge_question(question, authorizer).await {
        Ok(edits) => reply::allowed(authorizer, edits, context.asked_target()),
        Err(answer) => reply::denied(authorizer.plane, answer),
    };
    context.answer_plane(session, answer).await;
}

/// The same over gRPC. What is no question is answered as a refusal too: of an error Envoy may make a pass.
async fn answer_call(session: &mut ServerSession, context: &mut Context, authorizer: &Authorizer, is_stranger: bool) {
    let is_check = grpc::is_check(session.req_header());
    let question = if is_stranger {
        Err(QuestionFault::Stranger.into())
    } else if is_check {
        read(session, context).await
    } else {
        Err(QuestionFault::Unreadable("the call").into())
    };
    let message = match context.judge_question(question, authorizer).await {
        Ok(edits) => check::allowed(&edits),
        Err(answer) => check::denied(&answer),
    };
    let _ = if is_check || is_stranger {
        grpc::reply(session, &message).await
    } else {
        grpc::reply_unimplemented(session).await
    };
    context.plane_answered();
}

async fn read(session: &mut ServerSession, context: &Context) -> Result<Question, Denial> {
    let most = context.limits().header_bytes.saturating_mul(MESSAGE_HEADS);
    let message = tokio::time::timeout(MESSAGE_TIME, grpc::read(session, most)).await;
    let message = message.unwrap_or(Err(QuestionFault::Unreadable("the body")))?;
    check::question(&message, context.policy())
}
