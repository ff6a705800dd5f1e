//! Writes that are to go at once, to a client with TLS that reads late.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use ::harness::authority::Authority;
use ::harness::tls_client::TlsClient;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Both ends of a connection with TLS.
async fn secured() -> (Connection, ::harness::Connection) {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["api.example.com"]);
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let configuration = builder.with_single_cert(vec![certificate.certificate.clone()], certificate.key()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = tokio::task::spawn_blocking(move || TlsClient::new(&authority, None).connect(address).unwrap());
    let (stream, peer) = listener.accept().await.unwrap();
    let stream = TlsAcceptor::from(Arc::new(configuration)).accept(stream).await.unwrap();
    let secured = Secured { stream, certificate: None, http2: false };
    (Connection::tls(secured, peer).unwrap(), client.await.unwrap().connection)
}

/// Writes, as far as there is room now; the system is asked each time.
fn try_write(connection: &mut Connection, bytes: &[u8]) -> Poll<io::Result<usize>> {
    let mut context = Context::from_waker(Waker::noop());
    let write = unconstrained(poll_fn(|context| Pin::new(&mut *connection).poll_write(context, bytes)));
    std::pin::pin!(write).poll(&mut context)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_goes_at_once_has_gone_once_it_is_written_though_the_client_reads_late() {
    let (mut connection, mut client) = secured().await;
    connection.known().hurry(true);
    let piece = [b'x'; 1000];
    let mut written = 0;
    for _ in 0..10 {
        written += poll_fn(|context| Pin::new(&mut connection).poll_write(context, &piece)).await.unwrap();
    }
    while let Poll::Ready(length) = try_write(&mut connection, &piece) {
        written += length.unwrap();
    }
    // Nobody does anything with the connection while the client reads.
    let read = move || {
        assert_eq!(client.read_bytes(written).len(), written);
        client
    };
    let mut client = tokio::task::spawn_blocking(read).await.unwrap();
    // What there was no room for is not lost, and does not come twice.
    let rest = poll_fn(|context| Pin::new(&mut connection).poll_write(context, &piece)).await.unwrap();
    let end = poll_fn(|context| Pin::new(&mut connection).poll_write(context, b"end")).await.unwrap();
    let all = tokio::task::spawn_blocking(move || client.read_bytes(rest + end)).await.unwrap();
    assert_eq!(all, [&piece[..rest], b"end"].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_is_written_after_a_write_that_was_given_up() {
    let (mut connection, _client) = secured().await;
    connection.known().hurry(true);
    let piece = [b'x'; 1000];
    poll_fn(|context| Pin::new(&mut connection).poll_write(context, &piece)).await.unwrap();
    while try_write(&mut connection, &piece).is_ready() {}
    let other = poll_fn(|context| Pin::new(&mut connection).poll_write(context, b"other")).await;
    assert_eq!(other.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
}
