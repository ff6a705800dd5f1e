//! Changes to a file's text that take rights away, with all else as it stands: comments, order, quotes.

use super::finding::{At, Path};
use super::places::{Places, Spot};

/// A change that lets less through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Narrowing {
    /// A client's ceiling loses an entry. Clients and entries are counted from 0, in the order of the file.
    CeilingEntry {
        /// Which client.
        client: usize,
        /// Which entry of its `scopes`.
        entry: usize,
    },
    /// A scope's reach becomes the caller's own account.
    OwnAccounts {
        /// Which api.
        api: usize,
        /// Which of its scopes.
        scope: usize,
    },
}

/// The text with these changes; those that cannot be made where the text has them are left out.
#[must_use]
pub fn narrowed(text: &str, narrowings: &[Narrowing]) -> String {
    let places = Places::find(text);
    let mut edits: Vec<(Spot, Option<&str>)> =
        narrowings.iter().filter_map(|narrowing| place(&places, narrowing)).collect();
    // From the end, so that earlier places stay where they are.
    edits.sort_by_key(|(spot, _)| std::cmp::Reverse(*spot));
    edits.dedup_by_key(|(spot, _)| *spot);
    let mut lines: Vec<Option<String>> = text.split_inclusive('\n').map(|line| Some(line.to_owned())).collect();
    for (spot, new) in edits {
        if let Some(line) = spot.line.checked_sub(1).and_then(|at| lines.get_mut(at)) {
            *line = line.take().and_then(|text| match new {
                Some(new) => Some(replaced(&text, spot, new)),
                None => without(&text, spot),
            });
        }
    }
    lines.into_iter().flatten().collect()
}

fn place(places: &Places, narrowing: &Narrowing) -> Option<(Spot, Option<&'static str>)> {
    let root = At::ROOT;
    match narrowing {
        Narrowing::CeilingEntry { client, entry } => {
            let clients = root.key("clients");
            let client = clients.nth(*client);
            let scopes = client.key("scopes");
            Some((exact(places, &scopes.nth(*entry).path(), &scopes.path())?, None))
        }
        Narrowing::OwnAccounts { api, scope } => {
            let apis = root.key("apis");
            let api = apis.nth(*api);
            let scopes = api.key("scopes");
            let scope = scopes.nth(*scope);
            Some((exact(places, &scope.key("accounts").path(), &scope.path())?, Some("own")))
        }
    }
}

/// Where the value is, if it is in the text at all: else the place of what holds it would do.
fn exact(places: &Places, value: &Path, holder: &Path) -> Option<Spot> {
    let spot = places.spot(value, false)?;
    (places.spot(holder, false) != Some(spot) && spot.end != usize::MAX).then_some(spot)
}

fn parts(line: &str, spot: Spot) -> (String, String, String) {
    let characters: Vec<char> = line.chars().collect();
    let text = |from: usize, to: usize| characters.iter().take(to).skip(from).collect::<String>();
    (text(0, spot.start), text(spot.start, spot.end), text(spot.end, characters.len()))
}

fn replaced(line: &str, spot: Spot, new: &str) -> String {
    let (before, _, after) = parts(line, spot);
    before + new + &after
}

/// The line without an entry of a list; `None` if nothing else is on it.
fn without(line: &str, spot: Spot) -> Option<String> {
    let (before, _, after) = parts(line, spot);
    if before.trim() == "-" {
        return None;
    }
    let rest = after.trim_start();
    let line = match (rest.strip_prefix(','), before.trim_end().strip_suffix(',')) {
        (Some(rest), _) => before + rest.trim_start_matches(' '),
        (None, Some(earlier)) => earlier.to_owned() + &after,
        (None, None) => before + &after,
    };
    (!line.trim().is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
clients:
  - id: a            # the first
    scopes: [x, \"y\", z]  # what it may
  - id: b
    scopes:
      - x    # needed
      # not sure
      - y
apis:
  - scopes:
      - name: x
        accounts: any   # all of them
      - { name: y, accounts: any }
      - name: z
";

    #[track_caller]
    fn check(narrowings: &[Narrowing], expected: &[(&str, &str)]) {
        let expected = expected.iter().fold(TEXT.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        assert_eq!(narrowed(TEXT, narrowings), expected);
    }

    #[test]
    fn all_but_the_change_stays_as_it_stands() {
        let entry = |client, entry| Narrowing::CeilingEntry { client, entry };
        check(&[], &[]);
        check(&[entry(0, 0)], &[("[x, \"y\", z]", "[\"y\", z]")]);
        check(&[entry(0, 1)], &[("[x, \"y\", z]", "[x, z]")]);
        check(&[entry(0, 2), entry(0, 1)], &[("[x, \"y\", z]", "[x]")]);
        check(&[entry(0, 0), entry(0, 1), entry(0, 2)], &[("[x, \"y\", z]", "[]")]);
        check(&[entry(1, 1)], &[("      - y\n", "")]);
        check(&[Narrowing::OwnAccounts { api: 0, scope: 0 }], &[("accounts: any  ", "accounts: own  ")]);
        check(&[Narrowing::OwnAccounts { api: 0, scope: 1 }], &[("y, accounts: any", "y, accounts: own")]);
    }

    #[test]
    fn what_is_not_in_the_text_is_left_out() {
        check(&[Narrowing::OwnAccounts { api: 0, scope: 2 }, Narrowing::OwnAccounts { api: 3, scope: 0 }], &[]);
        check(&[Narrowing::CeilingEntry { client: 0, entry: 9 }, Narrowing::CeilingEntry { client: 7, entry: 0 }], &[]);
    }
}
