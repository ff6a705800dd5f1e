//! The difference for programs.

use serde_json::{Value, json};

use super::{View, words};
use crate::policy::Reach;
use crate::workbench::diff::{
    AccessChange, Affected, ClientAspect, ClientChange, Direction, Example, Grant, Region, TokenAspect, TokenChange,
    Whole,
};

pub(super) fn json(view: &View) -> String {
    let difference = &view.difference;
    let (allowed, denied) = view.counts();
    let settings = view.settings.iter().map(|change| {
        json!({ "key": change.key, "old": change.old, "new": change.new, "effect": words::effect(change.effect) })
    });
    let value = json!({
        "differs": !view.is_empty(),
        "allowed": allowed,
        "denied": denied,
        "access": difference.access.iter().map(access).collect::<Vec<_>>(),
        "clients": difference.clients.iter().map(client).collect::<Vec<_>>(),
        "tokens": difference.tokens.iter().map(token).collect::<Vec<_>>(),
        "without_effect": difference.without_effect.iter().map(access).collect::<Vec<_>>(),
        "settings": settings.collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn access(line: &AccessChange) -> Value {
    json!({
        "change": change(line.direction),
        "risk": (line.direction == Direction::Allowed).then(|| words::risk(line.risk)),
        "api": line.api.as_str(),
        "whole": line.whole.as_ref().map(|whole| match whole {
            Whole::Api => "api",
            Whole::Scope(_) => "scope",
        }),
        "grants": line.grants.iter().map(grant).collect::<Vec<_>>(),
        "clients": affected(&line.clients),
        "because": line.because,
        "example": line.example.as_ref().map(example),
    })
}

fn grant(grant: &Grant) -> Value {
    json!({
        "scope": grant.scope.as_ref().map(ToString::to_string),
        "required": grant.required.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "reach": grant.reach.map(|reach| match reach {
            Reach::Own => "own",
            Reach::Any => "any",
        }),
        "confidential_only": grant.confidential_only,
        "service": grant.service,
        "methods": grant.methods.listed(),
        "paths": grant.regions.iter().map(region).collect::<Vec<_>>(),
        "hosts": grant.hosts,
        "when": grant.when,
    })
}

fn region(region: &Region) -> Value {
    json!({
        "path": region.shape.to_string(),
        "but": region.except.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn affected(clients: &Affected) -> Value {
    json!({
        "everyone": clients.everyone,
        "listed": clients.listed.iter().map(crate::policy::ClientId::as_str).collect::<Vec<_>>(),
        "unlisted": clients.unlisted,
    })
}

fn client(line: &ClientChange) -> Value {
    let (aspect, scope) = match &line.aspect {
        ClientAspect::Admission => ("admission", None),
        ClientAspect::Certificate => ("certificate", None),
        ClientAspect::Account => ("account", None),
        ClientAspect::Type => ("type", None),
        ClientAspect::Scope(scope) => ("scope", Some(scope.as_str())),
    };
    json!({
        "change": change(line.direction),
        "aspect": aspect,
        "scope": scope,
        "clients": line.clients.iter().map(crate::policy::ClientId::as_str).collect::<Vec<_>>(),
        "unlisted": line.unlisted,
        "example": example(&line.example),
    })
}

fn token(line: &TokenChange) -> Value {
    let (aspect, scope) = match &line.aspect {
        TokenAspect::UndefinedScopes => ("undefined_scopes", None),
        TokenAspect::Scope(scope) => ("scope", Some(scope.as_str())),
        TokenAspect::LetterCase => ("letter_case", None),
    };
    json!({
        "change": change(line.direction),
        "aspect": aspect,
        "scope": scope,
        "example": example(&line.example),
    })
}

fn change(direction: Direction) -> &'static str {
    match direction {
        Direction::Allowed => "allowed",
        Direction::Denied => "denied",
    }
}

fn example(example: &Example) -> Value {
    json!({
        "method": example.method,
        "host": example.host,
        "target": example.target,
        "headers": example.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>(),
        "token": example.bearer.as_ref().map(|bearer| json!({
            "client": bearer.client,
            "accounts": bearer.accounts,
            "scopes": bearer.scopes,
            "certificate": bearer.certificate.is_some(),
        })),
    })
}
