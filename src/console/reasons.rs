//! What the codes of decisions mean, for people.

use crate::policy::Reason;

/// The code in a sentence's words; a text that is no code as it is.
pub(super) fn words(code: &str) -> &str {
    Reason::ALL.iter().find(|reason| reason.as_str() == code).map_or(code, |reason| meaning(*reason))
}

fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::QuestionRejected => "A data plane asked in a way that cannot be answered, or may not ask",
        Reason::HeadTooLarge => "The request’s head is larger than the limits allow",
        Reason::PathAmbiguous => "The path could be read in several ways",
        Reason::HeaderAmbiguous => "A header is there twice, or contradicts another",
        Reason::OriginRejected => "A page of an origin that is not listed asks whether it may call",
        Reason::Preflight => "A browser was told that the page may call",
        Reason::FormRejected => "The request for a token asks for what it may not",
        Reason::Public => "Public: no token is asked for",
        Reason::TokenMissing => "There is no token",
        Reason::TokenMalformed => "The token cannot be read",
        Reason::IssuerUnknown => "The token’s issuer is none of the file’s",
        Reason::AlgorithmRejected => "The token is signed by an algorithm that is not allowed",
        Reason::KeyUnknown => "The issuer has no key of the token’s id",
        Reason::TokenTypeRejected => "The token does not say that it is an access token",
        Reason::SignatureInvalid => "The token’s signature is wrong",
        Reason::AudienceMismatch => "The token is for another audience",
        Reason::TokenExpired => "The token has expired",
        Reason::TokenNotYetValid => "The token is not good yet",
        Reason::IssuerUnavailable => "The issuer cannot be reached, so the token cannot be judged",
        Reason::SharedStateUnavailable => "What other gateways know is not at hand, so the token cannot be judged",
        Reason::TokenRevoked => "The token was revoked",
        Reason::BindingMismatch => "The token is bound to a key or certificate that was not shown",
        Reason::ClientUnknown => "The client is not on the list",
        Reason::CertificateMismatch => "The client’s certificate is not the one of its entry",
        Reason::ScopeUndefined => "The token carries a scope that no API defines",
        Reason::RouteUnknown => "No service has this path",
        Reason::MethodNotAllowed => "No service has this path with this method",
        Reason::ScopeRequired => "A scope that every request to the API must hold is missing",
        Reason::ScopeInsufficient => "No scope that is held grants it",
        Reason::ClientTypeRejected => "Only confidential clients may, and this one is public",
        Reason::AccountMissing => "The request does not say which account it touches",
        Reason::AccountAmbiguous => "The request names different accounts",
        Reason::AccountForbidden => "The account is another’s",
        Reason::BodyTooLarge => "The body is larger than the limits allow",
        Reason::RateLimited => "More requests have come than the rate limits let through",
        Reason::Overloaded => "More is under way than the limits allow",
        Reason::Reported => "Let through, though the policy would refuse it: its API only reports",
        Reason::Granted => "Allowed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_means_something_of_its_own() {
        let mut all: Vec<_> = Reason::ALL.iter().map(|reason| words(reason.as_str())).collect();
        assert!(Reason::ALL.iter().zip(&all).all(|(reason, words)| reason.as_str() != *words));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), Reason::ALL.len());
        assert_eq!(words("<b>"), "<b>");
    }
}
