//! A form as it is sent, the entry that it is, and all that is wrong with it.

use super::*;

fn sent(pairs: &[(&str, &str)]) -> (ScopeForm, Step) {
    ScopeForm::sent(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn what_a_form_sends_is_the_entry_and_comes_back_the_same() {
    let entry = json!({
        "name": "a", "display_name": "A", "accounts": "any", "required": true, "show_in_discovery": false,
        "services": ["GET /a", "/b/**"], "except": ["/b/c"],
        "privileges": { "p": { "services": ["POST /a"], "accounts": "own" }, "q": { "services": [] } },
    });
    let form = ScopeForm::of_entry(&entry, "00".to_owned(), true);
    let pairs: Vec<_> = form.pairs().into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, &**value)).collect();
    let (again, step) = sent(&pairs);
    assert_eq!((&again, step), (&form, Step::Review));
    let expected = json!({
        "name": "a", "display_name": "A", "description": null, "accounts": "any", "required": true,
        "emphasize": false, "show_in_discovery": false, "deprecated": false, "confidential_only": false,
        "services": ["GET /a", "/b/**"], "except": ["/b/c"],
        "privileges": { "p": { "services": ["POST /a"], "accounts": "own" }, "q": { "services": [], "accounts": null } },
    });
    assert_eq!(Json::from(form.entry()), expected);
    assert_eq!(form.faults(), []);
}

#[test]
fn every_fault_is_named_at_once_at_its_control() {
    let (form, _) = sent(&[
        ("name", " "),
        ("services", "GET /a\r\n\r\nGETT /b\r\n/c/**/d"),
        ("except", "*"),
        ("privilege_name", "p"),
        ("privilege_services", "GET"),
        ("privilege_name", ""),
        ("privilege_services", "/x"),
        ("privilege_name", "p"),
        ("privilege_services", ""),
        ("colour", "red"),
    ]);
    let wrong: Vec<_> = form.faults().iter().map(|fault| form.place(fault)).collect();
    let seen: Vec<_> = wrong.iter().map(|wrong| (&*wrong.anchor, &*wrong.message)).collect();
    let expected = [
        ("", "no field `colour`"),
        ("name", "it is empty"),
        ("services", "line 2: `GETT`"),
        ("services", "line 3: `**`"),
        ("privilege-0-services", "line 1: `GET` is a method without a path"),
        ("privilege-1", "needs a name"),
        ("privilege-2", "two privileges"),
    ];
    assert_eq!(seen.len(), expected.len(), "{seen:?}");
    for ((anchor, message), (wanted, part)) in seen.iter().zip(expected) {
        assert!(*anchor == wanted && message.contains(part), "{anchor}: {message}");
    }
}

#[test]
fn a_button_says_what_is_asked_for() {
    for (text, step) in [
        ("test", Step::Edit),
        ("edit", Step::Edit),
        ("add", Step::Add),
        ("remove-2", Step::Remove(2)),
        ("save", Step::Save),
    ] {
        assert_eq!(sent(&[("step", text)]).1, step);
    }
    let (form, step) = sent(&[("step", "destroy"), ("name", "a")]);
    assert_eq!((step, form.faults().len()), (Step::Review, 1));
}
