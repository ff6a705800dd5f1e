//! The form of a request for a token (RFC 6749 section 3.2): read so strictly that no server reads it
//! in another way, and written again in one form.
//!
//! Whether its client may have its scopes is `policy`'s to say; the secrets in it pass through unread.

use std::collections::BTreeSet;

use http::HeaderValue;

use super::basic::basic_credentials;
use super::form::{decoded, form_encoded};
use super::json::{self, Json};
use super::{ScopeSyntax, base64url, scopes};
use crate::policy::{ClientId, FormFault, TokenRequestFault};

/// The parameters of a request for a token, in their order.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenForm {
    parameters: Vec<(String, String)>,
}

const SCOPE: &str = "scope";
const CLIENT_ID: &str = "client_id";
const CLIENT_ASSERTION: &str = "client_assertion";

/// What is judged here: no other parameter may look like one of these.
const JUDGED: [&str; 3] = [SCOPE, CLIENT_ID, CLIENT_ASSERTION];

/// RFC 8707 section 2 and RFC 8693 section 2.1 let these be there more than once.
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// More are no request for a token, and some servers stop reading at a thousand.
const MOST_PARAMETERS: usize = 100;

/// Whether `Content-Type` says that the body is a form in UTF-8.
///
/// # Errors
/// [`FormFault::MediaType`] if it says anything else.
pub fn check_media_type(content_type: &[u8]) -> Result<(), FormFault> {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    let mut parts = content_type.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let is_form = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(FORM));
    let is_utf8 = |parameter: &[u8]| {
        [&b"charset=utf-8"[..], b"charset=\"utf-8\""].iter().any(|utf8| parameter.eq_ignore_ascii_case(utf8))
    };
    let is_plain = parts.next().is_none_or(is_utf8) && parts.next().is_none();
    if is_form && is_plain { Ok(()) } else { Err(FormFault::MediaType) }
}

impl TokenForm {
    /// Reads a body; `query` is that of the URL, whose parameters some servers add to the body's.
    ///
    /// # Errors
    /// What is wrong with it, or could be read in another way.
    pub fn parse(body: &[u8], query: Option<&str>) -> Result<Self, FormFault> {
        let mut parameters = Vec::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == MOST_PARAMETERS {
                return Err(FormFault::TooManyParameters);
            }
            let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len()));
            let (name, value) = (decoded(name)?, decoded(value.get(1..).unwrap_or_default())?);
            check_name(&name)?;
            parameters.push((name, value));
        }
        let form = Self { parameters };
        form.check_repeated()?;
        form.check_query(query.unwrap_or_default())?;
        Ok(form)
    }

    /// Who says to be asking: the client of the `Authorization` that is `Basic`, of `client_id`, and of
    /// the assertion's `sub` (RFC 7523 section 3), where these are there.
    ///
    /// # Errors
    /// If none names a client, one cannot be read, or two name different clients.
    pub fn client(&self, authorization: Option<&HeaderValue>) -> Result<ClientId, TokenRequestFault> {
        let basic = match authorization.map(|value| basic_credentials(value.as_bytes())) {
            Some(Ok(Some(basic))) => Some(basic.id),
            Some(Ok(None)) | None => None,
            Some(Err(_)) => return Err(TokenRequestFault::ClientMissing),
        };
        let parameter = self.value(CLIENT_ID).map(str::to_owned);
        let asserted = match self.value(CLIENT_ASSERTION) {
            Some(assertion) => Some(subject(assertion).ok_or(TokenRequestFault::ClientMissing)?),
            None => None,
        };
        let mut named = [basic, parameter, asserted].into_iter().flatten();
        let client = named.next().ok_or(TokenRequestFault::ClientMissing)?;
        if named.any(|other| other != client) {
            return Err(FormFault::SeveralClients.into());
        }
        ClientId::parse(&client).map_err(|_| TokenRequestFault::ClientMissing)
    }

    /// The scopes that it asks for, privileges written out, each once; `None` where it asks for none,
    /// an empty parameter being one that is left out (RFC 6749 section 3.2).
    ///
    /// # Errors
    /// If they are not in the issuer's syntax.
    pub fn scopes(&self, syntax: ScopeSyntax) -> Result<Option<Box<[Box<str>]>>, TokenRequestFault> {
        let Some(text) = self.value(SCOPE) else { return Ok(None) };
        let names = scopes::parse_text(text, syntax).map_err(|_| TokenRequestFault::ScopeMalformed)?;
        Ok((!names.is_empty()).then_some(names))
    }

    /// It, asking for these scopes in the place of its own.
    #[must_use]
    pub fn asking_for(mut self, names: &[Box<str>], syntax: ScopeSyntax, is_privilege: impl Fn(&str) -> bool) -> Self {
        let text = scopes::write(names, syntax, is_privilege);
        for (name, value) in &mut self.parameters {
            if name == SCOPE {
                value.clone_from(&text);
            }
        }
        self
    }

    /// As a body.
    #[must_use]
    pub fn encode(&self) -> String {
        let pair = |(name, value): &(String, String)| {
            [form_encoded(name.as_bytes()), form_encoded(value.as_bytes())].join("=")
        };
        self.parameters.iter().map(pair).collect::<Vec<_>>().join("&")
    }

    /// The value of a parameter that is there and not empty.
    fn value(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn check_repeated(&self) -> Result<(), FormFault> {
        let mut seen = BTreeSet::new();
        let mut names = self.parameters.iter().map(|(name, _)| name.as_str());
        let all_once = names.all(|name| REPEATABLE.contains(&name) || seen.insert(name));
        if all_once { Ok(()) } else { Err(FormFault::Repeated) }
    }

    /// RFC 6749 section 3.2 lets an endpoint's URL have a query, and a provider may need it.
    fn check_query(&self, query: &str) -> Result<(), FormFault> {
        // Some servers split at `;` too.
        for parameter in query.split(['&', ';']).filter(|parameter| !parameter.is_empty()) {
            let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
            let name = decoded(name.as_bytes()).map_err(|_| FormFault::InUrl)?;
            let is_secret = bare(&name) == "clientsecret";
            let is_in_body = || self.parameters.iter().any(|(own, _)| bare(own) == bare(&name));
            if !is_name(&name) || is_judged(&name) || is_secret || is_in_body() {
                return Err(FormFault::InUrl);
            }
        }
        Ok(())
    }
}

