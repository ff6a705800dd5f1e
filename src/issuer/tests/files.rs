//! Keys and revocations from files that change while they are in use.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use super::*;
use crate::config::RevocationList;

fn of_file(path: &Path) -> config::Issuer {
    of_source(KeySource::File(path.into()))
}

/// Appears whole, as careful programs write.
fn put(path: &Path, content: impl AsRef<[u8]>) {
    let beside = path.with_extension("new");
    fs::write(&beside, content).unwrap();
    fs::rename(&beside, path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_file_are_there_at_once_and_change_with_it() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    put(&path, jwks(&[&old]));
    let world = World::new(quick(), vec![of_file(&path)]);
    assert!(world.set.are_ready());
    let token = old.token(&json!({}));
    world.ask(&token).await.unwrap();
    put(&path, jwks(&[&new]));
    eventually("the end of the old key", async || world.ask(&token).await.is_err()).await;
    refused(world.ask(&token).await, TokenFault::KeyUnknown);
    world.ask(&new.token(&json!({}))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_in_a_file_is_found_by_its_first_token() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    put(&path, jwks(&[&old]));
    let world = World::new(Pace { look: PATIENCE * 2, ..quick() }, vec![of_file(&path)]);
    put(&path, jwks(&[&old, &new]));
    world.ask(&new.token(&json!({}))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_broken_or_gone_leaves_the_last_good_keys() {
    let (key, new) = (Key::new("a"), Key::new("new"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    put(&path, jwks(&[&key]));
    let world = World::new(quick(), vec![of_file(&path)]);
    for content in [Some(&b"{"[..]), Some(b""), Some(b"<html>"), None] {
        match content {
            Some(content) => put(&path, content),
            None => fs::remove_file(&path).unwrap(),
        }
        assert!(!world.fetched().await);
        assert!(!world.fetched().await, "an unchanged bad file stays bad");
        world.ask(&key.token(&json!({ "jti": format!("{content:?}") }))).await.unwrap();
    }
    put(&path, jwks(&[&new]));
    assert!(world.fetched().await);
    world.ask(&new.token(&json!({}))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_later_makes_ready() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let world = World::new(quick(), vec![of_file(&path)]);
    assert!(!world.set.are_ready());
    unavailable(world.ask(&Key::new("a").token(&json!({}))).await);
    let pem = crate::token::samples::pem("PUBLIC KEY", &KEYS.p256.spki());
    put(&path, pem);
    eventually("keys", async || world.set.are_ready()).await;
    world.ask(&crate::token::samples::token(Algorithm::ES256, &claims())).await.unwrap();
}

/// What is logged on this thread meanwhile.
fn logged(happening: impl FnOnce()) -> String {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let writer = {
        let lines = Arc::clone(&lines);
        move || Lines(Arc::clone(&lines))
    };
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(writer).finish();
    tracing::subscriber::with_default(subscriber, happening);
    String::from_utf8(lines.lock().unwrap().clone()).unwrap()
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_left_out_are_logged_in_one_line_without_their_material() {
    let (key, directory) = (Key::new("a"), tempfile::tempdir().unwrap());
    let weak = |kid| json!({ "kty": "RSA", "kid": kid, "n": "AQAB", "e": "AQAB" });
    let set = json!({ "keys": [weak("one"), with(key.signer.jwk(), &json!({ "kid": "a" })), weak("two")] });
    let path = directory.path().join("jwks.json");
    put(&path, set.to_string());
    // A file is read at once, and so on this thread.
    let text = logged(|| drop(World::new(unhurried(), vec![of_file(&path)])));
    let warnings: Vec<_> = text.lines().filter(|line| line.contains("WARN")).collect();
    assert!(matches!(*warnings, [line] if line.contains("`one`") && line.contains("`two`")), "{text}");
    assert!(!text.contains("AQAB"), "{text}");
}

/// A world with keys in one file and a list of revoked tokens in another, which is not there yet.
fn revoking(directory: &Path, key: &Key) -> (World, PathBuf) {
    let (keys, list) = (directory.join("jwks.json"), directory.join("revoked.jsonl"));
    put(&keys, jwks(&[key]));
    let settings = Settings { revocations: Some(listed(&list)), ..settings(vec![of_file(&keys)]) };
    (World::of(quick(), 1 << 20, settings), list)
}

/// A list that only others write.
fn listed(file: &Path) -> RevocationList {
    RevocationList { file: file.into(), endpoint: None }
}

fn entry(id: &str) -> String {
    format!("{}\n", json!({ "jti": id, "iss": ISSUER }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_refused_though_it_is_cached() {
    let (key, directory) = (Key::new("a"), tempfile::tempdir().unwrap());
    let (world, list) = revoking(directory.path(), &key);
    assert!(world.set.are_ready(), "a list that is not there is empty");
    let [one, other] = ["one", "other"].map(|id| key.token(&json!({ "jti": id })));
    world.ask(&one).await.unwrap();
    world.ask(&other).await.unwrap();
    put(&list, entry("one"));
    eventually("revocation", async || world.ask(&one).await.is_err()).await;
    refused(world.ask(&one).await, TokenFault::Revoked);
    world.ask(&other).await.unwrap();
    // In place, and of a token that nobody has seen.
    fs::write(&list, entry("one") + &entry("new")).unwrap();
    eventually("revocation", async || world.ask(&key.token(&json!({ "jti": "new" }))).await.is_err()).await;
    put(&list, "");
    eventually("forgiveness", async || world.ask(&one).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_broken_or_gone_stays_as_it_was() {
    let (key, directory) = (Key::new("a"), tempfile::tempdir().unwrap());
    let (world, list) = revoking(directory.path(), &key);
    let [one, other] = ["one", "other"].map(|id| key.token(&json!({ "jti": id })));
    put(&list, entry("one"));
    eventually("revocation", async || world.ask(&one).await.is_err()).await;
    for content in [Some(&b"not a line"[..]), Some(b"\xff"), None] {
        match content {
            Some(content) => put(&list, content),
            None => fs::remove_file(&list).unwrap(),
        }
        // Nothing tells that it was looked at: give it time for several looks.
        tokio::time::sleep(quick().look * 5).await;
        refused(world.ask(&one).await, TokenFault::Revoked);
        world.ask(&other).await.unwrap();
    }
    put(&list, entry("other"));
    eventually("the new list", async || world.ask(&other).await.is_err()).await;
    world.ask(&one).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_was_never_read_refuses_every_token() {
    let (key, directory) = (Key::new("a"), tempfile::tempdir().unwrap());
    fs::create_dir(directory.path().join("revoked.jsonl")).unwrap();
    let (world, list) = revoking(directory.path(), &key);
    assert!(!world.set.are_ready());
    unavailable(world.ask(&key.token(&json!({}))).await);
    fs::remove_dir(&list).unwrap();
    eventually("an empty list", async || world.set.are_ready()).await;
    world.ask(&key.token(&json!({}))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_list_is_asked_of_cached_tokens_too() {
    let (key, directory) = (Key::new("a"), tempfile::tempdir().unwrap());
    let (world, _list) = revoking(directory.path(), &key);
    let token = key.token(&json!({ "jti": "one" }));
    world.ask(&token).await.unwrap();
    let other = directory.path().join("other.jsonl");
    put(&other, entry("one"));
    let set = world.issuers.adopt(&Settings { revocations: Some(listed(&other)), ..world.settings.clone() });
    refused(set.authenticate(&bearer(&token), &world.policy, 1, moment(NOW)).await, TokenFault::Revoked);
    world.ask(&token).await.unwrap();
}
