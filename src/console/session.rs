//! Sessions: which browser has shown which token. Bounded in number and bytes, in memory only.
//!
//! A session holds its token, which is judged anew for every request, and so ends with whatever ends
//! that. Of its id, which the browser's cookie has, only the hash is kept.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;

use super::secret::{Fingerprint, NoRandomness, Secret, fingerprint};
use crate::issuer::Moment;
use crate::policy::UnixTime;
use crate::registry::Who;

/// Sessions at once.
const MOST: usize = 1000;
/// Sessions at once of one person.
const MOST_EACH: usize = 20;
/// What their tokens may take, in bytes.
const BYTES: usize = 4 * 1024 * 1024;
/// In seconds; a token that is good for longer has to be shown again.
const LONGEST: u64 = 12 * 60 * 60;

/// Who is signed in.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    sessions: HashMap<Fingerprint, Arc<Session>>,
    /// Of their tokens.
    bytes: usize,
    opened: u64,
}

/// A browser that has shown a token.
#[derive(Debug)]
pub(super) struct Session {
    token: Token,
    csrf: CsrfToken,
    opened: Moment,
    ends: UnixTime,
    /// Whose it is: issuer, subject and client.
    person: (String, Option<String>, Option<String>),
    /// Which one it is, counted from the first.
    number: u64,
}

/// What a form must say, so that it can only be one of this session's pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CsrfToken(Secret);

struct Token(Box<str>);

impl Sessions {
    /// A session of somebody whose token was just found good; the id is for the browser alone. Where
    /// there are too many, the oldest go: first those of the same person.
    pub(super) fn open(&self, token: &str, who: &Who, now: Moment) -> Result<Secret, NoRandomness> {
        let (id, csrf) = (Secret::fresh()?, CsrfToken(Secret::fresh()?));
        let ends = UnixTime(who.expires_at.0.min(now.time.0.saturating_add(LONGEST)));
        let person = (who.issuer.clone(), who.subject.clone(), who.client.clone());
        let mut held = self.lock();
        held.drop_where(|session| !session.lasts(now));
        while held.sessions.values().filter(|own| own.person == person).count() >= MOST_EACH {
            held.drop_oldest(|session| session.person == person);
        }
        while !held.sessions.is_empty() && (held.sessions.len() >= MOST || held.bytes + token.len() > BYTES) {
            held.drop_oldest(|_| true);
        }
        held.opened += 1;
        held.bytes += token.len();
        let session = Session { token: Token(token.into()), csrf, opened: now, ends, person, number: held.opened };
        held.sessions.insert(id.fingerprint(), Arc::new(session));
        Ok(id)
    }

    /// The session of an id that a browser sends.
    pub(super) fn find(&self, id: &str, now: Moment) -> Option<Arc<Session>> {
        let held = self.lock();
        held.sessions.get(&fingerprint(id)).filter(|session| session.lasts(now)).cloned()
    }

