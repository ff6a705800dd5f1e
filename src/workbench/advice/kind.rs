//! The kinds of advice: a code for programs, and what each is about.

/// A kind of advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdviceKind {
    /// A service that no request can reach.
    ServiceUnreachable,
    /// A service of a scope for which no token is asked all the same.
    ServicePublic,
    /// A service that another of the same scope takes in.
    ServiceRepeated,
    /// A service that takes in another api's.
    ApiOverlap,
    /// An exception that takes nothing away.
    ExceptionIdle,
    /// A scope or privilege that grants nothing that is not held with it anyway.
    ScopeAddsNothing,
    /// Two scopes that grant the same.
    ScopeDuplicated,
    /// An api that does not say where its requests name their account, though its services show it.
    AccountUnseen,
    /// A scope that reaches every account, and that browsers and public clients may use.
    AnyForBrowsers,
    /// A required scope that clients will not have.
    RequiredLocksOut,
    /// A scope that no client may hold.
    ScopeUnheld,
    /// A client that may hold a deprecated scope.
    DeprecatedGranted,
    /// A provider that is asked without TLS over the network.
    ProviderInClear,
    /// An api that lets through what it refuses.
    ReportOnly,
    /// A candidate that cannot be tried. It takes a look at its file, and so is said by who looks.
    ShadowUnusable,
}

impl AdviceKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::ServiceUnreachable,
        Self::ServicePublic,
        Self::ServiceRepeated,
        Self::ApiOverlap,
        Self::ExceptionIdle,
        Self::ScopeAddsNothing,
        Self::ScopeDuplicated,
        Self::AccountUnseen,
        Self::AnyForBrowsers,
        Self::RequiredLocksOut,
        Self::ScopeUnheld,
        Self::DeprecatedGranted,
        Self::ProviderInClear,
        Self::ReportOnly,
        Self::ShadowUnusable,
    ];

    /// Its code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceUnreachable => "service_unreachable",
            Self::ServicePublic => "service_public",
            Self::ServiceRepeated => "service_repeated",
            Self::ApiOverlap => "api_overlap",
            Self::ExceptionIdle => "exception_idle",
            Self::ScopeAddsNothing => "scope_adds_nothing",
            Self::ScopeDuplicated => "scope_duplicated",
            Self::AccountUnseen => "account_unseen",
            Self::AnyForBrowsers => "any_for_browsers",
            Self::RequiredLocksOut => "required_locks_out",
            Self::ScopeUnheld => "scope_unheld",
            Self::DeprecatedGranted => "deprecated_granted",
            Self::ProviderInClear => "provider_in_clear",
            Self::ReportOnly => "report_only",
            Self::ShadowUnusable => "shadow_unusable",
        }
    }

    /// What it is about, in a sentence.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::ServiceUnreachable => "A service that no request can reach.",
            Self::ServicePublic => "A service of a scope for which no token is asked, as a public one takes it in.",
            Self::ServiceRepeated => "A service that another of the same list takes in.",
            Self::ApiOverlap => "A service that takes in another api's services.",
            Self::ExceptionIdle => "An exception that takes nothing away.",
            Self::ScopeAddsNothing => "A scope or privilege that grants nothing that is not held with it anyway.",
            Self::ScopeDuplicated => "Two scopes that grant the same.",
            Self::AccountUnseen => "An api whose services show an account that the api does not look at.",
            Self::AnyForBrowsers => "A scope for every account that browsers or public clients may use.",
            Self::RequiredLocksOut => "A required scope that clients will not have.",
            Self::ScopeUnheld => "A scope that no client may hold.",
            Self::DeprecatedGranted => "A client that may hold a deprecated scope.",
            Self::ProviderInClear => "A provider that is asked without TLS over the network.",
            Self::ReportOnly => "An api that lets through what it refuses.",
            Self::ShadowUnusable => "A candidate that cannot be tried.",
        }
    }
}
