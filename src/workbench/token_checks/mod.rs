//! The checks of a token, one by one: steps 4 to 7 of the decision as `issuer` takes them, without
//! its caches and without asking anybody.
//!
//! Each is made by `token`'s own functions; the first that fails tells which were passed before it.

mod binding;
mod step;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use self::step::{OF_CONFIRMED, OF_JWT, OF_OPAQUE};
use super::Showing;
use super::moments::{moment, since};
use crate::config::Issuer;
use crate::policy::{Caller, Denial, TokenFault, UnixTime};
use crate::token::{Credential, IssuerRules, Jwt, KeySet, Revocations};

pub use step::TokenStep;

/// What tokens are checked against.
pub struct Evidence<'e> {
    /// The file's issuers.
    pub issuers: &'e [Issuer],
    /// An issuer's keys and where they are from, or why they are not at hand.
    pub keys: &'e dyn Fn(&Issuer) -> Result<KeysAtHand, String>,
    /// The list of revoked tokens, if the file names one, or why it cannot be read.
    pub revocations: &'e dyn Fn() -> Result<Option<Revocations>, String>,
    /// When the request comes.
    pub now: UnixTime,
}

/// Keys, and where they are from.
pub struct KeysAtHand {
    /// The keys.
    pub set: KeySet,
    /// For messages.
    pub from: String,
}

/// What was found of a token.
#[derive(Debug, Default)]
pub struct TokenChecks {
    /// In the order in which they are made; none where there is no token.
    pub checks: Vec<Check>,
    /// What a JWT says, good or not; for people, and for no decision.
    pub claims: Option<Value>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Which.
    pub step: TokenStep,
    /// How it went.
    pub outcome: CheckOutcome,
    /// What was compared; why it failed, where it did.
    pub detail: String,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The token passed.
    Passed,
    /// It did not.
    Failed,
    /// An earlier one failed.
    NotMade,
}

impl TokenChecks {
    /// Of a token whose refusal is all that is known of it.
    #[must_use]
    pub fn recorded(fault: Option<TokenFault>) -> Self {
        let failed = |fault| Check {
            step: TokenStep::failed_by(fault),
            outcome: CheckOutcome::Failed,
            detail: fault.to_string(),
        };
        Self { checks: fault.map(failed).into_iter().collect(), claims: None }
    }
}

/// Checks the token that a request shows; the caller is `None` where there is no token.
pub fn check_token(showing: &Showing<'_>, evidence: &Evidence<'_>) -> (TokenChecks, Result<Option<Caller>, Denial>) {
    let credential = match &showing.credential {
        Ok(None) => return (TokenChecks::default(), Ok(None)),
        Ok(Some(credential)) => *credential,
        Err(fault) => {
            let checking = Checking::new(&OF_JWT);
            let stop = Stop::new(TokenStep::WellFormed, *fault, fault);
            return (checking.told(Some(&stop)), Err(stop.denial));
        }
    };
    let mut checking = Checking::new(&OF_JWT);
    match checking.check(credential, showing, evidence) {
        Ok(caller) => (checking.told(None), Ok(Some(caller))),
        Err(stop) => (checking.told(Some(&stop)), Err(stop.denial)),
    }
}

/// Where the checks of a token end before their end.
struct Stop {
    step: TokenStep,
    denial: Denial,
    why: String,
}

impl Stop {
    fn new(step: TokenStep, denial: impl Into<Denial>, why: impl std::fmt::Display) -> Self {
        Self { step, denial: denial.into(), why: why.to_string() }
    }
}

/// Checks under way.
struct Checking {
    steps: &'static [TokenStep],
    /// What is to be said of a step, whether the token passes it or not.
    notes: Vec<(TokenStep, String)>,
    claims: Option<Value>,
}

impl Checking {
    fn new(steps: &'static [TokenStep]) -> Self {
        Self { steps, notes: Vec::new(), claims: None }
    }

    fn note(&mut self, step: TokenStep, note: impl Into<String>) {
        self.notes.push((step, note.into()));
    }

