//! The span of a sampled request, once it is known what became of it.

use pingora::http::RequestHeader;

use super::inbound::{self, Peer};
use super::trace::{Ids, TRACESTATE, Traced};
use crate::record::Outcome;
use crate::spans::{Place, Spans};

/// Has the request's span taken, if it is sampled.
pub(super) fn record(spans: &Spans, traced: &Traced, outcome: &Outcome<'_>, head: &RequestHeader, peer: Peer) {
    let Some(Ids { trace, span, parent }) = traced.ids() else { return };
    let states = head.headers.get_all(TRACESTATE).iter().filter_map(|state| state.to_str().ok());
    let state = traced.has_parent().then(|| states.collect::<Vec<_>>().join(","));
    let place = Place {
        trace,
        span,
        parent,
        state: state.as_deref(),
        peer: peer.address,
        scheme: inbound::scheme(&head.headers, peer),
        version: head.version,
    };
    spans.record(outcome, &place);
}
