//! Forms as clients send them, good and bad.

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
        &[b"=a", b"scope[]=a", b"+scope=a", b"scope%00=a", b"a%20b=c", b"\xc3\xa9=a", b"{\"scope\":\"a\"}", b"a;b=c"],
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
