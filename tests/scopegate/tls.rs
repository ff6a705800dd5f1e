//! Listeners that end TLS: handshakes, what is agreed on, and files that change under open connections.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};

use crate::harness::{Connection, Gateway, Process, Upstream, free_address, wait_for};
use ::harness::authority::{Authority, Issued, replace};
use ::harness::tls_client::{TlsClient, request};

const POLICY: &str = r#"
apis:
  - name: data
    base_path: /data
    upstream: backend
    public: ["/data/**"]
"#;

const TLS: &str = "tls: { certificate: server.pem, key: server.key }";
const OPTIONAL: &str =
    "tls: { certificate: server.pem, key: server.key, client_ca: clients.pem, client_certificate: optional }";
const REQUIRED: &str =
    "tls: { certificate: server.pem, key: server.key, client_ca: clients.pem, client_certificate: required }";

fn start(listener: &str, server: &Issued, clients: &Authority) -> Gateway {
    Gateway::start_listening(listener, POLICY, Upstream::start(), |folder| {
        server.write(folder);
        fs::write(folder.join("clients.pem"), &clients.pem).unwrap();
    })
}

fn server(authority: &Authority) -> Issued {
    authority.issue("server", &["api.example.com"])
}

#[test]
fn what_is_spoken_is_what_alpn_agrees_on() {
    let authority = Authority::new("root");
    let certificate = server(&authority);
    for (http2, offered, agreed) in [
        ("true", &[][..], Ok(None)),
        ("true", &["http/1.1"], Ok(Some("http/1.1"))),
        ("true", &["http/1.1", "h2"], Ok(Some("h2"))),
        ("true", &["h2"], Ok(Some("h2"))),
        ("true", &["spdy/3"], Err(())),
        ("false", &[], Ok(None)),
        ("false", &["h2", "http/1.1"], Ok(Some("http/1.1"))),
        ("false", &["h2"], Err(())),
    ] {
        let gateway = start(&format!("http2: {http2}, {TLS}"), &certificate, &authority);
        let secured = TlsClient::offering(&authority, offered).connect(gateway.address);
        let found = secured.as_ref().map(|secured| secured.protocol.as_deref()).map_err(|_| ());
        assert_eq!(found, agreed, "http2: {http2}, {offered:?}");
        let Ok(mut secured) = secured else { continue };
        if secured.protocol.as_deref() != Some("h2") {
            secured.connection.write(request("/data/x", &[]).as_bytes());
            assert_eq!(secured.connection.read_response().unwrap().status, 200);
            assert_eq!(gateway.upstream.last().all("X-Forwarded-Proto"), ["https"]);
        }
    }
}

#[test]
fn tls_is_1_2_or_1_3() {
    let authority = Authority::new("root");
    let gateway = start(TLS, &server(&authority), &authority);
    for version in [&TLS12, &TLS13] {
        let client = TlsClient::with(&authority, None, &[version], &[]);
        assert_eq!(client.get(gateway.address, "/data/x", &[]).unwrap().status, 200);
    }
    let stranger = TlsClient::new(&Authority::new("other"), None);
    assert!(stranger.connect(gateway.address).is_err());
}

#[test]
fn bytes_that_are_no_tls_are_not_answered_as_requests() {
    let authority = Authority::new("root");
    let mut gateway = start(&format!("http2: true, {TLS}"), &server(&authority), &authority);
    for bytes in [&b"GET /data/x HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"\x16\x03\x01\xff\xff", b"PRI * HTTP/2.0\r\n\r\n"] {
        let mut connection = Connection::open(gateway.address);
        connection.try_write(bytes);
        drop(connection);
    }
    // Agreed on HTTP/2, and spoke HTTP/1.
    let mut secured = TlsClient::offering(&authority, &["h2"]).connect(gateway.address).unwrap();
    secured.connection.write(request("/data/x", &[]).as_bytes());
    assert!(secured.connection.read_response().is_none());
    assert_eq!(TlsClient::new(&authority, None).get(gateway.address, "/data/x", &[]).unwrap().status, 200);
    assert_eq!(gateway.upstream.count(), 1);
    assert!(gateway.is_running());
}