/// Shows which parameters there are and none of their values.
impl std::fmt::Debug for TokenForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.parameters.iter().map(|(name, _)| name)).finish()
    }
}

fn check_name(name: &str) -> Result<(), FormFault> {
    if !is_name(name) {
        return Err(FormFault::Name);
    }
    if is_judged(name) && !JUDGED.contains(&name) {
        return Err(FormFault::Spelling);
    }
    Ok(())
}

/// RFC 6749 section 8.2.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// Whether some server would take it for a parameter that is judged: ASP.NET whatever its case or
/// what stands before a dot, PHP with a dot for an underscore.
fn is_judged(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    JUDGED.iter().any(|judged| bare(judged) == bare(name) || bare(judged) == bare(last))
}

/// The name's letters and digits, in lower case.
fn bare(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Whom an assertion is about, unverified: that it is so is the provider's to find out.
fn subject(assertion: &str) -> Option<String> {
    let (_, rest) = assertion.split_once('.')?;
    let (payload, signature) = rest.split_once('.')?;
    let claims = json::object(&base64url::decode(payload)?).ok()?;
    match claims.get("sub") {
        Some(Json::String(subject)) if !signature.contains('.') => Some((**subject).to_owned()),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(body: &str) -> Result<TokenForm, FormFault> {
        TokenForm::parse(body.as_bytes(), None)
    }

    #[track_caller]
    fn check_refused(bodies: &[&[u8]], fault: FormFault) {
        for body in bodies {
            assert_eq!(TokenForm::parse(body, None).err(), Some(fault), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn a_media_type_is_a_form_in_utf_8() {
        let form = "application/x-www-form-urlencoded";
        for end in ["", ";charset=UTF-8", " ; Charset=\"utf-8\""] {
            assert_eq!(check_media_type(format!("{form}{end}").as_bytes()), Ok(()), "{end}");
            assert_eq!(check_media_type(format!("{}{end}", form.to_uppercase()).as_bytes()), Ok(()), "{end}");
        }
        for bad in [
            "",
            "application/json",
            "multipart/form-data; boundary=x",
            "text/plain, application/x-www-form-urlencoded",
            "application/x-www-form-urlencodedx",
            "application/x-www-form-urlencoded; charset=iso-8859-1",
            "application/x-www-form-urlencoded; charset=utf-8; charset=utf-16",
            "application/x-www-form-urlencoded; charset=utf-16; charset=utf-8",
            "application/x-www-form-urlencoded; a=b",
            "application/x-www-form-urlencoded;",
        ] {
            assert_eq!(check_media_type(bad.as_bytes()), Err(FormFault::MediaType), "{bad}");
        }
    }

    #[test]
    fn what_is_read_is_written_in_one_form() {
        for (body, written) in [
            ("", ""),
            ("grant_type=client_credentials&scope=a+b", "grant_type=client_credentials&scope=a+b"),
            ("&&a=1&&b=2&", "a=1&b=2"),
            ("a=x%20y%2by%7e&b=\u{e9};c=d", "a=x+y%2By%7E&b=%C3%A9%3Bc%3Dd"),
            ("a&b=", "a=&b="),
            ("%73cope=a", "scope=a"),
            ("client_secret=%00%0D%0A", "client_secret=%00%0D%0A"),
        ] {
            assert_eq!(parse(body).unwrap().encode(), written, "{body}");
        }
    }

    #[test]
    fn a_form_that_could_be_read_in_another_way_is_refused() {
        check_refused(&[b"a=%", b"a=%4", b"%zz=a", b"a=%u0041"], FormFault::BrokenEscape);
        check_refused(&[b"a=%ff", b"a=\xff", b"\xff=a", b"a=%c0%ae"], FormFault::NotText);
        check_refused(
            &[b"scope=a&scope=a", b"scope=a&s%63ope=b", b"a&a", b"scope=&scope=a", b"client_secret=a&client_secret=b"],
            FormFault::Repeated,
        );
        check_refused(
            &[
                b"=a",
                b"scope[]=a",
                b"+scope=a",
                b"scope%00=a",
                b"a%20b=c",
                b"\xc3\xa9=a",
                b"{\"scope\":\"a\"}",
                b"a;b=c",
            ],
            FormFault::Name,
        );
        check_refused(
            &[
                b"Scope=a",
                b"SCOPE=a",
                b"scope.=a",
                b"_scope=a",
                b"x.scope=a",
                b"client.id=a",
                b"clientId=a",
                b"client-id=a",
            ],
            FormFault::Spelling,
        );
        let many = |count: usize| (0..count).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
        assert!(parse(&many(100)).is_ok());
        check_refused(&[many(101).as_bytes()], FormFault::TooManyParameters);
    }

    #[test]
    fn targets_may_be_several() {
        let body = "resource=https%3A%2F%2Fa&resource=https%3A%2F%2Fb&audience=c&audience=d";
        assert_eq!(parse(body).unwrap().encode(), body);
    }

    #[test]
    fn the_url_has_nothing_that_counts() {
        let form = |query| TokenForm::parse(b"grant_type=x&scope=a", Some(query));
        for query in ["", "tenant=1", "p=B2C_1_signin&a", "&"] {
            assert!(form(query).is_ok(), "{query}");
        }
        for query in [
            "scope=b",
            "Scope=b",
            "s%63ope",
            "tenant=1;scope=b",
            "client_id=b",
            "client_secret=b",
            "grant_type=x",
            "Grant_Type=x",
            "scope[]=b",
            "a%5B%5D=b",
            "%ff=b",
        ] {
            assert_eq!(form(query).err(), Some(FormFault::InUrl), "{query}");
        }
    }

    #[track_caller]
    fn check_client(body: &str, authorization: Option<&str>, expected: &Result<&str, TokenRequestFault>) {
        let authorization = authorization.map(|text| HeaderValue::from_str(text).unwrap());
        let client = parse(body).unwrap().client(authorization.as_ref());
        assert_eq!(client.as_ref().map(ClientId::as_str), expected.as_ref().copied(), "{body}");
    }

    fn assertion(claims: &serde_json::Value) -> String {
        format!("client_assertion=e30.{}.c2ln", base64url::encode(claims.to_string().as_bytes()))
    }

    #[test]
    fn a_client_is_named_once_or_in_agreement() {
        // `a b:secret`, its space form-encoded first.
        let basic = Some("Basic YStiOnNlY3JldA==");
        check_client("client_id=a+b", None, &Ok("a b"));
        check_client("", basic, &Ok("a b"));
        check_client("client_id=a%20b&client_secret=x", basic, &Ok("a b"));
        check_client("client_id=", basic, &Ok("a b"));
        check_client("client_id=app", Some("Bearer x"), &Ok("app"));
        check_client(&assertion(&json!({ "sub": "app" })), None, &Ok("app"));
        check_client(&format!("client_id=app&{}", assertion(&json!({ "sub": "app" }))), None, &Ok("app"));
        let several = || Err(TokenRequestFault::Form(FormFault::SeveralClients));
        check_client("client_id=app", basic, &several());
        check_client(&format!("client_id=a&{}", assertion(&json!({ "sub": "app" }))), None, &several());
        check_client(&assertion(&json!({ "sub": "app" })), basic, &several());
    }

    #[test]
    fn who_names_no_client_that_can_be_read_has_named_none() {
        let missing = || Err(TokenRequestFault::ClientMissing);
        check_client("", None, &missing());
        check_client("client_id=", None, &missing());
        check_client("", Some("Bearer x"), &missing());
        check_client("client_id=caf%C3%A9", None, &missing());
        check_client("client_id=a%0Ab", None, &missing());
        for bad in ["Basic", "Basic x", "Basic YQ==", "Basic OnNlY3JldA=="] {
            check_client("", Some(bad), &missing());
        }
        check_client("client_id=app", Some("Basic YQ=="), &missing());
        for claims in [json!({}), json!({ "sub": 1 }), json!({ "sub": "" }), json!([])] {
            check_client(&assertion(&claims), None, &missing());
        }
        check_client("client_id=app&client_assertion=x", None, &missing());
        check_client("client_id=app&client_assertion=a.%25.c", None, &missing());
        check_client(&format!("client_id=app&{}.more", assertion(&json!({ "sub": "app" }))), None, &missing());
    }

    #[test]
    fn scopes_are_read_and_written_in_the_issuers_syntax() {
        let names = |body, syntax| parse(body).unwrap().scopes(syntax).map(|names| names.map(|names| names.join(" ")));
        assert_eq!(names("scope=b+a++b", ScopeSyntax::Words), Ok(Some("b a".to_owned())));
        let venafi = "scope=certificate:approve,delete;ssh";
        let expected = "certificate:approve certificate:delete ssh".to_owned();
        assert_eq!(names(venafi, ScopeSyntax::Privileges), Ok(Some(expected)));
        for none in ["", "scope=", "scope=+", "scope"] {
            assert_eq!(names(none, ScopeSyntax::Words), Ok(None), "{none}");
        }
        assert_eq!(names("scope=;", ScopeSyntax::Privileges), Ok(None));
        for bad in ["scope=a%09b", "scope=a%22b", "scope=%C3%A9", "scope=a%00"] {
            assert_eq!(names(bad, ScopeSyntax::Words), Err(TokenRequestFault::ScopeMalformed), "{bad}");
        }
        assert_eq!(names("scope=a:,b", ScopeSyntax::Privileges), Err(TokenRequestFault::ScopeMalformed));
        let form = parse("a=1&scope=x&b=2").unwrap();
        let asked = ["certificate:approve".into(), "ssh".into(), "certificate:delete".into()];
        let is_privilege = |name: &str| name.contains(':');
        assert_eq!(
            form.asking_for(&asked, ScopeSyntax::Privileges, is_privilege).encode(),
            "a=1&scope=certificate%3Aapprove%2Cdelete%3Bssh&b=2"
        );
    }

    #[test]
    fn debug_output_has_no_value() {
        let shown = format!("{:?}", parse("client_secret=s3cret&scope=a").unwrap());
        assert!(shown.contains("client_secret") && !shown.contains("s3cret"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..200), query in "[ -~]{0,30}") {
            if let Ok(form) = TokenForm::parse(&body, Some(&query)) {
                let _ = (form.client(None), form.scopes(ScopeSyntax::Words), form.scopes(ScopeSyntax::Privileges));
                prop_assert_eq!(TokenForm::parse(form.encode().as_bytes(), None), Ok(form));
            }
        }

        #[test]
        fn what_is_written_is_read_again(values in prop::collection::vec(".{0,20}", 0..6)) {
            let parameters = values.into_iter().enumerate().map(|(place, value)| (format!("p{place}"), value)).collect();
            let form = TokenForm { parameters };
            prop_assert_eq!(TokenForm::parse(form.encode().as_bytes(), None), Ok(form));
        }
    }
}
