//! An HTTP/2 client that sends what a test wants and blocks, and frames of its own making.

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::harness::{PATIENCE, Response, connect};
use ::harness::tls_client::TlsClient;

/// One connection.
pub(crate) struct Http2 {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
}

impl Http2 {
    /// With prior knowledge.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        let runtime = runtime();
        let sender = runtime.block_on(async { begin(tcp(address).await).await });
        Self { runtime, sender }
    }

    /// Over TLS; the client must offer `h2`.
    pub(crate) fn tls(address: SocketAddr, client: &TlsClient) -> Self {
        let runtime = runtime();
        let connector = TlsConnector::from(client.configuration.clone());
        let sender = runtime.block_on(async {
            let stream = tcp(address).await;
            let name = ServerName::try_from("api.example.com").unwrap();
            let stream = connector.connect(name, stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            begin(stream).await
        });
        Self { runtime, sender }
    }

    /// A `GET` of `api.example.com`.
    pub(crate) fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Response {
        self.ask("GET", target, headers)
    }

    pub(crate) fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
        self.send(head(method, target, headers), Some(&[]), None).unwrap()
    }

    /// The head as it is, with a body unless it is empty, and trailers.
    ///
    /// # Errors
    /// If the stream or the connection ends without an answer.
    pub(crate) fn send(
        &mut self,
        head: Request<()>,
        body: Option<&[u8]>,
        trailers: Option<HeaderMap>,
    ) -> Result<Response, h2::Error> {
        let Self { runtime, sender } = self;
        runtime.block_on(in_time(async {
            let mut ready = sender.clone().ready().await?;
            let mut rest = Bytes::copy_from_slice(body.unwrap_or_default());
            let has_more = !rest.is_empty() || trailers.is_some();
            let (response, mut stream) = ready.send_request(head, !has_more)?;
            while !rest.is_empty() {
                stream.reserve_capacity(rest.len());
                let granted = poll_fn(|context| stream.poll_capacity(context)).await.unwrap_or(Ok(0))?;
                let piece = rest.split_to(granted);
                stream.send_data(piece, rest.is_empty() && trailers.is_none())?;
            }
            if let Some(trailers) = trailers {
                stream.send_trailers(trailers)?;
            }
            read(response).await
        }))
    }

    /// What a test does with the connection by itself.
    pub(crate) fn with<F: Future>(&self, what: impl FnOnce(SendRequest<Bytes>) -> F) -> F::Output {
        self.runtime.block_on(in_time(what(self.sender.clone())))
    }
}

/// What does not wait for ever.
async fn in_time<F: Future>(what: F) -> F::Output {
    timeout(PATIENCE, what).await.expect("an answer in time")
}

/// Reads an answer to its end.
///
/// # Errors
/// If it breaks off.
pub(crate) async fn read(response: ResponseFuture) -> Result<Response, h2::Error> {
    let (head, mut stream) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    Ok(Response { status: head.status.as_u16(), headers, body })
}

/// A head whose `:authority` is `api.example.com`.
pub(crate) fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut head = Request::builder().method(method).uri(format!("http://api.example.com{target}"));
    for (name, value) in headers {
        head = head.header(*name, *value);
    }
    head.body(()).unwrap()
}

/// Fields as a head's block: RFC 7541 section 6.2.2, neither indexed nor Huffman coded.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    block_of(&fields)
}

/// The same of bytes.
pub(crate) fn block_of(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // RFC 7541 section 5.1: what does not fit seven bits goes on in groups of seven.
            let mut rest = text.len();
            if rest < 127 {
                block.push(u8::try_from(rest).unwrap());
            } else {
                block.push(127);
                rest -= 127;
                while rest >= 128 {
                    block.push(u8::try_from(rest % 128).unwrap() | 128);
                    rest /= 128;
                }
                block.push(u8::try_from(rest).unwrap());
            }
            block.extend_from_slice(text);
        }
    }
    block
}

/// Sends one request as these fields, whatever they are, and the types of the frames that come back
/// until the stream or the connection ends.
pub(crate) fn send_fields(address: SocketAddr, fields: &[(&str, &str)]) -> Vec<u8> {
    let block = block(fields);
    let mut bytes = PREFACE.to_vec();
    bytes.extend_from_slice(&frame(SETTINGS, 0, 0, &[]));
    bytes.extend_from_slice(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block));
    let mut stream = connect(address);
    stream.write_all(&bytes).unwrap();
    let mut types = Vec::new();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if stream.read_exact(&mut payload).is_err() {
            break;
        }
        types.push(head[3]);
        let ends_stream = matches!(head[3], DATA | HEADERS) && head[4] & END_STREAM != 0;
        if ends_stream || matches!(head[3], RST_STREAM | GOAWAY) {
            break;
        }
    }
    types
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What every connection begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// RFC 9113 section 4.1.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn begin(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> SendRequest<Bytes> {
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}
