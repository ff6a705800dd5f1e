//! `gateway.tests.yaml`: what is expected of a policy, held against the names that the policy has.

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method};

use super::take::{Wrong, items, one_or_many, optional, parsed, required};
use super::values;
use crate::config::entry::{Entry, Named, OneOrMany, WordOr};
use crate::config::finding::{At, Finding, Findings, Place, Quoted};
use crate::config::locate::Text;
use crate::config::source::LARGEST;
use crate::config::test_document::{Anonymous, Caller as CallerDocument, Expect, Test, TestCertificate, Tests};
use crate::config::{Configuration, Expectation, Expected, Problems, Source, reading, suggest, without_mark, yaml};
use crate::policy::{Account, ApiId, Caller, Certificate, ClientId, Policy, Reason, ScopeId, ScopeName};

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// Reads a file of tests of `configuration`.
///
/// # Errors
/// All that is wrong with it, at least up to a thousand things.
pub fn expectations(source: &Source<'_>, configuration: &Configuration) -> Result<Vec<Expectation>, Problems> {
    let mut findings = Findings::default();
    let expectations = read(source, configuration, &mut findings);
    if findings.is_empty() { Ok(expectations) } else { Err(Problems::locate(findings, source)) }
}

fn read(source: &Source<'_>, configuration: &Configuration, findings: &mut Findings) -> Vec<Expectation> {
    if source.text.len() > LARGEST {
        findings.add(Finding::placed(Place::Byte(0), "the file is larger than 64 MiB").help("make it smaller"));
        return Vec::new();
    }
    let node = match yaml::parse(without_mark(source.text)) {
        Ok(node) => node,
        Err(finding) => {
            findings.add(finding);
            return Vec::new();
        }
    };
    let tests: Entry<Tests> = reading::shape(node, findings);
    let tests = required_tests(tests, findings);
    let text = Text::new(without_mark(source.text));
    let context = Context { configuration, policy: &configuration.policy };
    let read = tests.into_iter().filter_map(|(place, test)| {
        let at = At::ROOT.nth(place);
        let line = text.spot(&Place::Value(at.path())).line;
        context.test(test, at, line, findings)
    });
    read.collect()
}

fn required_tests(tests: Entry<Tests>, findings: &mut Findings) -> Vec<(usize, Test)> {
    let help = "begin it with `- request: GET /orders`";
    match &tests {
        Entry::Given(list) if !list.is_empty() => {}
        Entry::Given(_) | Entry::Empty | Entry::Absent => {
            findings.add(Finding::new(At::ROOT, "there is no test in this file").help(help));
        }
        Entry::Faulty => {}
    }
    items(tests, At::ROOT, findings)
}

/// What tests are held against.
struct Context<'c> {
    configuration: &'c Configuration,
    policy: &'c Policy,
}

/// Who sends a test's request.
#[derive(Default)]
struct Sender {
    caller: Option<Caller>,
    certificate: Option<Certificate>,
}

