//! What holds of any text, header and payload.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn any_text_is_answered(text in "[ -~]{0,80}|[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
        prop_assert!(Jwt::parse(&text).is_err());
    }

    #[test]
    fn any_header_and_payload_are_answered(header in ".{0,60}", payload in ".{0,60}") {
        let parts = [header, payload, String::new()].map(|part| base64url::encode(part.as_bytes()));
        let _ = Jwt::parse(&parts.join("."));
    }

    #[test]
    fn what_was_signed_is_read_again(
        subject in "[^\\pC\\pZ][^\\pC]{0,18}[^\\pC\\pZ]", account in "[^\\pC\\pZ]{1,20}", scopes in prop::collection::vec("[a-z:.]{1,8}", 0..6),
        lifetime in 1_u64..1_000_000,
    ) {
        let members = json!({
            "sub": subject, "account_id": account, "scope": scopes.join(" "), "exp": NOW.0 + lifetime,
        });
        let caller = judge(&token(Algorithm::EdDSA, &with(claims(), &members)), &rules(), &KEYS.set()).unwrap();
        prop_assert_eq!(caller.subject.as_deref(), Some(&*subject));
        prop_assert_eq!(caller.accounts[0].as_str(), &*account);
        prop_assert_eq!(caller.expires_at, UnixTime(NOW.0 + lifetime));
        prop_assert!(caller.scopes.iter().all(|scope| scopes.iter().any(|it| **it == **scope)));
        prop_assert!(scopes.iter().all(|scope| caller.scopes.iter().any(|it| **it == **scope)));
    }
}