    /// Ends a session, if there is one of this id.
    pub(super) fn end(&self, id: &str) {
        let mut held = self.lock();
        if let Some(session) = held.sessions.remove(&fingerprint(id)) {
            held.bytes -= session.token.0.len();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn drop_where(&mut self, is: impl Fn(&Session) -> bool) {
        self.sessions.retain(|_, session| !is(session));
        self.bytes = self.sessions.values().map(|session| session.token.0.len()).sum();
    }

    fn drop_oldest(&mut self, among: impl Fn(&Session) -> bool) {
        let oldest = self.sessions.values().filter(|session| among(session)).map(|session| session.number).min();
        self.drop_where(|session| Some(session.number) == oldest);
    }
}

impl Session {
    /// What its browser has shown.
    pub(super) fn token(&self) -> &str {
        &self.token.0
    }

    pub(super) fn csrf(&self) -> &CsrfToken {
        &self.csrf
    }

    /// A clock that is set back makes it no longer.
    fn lasts(&self, now: Moment) -> bool {
        let longest = Duration::from_secs(self.ends.0.saturating_sub(self.opened.time.0));
        now.time < self.ends && now.instant.saturating_duration_since(self.opened.instant) < longest
    }
}

impl CsrfToken {
    /// Whether a form that says `text` is one of the session's.
    pub(super) fn is(&self, text: &str) -> bool {
        self.0.is(text)
    }
}

/// What the hidden field says.
impl fmt::Display for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Shows nothing of it.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;
    use std::time::Instant;

    use super::*;
    use crate::registry::Role;

    const NOW: u64 = 1_000_000;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    fn after(seconds: u64) -> Moment {
        Moment { time: UnixTime(NOW + seconds), instant: *START + Duration::from_secs(seconds) }
    }

    fn person(name: usize) -> Who {
        Who {
            issuer: "https://issuer.example".to_owned(),
            subject: Some(name.to_string()),
            client: None,
            role: Role::Viewer,
            expires_at: UnixTime(NOW + 60),
        }
    }

    fn is_open(sessions: &Sessions, id: &Secret) -> bool {
        sessions.find(id.as_str(), after(0)).is_some()
    }

    #[test]
    fn a_session_ends_with_its_token_by_a_limit_and_when_it_is_ended() {
        let sessions = Sessions::default();
        let id = sessions.open("token", &person(1), after(0)).unwrap();
        assert_eq!(
            sessions.find(id.as_str(), after(59)).map(|found| found.token().to_owned()).as_deref(),
            Some("token")
        );
        assert!(sessions.find(id.as_str(), after(60)).is_none());
        assert!(sessions.find("", after(0)).is_none() && sessions.find("chosen-by-somebody", after(0)).is_none());
        sessions.end(id.as_str());
        assert!(!is_open(&sessions, &id));
        let long = Who { expires_at: UnixTime(u64::MAX), ..person(1) };
        let id = sessions.open("token", &long, after(0)).unwrap();
        assert!(sessions.find(id.as_str(), after(LONGEST - 1)).is_some());
        assert!(sessions.find(id.as_str(), after(LONGEST)).is_none());
        // The clock on the wall was set back.
        let back = Moment { time: UnixTime(NOW), ..after(LONGEST) };
        assert!(sessions.find(id.as_str(), back).is_none());
    }

    #[test]
    fn one_person_has_so_many_sessions_and_the_oldest_go() {
        let sessions = Sessions::default();
        let other = sessions.open("token", &person(0), after(0)).unwrap();
        let ids: Vec<_> = (0..=MOST_EACH).map(|_| sessions.open("token", &person(1), after(0)).unwrap()).collect();
        assert!(is_open(&sessions, &other) && !is_open(&sessions, &ids[0]));
        assert!(ids[1..].iter().all(|id| is_open(&sessions, id)));
    }

    #[test]
    fn number_and_bytes_of_all_are_bounded() {
        let sessions = Sessions::default();
        let ids: Vec<_> = (0..=MOST).map(|name| sessions.open("token", &person(name), after(0)).unwrap()).collect();
        assert_eq!(sessions.lock().sessions.len(), MOST);
        assert!(!is_open(&sessions, &ids[0]) && is_open(&sessions, &ids[1]));
        let large = "x".repeat(60_000);
        for name in 0..200 {
            sessions.open(&large, &person(name), after(0)).unwrap();
        }
        let held = sessions.lock();
        let bytes: usize = held.sessions.values().map(|session| session.token().len()).sum();
        assert_eq!(bytes, held.bytes);
        assert!(bytes <= BYTES && bytes > BYTES - large.len(), "{bytes}");
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let sessions = Sessions::default();
        let id = sessions.open("a-token", &person(1), after(0)).unwrap();
        let shown = format!("{sessions:?}");
        assert!(!shown.contains("a-token") && !shown.contains(id.as_str()), "{shown}");
    }
}
