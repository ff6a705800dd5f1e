//! PEM (RFC 7468): the labelled blocks of a text. What is in them is for others to read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A block between its lines of dashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block<'t> {
    /// `PUBLIC KEY`, `CERTIFICATE` ...
    pub(super) label: &'t str,
    pub(super) der: Vec<u8>,
}

/// The blocks of a text in their order, or what is wrong with the one at that place. Text between
/// blocks is explanatory and does not count (RFC 7468 section 2).
pub(super) fn blocks(text: &str) -> impl Iterator<Item = Result<Block<'_>, &'static str>> {
    let mut lines = text.lines().map(str::trim_end);
    std::iter::from_fn(move || {
        let label = lines.find_map(|line| boundary(line, "BEGIN "))?;
        let mut body = String::new();
        for line in lines.by_ref() {
            if let Some(end) = boundary(line, "END ") {
                return Some(block(label, end, &body));
            }
            body.push_str(line.trim());
        }
        Some(Err("its PEM block has no end"))
    })
}

fn boundary<'t>(line: &'t str, word: &str) -> Option<&'t str> {
    line.strip_prefix("-----")?.strip_prefix(word)?.strip_suffix("-----")
}

fn block<'t>(label: &'t str, end: &str, body: &str) -> Result<Block<'t>, &'static str> {
    if label != end {
        return Err("its PEM block ends under another label");
    }
    let der = STANDARD.decode(body).map_err(|_| "its PEM block is not base64")?;
    Ok(Block { label, der })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[Result<(&str, &[u8]), &'static str>]) {
        let found: Vec<_> = blocks(text).collect();
        let found: Vec<_> =
            found.iter().map(|it| it.as_ref().map(|it| (it.label, &*it.der)).map_err(|why| *why)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn blocks_are_found_between_other_text() {
        let text = "subject=/CN=a\n-----BEGIN A-----\nAQID\r\nBAU=\n-----END A-----\n\n-----BEGIN B C-----\r\n-----END B C-----";
        check(text, &[Ok(("A", &[1, 2, 3, 4, 5])), Ok(("B C", &[]))]);
        check("", &[]);
        check("nothing\nhere", &[]);
    }

    #[test]
    fn a_broken_block_is_an_error_in_its_place() {
        check("-----BEGIN A-----\nAQID", &[Err("its PEM block has no end")]);
        check("-----BEGIN A-----\nAQID\n-----END B-----", &[Err("its PEM block ends under another label")]);
        check(
            "-----BEGIN A-----\nA?ID\n-----END A-----\n-----BEGIN A-----\nAQID\n-----END A-----",
            &[Err("its PEM block is not base64"), Ok(("A", &[1, 2, 3]))],
        );
        // Headers (`Proc-Type`) are those of encrypted private keys.
        check("-----BEGIN A-----\nX: y\n\nAQID\n-----END A-----", &[Err("its PEM block is not base64")]);
    }
}