impl Context<'_> {
    fn test(&self, test: Test, at: At<'_>, line: usize, findings: &mut Findings) -> Option<Expectation> {
        let help = "write a method and a target, such as `GET /orders/acme?limit=5`";
        let request = required(test.request, at.key("request"), help, findings);
        let shown = request.clone();
        let request = parsed(request, at.key("request"), findings, request_line);
        let mut headers = headers(test.headers, at.key("headers"), findings);
        let form = optional(test.form, at.key("form"), findings);
        if form.is_some() {
            headers.entry(CONTENT_TYPE).or_insert(FORM);
        }
        let form = form.unwrap_or_default();
        let help = "write `as: anonymous`, or what the token says: `as: { client: app, scopes: [orders_read] }`";
        let sender = required(test.caller, at.key("as"), help, findings);
        let sender = sender.map(|sender| self.sender(sender, at.key("as"), findings));
        let expect = required(test.expect, at.key("expect"), "write `allow`, `deny` or `report`", findings);
        let reason = optional(test.reason, at.key("reason"), findings);
        let reason = parsed(reason, at.key("reason"), findings, |text| reason_of(text, expect));
        let api = optional(test.api, at.key("api"), findings);
        let api = parsed(api, at.key("api"), findings, |text| self.api(text));
        let scope = optional(test.scope, at.key("scope"), findings);
        let scope = parsed(scope, at.key("scope"), findings, |text| self.scope(text, expect));
        let name = optional(test.name, at.key("name"), findings);
        let (method, target) = request?;
        let Sender { caller, certificate } = sender?;
        let name = name.unwrap_or_else(|| named(shown.as_deref().unwrap_or_default(), caller.as_ref()));
        let expected = match expect? {
            Expect::Allow => Expected::Allow,
            Expect::Deny => Expected::Deny,
            Expect::Report => Expected::Report,
        };
        Some(Expectation {
            line,
            name,
            method,
            target,
            headers,
            form,
            caller,
            certificate,
            expected,
            reason,
            api,
            scope,
        })
    }

    fn sender(&self, sender: WordOr<Anonymous, CallerDocument>, at: At<'_>, findings: &mut Findings) -> Sender {
        let document = match sender {
            WordOr::Word(Anonymous::Anonymous) => return Sender::default(),
            WordOr::Other(document) => document,
        };
        let issuers: Vec<_> = self.configuration.settings.issuers.iter().map(|issuer| &issuer.rules.issuer).collect();
        let here = at.key("issuer");
        let issuer = parsed(optional(document.issuer, here, findings), here, findings, |text| {
            issuers.iter().find(|issuer| ****issuer == *text).map(|issuer| (*issuer).clone()).ok_or_else(|| {
                let near = suggest::nearest(text, issuers.iter().map(|issuer| &***issuer));
                let help = near.map_or_else(|| "write one that the policy has".to_owned(), suggest::perhaps);
                Wrong::new(format!("the policy has no issuer {}", Quoted(text)), help)
            })
        });
        let here = at.key("client");
        let client = parsed(optional(document.client, here, findings), here, findings, client);
        let here = at.key("subject");
        let subject = parsed(optional(document.subject, here, findings), here, findings, values::text);
        let caller = Caller {
            subject,
            client,
            accounts: accounts(document.accounts, at.key("accounts"), findings),
            scopes: scopes(document.scopes, at.key("scopes"), findings),
            ..Caller::supposed(
                issuer.or_else(|| issuers.first().map(|issuer| (*issuer).clone())).unwrap_or_else(|| "".into()),
            )
        };
        let here = at.key("certificate");
        let certificate = optional(document.certificate, here, findings);
        Sender {
            caller: Some(caller),
            certificate: certificate.map(|document| certificate_of(document, here, findings)),
        }
    }

    fn api(&self, text: &str) -> Result<ApiId, Wrong> {
        let apis = || self.policy.apis().iter().map(|api| api.name.as_str());
        let found = (0..).map(ApiId).zip(apis()).find(|(_, name)| *name == text);
        found.map(|(id, _)| id).ok_or_else(|| {
            let near = suggest::nearest(text, apis()).map(suggest::perhaps);
            let help = near.unwrap_or_else(|| "write the name of one of its apis".to_owned());
            Wrong::new(format!("the policy has no api {}", Quoted(text)), help)
        })
    }

    fn scope(&self, text: &str, expect: Option<Expect>) -> Result<ScopeId, Wrong> {
        if matches!(expect, Some(Expect::Deny | Expect::Report)) {
            let help = "remove it, or write `expect: allow`";
            return Err(Wrong::new("nothing lets a request through that is to be denied", help));
        }
        let names = || self.policy.scopes().iter().map(|scope| scope.name.as_str());
        self.policy.scope_named(text).ok_or_else(|| {
            let near = suggest::nearest(text, names()).map(suggest::perhaps);
            let help = near.unwrap_or_else(|| "write a scope that an api defines".to_owned());
            Wrong::new(format!("no api defines the scope {}", Quoted(text)), help)
        })
    }
}

/// What a test is called that has no name.
fn named(request: &str, caller: Option<&Caller>) -> String {
    match caller {
        None => format!("{request} without a token"),
        Some(Caller { client: Some(client), .. }) => format!("{request} by {client}"),
        Some(Caller { subject: Some(subject), .. }) => format!("{request} by {subject}"),
        Some(Caller { scopes, .. }) => {
            format!("{request} with {}", if scopes.is_empty() { "no scope".to_owned() } else { scopes.join(" ") })
        }
    }
}

fn request_line(text: &str) -> Result<(Method, String), Wrong> {
    let text = text.trim();
    let (method, target) = text.split_once(' ').unwrap_or(("GET", text));
    let target = target.trim_start();
    let help = "write a method and a target, such as `GET /orders/acme?limit=5`";
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return Err(Wrong::new(format!("{} does not begin with a method", Quoted(text)), help));
    };
    if !target.starts_with('/')
        || target.contains(|character: char| character.is_whitespace() || character.is_control())
    {
        return Err(Wrong::new(format!("{} is not a target", Quoted(target)), help));
    }
    Ok((method, target.to_owned()))
}

fn headers(entry: Entry<Named<String>>, at: At<'_>, findings: &mut Findings) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Named(entries) = optional(entry, at, findings).unwrap_or(Named(Vec::new()));
    for (name, entry) in entries {
        let here = at.key(&name);
        let header = match header_name(&name) {
            Ok(header) => Some(header),
            Err(Wrong { message, help }) => {
                findings.add(Finding::at_key(here, message).maybe_help(help));
                None
            }
        };
        let value = required(entry, here, "write its value", findings);
        let value = parsed(value, here, findings, |text| {
            let wrong =
                || Wrong::new(format!("{} cannot be a header's value", Quoted(text)), "write visible characters");
            HeaderValue::from_str(text).map_err(|_| wrong())
        });
        if let (Some(header), Some(value)) = (header, value) {
            headers.append(header, value);
        }
    }
    headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
    headers
}

