//! SHA-256, as fingerprints are made of.

use aws_lc_rs::digest::{Context, SHA256};

/// The digest of the parts, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; 32];
    // INVARIANT: a SHA-256 has 32 bytes.
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::base64url;

    /// RFC 7636 appendix B.
    #[test]
    fn the_digest_is_that_of_the_whole() {
        let digest = sha256(&[b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1", b"gFWFOEjXk"]);
        assert_eq!(base64url::encode(&digest), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
