//! The list of revoked tokens grows: by its callers, by holders, and stays when the process ends.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::config::{Admin, RevocationList};
use crate::issuer::{NotAppended, NotRevoked, NotTaken};
use crate::token::Revocation;

/// Long after these tests.
const LATE: u64 = 1 << 40;

/// A world whose list may grow.
struct Growing {
    world: Arc<World>,
    key: Key,
    list: PathBuf,
    directory: TempDir,
}

impl Growing {
    fn new(content: Option<&str>) -> Self {
        let (key, directory) = (Key::new("a"), tempfile::tempdir().unwrap());
        let list = directory.path().join("revoked.jsonl");
        if let Some(content) = content {
            fs::write(&list, content).unwrap();
        }
        fs::write(directory.path().join("jwks.json"), jwks(&[&key])).unwrap();
        let world = Arc::new(World::of(quick(), 1 << 20, settings_in(directory.path())));
        Self { world, key, list, directory }
    }

    /// A token that lives as long as the real clock says too, by which entries fall out.
    fn token(&self, members: &Value) -> String {
        let mut members = members.clone();
        if members.get("exp").is_none() {
            members["exp"] = LATE.into();
        }
        self.key.token(&members)
    }

    /// What another process makes of the same files.
    fn another(&self) -> World {
        World::of(quick(), 1 << 20, settings_in(self.directory.path()))
    }

    async fn revoke(&self, token: &str) -> Result<bool, NotRevoked> {
        self.world.set.revoke(token, &self.world.policy, 1, moment(NOW)).await.map(|found| found.is_some())
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.list).unwrap()
    }
}

fn settings_in(directory: &Path) -> Settings {
    let list = RevocationList { file: directory.join("revoked.jsonl"), endpoint: Some("/revoke".into()) };
    let source = KeySource::File(directory.join("jwks.json"));
    Settings { revocations: Some(list), ..settings(vec![of_source(source)]) }
}

