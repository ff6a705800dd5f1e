//! The codes of decisions, in bodies, metrics and audit lines, in the order of the decision.

use std::fmt;

macro_rules! reasons {
    ($($variant:ident => $code:literal,)*) => {
        /// The code of a decision: fixed texts, safe as labels.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {$(
            #[doc = concat!("`", $code, "`")]
            $variant,
        )*}

        impl Reason {
            /// Every reason, in the order of the decision.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code as bodies, metrics and audit lines write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {$(Self::$variant => $code,)*}
            }
        }
    };
}

reasons! {
    QuestionRejected => "question_rejected",
    HeadTooLarge => "head_too_large",
    PathAmbiguous => "path_ambiguous",
    HeaderAmbiguous => "header_ambiguous",
    OriginRejected => "origin_rejected",
    Preflight => "preflight",
    FormRejected => "form_rejected",
    Public => "public",
    TokenMissing => "token_missing",
    TokenMalformed => "token_malformed",
    IssuerUnknown => "issuer_unknown",
    AlgorithmRejected => "algorithm_rejected",
    KeyUnknown => "key_unknown",
    TokenTypeRejected => "token_type_rejected",
    SignatureInvalid => "signature_invalid",
    AudienceMismatch => "audience_mismatch",
    TokenExpired => "token_expired",
    TokenNotYetValid => "token_not_yet_valid",
    IssuerUnavailable => "issuer_unavailable",
    SharedStateUnavailable => "shared_state_unavailable",
    TokenRevoked => "token_revoked",
    BindingMismatch => "binding_mismatch",
    ClientUnknown => "client_unknown",
    CertificateMismatch => "certificate_mismatch",
    ScopeUndefined => "scope_undefined",
    RouteUnknown => "route_unknown",
    MethodNotAllowed => "method_not_allowed",
    ScopeRequired => "scope_required",
    ScopeInsufficient => "scope_insufficient",
    ClientTypeRejected => "client_type_rejected",
    AccountMissing => "account_missing",
    AccountAmbiguous => "account_ambiguous",
    AccountForbidden => "account_forbidden",
    BodyTooLarge => "body_too_large",
    RateLimited => "rate_limited",
    Overloaded => "overloaded",
    Reported => "reported",
    Granted => "granted",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_reasons_share_a_code() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
    }
}
