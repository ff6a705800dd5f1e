//! The keys of a mapping: which are known, which are repeated, and which one was meant.

use hashbrown::HashMap;

use super::finding::{At, Finding, Findings, Place, Quoted};
use super::node::{Found, Node};
use super::suggest;

/// The entries whose keys are text, each key once, and known where `known` says which are.
pub(super) fn admit(
    entries: Vec<(Node, Node)>,
    known: Option<&'static [&'static str]>,
    at: At<'_>,
    findings: &mut Findings,
) -> Vec<(String, Node)> {
    let mut keys = Keys { known, seen: HashMap::new(), at };
    let mut admitted = Vec::with_capacity(entries.len());
    let mut meant = Vec::new();
    for (place, (key, value)) in entries.into_iter().enumerate() {
        match keys.admit(key, place) {
            Ok(key) => admitted.push((key, value)),
            Err((finding, near)) => {
                findings.add(finding);
                meant.extend(near);
            }
        }
    }
    // A key that is only misspelt is not missing as well.
    meant.sort_unstable();
    meant.dedup();
    meant.retain(|near| !keys.seen.contains_key(*near));
    admitted.extend(meant.into_iter().map(|near| (near.to_owned(), Node::Reported)));
    admitted
}

/// The keys of a mapping as they come.
struct Keys<'a> {
    /// Those that there are, where that is not for the user to choose.
    known: Option<&'static [&'static str]>,
    seen: HashMap<String, usize>,
    at: At<'a>,
}

impl Keys<'_> {
    /// The key if it is one, else what is wrong with it, and which key is meant if that can be guessed.
    fn admit(&mut self, key: Node, place: usize) -> Result<String, (Finding, Option<&'static str>)> {
        let here = self.at.nth(place);
        let Node::Text(key) = key else {
            let finding = Finding::at_key(here, format!("expected a key, found {}", Found(&key)));
            let help = self.known.map_or_else(|| "in quotes anything is a key".to_owned(), keys_there_are);
            return Err((finding.help(help), None));
        };
        if let Some(known) = self.known
            && !known.contains(&&*key)
        {
            let near = suggest::nearest(&key, known.iter().copied());
            let help = near.map_or_else(|| keys_there_are(known), suggest::perhaps);
            return Err((Finding::at_key(here, format!("unknown key {}", Quoted(&key))).help(help), near));
        }
        if let Some(first) = self.seen.get(&key) {
            let finding = Finding::at_key(here, format!("the key {} is repeated", Quoted(&key)));
            return Err((finding.first(Place::Key(self.at.nth(*first).path())).help("keep one of them"), None));
        }
        self.seen.insert(key.clone(), place);
        Ok(key)
    }
}

fn keys_there_are(known: &[&str]) -> String {
    format!("the keys here are `{}`", known.join("`, `"))
}
