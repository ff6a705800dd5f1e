//! `issuers`: who signs or vouches for tokens, and what their tokens must be.

use std::mem::take;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;

use super::take::{Firsts, Wrong, at_least_one, items, optional, parsed, required};
use super::{claims, introspection, keys, values};
use crate::config::document;
use crate::config::entry::{Entry, List};
use crate::config::finding::{At, Finding, Findings, Place, Quoted};
use crate::config::suggest;
use crate::config::{Issuer, KeySource};
use crate::token::{DpopRules, IssuerRules, ScopeSyntax, TokenBounds, TokenType};

/// The issuers, and what other parts of the file must know of them.
#[derive(Debug)]
pub(super) struct Issuers {
    pub(super) list: Vec<Issuer>,
    /// Whether some issuer's tokens write scopes with their privileges.
    pub(super) privilege_syntax: bool,
    /// Whether the file has any, good or not.
    pub(super) any: bool,
    /// Those whose name can be read, and how they write scopes; other things of them may be wrong.
    pub(super) syntaxes: Vec<(Box<str>, ScopeSyntax)>,
    /// Whether all of them could be read that far.
    pub(super) complete: bool,
}

/// Every asymmetric algorithm that is supported.
const ASYMMETRIC: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];
const SYMMETRIC: [(&str, Algorithm); 3] =
    [("HS256", Algorithm::HS256), ("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)];

const LONGEST_LEEWAY: u64 = 5 * 60;

/// Whoever makes up key ids could have a provider asked more often than the first, and a new key would
/// be noticed later than the second.
const SHORTEST_REFETCH: Duration = Duration::from_secs(1);
const LONGEST_REFETCH: Duration = Duration::from_secs(10 * 60);

pub(super) fn issuers(
    list: List<document::Issuer>,
    bounds: TokenBounds,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Issuers {
    let any = match &list {
        Entry::Given(entries) => !entries.is_empty(),
        Entry::Faulty => true,
        Entry::Absent | Entry::Empty => false,
    };
    let complete = match &list {
        Entry::Given(entries) => entries.iter().all(has_name),
        Entry::Faulty => false,
        Entry::Absent | Entry::Empty => true,
    };
    let mut issuers = Issuers { list: Vec::new(), privilege_syntax: false, any, syntaxes: Vec::new(), complete };
    let mut names = Firsts::new();
    let mut introspects = None;
    for (place, document) in items(list, at, findings) {
        let here = at.nth(place);
        issuers.privilege_syntax |= syntax_of(&document.scope_syntax) == ScopeSyntax::Privileges;
        if let Entry::Given(name) = &document.issuer {
            issuers.syntaxes.push((name.as_str().into(), syntax_of(&document.scope_syntax)));
            names.note(
                name.clone(),
                here.key("issuer"),
                &format!("the issuer {}", Quoted(name)),
                "remove one of them",
                findings,
            );
        }
        if document.introspection.is_there() {
            note_introspection(&mut introspects, here.key("introspection"), findings);
        }
        issuers.list.extend(issuer(document, bounds, here, directory, findings));
    }
    issuers
}

fn has_name(entry: &Entry<document::Issuer>) -> bool {
    matches!(entry, Entry::Given(issuer) if matches!(&issuer.issuer, Entry::Given(name) if !name.is_empty()))
}

fn syntax_of(entry: &Entry<document::ScopeSyntax>) -> ScopeSyntax {
    match entry {
        Entry::Given(document::ScopeSyntax::Privileges) => ScopeSyntax::Privileges,
        Entry::Given(document::ScopeSyntax::Words) | Entry::Absent | Entry::Empty | Entry::Faulty => ScopeSyntax::Words,
    }
}

fn note_introspection(first: &mut Option<Place>, at: At<'_>, findings: &mut Findings) {
    match first {
        None => *first = Some(Place::Key(at.path())),
        Some(first) => {
            let finding = Finding::at_key(at, "a second issuer has `introspection`").first(first.clone());
            findings.add(finding.help("keep one: an opaque token names no issuer, so only one can be asked"));
        }
    }
}

fn issuer(
    mut document: document::Issuer,
    bounds: TokenBounds,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<Issuer> {
    if matches!(document.keys, Entry::Absent) && matches!(document.introspection, Entry::Absent) {
        let finding = Finding::new(at, "this issuer has neither `keys` nor `introspection`");
        findings.add(finding.help("write `keys: { url: https://… }` or `keys: { file: … }`"));
    }
    let name = match &document.issuer {
        Entry::Given(name) => Some(name.clone()),
        Entry::Absent | Entry::Empty | Entry::Faulty => None,
    };
    let issuer = name.as_deref();
    let has_keys = !matches!(document.keys, Entry::Absent);
    let keys = keys::keys(take(&mut document.keys), issuer, at.key("keys"), directory, findings);
    let discovers = keys == Some(KeySource::Discover);
    let context = introspection::Context { issuer, has_keys, discovers, directory };
    let here = at.key("introspection");
    let introspection = introspection::introspection(take(&mut document.introspection), context, here, findings);
    let ca = at.key("ca_file");
    let ca_file = optional(take(&mut document.ca_file), ca, findings);
    let ca_file = parsed(ca_file, ca, findings, |file| values::file(file, directory));
    let stale = at.key("stale_keys_for");
    let stale_keys_for = optional(take(&mut document.stale_keys_for), stale, findings);
    let stale_keys_for = parsed(stale_keys_for, stale, findings, values::duration);
    let refetch = at.key("refetch_interval");
    let refetch_interval = optional(take(&mut document.refetch_interval), refetch, findings);
    let refetch_interval = parsed(refetch_interval, refetch, findings, refetch_interval_of);
    Some(Issuer {
        rules: Arc::new(rules(document, bounds, at, findings)?),
        keys,
        stale_keys_for: stale_keys_for.unwrap_or(Duration::from_secs(24 * 60 * 60)),
        refetch_interval: refetch_interval.unwrap_or(Duration::from_secs(10)),
        ca_file,
        introspection,
    })
}

fn rules(document: document::Issuer, bounds: TokenBounds, at: At<'_>, findings: &mut Findings) -> Option<IssuerRules> {
    let name = at.key("issuer");
    let help = "write exactly the `iss` of its tokens, such as `https://login.example.com`";
    let issuer = required(document.issuer, name, help, findings);
    let issuer = parsed(issuer, name, findings, values::text);
    let list = at.key("audiences");
    let help = "write what its tokens' `aud` must have, such as `[https://api.example.com]`";
    let audiences = at_least_one(document.audiences, list, help, findings);
    let audiences = audiences.into_iter();
    let audiences = audiences.filter_map(|(place, text)| parsed(Some(text), list.nth(place), findings, values::text));
    let audiences = audiences.collect();
    let token_type = match optional(document.token_type, at.key("token_type"), findings) {
        Some(document::TokenType::Require) => TokenType::Require,
        Some(document::TokenType::Prefer) | None => TokenType::Prefer,
        Some(document::TokenType::Off) => TokenType::Off,
    };
    let scope_syntax = syntax_of(&document.scope_syntax);
    optional(document.scope_syntax, at.key("scope_syntax"), findings);
    let leeway = optional(document.leeway, at.key("leeway"), findings);
    Some(IssuerRules {
        audiences,
        algorithms: algorithms(document.algorithms, at.key("algorithms"), findings),
        token_type,
        leeway: parsed(leeway, at.key("leeway"), findings, leeway_seconds).unwrap_or(30),
        claims: claims::claims(document.claims, at.key("claims"), findings),
        scope_syntax,
        bounds,
        dpop: dpop(document.dpop, at.key("dpop"), findings),
        issuer: Arc::from(issuer?),
    })
}

fn leeway_seconds(text: &str) -> Result<u64, Wrong> {
    match values::seconds(text)? {
        seconds if seconds > LONGEST_LEEWAY => Err(Wrong::new(
            format!("a leeway of {seconds} seconds lets tokens live on for too long"),
            "5 minutes are the most; clocks that differ by more must be set right",
        )),
        seconds => Ok(seconds),
    }
}

fn refetch_interval_of(text: &str) -> Result<Duration, Wrong> {
    match values::duration(text)? {
        short if short < SHORTEST_REFETCH => Err(Wrong::new(
            format!("{} lets whoever makes up key ids have the provider asked again and again", Quoted(text)),
            "write `1s` or more; `10s` is what it is if it is left out",
        )),
        long if long > LONGEST_REFETCH => Err(Wrong::new(
            format!("{} is long for a provider's new key to go unnoticed", Quoted(text)),
            "10 minutes are the most; `10s` is what it is if it is left out",
        )),
        interval => Ok(interval),
    }
}

fn algorithms(list: List<String>, at: At<'_>, findings: &mut Findings) -> Box<[Algorithm]> {
    if !list.is_there() {
        optional(list, at, findings);
        return ASYMMETRIC.iter().map(|(_, algorithm)| *algorithm).collect();
    }
    let named = at_least_one(list, at, "name one, or remove the key for every asymmetric one", findings);
    let mut algorithms = Vec::new();
    for (place, name) in named {
        let Some(algorithm) = parsed(Some(name), at.nth(place), findings, algorithm) else { continue };
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    let is_symmetric = |algorithm: &Algorithm| SYMMETRIC.iter().any(|(_, symmetric)| symmetric == algorithm);
    if algorithms.iter().any(is_symmetric) && !algorithms.iter().all(is_symmetric) {
        let finding = Finding::new(at, "symmetric and asymmetric algorithms are mixed");
        findings.add(finding.help("keep one kind: with both, a public key could be taken for a secret"));
    }
    algorithms.into()
}

/// Those that are supported, by name.
pub(in crate::config) fn algorithm_names() -> impl Iterator<Item = &'static str> {
    ASYMMETRIC.iter().chain(&SYMMETRIC).map(|(name, _)| *name)
}

fn algorithm(name: &str) -> Result<Algorithm, Wrong> {
    let known = || ASYMMETRIC.iter().chain(&SYMMETRIC);
    if let Some((_, algorithm)) = known().find(|(known, _)| **known == *name) {
        return Ok(*algorithm);
    }
    let help = match suggest::nearest(name, known().map(|(known, _)| *known)) {
        Some(near) => suggest::perhaps(near),
        None => {
            format!("those that are supported are {}", known().map(|(known, _)| *known).collect::<Vec<_>>().join(", "))
        }
    };
    Err(Wrong::new(format!("{} is not a signature algorithm that is supported", Quoted(name)), help))
}

fn dpop(entry: Entry<document::Dpop>, at: At<'_>, findings: &mut Findings) -> Option<DpopRules> {
    let document = optional(entry, at, findings)?;
    let age = at.key("max_age");
    let text = optional(document.max_age, age, findings);
    let max_age = parsed(text, age, findings, |text| match values::seconds(text)? {
        0 => Err(Wrong::new("no proof is that new", "write `1s` or more")),
        seconds => Ok(seconds),
    });
    Some(DpopRules {
        max_age: max_age.unwrap_or(60),
        nonce: optional(document.nonce, at.key("nonce"), findings).unwrap_or(false),
        required: optional(document.required, at.key("required"), findings).unwrap_or(false),
    })
}