#[test]
fn a_new_certificate_is_shown_within_a_second_and_open_connections_go_on() {
    let authority = Authority::new("root");
    let first = server(&authority);
    let gateway = start(TLS, &first, &authority);
    let client = TlsClient::new(&authority, None);
    let mut open = client.connect(gateway.address).unwrap();
    assert_eq!(open.certificate, first.certificate);
    let ask = |connection: &mut Connection| {
        connection.write(request("/data/x", &[]).as_bytes());
        assert_eq!(connection.read_response().expect("an open connection was dropped").status, 200);
    };
    ask(&mut open.connection);
    for way in ["renamed over", "written in place"] {
        let next = server(&authority);
        let changed = Instant::now();
        if way == "renamed over" {
            next.write(gateway.folder.path());
        } else {
            fs::write(gateway.folder.path().join("server.pem"), &next.pem).unwrap();
            fs::write(gateway.folder.path().join("server.key"), &next.key_pem).unwrap();
        }
        while client.connect(gateway.address).unwrap().certificate != next.certificate {
            assert!(changed.elapsed() < Duration::from_secs(5), "{way}: not live");
        }
        assert!(changed.elapsed() < Duration::from_secs(1), "{way}: live after {:?}", changed.elapsed());
        ask(&mut open.connection);
    }
    assert_eq!(gateway.log().matches("the TLS files have changed").count(), 2, "{}", gateway.log());
}

#[test]
fn broken_files_leave_the_last_good_ones_and_are_said_once() {
    let authority = Authority::new("root");
    let first = server(&authority);
    let gateway = start(REQUIRED, &first, &authority);
    let folder = gateway.folder.path();
    let shown = authority.issue("client", &[]);
    let client = TlsClient::new(&authority, Some(&shown));
    let other = server(&authority);
    let breaks: [(&str, &dyn Fn(), &str); 5] = [
        ("another's key", &|| replace(&folder.join("server.key"), &other.key_pem), "is not that of the certificate"),
        ("no PEM", &|| replace(&folder.join("server.pem"), "rubbish"), "has no certificate in PEM"),
        ("no key", &|| replace(&folder.join("server.key"), &first.pem), "has no private key in PEM"),
        ("a key that is gone", &|| fs::remove_file(folder.join("server.key")).unwrap(), "cannot read `"),
        ("no authority", &|| replace(&folder.join("clients.pem"), ""), "clients.pem` has no certificate in PEM"),
    ];
    for (what, make, said) in breaks {
        make();
        gateway.wait_for_log(said);
        assert_eq!(client.connect(gateway.address).unwrap().certificate, first.certificate, "{what}");
        assert_eq!(client.get(gateway.address, "/data/x", &[]).unwrap().status, 200, "{what}");
        first.write(folder);
        replace(&folder.join("clients.pem"), &authority.pem);
        let mended = |log: &str| log.rfind("have changed and are in use") > log.rfind(said);
        wait_for("the mended files", || mended(&gateway.log()).then_some(()));
        assert_eq!(gateway.log().matches(said).count(), 1, "{what}: {}", gateway.log());
    }
}

#[test]
fn an_expired_certificate_is_used_and_warned_of() {
    let authority = Authority::new("root");
    let gateway = start(TLS, &authority.issue_expired("server", &["api.example.com"]), &authority);
    let refused = TlsClient::new(&authority, None).connect(gateway.address).err().unwrap();
    assert!(refused.contains("expired"), "{refused}");
    assert_eq!(gateway.log().matches("the certificate has expired").count(), 1, "{}", gateway.log());
    server(&authority).write(gateway.folder.path());
    wait_for("the good one", || TlsClient::new(&authority, None).get(gateway.address, "/data/x", &[]));
    authority.issue_expired("server", &["api.example.com"]).write(gateway.folder.path());
    wait_for("another warning", || (gateway.log().matches("the certificate has expired").count() == 2).then_some(()));
}

#[test]
fn files_that_are_no_good_at_start_are_said_plainly() {
    let authority = Authority::new("root");
    let (good, other) = (server(&authority), server(&authority));
    let without_end = good.pem.replace("-----END CERTIFICATE-----", "");
    for (certificate, key, clients, said) in [
        (None, Some(&*good.key_pem), &*authority.pem, "server.pem`: No such file or directory"),
        (Some(&*good.pem), None, &authority.pem, "server.key`: No such file or directory"),
        (Some(""), Some(&good.key_pem), &authority.pem, "server.pem` has no certificate in PEM"),
        (Some(&without_end), Some(&good.key_pem), &authority.pem, "server.pem` is not PEM"),
        (Some(&good.pem), Some(&good.pem), &authority.pem, "server.key` has no private key in PEM that needs no pass"),
        (Some(&good.pem), Some(&other.key_pem), &authority.pem, "server.key` is not that of the certificate in `"),
        (Some(&good.pem), Some(&good.key_pem), "x", "clients.pem` has no certificate in PEM"),
        (Some(&good.pem), Some(&good.key_pem), &rubbish("CERTIFICATE"), "clients.pem` has a certificate that cannot"),
        (Some(&rubbish("CERTIFICATE")), Some(&good.key_pem), &authority.pem, "server.pem` has a certificate that can"),
        (Some(&good.pem), Some(&rubbish("PRIVATE KEY")), &authority.pem, "server.key` has a private key that cannot"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("server.pem", certificate), ("server.key", key), ("clients.pem", Some(clients))] {
            if let Some(text) = text {
                fs::write(folder.path().join(name), text).unwrap();
            }
        }
        let address = free_address();
        let log = refused(folder.path(), &format!("{{ address: \"{address}\", {OPTIONAL} }}"));
        assert!(log.contains(said), "{said}: {log}");
        let plainly = format!("error: cannot listen on {address} with TLS: ");
        assert!(log.lines().any(|line| line.starts_with(&plainly)), "{log}");
    }
}

