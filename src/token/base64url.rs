//! base64url without padding (RFC 7515 section 2), one text for each sequence of bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The bytes that a text stands for; `None` if it has padding, white space, bits that do not count,
/// or any other character.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The 32 bytes that a text stands for, as SHA-256 values are written.
pub(super) fn decode_32(text: &str) -> Option<[u8; 32]> {
    decode(text)?.try_into().ok()
}

/// The text that stands for these bytes.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_text_of_some_bytes_is_taken() {
        assert_eq!(decode(""), Some(vec![]));
        assert_eq!(decode("-_8"), Some(vec![0xfb, 0xff]));
        // `-_9` has the same whole bytes and a stray bit.
        for bad in ["-_9", "-_8=", "+/8", " -_8", "-_8\n", "-_ 8", "a", "é"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
        assert_eq!(decode_32(&encode(&[7; 32])), Some([7; 32]));
        assert_eq!(decode_32(&encode(&[7; 31])), None);
    }
}
