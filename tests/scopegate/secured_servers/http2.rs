//! What such a server says over HTTP/2.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Shared, TINY};
use crate::harness::Recorded;

pub(super) async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, shared: Shared) {
    // However small the pieces of a request are that it lets wait.
    let mut builder = h2::server::Builder::new();
    let Ok(mut connection) = builder.data_frame_budget(1 << 30).handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        if request.uri().path().ends_with("/goaway") {
            connection.graceful_shutdown();
        }
        tokio::spawn(answer(request, respond, shared.clone()));
    }
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, shared: Shared) {
    let (head, mut body) = request.into_parts();
    let act = head.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let mut read = Vec::new();
    if act == "early" {
        // Answers before it has read, and wants no more.
        respond.send_response(response(413), true).unwrap();
        return;
    }
    if act == "echo" {
        let mut send = respond.send_response(response(200), false).unwrap();
        while let Some(Ok(bytes)) = body.data().await {
            let _ = body.flow_control().release_capacity(bytes.len());
            write(&mut send, bytes).await;
        }
        let _ = send.send_data(Bytes::new(), true);
        return;
    }
    if act == "silent" {
        shared.begun.fetch_add(1, Ordering::SeqCst);
        let _ = poll_fn(|context| respond.poll_reset(context)).await;
        shared.ended.fetch_add(1, Ordering::SeqCst);
        return;
    }
    if let "events" | "sized" | "flood" | "tiny" | "call" = &*act {
        go_on(&act, respond, &shared).await;
        return;
    }
    while let Some(Ok(bytes)) = body.data().await {
        let _ = body.flow_control().release_capacity(bytes.len());
        read.extend_from_slice(&bytes);
    }
    let trailers_sent = body.trailers().await.ok().flatten().unwrap_or_default();
    let line = format!("{} {} {}", head.method, head.uri, "HTTP/2");
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers =
        head.headers.iter().chain(&trailers_sent).map(|(name, value)| (name.to_string(), text(value))).collect();
    shared.seen.lock().unwrap().push_back(Recorded { line, headers, body: read });
    let refuses = shared.seen.lock().unwrap().iter().filter(|seen| seen.line.contains("/refuse-once")).count() == 1;
    match &*act {
        "trailers" => {
            let mut send = respond.send_response(response(200), false).unwrap();
            write(&mut send, "body".into()).await;
            send.send_trailers(trailers()).unwrap();
        }
        "trailers-only" => {
            let mut head = response(200);
            head.headers_mut().insert("grpc-status", "7".parse().unwrap());
            respond.send_response(head, true).unwrap();
        }
        "refuse-once" if refuses => respond.send_reset(Reason::REFUSED_STREAM),
        "cancel" => respond.send_reset(Reason::CANCEL),
        "half" => {
            let mut send = respond.send_response(response(200), false).unwrap();
            write(&mut send, "half".into()).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            send.send_reset(Reason::INTERNAL_ERROR);
        }
        "trickle" => {
            let mut head = response(200);
            head.headers_mut().insert("content-length", "2".parse().unwrap());
            let mut send = respond.send_response(head, false).unwrap();
            write(&mut send, "a".into()).await;
            shared.go.acquire().await.unwrap().forget();
            write(&mut send, "b".into()).await;
            let _ = send.send_data(Bytes::new(), true);
        }
        "stall" => {
            let mut send = respond.send_response(response(200), false).unwrap();
            write(&mut send, "half".into()).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        "slow" => {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let _ = respond.send_response(response(200), true);
        }
        "large" => {
            let mut send = respond.send_response(response(200), false).unwrap();
            for _ in 0..64 {
                write(&mut send, vec![b'x'; 64 * 1024].into()).await;
            }
            let _ = send.send_data(Bytes::new(), true);
        }
        "head" => {
            let mut head = response(200);
            head.headers_mut().insert("x-large", "y".repeat(100_000).parse().unwrap());
            let _ = respond.send_response(head, true);
        }
        "empty" => drop(respond.send_response(response(204), true)),
        _ => {
            let target = head.uri.path_and_query().unwrap().to_string();
            let mut answer = response(200);
            answer.headers_mut().insert("content-length", target.len().into());
            let mut send = respond.send_response(answer, false).unwrap();
            write(&mut send, target.into()).await;
            let _ = send.send_data(Bytes::new(), true);
        }
    }
}

/// Answers with one event or message, or with no end of them, until somebody ends it.
async fn go_on(act: &str, mut respond: SendResponse<Bytes>, shared: &Shared) {
    let mut head = response(200);
    let kind = if act == "call" { "application/grpc" } else { "text/event-stream" };
    head.headers_mut().insert("content-type", kind.parse().unwrap());
    if act == "sized" {
        head.headers_mut().insert("content-length", "1000".parse().unwrap());
    }
    let mut send = respond.send_response(head, false).unwrap();
    write(&mut send, if act == "call" { "\0\0\0\0\x02hi" } else { "data: 1\n\n" }.into()).await;
    if act == "tiny" {
        for _ in 0..TINY {
            write(&mut send, ":".into()).await;
        }
    }
    shared.begun.fetch_add(1, Ordering::SeqCst);
    if act == "flood" {
        let events = "data: 1\n\n".repeat(100);
        let before = shared.taken.load(Ordering::SeqCst);
        while write(&mut send, events.clone().into()).await {
            shared.taken.fetch_add(events.len(), Ordering::SeqCst);
        }
        assert!(shared.taken.load(Ordering::SeqCst) > before);
    } else {
        let _ = poll_fn(|context| send.poll_reset(context)).await;
    }
    shared.ended.fetch_add(1, Ordering::SeqCst);
}

fn response(status: u16) -> Response<()> {
    Response::builder().status(status).header("x-answer", "yes").header("te", "trailers").body(()).unwrap()
}

fn trailers() -> HeaderMap {
    let fields = [("grpc-status", "0"), ("x-request-id", "forged"), ("content-length", "9"), ("x_mine", "kept")];
    fields.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// Whether somebody takes it.
async fn write(send: &mut SendStream<Bytes>, mut bytes: Bytes) -> bool {
    while !bytes.is_empty() {
        send.reserve_capacity(bytes.len());
        let Some(Ok(room)) = poll_fn(|context| send.poll_capacity(context)).await else { return false };
        let part = bytes.split_to(room.min(bytes.len()));
        if send.send_data(part, false).is_err() {
            return false;
        }
    }
    true
}
