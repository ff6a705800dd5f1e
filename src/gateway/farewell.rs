//! How a client's connection ends whose exchange may not go on: with a close frame where a `WebSocket`'s
//! bytes stand between two frames (RFC 6455 section 5.5.1), and at once where they do not.
//!
//! Frames are counted, and not understood: they pass as bytes whatever is in them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::tenure::{Kind, Tenure};

/// How long a client may take to close its side, so that it gets to read why.
const LINGER: Duration = Duration::from_secs(1);
/// Policy violation (RFC 6455 section 7.4.1).
const POLICY_VIOLATION: u16 = 1008;
/// The end of the head of the answer that switches.
const HEAD_END: &[u8; 4] = b"\r\n\r\n";
const CLOSE: u8 = 8;

/// What is needed to end a connection well.
#[derive(Debug)]
pub(super) struct Farewell {
    tenure: Arc<Tenure>,
    frames: Frames,
    said: bool,
    linger: Option<Pin<Box<Sleep>>>,
}

/// Where the bytes to a client stand among its frames.
#[derive(Debug)]
struct Frames {
    at: At,
    /// Whether the upstream has said goodbye already.
    closed: bool,
}

#[derive(Debug)]
enum At {
    /// In the head, after so many bytes of its end.
    Head(usize),
    /// In the head of a frame.
    Frame { bytes: [u8; 14], have: usize },
    /// So much of a frame is to come.
    Payload(u64),
}

const BOUNDARY: At = At::Frame { bytes: [0; 14], have: 0 };

impl Farewell {
    /// Of an exchange whose answer is about to be written.
    pub(super) fn new(tenure: Arc<Tenure>) -> Self {
        Self { tenure, frames: Frames { at: At::Head(0), closed: false }, said: false, linger: None }
    }

    /// Whether it is that of this exchange.
    pub(super) fn is_of(&self, tenure: &Arc<Tenure>) -> bool {
        Arc::ptr_eq(&self.tenure, tenure)
    }

    /// These bytes go to the client.
    pub(super) fn watch(&mut self, bytes: &[u8]) {
        if self.tenure.kind == Kind::WebSocket {
            self.frames.take(bytes);
        }
    }

    /// Says goodbye, and waits for the client to close its side for as long as it may take.
    pub(super) fn poll<T: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut T,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        self.say(stream, context);
        if self.tenure.kind == Kind::Events {
            return Poll::Ready(());
        }
        // Of a stream that is blocked for longer the rest is lost.
        let _ = Pin::new(&mut *stream).poll_flush(context);
        let mut scratch = [0; 4096];
        loop {
            let mut read = ReadBuf::new(&mut scratch);
            match Pin::new(&mut *stream).poll_read(context, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                Poll::Ready(Ok(()) | Err(_)) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        let linger = self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        linger.as_mut().poll(context)
    }

    /// Says goodbye, where there is room for that.
    pub(super) fn say<T: AsyncWrite + Unpin>(&mut self, stream: &mut T, context: &mut Context<'_>) {
        let is_socket = self.tenure.kind == Kind::WebSocket;
        if std::mem::replace(&mut self.said, true) || !is_socket || !self.frames.has_room() {
            return;
        }
        let why = self.tenure.why().map_or("", |why| why.as_str()).as_bytes();
        // INVARIANT: codes of reasons are shorter than a frame of one length byte.
        let length = u8::try_from(why.len() + 2).unwrap_or(2);
        let frame = [&[0x80 | CLOSE, length][..], &POLICY_VIOLATION.to_be_bytes(), why].concat();
        // It goes into the buffer, or there is no room for it.
        let _ = Pin::new(stream).poll_write(context, &frame);
    }
}

impl Frames {
    /// Whether a frame may be written here.
    fn has_room(&self) -> bool {
        !self.closed && matches!(self.at, At::Frame { have: 0, .. })
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            bytes = match &mut self.at {
                At::Head(matched) => {
                    *matched = match HEAD_END.get(*matched) {
                        Some(expected) if expected == first => *matched + 1,
                        Some(_) | None => usize::from(*first == b'\r'),
                    };
                    if *matched == HEAD_END.len() {
                        self.at = BOUNDARY;
                    }
                    rest
                }
                At::Frame { bytes: head, have } => {
                    if let Some(place) = head.get_mut(*have) {
                        *place = *first;
                    }
                    *have += 1;
                    if let Some((opcode, length)) = read_head(head, *have) {
                        self.closed |= opcode == CLOSE;
                        self.at = if length == 0 { BOUNDARY } else { At::Payload(length) };
                    }
                    rest
                }
                At::Payload(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= taken as u64;
                    if *left == 0 {
                        self.at = BOUNDARY;
                    }
                    bytes.get(taken..).unwrap_or_default()
                }
            };
        }
    }
}

/// The opcode and the payload's length, once all of a frame's head is there (RFC 6455 section 5.2).
fn read_head(head: &[u8; 14], have: usize) -> Option<(u8, u64)> {
    let [first, second, extended @ ..] = head;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (extension, length) = match second & 0x7f {
        126 => {
            let (length, _) = extended.split_first_chunk::<2>()?;
            (2, u16::from_be_bytes(*length).into())
        }
        127 => {
            let (length, _) = extended.split_first_chunk::<8>()?;
            (8, u64::from_be_bytes(*length))
        }
        short => (0, short.into()),
    };
    (have >= 2 + extension + mask).then_some((first & 0x0f, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    /// Fed in pieces of every size, the same is told.
    #[track_caller]
    fn check(frames: &[u8], has_room: bool) {
        for size in 1..=frames.len() + HEAD.len() {
            let mut farewell = Farewell::new(Arc::new(Tenure::new(Kind::WebSocket)));
            for piece in [HEAD, frames].concat().chunks(size) {
                farewell.watch(piece);
            }
            assert_eq!(farewell.frames.has_room(), has_room, "{} by {size}", frames.escape_ascii());
        }
    }

    #[test]
    fn a_close_frame_has_room_between_frames_only() {
        let long = [&[0x82, 126, 1, 44][..], &[b'x'; 300]].concat();
        let longer = [&[0x82, 127, 0, 0, 0, 0, 0, 0, 1, 44][..], &[b'x'; 300]].concat();
        let masked = [0x81, 0x82, 1, 2, 3, 4, b'h', b'i'];
        check(b"", true);
        check(b"\x81\x02hi", true);
        check(b"\x01\x02hi\x80\x00", true);
        check(&long, true);
        check(&longer, true);
        check(&masked, true);
        for frames in [&b"\x81\x02hi"[..], &long, &longer, &masked] {
            for end in [1, 2, 3, frames.len() - 1] {
                check(&frames[..end], false);
            }
        }
        // Whatever is said to be long is waited for.
        check(&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3], false);
    }

    #[test]
    fn nobody_says_goodbye_twice() {
        check(b"\x88\x02\x03\xe8", false);
        check(b"\x88\x00", false);
    }

    #[test]
    fn there_is_no_room_in_a_head() {
        for end in 0..HEAD.len() {
            let mut farewell = Farewell::new(Arc::new(Tenure::new(Kind::WebSocket)));
            farewell.watch(&HEAD[..end]);
            assert!(!farewell.frames.has_room(), "{end}");
        }
    }
}
