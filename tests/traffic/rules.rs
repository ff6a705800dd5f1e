//! What must hold of one request, by its class: the first part of its id.
//!
//! `saved`: it may be sent again, and so is answered. `once`: it may not. `refused`: nobody gets it. `flip`: whether it is
//! allowed is the generation's to say. `scripted`: its servers do to it what its id says. `socket` and `stream`: it stays.

use serde_json::Value;

use super::policy::{ATTEMPTS, flips};
use super::servers::{Entry, Mortal};
use super::stage::Told;
use super::verdict::{Case, may_be_unsent, text};

impl Case<'_> {
    pub(crate) fn check(&self, told: &Told) {
        let (entry, line) = (self.entry(&told.id), &self.audit[&told.id]);
        let all = || format!("{told:?} {entry:?} {line}");
        let is_allowed = line["decision"] == "allow";
        assert!(told.status.is_none_or(|status| line["status"] == status), "{}", all());
        assert!(is_allowed || entry == Entry::default(), "forwarded without a permit: {}", all());
        let words: Vec<_> = told.id.split('-').collect();
        let good = match words[..] {
            ["saved", ..] => is_allowed && told.status == Some(200) && told.whole && entry.acted >= 1,
            ["once", ..] => is_allowed && is_once(told, entry, line),
            ["refused", reason, ..] => !is_allowed && is_refused(told, line, reason),
            ["flip", "socket", ..] if told.status == Some(101) => {
                let ends = [line["ended"].as_str(), told.reason.as_deref()];
                is_allowed && (ends == [Some("scope_insufficient"); 2] || self.is_live(told, entry))
            }
            ["flip", ..] if flips(line["generation"].as_u64().unwrap()) => {
                is_allowed && told.status == Some(200) && told.whole
            }
            ["flip", ..] => is_refused(told, line, "scope_insufficient"),
            ["scripted", fault, method, ..] => is_allowed && is_as_scripted(told, entry, fault, method),
            ["socket" | "stream", ..] => is_allowed && self.is_live(told, entry),
            _ => false,
        };
        assert!(good, "{}", all());
    }

    /// It came to one server, once, and stayed for as long as that one lived.
    fn is_live(&self, told: &Told, entry: Entry) -> bool {
        let is_at = |server: &Mortal| server.ledger().contains_key(&told.id);
        let has_died = !is_at(&self.stage.steady) && is_at(&self.stage.items[1]);
        entry.received == 1 && told.status.is_some() && (told.whole || has_died)
    }

    pub(crate) fn check_call(&self, call: &Value) {
        let id = text(call, "id");
        let entry = self.entry(id);
        let line = self.audit.get(id);
        assert!(line.is_some() || may_be_unsent(call), "{call}");
        let refusal = |code: &str, reason: &str| {
            call["code"] == code
                && text(call, "details").starts_with(&format!("{reason}: "))
                && entry == Entry::default()
        };
        let words: Vec<_> = id.split('-').collect();
        let good = match words[..] {
            ["refused", "scope_insufficient", ..] => refusal("PERMISSION_DENIED", "scope_insufficient"),
            ["refused", "token_missing", ..] => refusal("UNAUTHENTICATED", "token_missing"),
            _ if call["code"] == "OK" => entry.received == 1 && call["whole"] == true,
            // Its server has died, whether it had begun to answer or not.
            _ if call["code"] == "UNAVAILABLE" => {
                entry.received <= 1 && text(call, "details").starts_with("upstream_failed: ")
            }
            // By its client, when all was over.
            _ => call["code"] == "CANCELLED" && entry.received <= 1,
        };
        assert!(good, "{call} {entry:?} {line:?}");
    }
}

/// It was done once, or broken off; then it may have come once.
fn is_once(told: &Told, entry: Entry, line: &Value) -> bool {
    match told.status {
        Some(200) => told.whole && entry == Entry { received: 1, acted: 1 },
        Some(502) => {
            told.reason.as_deref() == Some("upstream_failed")
                && line["upstream_error"] == "upstream_failed"
                && entry.received <= 1
        }
        _ => false,
    }
}

fn is_refused(told: &Told, line: &Value, reason: &str) -> bool {
    let status = match reason {
        "path_ambiguous" => 400,
        "token_missing" | "token_expired" | "signature_invalid" => 401,
        "scope_insufficient" | "account_forbidden" => 403,
        "route_unknown" => 404,
        "method_not_allowed" => 405,
        _ => return false,
    };
    told.status == Some(status)
        && told.reason.as_deref() == Some(reason)
        && line["decision"] == "deny"
        && line["reason"] == reason
}

/// Whether a server's fault has come to what it must, and the request to the servers as often as it may.
fn is_as_scripted(told: &Told, entry: Entry, fault: &str, method: &str) -> bool {
    let may_be_twice = matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE");
    let (status, whole, reason, received) = match (fault, may_be_twice) {
        ("plain", _) => (200, true, None, 1),
        ("once", true) => (200, true, None, 2),
        ("never" | "head", true) => (502, true, Some("upstream_failed"), 1 + ATTEMPTS),
        ("once" | "never" | "head", false) => (502, true, Some("upstream_failed"), 1),
        ("half", _) => (200, false, None, 1),
        ("late", _) => (504, true, Some("upstream_timeout"), 1),
        ("busy", _) => (503, true, None, 1),
        _ => return false,
    };
    // The answer to a `HEAD` has no body that could say why.
    let reason = reason.filter(|_| method != "HEAD");
    // Over HTTP/2 the reset of a stream may overtake the head.
    let status = if fault == "half" && told.status.is_none() { None } else { Some(status) };
    let answer = (told.status, told.whole, told.reason.as_deref(), entry.received);
    answer == (status, whole, reason, received) && entry.acted == usize::from(status == Some(200) && whole)
}