    fn told(self, stop: Option<&Stop>) -> TokenChecks {
        let check = |step: &TokenStep| {
            let note = self.notes.iter().find(|(of, _)| of == step).map(|(_, note)| note.clone());
            let (outcome, detail) = match stop {
                Some(stop) if *step > stop.step => (CheckOutcome::NotMade, String::new()),
                Some(stop) if *step == stop.step => (CheckOutcome::Failed, stop.why.clone()),
                // A binding that is not understood is found before the list is asked.
                Some(_) | None if *step == TokenStep::NotRevoked && note.is_none() => {
                    (CheckOutcome::NotMade, String::new())
                }
                Some(_) | None if *step == TokenStep::Introspection => (CheckOutcome::NotMade, TOO.to_owned()),
                Some(_) | None => (CheckOutcome::Passed, note.unwrap_or_default()),
            };
            Check { step: *step, outcome, detail }
        };
        TokenChecks { checks: self.steps.iter().map(check).collect(), claims: self.claims }
    }

    fn check(
        &mut self,
        credential: Credential<'_>,
        showing: &Showing<'_>,
        evidence: &Evidence<'_>,
    ) -> Result<Caller, Stop> {
        if !Jwt::looks_like(credential.token) {
            return Err(self.opaque(evidence));
        }
        let jwt = Jwt::parse(credential.token).map_err(|fault| self.fault(fault, None, evidence.now))?;
        self.read(credential.token, &jwt, evidence.now);
        let Some(issuer) = evidence.issuers.iter().find(|issuer| *issuer.rules.issuer == *jwt.issuer()) else {
            let names: Vec<_> = evidence.issuers.iter().map(|issuer| format!("`{}`", issuer.rules.issuer)).collect();
            let why = format!("its `iss` is {}; the file has {}", self.claim("iss"), listed(&names));
            return Err(Stop::new(TokenStep::Issuer, TokenFault::IssuerUnknown, why));
        };
        if issuer.keys.is_none() {
            self.steps = &OF_OPAQUE;
            return Err(Stop::new(TokenStep::Introspection, Denial::IssuerUnavailable, NOT_ASKED));
        }
        if issuer.introspection.as_ref().is_some_and(|introspection| introspection.jwts) {
            self.steps = &OF_CONFIRMED;
        }
        let rules = &issuer.rules;
        jwt.check_header(rules).map_err(|fault| self.fault(fault, Some(rules), evidence.now))?;
        let keys = (evidence.keys)(issuer).map_err(|why| Stop::new(TokenStep::Keys, Denial::IssuerUnavailable, why))?;
        self.note(TokenStep::Keys, format!("{} from {}", counted(keys.set.len(), "key"), keys.from));
        let verified = jwt.verify(rules, &keys.set, evidence.now);
        let caller = verified.map_err(|fault| self.fault(fault, Some(rules), evidence.now))?.caller;
        self.check_revoked(&caller, credential, evidence)?;
        self.check_binding(credential, showing, &caller, rules, evidence.now)?;
        Ok(caller)
    }

    fn opaque(&mut self, evidence: &Evidence<'_>) -> Stop {
        self.steps = &OF_OPAQUE;
        if evidence.issuers.iter().any(|issuer| issuer.introspection.is_some()) {
            self.note(TokenStep::WellFormed, "it is no JWT, and there is an issuer to ask about such tokens");
            return Stop::new(TokenStep::Introspection, Denial::IssuerUnavailable, NOT_ASKED);
        }
        let fault = TokenFault::Malformed("it is no JWT, and no issuer takes other tokens");
        Stop::new(TokenStep::WellFormed, fault, fault)
    }

    /// Takes down what a JWT says of itself.
    fn read(&mut self, token: &str, jwt: &Jwt<'_>, now: UnixTime) {
        let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        self.claims = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
        self.note(TokenStep::WellFormed, "it is a JWT");
        self.note(TokenStep::Issuer, jwt.issuer());
        let algorithm = jwt.claimed_algorithm().map_or("none that is supported".to_owned(), |it| format!("{it:?}"));
        self.note(TokenStep::Algorithm, algorithm);
        self.note(TokenStep::Type, jwt.claimed_type().map_or("no `typ`".to_owned(), |typ| format!("`typ` is `{typ}`")));
        self.note(TokenStep::Key, jwt.kid().map_or("no `kid`".to_owned(), |kid| format!("`kid` is `{kid}`")));
        self.note(TokenStep::Audience, self.claim("aud"));
        let expires = self.time("exp").map(|at| format!("until {}, {}", moment(at), since(at, now)));
        self.note(TokenStep::NotExpired, expires.unwrap_or_default());
        let begins = self.time("nbf").or_else(|| self.time("iat"));
        let begins = begins.map(|at| format!("since {}, {}", moment(at), since(at, now)));
        self.note(TokenStep::AlreadyValid, begins.unwrap_or_default());
    }

