//! What an api that only reports does with a refusal: which it may let through, and which api may do so.
//!
//! The permit itself is made by `decision`, as every other is.

use smallvec::SmallVec;

use super::{ApiId, Denial, MethodSet, Mode, Policy, Route, TokenFault};

/// What becomes of a refusal where an api only reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reporting {
    /// It is answered all the same.
    Never,
    /// The request goes on as nobody's: who sends it was not established.
    Nobody,
    /// The request goes on as its caller's, whom the token and the list of clients have established.
    Caller,
}

impl Denial {
    /// Refused all the same is what could mean something else to the upstream, what is beyond a bound,
    /// what asks for a token, and a token that somebody has revoked: none of these is a rule on trial.
    pub(super) fn reporting(&self) -> Reporting {
        match self {
            Self::Question(_)
            | Self::PathAmbiguous(_)
            | Self::HeaderAmbiguous(_)
            | Self::HeadTooLarge(_)
            | Self::BodyTooLarge { .. }
            | Self::RateLimited { .. }
            | Self::Overloaded { .. }
            | Self::OriginRejected { .. }
            | Self::TokenRequest { .. }
            | Self::Token(TokenFault::Revoked) => Reporting::Never,
            Self::TokenMissing
            | Self::Token(_)
            | Self::IssuerUnavailable
            | Self::SharedStateUnavailable
            | Self::ClientUnknown
            | Self::CertificateMismatch
            | Self::ClientAccountMismatch => Reporting::Nobody,
            Self::ScopeUndefined
            | Self::RouteUnknown
            | Self::MethodNotAllowed { .. }
            | Self::ScopeRequired { .. }
            | Self::ScopeInsufficient { .. }
            | Self::ClientTypeRejected { .. }
            | Self::AccountMissing { .. }
            | Self::AccountAmbiguous { .. }
            | Self::AccountForbidden { .. } => Reporting::Caller,
        }
    }
}

impl Policy {
    /// The api that lets through what was refused for this, if one does.
    ///
    /// No api that enforces is opened by another's mode: all of those must only report that have a
    /// service for the path, and all of the most specific base path under which the request lies.
    pub(super) fn reporting_api(&self, route: &Route<'_, '_>, denial: &Denial) -> Option<ApiId> {
        let request = &route.request;
        // CONNECT, TRACE and known methods in other letters are no methods that an upstream gets.
        if !self.reports || request.method == MethodSet::NONE {
            return None;
        }
        let with_path = route.candidates.iter().map(|candidate| candidate.id);
        let nearest = self.nearest_apis(request.target, request.host);
        let first = denial.api().or(route.nearest_api()).or(nearest.first().copied())?;
        let reports = |id: ApiId| self.api(id).is_some_and(|api| api.mode == Mode::ReportOnly);
        (reports(first) && with_path.chain(nearest).all(reports)).then_some(first)
    }

    /// The apis of the most specific base path under which a target lies, of those for the host.
    fn nearest_apis(&self, target: &super::Target<'_>, host: &str) -> SmallVec<[ApiId; 4]> {
        let of = |id: &ApiId| self.api(*id).filter(|api| api.admits_host(host));
        let ids = self.bases.at(target);
        let Some(first) = ids.iter().find_map(of) else { return SmallVec::new() };
        let is_beside = |id: &&ApiId| of(id).is_some_and(|api| api.base_path == first.base_path);
        ids.iter().filter(is_beside).copied().collect()
    }
}
