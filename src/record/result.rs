//! What can become of fetches, look-ups and reloads: the fixed texts of their `result` label.

/// What became of a fetch of an issuer's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchResult {
    /// It brought a good key set.
    Good,
    /// No answer came, or not in time.
    Unreachable,
    /// An answer came that was no success.
    BadStatus,
    /// The answer was no good key set.
    BadKeys,
    /// What the issuer says of itself, which should tell where its keys are, was no good.
    BadMetadata,
}

/// What became of a question about a token to its issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntrospectionResult {
    /// The token is good.
    Active,
    /// The token is not active.
    Inactive,
    /// The token is active, and not one that is accepted here.
    Rejected,
    /// No answer came, or not in time.
    Unreachable,
    /// An answer came that was no success.
    BadStatus,
    /// The answer was not one that such questions have.
    BadAnswer,
    /// The question was not asked: too many were open, or credentials or the endpoint were missing.
    NotAsked,
}

/// What the cache of verified tokens had for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheResult {
    /// The token, verified.
    Hit,
    /// Nothing.
    Miss,
    /// The token, but it had to be verified again: keys or policy have changed.
    Stale,
}

/// What became of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadResult {
    /// The file is in force.
    Accepted,
    /// The file is no good, and the policy before it stays.
    Refused,
    /// The file is the one in force.
    Unchanged,
}

impl FetchResult {
    pub(super) const ALL: [Self; 5] =
        [Self::Good, Self::Unreachable, Self::BadStatus, Self::BadKeys, Self::BadMetadata];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unreachable => "unreachable",
            Self::BadStatus => "bad_status",
            Self::BadKeys => "bad_keys",
            Self::BadMetadata => "bad_metadata",
        }
    }
}

impl IntrospectionResult {
    pub(super) const ALL: [Self; 7] = [
        Self::Active,
        Self::Inactive,
        Self::Rejected,
        Self::Unreachable,
        Self::BadStatus,
        Self::BadAnswer,
        Self::NotAsked,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
            Self::BadStatus => "bad_status",
            Self::BadAnswer => "bad_answer",
            Self::NotAsked => "not_asked",
        }
    }
}

impl CacheResult {
    pub(super) const ALL: [Self; 3] = [Self::Hit, Self::Miss, Self::Stale];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
        }
    }
}

impl ReloadResult {
    pub(super) const ALL: [Self; 3] = [Self::Accepted, Self::Refused, Self::Unchanged];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Unchanged => "unchanged",
        }
    }
}
