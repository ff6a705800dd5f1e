//! The last decisions, as their audit lines have them, for whoever asks why: so many that allowed and so
//! many that refused, that neither crowds out the other.
//!
//! The thread that writes the lines keeps them, so that a request has no part in it. What lasts is the
//! audit log.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use memchr::memmem;

use super::line::text;

/// How many of a kind are kept.
const MOST_LINES: usize = 4096;
/// In bytes, the lines of a kind together.
const MOST_BYTES: usize = 2 << 20;
/// A longer line is not kept, in bytes.
const LONGEST: usize = 64 << 10;

/// The last decisions.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kinds>);

#[derive(Debug, Default)]
struct Kinds {
    /// How many there were in all.
    count: u64,
    allowed: Lines,
    refused: Lines,
}

/// Lines with their numbers, the oldest first.
#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<(u64, Box<[u8]>)>,
    bytes: usize,
}

impl Recent {
    /// Keeps a line, if it is one of a decision.
    pub(super) fn keep(&self, line: &[u8]) {
        // Texts of requests are quoted, so that nothing of theirs reads like a member.
        let Some(decision) = memmem::find(line, b",\"decision\":\"") else { return };
        let is_allowed = line.get(decision..).is_some_and(|rest| rest.starts_with(b",\"decision\":\"allow\""));
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.count += 1;
        let number = kinds.count;
        let lines = if is_allowed { &mut kinds.allowed } else { &mut kinds.refused };
        lines.keep(number, line);
    }

    /// Those with this request id, the newest first.
    pub(super) fn of(&self, request_id: &str) -> Vec<Box<[u8]>> {
        let mut member = Vec::new();
        text(",\"request_id\":", request_id, &mut member);
        let finder = memmem::Finder::new(&member);
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = kinds.allowed.lines.iter().chain(&kinds.refused.lines);
        let mut found: Vec<_> = all.filter(|(_, line)| finder.find(line).is_some()).cloned().collect();
        drop(kinds);
        found.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        found.into_iter().map(|(_, line)| line).collect()
    }
}

impl Lines {
    fn keep(&mut self, number: u64, line: &[u8]) {
        if line.len() > LONGEST {
            return;
        }
        self.bytes += line.len();
        self.lines.push_back((number, line.into()));
        while self.lines.len() > MOST_LINES || self.bytes > MOST_BYTES {
            let Some((_, oldest)) = self.lines.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, decision: &str, path: &str) -> String {
        format!(
            "{{\"time\":null,\"request_id\":\"{id}\",\"generation\":1,\"decision\":\"{decision}\",\"path\":\"{path}\"}}\n"
        )
    }

    #[test]
    fn the_last_of_each_kind_are_kept_and_neither_crowds_out_the_other() {
        let recent = Recent::default();
        recent.keep(line("refused", "deny", "/").as_bytes());
        (0..MOST_LINES + 3).for_each(|number| recent.keep(line(&format!("r-{number}"), "allow", "/").as_bytes()));
        assert_eq!(recent.of("refused").len(), 1);
        assert_eq!((recent.of("r-2").len(), recent.of("r-3").len()), (0, 1));
        assert_eq!(recent.0.lock().unwrap().allowed.lines.len(), MOST_LINES);
    }

    #[test]
    fn bytes_are_bounded_too_and_a_line_beyond_all_is_not_kept() {
        let recent = Recent::default();
        let long = "x".repeat(LONGEST - 200);
        (0..100).for_each(|number| recent.keep(line(&format!("r-{number}"), "deny", &long).as_bytes()));
        let kept = recent.0.lock().unwrap().refused.bytes;
        assert!(kept <= MOST_BYTES && kept > MOST_BYTES - LONGEST, "{kept}");
        assert_eq!((recent.of("r-0").len(), recent.of("r-99").len()), (0, 1));
        recent.keep(line("longer", "deny", &"x".repeat(LONGEST)).as_bytes());
        assert_eq!((recent.of("longer").len(), recent.of("r-99").len()), (0, 1));
    }

    #[test]
    fn the_newest_of_an_id_comes_first_and_what_is_no_decision_is_not_kept() {
        let recent = Recent::default();
        recent.keep(line("twice", "deny", "/first").as_bytes());
        recent.keep(line("twice", "allow", "/second").as_bytes());
        recent.keep(b"{\"time\":null,\"event\":\"revocation\",\"request_id\":\"twice\"}\n");
        recent.keep(line("other", "deny", "/,\\\"request_id\\\":\\\"twice\\\"").as_bytes());
        let found = recent.of("twice");
        let second = line("twice", "allow", "/second");
        assert_eq!((found.len(), &*found[0]), (2, second.as_bytes()));
    }
}
