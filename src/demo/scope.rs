//! Scopes at the token endpoint: how clients write them, and what they get of what they ask.

use super::clients::DemoClient;
use crate::policy::Policy;
use crate::token::ScopeSyntax;

/// A scope that a client may not have, or that is no scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InvalidScope(pub(super) String);

/// What `text` asks for, privileges written out, each once and in its order.
pub(super) fn read(text: &str, syntax: ScopeSyntax) -> Result<Vec<String>, InvalidScope> {
    let mut scopes = Vec::new();
    let mut add = |scope: String| {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    };
    match syntax {
        ScopeSyntax::Words => text.split(' ').filter(|word| !word.is_empty()).for_each(|word| add(word.to_owned())),
        ScopeSyntax::Privileges => {
            for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
                match part.split_once(':') {
                    None => add(part.to_owned()),
                    Some((scope, privileges)) if !scope.is_empty() => {
                        for privilege in privileges.split(',').map(str::trim) {
                            if privilege.is_empty() {
                                return Err(InvalidScope(part.to_owned()));
                            }
                            add(format!("{scope}:{privilege}"));
                        }
                    }
                    Some(_) => return Err(InvalidScope(part.to_owned())),
                }
            }
        }
    }
    Ok(scopes)
}

/// The other way round: `certificate:manage,revoke;ssh`, or words.
pub(super) fn write(scopes: &[String], syntax: ScopeSyntax) -> String {
    match syntax {
        ScopeSyntax::Words => scopes.join(" "),
        ScopeSyntax::Privileges => {
            let mut parts: Vec<(&str, Vec<&str>)> = Vec::new();
            for scope in scopes {
                let (name, privilege) =
                    scope.split_once(':').map_or((&**scope, None), |(name, rest)| (name, Some(rest)));
                match parts.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, privileges)) => privileges.extend(privilege),
                    None => parts.push((name, privilege.into_iter().collect())),
                }
            }
            let part = |(name, privileges): &(&str, Vec<&str>)| match &**privileges {
                [] => (*name).to_owned(),
                privileges => format!("{name}:{}", privileges.join(",")),
            };
            parts.iter().map(part).collect::<Vec<_>>().join(";")
        }
    }
}

/// The required scopes of every api that defines one of `scopes`: who gets a token for an api gets
/// them with it.
#[must_use]
pub fn required_scopes(policy: &Policy, scopes: &[String]) -> Vec<String> {
    let mut required = Vec::new();
    let apis = scopes.iter().filter_map(|name| policy.scope(policy.scope_named(name)?)).map(|scope| scope.api);
    for id in apis.filter_map(|api| policy.api(api)).flat_map(|api| &api.required) {
        if let Some(scope) = policy.scope(*id).map(|scope| scope.name.to_string())
            && !required.contains(&scope)
        {
            required.push(scope);
        }
    }
    required
}

/// Whether the client may have each of them. Letter case does not count, as in the file; a privilege
/// that it may have includes the bare scope.
pub(super) fn check(scopes: &[String], client: &DemoClient) -> Result<(), InvalidScope> {
    let may = |scope: &str| {
        client.may.iter().any(|own| {
            own.eq_ignore_ascii_case(scope)
                || own.split_once(':').is_some_and(|(bare, _)| bare.eq_ignore_ascii_case(scope))
        })
    };
    match scopes.iter().find(|scope| !may(scope)) {
        Some(beyond) => Err(InvalidScope(beyond.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::clients;
    use crate::demo::samples::repository_file;

    #[track_caller]
    fn check_read(syntax: ScopeSyntax, text: &str, expected: Result<&[&str], &str>) {
        let read = read(text, syntax);
        let expected = expected.map(|scopes| scopes.iter().map(ToString::to_string).collect());
        assert_eq!(read, expected.map_err(|part| InvalidScope(part.to_owned())), "{text}");
    }

    #[test]
    fn words_are_separated_by_spaces() {
        check_read(ScopeSyntax::Words, "a b a", Ok(&["a", "b"]));
        check_read(ScopeSyntax::Words, "", Ok(&[]));
        check_read(ScopeSyntax::Words, "certificate:a,b;c", Ok(&["certificate:a,b;c"]));
    }

    #[test]
    fn privileges_follow_their_scope_and_semicolons_separate_scopes() {
        let syntax = ScopeSyntax::Privileges;
        check_read(
            syntax,
            "ssh;certificate:discover,manage;",
            Ok(&["ssh", "certificate:discover", "certificate:manage"]),
        );
        check_read(syntax, "ssh ; certificate: manage", Ok(&["ssh", "certificate:manage"]));
        check_read(syntax, "certificate:", Err("certificate:"));
        check_read(syntax, ":manage", Err(":manage"));
        check_read(syntax, "certificate:manage,,revoke", Err("certificate:manage,,revoke"));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        for text in ["certificate:manage,revoke;ssh", "ssh", "a:b;c:d,e;f", ""] {
            let scopes = read(text, ScopeSyntax::Privileges).unwrap();
            assert_eq!(write(&scopes, ScopeSyntax::Privileges), text);
        }
        assert_eq!(write(&["a".to_owned(), "b".to_owned()], ScopeSyntax::Words), "a b");
    }

    #[test]
    fn a_client_gets_what_it_may_have_and_nothing_beside() {
        let client = clients::find("venafi-automation").unwrap();
        let asked = |text| check(&read(text, ScopeSyntax::Privileges).unwrap(), client);
        assert_eq!(asked("certificate;certificate:manage,revoke;SSH"), Ok(()));
        assert_eq!(asked("certificate:manage,approve"), Err(InvalidScope("certificate:approve".to_owned())));
        assert_eq!(asked("ssh:manage"), Err(InvalidScope("ssh:manage".to_owned())));
        assert_eq!(asked("statistics"), Err(InvalidScope("statistics".to_owned())));
    }

    #[test]
    fn who_gets_a_scope_of_an_api_gets_its_required_ones_too() {
        let policy = repository_file().policy;
        let required = |scopes: &[&str]| {
            let scopes: Vec<_> = scopes.iter().map(ToString::to_string).collect();
            required_scopes(&policy, &scopes)
        };
        assert_eq!(required(&["read_user_data", "update_profile"]), ["use_directory"]);
        assert_eq!(required(&["consent-get-api", "no_such"]), Vec::<String>::new());
    }
}
