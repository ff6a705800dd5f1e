//! What such a server says over HTTP/1.1.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Shared;
use crate::harness::Recorded;

/// Enough of HTTP/1.1 for the gateway's requests.
pub(super) async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: Shared) {
    let mut read = Vec::new();
    loop {
        let end = loop {
            match read.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None if stream.read_buf(&mut read).await.is_ok_and(|length| length > 0) => {}
                None => return,
            }
        };
        let head = String::from_utf8(read.drain(..end).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let headers: Vec<_> =
            lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let says = |name: &str| headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
        if says("upgrade").is_some() {
            stream.write_all(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await.unwrap();
            shared.seen.lock().unwrap().push_back(Recorded { line, headers, body: vec![] });
            shared.begun.fetch_add(1, Ordering::SeqCst);
            let mut bytes = [0; 1024];
            while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                stream.write_all(&bytes[..length]).await.unwrap();
                stream.flush().await.unwrap();
            }
            shared.ended.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let mut body = Vec::new();
        let chunked = says("transfer-encoding").is_some();
        let length = says("content-length").map_or(0, |length| length.parse().unwrap());
        let is_whole = |read: &[u8]| if chunked { read.ends_with(b"0\r\n\r\n") } else { read.len() >= length };
        while !is_whole(&read) {
            if stream.read_buf(&mut read).await.is_ok_and(|length| length == 0) {
                return;
            }
        }
        body.extend(read.drain(..if chunked { read.len() } else { length }));
        let path = line.split(' ').nth(1).unwrap().to_owned();
        shared.seen.lock().unwrap().push_back(Recorded { line, headers, body });
        let answer = match path.rsplit('/').next().unwrap_or_default() {
            "slow" => {
                tokio::time::sleep(Duration::from_secs(5)).await;
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow".to_owned()
            }
            "half" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await.unwrap();
                stream.flush().await.unwrap();
                tokio::time::sleep(Duration::from_secs(5)).await;
                return;
            }
            act @ ("events" | "sized" | "flood") => {
                let framing = if act == "sized" { "Content-Length: 1000" } else { "Transfer-Encoding: chunked" };
                let event = if act == "sized" { "data: 1\n\n" } else { "9\r\ndata: 1\n\n\r\n" };
                let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n\r\n{event}");
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                shared.begun.fetch_add(1, Ordering::SeqCst);
                let events = format!("384\r\n{}\r\n", "data: 1\n\n".repeat(100));
                while act == "flood" && stream.write_all(events.as_bytes()).await.is_ok() {
                    shared.taken.fetch_add(events.len(), Ordering::SeqCst);
                }
                while stream.read(&mut [0; 64]).await.is_ok_and(|length| length > 0) {}
                shared.ended.fetch_add(1, Ordering::SeqCst);
                return;
            }
            "trickle" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na").await.unwrap();
                stream.flush().await.unwrap();
                shared.go.acquire().await.unwrap().forget();
                "b".to_owned()
            }
            "last" => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlast".to_owned(),
            "chunks" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nchunks\r\n0\r\n\r\n".to_owned(),
            _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()),
        };
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.flush().await;
        if path.ends_with("/last") {
            return;
        }
    }
}