fn rubbish(label: &str) -> String {
    format!("-----BEGIN {label}-----\nAQID\n-----END {label}-----\n")
}

/// What a gateway says that does not start.
fn refused(folder: &Path, listener: &str) -> String {
    let text = format!(
        "version: 1\nlisteners: [{listener}]\nupstreams: {{ backend: {{ servers: [\"127.0.0.1:9\"] }} }}\n{}",
        POLICY.trim_start()
    );
    fs::write(folder.join("gateway.yaml"), text).unwrap();
    let mut process = Process::start(folder, &["serve"]);
    assert_eq!(process.child.wait().unwrap().code(), Some(1));
    // What it has to say of its surroundings comes before.
    let is_whole = |log: &String| log.contains("error: ") && log.ends_with('\n');
    wait_for("what it says", || Some(process.log.lock().unwrap().clone()).filter(is_whole))
}

#[test]
fn client_certificates_are_asked_for_and_verified_as_the_file_says() {
    let (authority, clients, strangers) = (Authority::new("root"), Authority::new("clients"), Authority::new("other"));
    let good = clients.issue("client", &[]);
    let expired = clients.issue_expired("client", &[]);
    let stranger = strangers.issue("client", &[]);
    for (listener, none, of_ours, of_others) in
        [(TLS, true, true, true), (OPTIONAL, true, true, false), (REQUIRED, false, true, false)]
    {
        let gateway = start(listener, &server(&authority), &clients);
        for version in [&TLS12, &TLS13] {
            for (shown, passes) in
                [(None, none), (Some(&good), of_ours), (Some(&stranger), of_others), (Some(&expired), of_others)]
            {
                let client = TlsClient::with(&authority, shown, &[version], &[]);
                let status = client.get(gateway.address, "/data/x", &[]).map(|response| response.status);
                assert_eq!(status, passes.then_some(200), "{listener} {version:?}");
            }
        }
    }
}

#[test]
fn an_authority_that_is_gone_is_believed_no_more_not_even_by_old_sessions() {
    let (authority, first, second) = (Authority::new("root"), Authority::new("first"), Authority::new("second"));
    let gateway = start(REQUIRED, &server(&authority), &first);
    let (of_first, of_second) = (first.issue("client", &[]), second.issue("client", &[]));
    // A client keeps the sessions that a server lets it resume.
    let clients = [TlsClient::new(&authority, Some(&of_first)), TlsClient::new(&authority, Some(&of_second))];
    let passes = |client: &TlsClient| client.get(gateway.address, "/data/x", &[]).is_some();
    let mut open = clients[0].connect(gateway.address).unwrap().connection;
    assert_eq!(clients.each_ref().map(passes), [true, false]);
    replace(&gateway.folder.path().join("clients.pem"), &second.pem);
    wait_for("the other authority", || (clients.each_ref().map(passes) == [false, true]).then_some(()));
    open.write(request("/data/x", &[]).as_bytes());
    assert_eq!(open.read_response().expect("an open connection was dropped").status, 200);
    replace(&gateway.folder.path().join("clients.pem"), &(first.pem.clone() + &second.pem));
    wait_for("both authorities", || (clients.each_ref().map(passes) == [true, true]).then_some(()));
}

#[test]
fn listeners_themselves_are_fixed() {
    let authority = Authority::new("root");
    let gateway = start(TLS, &server(&authority), &authority);
    let text = fs::read_to_string(gateway.file()).unwrap();
    for changed in [text.replace("server.pem", "other.pem"), text.replace("tls:", "http2: true, tls:")] {
        gateway.replace_file(&changed);
        let shown = gateway.wait_for_policy("the refusal", |policy| !policy["last_error"].is_null());
        assert!(shown["last_error"].as_str().unwrap().starts_with("`listeners` cannot change"), "{shown}");
        gateway.replace_file(&text);
        gateway.wait_for_policy("the good file", |policy| policy["last_error"].is_null());
    }
}
