//! Sets of request methods.
//!
//! A method is known (one of the table below) or "other"; a service lists known ones or takes every
//! method. `CONNECT` and `TRACE` are no methods of a service: no set has them, not even "every", and
//! neither has any the name of a known method in other letters (`delete`).

use std::fmt;

/// Every method that a service can list, in the order in which `Allow` names them.
const KNOWN: [&str; 30] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "QUERY",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "ACL",
    "BIND",
    "UNBIND",
    "REBIND",
    "MKCALENDAR",
    "CHECKIN",
    "CHECKOUT",
    "VERSION-CONTROL",
    "LABEL",
    "MERGE",
    "LINK",
    "UNLINK",
    "PURGE",
];
const NEVER_FORWARDED: [&str; 2] = ["CONNECT", "TRACE"];
const OTHER: u32 = 1 << 31;

/// A set of methods; the empty one is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MethodSet(u32);

impl MethodSet {
    /// No method.
    pub const NONE: Self = Self(0);
    /// Every method, known here or not, that a request can have.
    pub const ALL: Self = Self(u32::MAX);

    /// The set of the one method that a request has. Letter case counts (RFC 9110 section 9.1), but
    /// not to every server: some read `delete` as `DELETE`. So the set is empty for a method that is
    /// known in other letters only, as it is for `CONNECT` and `TRACE`: no service takes them.
    #[must_use]
    pub fn of_request(method: &str) -> Self {
        if method == "GET" {
            return Self(1);
        }
        let names_one = || KNOWN.iter().chain(&NEVER_FORWARDED).any(|name| name.eq_ignore_ascii_case(method));
        match Self::known(method) {
            Some(known) => known,
            None if names_one() => Self::NONE,
            None => Self(OTHER),
        }
    }

    /// The set of one method that a service lists; `None` if it is not one that can be listed.
    #[must_use]
    pub fn known(method: &str) -> Option<Self> {
        let place = KNOWN.iter().position(|known| *known == method)?;
        Some(Self(1 << place))
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in `self` and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// As a service lists them: `GET,POST`, or `*` for every method; `* but GET` where most are in it.
    #[must_use]
    pub fn listed(self) -> String {
        let joined = |set: Self| set.names().collect::<Vec<_>>().join(",");
        match (self, self.0 & OTHER) {
            (Self::ALL, _) => "*".to_owned(),
            (_, 0) => joined(self),
            (_, _) => format!("* but {}", joined(Self::ALL.without(self))),
        }
    }

    /// Its known methods by name; those that have none here are left out.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        KNOWN.iter().enumerate().filter(move |(place, _)| self.0 & (1 << place) != 0).map(|(_, name)| *name)
    }
}

/// As `Allow` has it (RFC 9110 section 10.2.1): `GET, HEAD`.
impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.names().enumerate() {
            f.write_str(if place == 0 { "" } else { ", " })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, taken: bool) {
        assert_eq!(!MethodSet::of_request(method).and(MethodSet::ALL).is_empty(), taken, "{method}");
    }

    #[test]
    fn every_takes_unknown_methods_but_never_connect_or_trace() {
        for (method, taken) in [("GET", true), ("BREW", true), ("brew", true), ("CONNECT", false), ("TRACE", false)] {
            check(method, taken);
        }
    }

    #[test]
    fn methods_are_listed_as_a_service_has_them() {
        let get = MethodSet::of_request("GET");
        let both = get.or(MethodSet::of_request("POST"));
        for (set, listed) in
            [(MethodSet::ALL, "*"), (both, "GET,POST"), (MethodSet::ALL.without(both), "* but GET,POST")]
        {
            assert_eq!(set.listed(), listed);
        }
    }

    #[test]
    fn a_known_method_in_other_letters_is_taken_by_no_service() {
        for method in ["get", "Get", "delete", "DELETe", "trace", "Connect", "version-control"] {
            check(method, false);
            assert_eq!(MethodSet::known(method), None, "{method}");
        }
    }

    #[test]
    fn allow_lists_names_in_one_order() {
        let set = MethodSet::known("POST").unwrap().or(MethodSet::known("GET").unwrap());
        assert_eq!(set.to_string(), "GET, POST");
    }
}