    fn claim(&self, name: &str) -> String {
        match self.claims.as_ref().and_then(|claims| claims.get(name)) {
            Some(Value::String(text)) => format!("`{text}`"),
            Some(other) => format!("`{other}`"),
            None => "missing".to_owned(),
        }
    }

    fn time(&self, name: &str) -> Option<UnixTime> {
        let claim = self.claims.as_ref()?.get(name)?;
        claim.as_u64().map(UnixTime)
    }

    fn fault(&self, fault: TokenFault, rules: Option<&IssuerRules>, now: UnixTime) -> Stop {
        let step = TokenStep::failed_by(fault);
        let more = rules.and_then(|rules| self.more(fault, rules, now));
        let why = more.map_or(fault.to_string(), |more| format!("{fault}: {more}"));
        Stop::new(step, fault, why)
    }

    /// What was compared, for whoever may see it.
    fn more(&self, fault: TokenFault, rules: &IssuerRules, now: UnixTime) -> Option<String> {
        let note = |step| self.notes.iter().find(|(of, _)| *of == step).map(|(_, note)| note.clone());
        let leeway = format!("and {} of leeway", counted(usize::try_from(rules.leeway).unwrap_or_default(), "second"));
        match fault {
            TokenFault::AlgorithmRejected => {
                let names: Vec<_> = rules.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
                Some(format!("it claims {}, and the issuer may use {}", note(TokenStep::Algorithm)?, listed(&names)))
            }
            TokenFault::TypeRejected => note(TokenStep::Type),
            TokenFault::KeyUnknown => note(TokenStep::Key),
            TokenFault::AudienceMismatch => {
                let names: Vec<_> = rules.audiences.iter().map(|audience| format!("`{audience}`")).collect();
                Some(format!("its `aud` is {}, and the file takes {}", self.claim("aud"), listed(&names)))
            }
            TokenFault::Expired => {
                let at = self.time("exp")?;
                Some(format!("its `exp` was {}, {} {leeway}", moment(at), since(at, now)))
            }
            TokenFault::NotYetValid => {
                let at = [self.time("nbf"), self.time("iat")].into_iter().flatten().max()?;
                Some(format!("it is good from {}, {} {leeway}", moment(at), since(at, now)))
            }
            TokenFault::Malformed(_)
            | TokenFault::IssuerUnknown
            | TokenFault::SignatureInvalid
            | TokenFault::Revoked
            | TokenFault::BindingMismatch
            | TokenFault::NonceRequired => None,
        }
    }

    fn check_revoked(
        &mut self,
        caller: &Caller,
        credential: Credential<'_>,
        evidence: &Evidence<'_>,
    ) -> Result<(), Stop> {
        match (evidence.revocations)() {
            Err(why) => Err(Stop::new(TokenStep::NotRevoked, Denial::IssuerUnavailable, why)),
            Ok(Some(list)) if list.revokes(caller, credential.token) => {
                Err(Stop::new(TokenStep::NotRevoked, TokenFault::Revoked, "the list of revoked tokens has it"))
            }
            Ok(Some(_)) => {
                self.note(TokenStep::NotRevoked, "the list of revoked tokens does not have it");
                Ok(())
            }
            Ok(None) => {
                self.note(TokenStep::NotRevoked, "the file has no list of revoked tokens");
                Ok(())
            }
        }
    }
}

const NOT_ASKED: &str = "the issuer must be asked about such a token, and is not asked from here; \
                         `--claims` takes what it would say";

const TOO: &str = "the gateway asks the issuer too, and what follows is so if it says yes";

/// `a, b or c`.
fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
