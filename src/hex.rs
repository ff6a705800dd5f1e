//! Bytes as hexadecimal text, such as SHA-256 sums, and back.

use std::fmt::Write as _;

/// Two small digits for each byte.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // INVARIANT: a text can always be written to.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Exactly as many bytes as are wanted, in digits of either case; `None` if the text is not that.
#[must_use]
pub fn parse_hex<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<Vec<_>>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_read_as_it_is_written() {
        let sum: [u8; 32] = std::array::from_fn(|place| u8::try_from(place * 8).unwrap());
        assert_eq!(parse_hex(&hex(&sum)), Some(sum));
        assert_eq!(parse_hex(&hex(&sum).to_uppercase()), Some(sum));
        let longer = hex(&sum) + "00";
        for text in ["", "00", &longer, &longer[1..], &format!("+1{}", "00".repeat(31)), &"é".repeat(32)] {
            assert_eq!(parse_hex::<32>(text), None, "{text}");
        }
    }
}