fn header_name(name: &str) -> Result<HeaderName, Wrong> {
    let header = values::header_name(name)?;
    if header == AUTHORIZATION {
        return Err(Wrong::new("`as` says whose token the request has", "remove the header"));
    }
    Ok(header)
}

fn client(text: &str) -> Result<Box<str>, Wrong> {
    match ClientId::parse(text) {
        Ok(id) => Ok(id.as_str().into()),
        Err(invalid) => {
            let help = "a client id has printable ASCII characters";
            Err(Wrong::new(format!("{} is not a client id: {invalid}", Quoted(text)), help))
        }
    }
}

fn accounts(entry: Entry<OneOrMany<String>>, at: At<'_>, findings: &mut Findings) -> Box<[Account]> {
    let Some(values) = optional(entry, at, findings) else { return [].into() };
    let account = |text: &str| {
        let help = "an account's name is not empty and has no control characters";
        Account::parse(text).ok_or_else(|| Wrong::new(format!("{} is not an account's name", Quoted(text)), help))
    };
    let mut accounts = Vec::new();
    for (place, text) in one_or_many(values, at, findings) {
        accounts.extend(match place {
            Some(place) => parsed(Some(text), at.nth(place), findings, account),
            None => parsed(Some(text), at, findings, account),
        });
    }
    accounts.into()
}

fn scopes(list: crate::config::entry::List<String>, at: At<'_>, findings: &mut Findings) -> Box<[Box<str>]> {
    let named = items(list, at, findings).into_iter().filter_map(|(place, text)| {
        parsed(Some(text), at.nth(place), findings, |text| match ScopeName::parse(text) {
            Ok(name) => Ok(name.as_str().into()),
            Err(invalid) => {
                let help = "write one scope or privilege, such as `certificate:approve`";
                Err(Wrong::new(format!("{} is not a scope's name: {invalid}", Quoted(text)), help))
            }
        })
    });
    named.collect()
}

fn certificate_of(document: TestCertificate, at: At<'_>, findings: &mut Findings) -> Certificate {
    let (sha256_at, subject_at, dns_at) = (at.key("sha256"), at.key("subject"), at.key("san_dns"));
    let sha256 = optional(document.sha256, sha256_at, findings);
    let subject = optional(document.subject, subject_at, findings);
    let dns = optional(document.san_dns, dns_at, findings);
    Certificate {
        sha256: parsed(sha256, sha256_at, findings, values::sha256).unwrap_or_default(),
        subject: parsed(subject, subject_at, findings, values::text).unwrap_or_default(),
        san_dns: parsed(dns, dns_at, findings, values::dns_name).into_iter().collect(),
    }
}

fn reason_of(text: &str, expect: Option<Expect>) -> Result<Reason, Wrong> {
    let Some(reason) = Reason::ALL.iter().copied().find(|reason| reason.as_str() == text) else {
        let near = suggest::nearest(text, Reason::ALL.iter().map(|reason| reason.as_str())).map(suggest::perhaps);
        let help = near.unwrap_or_else(|| "write one such as `account_forbidden`".to_owned());
        return Err(Wrong::new(format!("{} is not a reason", Quoted(text)), help));
    };
    if is_of_a_token(reason) {
        let help = "write a reason that the policy gives";
        return Err(Wrong::new(
            format!("{} is found when a token is checked, which is not done here", Quoted(text)),
            help,
        ));
    }
    let allows = matches!(reason, Reason::Preflight | Reason::Public | Reason::Granted | Reason::Reported);
    match expect {
        Some(Expect::Allow) if !allows => {
            Err(Wrong::new(format!("{} is a reason to deny", Quoted(text)), "write `expect: deny`, or remove it"))
        }
        Some(Expect::Report) if allows => {
            Err(Wrong::new(format!("{} is a reason to allow", Quoted(text)), "write why it would be refused"))
        }
        Some(Expect::Deny) if allows => {
            Err(Wrong::new(format!("{} is a reason to allow", Quoted(text)), "write `expect: allow`, or remove it"))
        }
        Some(Expect::Allow | Expect::Deny | Expect::Report) | None => Ok(reason),
    }
}

/// Whether it comes of a token's own checks, steps 4 to 7 of the decision.
pub(in crate::config) fn is_of_a_token(reason: Reason) -> bool {
    (Reason::TokenMalformed..=Reason::BindingMismatch).contains(&reason)
}
