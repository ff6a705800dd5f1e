//! Questions about a data plane's requests: judged as the requests themselves would be.

use http::StatusCode;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;

use super::answering::shared;
use super::{Context, admit, written};
use crate::config::{Authorizer, Plane};
use crate::gateway::authorizer::Question;
use crate::gateway::authorizer::edits::Edits;
use crate::gateway::head_checks::{self, HeadSize};
use crate::gateway::inbound::Peer;
use crate::gateway::judge::{Asked, Judged, judge};
use crate::gateway::known::Known;
use crate::gateway::problem::Answer;
use crate::policy::{Certificate, Denial, FormFault, Policy, QuestionFault, Reason};
use crate::record::AskedBy;

/// A question, in the course of a request that is one.
pub(super) struct Asking {
    plane: Plane,
    /// `None` if it is no good.
    question: Option<Question>,
    /// What the client is to be answered.
    status: StatusCode,
}

impl Context {
    /// Whether the peer may ask an authorizer; if not, it is counted.
    pub(in crate::gateway) fn is_asked_by(&self, authorizer: &Authorizer) -> bool {
        let may_ask = self.peer.address.is_some_and(|address| authorizer.admits(address));
        if !may_ask {
            self.gateway.metrics().authorizer_stranger();
        }
        may_ask
    }

    /// The policy that it is judged by.
    pub(in crate::gateway) fn policy(&self) -> &Policy {
        &self.generation.policy
    }

    /// What is to be made of the request that is asked about; or the answer that its client is to get.
    pub(in crate::gateway) async fn judge_question(
        &mut self,
        question: Result<Question, Denial>,
        authorizer: &Authorizer,
    ) -> Result<Edits, Answer> {
        let decided = match question {
            Ok(question) => self.decide_question(question, authorizer).await,
            Err(denial) => {
                self.asking =
                    Some(Box::new(Asking { plane: authorizer.plane, question: None, status: StatusCode::BAD_REQUEST }));
                Err(denial)
            }
        };
        let mut decided = match decided {
            Ok(decided) => decided,
            Err(denial) => {
                self.found.refuse(&denial);
                Err(self.refuse(&denial))
            }
        };
        let asked = self.asking.as_ref().and_then(|asking| asking.question.as_ref());
        if let (Err(answer), Some(asked), Some(cors)) = (&mut decided, asked, &self.generation.cors) {
            cors.share_own(self.found.api, &shared(&asked.head), &self.generation.policy, answer);
        }
        if let Err(answer) = &mut decided {
            answer.headers.extend(self.found.limits_told.iter().flat_map(|told| told.headers()));
        }
        if let (Err(answer), Some(asking)) = (&decided, &mut self.asking) {
            asking.status = answer.status;
        }
        self.decided = Some(self.started.elapsed());
        decided
    }

    /// The target that is asked about.
    pub(in crate::gateway) fn asked_target(&self) -> &[u8] {
        let question = self.asking.as_ref().and_then(|asking| asking.question.as_ref());
        question.map(|question| question.head.raw_path()).unwrap_or_default()
    }

    /// The head of the request that is judged.
    pub(super) fn head_of<'s>(&'s self, session: &'s ServerSession) -> &'s RequestHeader {
        let question = self.asking.as_ref().and_then(|asking| asking.question.as_ref());
        question.map_or_else(|| session.req_header(), |question| &question.head)
    }

    /// The status that the request's client gets; 0 where it got none.
    pub(super) fn status(&self, session: &ServerSession) -> u16 {
        match &self.asking {
            Some(asking) => asking.status.as_u16(),
            None => written(session).map_or(0, |status| status.as_u16()),
        }
    }

    /// The certificate of the request's client.
    pub(super) fn certificate_of<'s>(&'s self, session: &'s ServerSession) -> Option<&'s Certificate> {
        let shown = match &self.asking {
            Some(asking) => asking.question.as_ref().and_then(|question| question.certificate.as_ref()),
            None => Known::certificate(session.digest()),
        };
        shown.or(self.found.told_certificate.as_ref())
    }

    /// Gives a plane its answer, of which nothing is to be made for a client: the plane would misread it.
    pub(in crate::gateway) async fn answer_plane(&mut self, session: &mut ServerSession, answer: Answer) {
        if self.found.reason.is_some_and(|reason| reason == Reason::QuestionRejected) {
            session.set_keepalive(None);
        }
        self.give(session, answer).await;
    }

    /// That the answer is written.
    pub(in crate::gateway) fn plane_answered(&mut self) {
        self.answered = Some(self.started.elapsed());
    }

    async fn decide_question(
        &mut self,
        question: Question,
        authorizer: &Authorizer,
    ) -> Result<Result<Edits, Answer>, Denial> {
        // Of its client's connection nothing is known but what the plane says.
        self.peer = Peer { tls: question.secure, local: None, ..self.peer };
        let asking = Asking { plane: authorizer.plane, question: Some(question), status: StatusCode::OK };
        self.asking = Some(Box::new(asking));
        let question = self.asking.as_ref().and_then(|asking| asking.question.as_ref());
        let question = question.ok_or(QuestionFault::Missing("the request"))?;
        let size = HeadSize { line: 0, whole: question.size() };
        head_checks::check_bounds(size, &question.head.headers, &self.generation.settings.limits)?;
        let asked = Asked {
            generation: &self.generation,
            head: &question.head,
            raw_head: &[],
            peer: self.peer,
            certificate: question.certificate.as_ref(),
            now: self.now(),
            shadow: self.shadow.as_deref(),
            is_under_way: false,
        };
        let forward = match judge(&asked, &mut self.found).await? {
            Judged::Permitted(forward) => forward,
            Judged::Preflight(api) => {
                let cors = self.generation.cors.as_ref().ok_or(Denial::OriginRejected { api })?;
                return Ok(Err(cors.answer(api, &self.request_id)));
            }
            Judged::AsksForToken(endpoint) => {
                let endpoint = self.generation.policy.token_endpoint(endpoint).ok_or(Denial::RouteUnknown)?;
                return Err(Denial::TokenRequest { api: endpoint.api, fault: FormFault::NotShown.into() });
            }
        };
        self.meter(&forward, &question.head.headers)?;
        self.carried = Some(admit(&self.generation, &forward, &question.head, self.peer, &mut self.found)?);
        let (outbound, policy) = (&self.generation.outbound, &self.generation.policy);
        Edits::new(outbound, policy, &forward, &self.sending(), &question.head.headers, authorizer).map(Ok)
    }
}

impl Asking {
    /// Who asked.
    pub(super) fn asked_by(&self, peer: Peer) -> AskedBy {
        AskedBy { plane: self.plane.as_str(), peer: peer.address }
    }
}