fn entry(id: &str) -> Revocation {
    Revocation::parse(json!({ "jti": id, "iss": ISSUER }).to_string().as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_counts_at_once_and_for_the_next_process_too() {
    for content in [None, Some(""), Some("{\"jti\":\"other\",\"iss\":\"https://login.example.com\"}")] {
        let growing = Growing::new(content);
        let [one, two] = ["one", "two"].map(|id| growing.token(&json!({ "jti": id })));
        growing.world.ask(&one).await.unwrap();
        growing.world.ask(&two).await.unwrap();
        let list = growing.world.set.revoked().unwrap();
        list.append(entry("one")).await.unwrap();
        // Whatever the watch over the file sees meanwhile.
        refused(growing.world.ask(&one).await, TokenFault::Revoked);
        growing.world.ask(&two).await.unwrap();
        let another = growing.another();
        refused(another.ask(&one).await, TokenFault::Revoked);
        another.ask(&two).await.unwrap();
        // And of two that share the file, each sees what the other adds.
        another.set.revoked().unwrap().append(entry("two")).await.unwrap();
        eventually("the other's entry", async || growing.world.ask(&two).await.is_err()).await;
        refused(growing.world.ask(&one).await, TokenFault::Revoked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_are_all_there() {
    let growing = Growing::new(None);
    let adding: Vec<_> = (0..100)
        .map(|number| {
            let world = Arc::clone(&growing.world);
            tokio::spawn(async move { world.set.revoked().unwrap().append(entry(&number.to_string())).await })
        })
        .collect();
    for added in adding {
        added.await.unwrap().unwrap();
    }
    assert_eq!(growing.text().lines().count(), 100);
    for number in 0..100 {
        let token = growing.token(&json!({ "jti": number.to_string() }));
        refused(growing.world.ask(&token).await, TokenFault::Revoked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_no_good_is_not_added_to() {
    let growing = Growing::new(Some("not an entry\n"));
    let list = growing.world.set.revoked().unwrap();
    assert!(matches!(list.append(entry("one")).await, Err(NotAppended::Unreadable)));
    assert_eq!(growing.text(), "not an entry\n");
    fs::write(&growing.list, "").unwrap();
    eventually("a good list", async || list.append(entry("one")).await.is_ok()).await;
    // One that is gone is not begun anew: what was in it would be forgotten.
    fs::remove_file(&growing.list).unwrap();
    assert!(list.append(entry("two")).await.is_err());
    assert!(!growing.list.exists());
    refused(growing.world.ask(&growing.token(&json!({ "jti": "one" }))).await, TokenFault::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_does_not_count() {
    let growing = Growing::new(Some(""));
    let token = growing.token(&json!({ "jti": "one" }));
    // Nobody can write to this, whoever runs it.
    fs::remove_file(&growing.list).unwrap();
    fs::create_dir(&growing.list).unwrap();
    let fault = growing.revoke(&token).await.unwrap_err();
    assert!(matches!(fault, NotRevoked::NotAppended(_)), "{fault:?}");
    growing.world.ask(&token).await.unwrap();
    let fault = growing.world.set.revoke_as(&entry("one")).await.unwrap_err();
    assert!(matches!(fault, NotTaken::NotRevoked(_)), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_broke_off_is_left_out_and_the_others_count() {
    let whole = entry("one").to_line();
    let growing = Growing::new(Some(&format!("{whole}\n{}", &entry("two").to_line()[..12])));
    assert!(growing.world.set.are_ready());
    let ask = async |id: &str| growing.world.ask(&growing.token(&json!({ "jti": id }))).await;
    refused(ask("one").await, TokenFault::Revoked);
    ask("two").await.unwrap();
    growing.world.set.revoked().unwrap().append(entry("three")).await.unwrap();
    assert_eq!(growing.text(), format!("{whole}\n{}\n", entry("three").to_line()));
    refused(growing.another().ask(&growing.token(&json!({ "jti": "three" }))).await, TokenFault::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_taken_out_when_the_list_is_read_and_only_where_it_grows() {
    let expired = "{\"jti\":\"old\",\"iss\":\"i\",\"exp\":1000}\n";
    let kept = "{\"jti\":\"one\",\"iss\":\"https://login.example.com\"}\n";
    let growing = Growing::new(Some(&format!("{expired}{kept}")));
    assert_eq!(growing.text(), kept);
    refused(growing.world.ask(&growing.token(&json!({ "jti": "one" }))).await, TokenFault::Revoked);
    fs::write(&growing.list, expired).unwrap();
    let list = RevocationList { file: growing.list.clone(), endpoint: None };
    let only_read = Settings { revocations: Some(list), ..settings_in(growing.directory.path()) };
    let _world = World::of(quick(), 1 << 20, only_read);
    assert_eq!(growing.text(), expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_revokes_its_token_and_no_other() {
    let growing = Growing::new(None);
    let [one, other] = ["one", "other"].map(|id| growing.token(&json!({ "jti": id })));
    growing.world.ask(&one).await.unwrap();
    assert!(growing.revoke(&one).await.unwrap());
    refused(growing.world.ask(&one).await, TokenFault::Revoked);
    growing.world.ask(&other).await.unwrap();
    assert_eq!(growing.text(), format!("{{\"jti\":\"one\",\"iss\":\"{ISSUER}\",\"exp\":{LATE}}}\n"));
    // It is no error to do so again, and writes nothing.
    assert!(!growing.revoke(&one).await.unwrap());
    assert_eq!(growing.text().lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_an_id_is_revoked_with_every_signature() {
    let growing = Growing::new(None);
    let without_id = |subject: &str| growing.token(&json!({ "jti": null, "sub": subject }));
    let (one, other) = (without_id("alice"), without_id("bob"));
    assert!(growing.revoke(&one).await.unwrap());
    refused(growing.world.ask(&one).await, TokenFault::Revoked);
    growing.world.ask(&other).await.unwrap();
    // ECDSA signs otherwise each time.
    let again = without_id("alice");
    assert_ne!(one, again);
    refused(growing.world.ask(&again).await, TokenFault::Revoked);
    refused(growing.another().ask(&one).await, TokenFault::Revoked);
    assert!(!growing.text().contains(&*one) && growing.text().contains("token_sha256"), "{}", growing.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_good_token_of_a_known_issuer_is_revoked() {
    let growing = Growing::new(None);
    let stranger = Key::new("a");
    for (what, token) in [
        ("nothing", String::new()),
        ("no token", "opaque".to_owned()),
        ("two tokens", format!("{0} {0}", growing.token(&json!({})))),
        ("too long", "a".repeat(17 * 1024)),
        ("another signature", stranger.token(&json!({}))),
        ("another issuer", growing.token(&json!({ "iss": "https://other.example.com" }))),
        ("another audience", growing.token(&json!({ "aud": "https://elsewhere.example.com" }))),
        ("expired", growing.token(&json!({ "exp": NOW.0 - 60 }))),
    ] {
        assert!(!growing.revoke(&token).await.unwrap(), "{what}");
    }
    assert!(!growing.list.exists());
    // A token that is bound to a key can be revoked without it.
    let bound = growing.token(&json!({ "cnf": { "jkt": "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg" } }));
    assert!(growing.revoke(&bound).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_or_a_list_nobody_is_told_that_a_token_is_revoked() {
    let growing = Growing::new(None);
    let token = growing.token(&json!({}));
    let settings = Settings {
        issuers: vec![of_source(KeySource::File(growing.directory.path().join("none.json")))],
        ..settings_in(growing.directory.path())
    };
    let world = World::of(quick(), 1 << 20, settings);
    let fault = world.set.revoke(&token, &world.policy, 1, moment(NOW)).await.unwrap_err();
    assert!(matches!(fault, NotRevoked::Unverified), "{fault:?}");
    let world = World::of(quick(), 1 << 20, Settings { revocations: None, ..settings_in(growing.directory.path()) });
    let fault = world.set.revoke(&token, &world.policy, 1, moment(NOW)).await.unwrap_err();
    assert!(matches!(fault, NotRevoked::NoList), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_revoke_any_token_names_it_as_the_list_does() {
    let growing = Growing::new(None);
    let set = &growing.world.set;
    let by_subject = json!({ "sub": "alice", "iss": ISSUER, "issued_before": NOW.0, "exp": LATE });
    let entry = Revocation::parse(by_subject.to_string().as_bytes()).unwrap();
    set.revoke_as(&entry).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&growing.text()).unwrap(), by_subject);
    assert_eq!(growing.text(), format!("{}\n", entry.to_line()));
    refused(growing.world.ask(&growing.token(&json!({}))).await, TokenFault::Revoked);
    growing.world.ask(&growing.token(&json!({ "sub": "bob" }))).await.unwrap();
    let elsewhere = json!({ "jti": "a", "iss": "https://login.example.com/" }).to_string();
    let elsewhere = Revocation::parse(elsewhere.as_bytes()).unwrap();
    assert!(matches!(set.revoke_as(&elsewhere).await, Err(NotTaken::UnknownIssuer)));
    assert_eq!(growing.text().lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_revoke_any_token_is_known_by_a_secret_that_can_change() {
    let growing = Growing::new(None);
    assert_eq!(growing.world.set.knows_revoker("anything"), None);
    let file = growing.directory.path().join("secret");
    let admin =
        Admin { address: "127.0.0.1:0".parse().unwrap(), revocations_token_file: Some(file.clone()), access: None };
    let settings = Settings { admin: Some(admin), ..settings_in(growing.directory.path()) };
    let set = growing.world.issuers.adopt(&settings);
    for shown in ["", "secret", "0123456789abcdef"] {
        assert_eq!(set.knows_revoker(shown), Some(false), "there is no secret yet");
    }
    for bad in ["", "\n", "fifteen letters"] {
        fs::write(&file, bad).unwrap();
        tokio::time::sleep(quick().look * 3).await;
        assert_eq!(set.knows_revoker(bad), Some(false), "{bad}");
    }
    fs::write(&file, "0123456789abcdef\n").unwrap();
    eventually("the secret", async || set.knows_revoker("0123456789abcdef") == Some(true)).await;
    for other in ["", "0123456789abcdef\n", "0123456789abcdeF", "0123456789abcde", "0123456789abcdef0"] {
        assert_eq!(set.knows_revoker(other), Some(false), "{other}");
    }
    fs::write(&file, "another secret that is long").unwrap();
    eventually("the next", async || set.knows_revoker("another secret that is long") == Some(true)).await;
    assert_eq!(set.knows_revoker("0123456789abcdef"), Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_expired_by_a_clock_that_may_be_set_back_is_revoked() {
    let growing = Growing::new(None);
    let real = Moment::now().time.0;
    let revoke_at = async |token: &str, time: u64| {
        let (set, policy) = (&growing.world.set, &growing.world.policy);
        set.revoke(token, policy, 1, Moment { time: UnixTime(time), ..Moment::now() }).await.unwrap().is_some()
    };
    for (id, ahead) in [("expired", 3600), ("not-yet-valid", -3600)] {
        let token = growing.key.token(&json!({ "jti": id, "iat": real, "nbf": real, "exp": real + 300 }));
        assert!(revoke_at(&token, real.saturating_add_signed(ahead)).await, "{id}");
        refused(growing.world.ask_at(&token, UnixTime(real)).await, TokenFault::Revoked);
        assert!(!revoke_at(&token, real.saturating_add_signed(ahead)).await, "{id} is on the list already");
    }
    // Nobody can make one good that expired days ago, and no entry would be kept for it.
    let old = growing.key.token(&json!({ "jti": "old", "iat": real - 400_000, "exp": real - 300_000 }));
    assert!(!revoke_at(&old, real).await);
    let forged = Key::new("a").token(&json!({ "jti": "forged", "exp": real - 10 }));
    assert!(!revoke_at(&forged, real).await);
    assert_eq!(growing.text().lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_stays_for_a_day_after_its_tokens_have_expired() {
    let real = Moment::now().time.0;
    let line = |id: &str, exp: u64| json!({ "jti": id, "iss": ISSUER, "exp": exp }).to_string();
    let day = 24 * 60 * 60;
    let text = [line("a-day-ago", real - day - 400), line("an-hour-ago", real - 3600)].join("\n");
    let growing = Growing::new(Some(&text));
    assert_eq!(growing.text(), format!("{}\n", line("an-hour-ago", real - 3600)));
    // By a clock that was ahead at the start, and is set back.
    let token = growing.token(&json!({ "jti": "an-hour-ago" }));
    refused(growing.world.ask(&token).await, TokenFault::Revoked);
}
