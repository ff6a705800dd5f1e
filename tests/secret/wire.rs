//! What is sent as it is, over HTTP/1 and HTTP/2, and every byte that comes back.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::table::Variation;

/// How long a connection may be silent that is not told to close: bodies that never end are among what is sent.
const SILENCE: Duration = Duration::from_millis(400);

/// Sends a variation with these header lines (each with its end) where it has none of its own, and reads to the end.
pub(crate) fn send(address: SocketAddr, variation: &Variation, lines: &str) -> Vec<u8> {
    let bytes = match variation {
        Variation::Target(target) => {
            let head = format!(" HTTP/1.1\r\nHost: api.example.com\r\n{lines}Connection: close\r\n\r\n");
            [b"GET ", &**target, head.as_bytes()].concat()
        }
        Variation::Bytes(bytes) => bytes.clone(),
        Variation::Fields(fields) => connection_of(fields, lines),
    };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let _ = stream.write_all(&bytes);
    let answer = match variation {
        Variation::Fields(_) => read_stream(&mut stream),
        Variation::Target(_) | Variation::Bytes(_) => {
            let mut answer = Vec::new();
            // Silence and a reset end it as well as an end does; what came before counts.
            let _ = stream.read_to_end(&mut answer);
            answer
        }
    };
    let _ = stream.shutdown(Shutdown::Both);
    answer
}

/// The status of the first answer; 0 where there is none.
pub(crate) fn status(variation: &Variation, answer: &[u8]) -> u16 {
    match variation {
        Variation::Target(_) | Variation::Bytes(_) => {
            let text = String::from_utf8_lossy(answer.get(..16).unwrap_or_default()).into_owned();
            text.split(' ').nth(1).and_then(|status| status.get(..3)?.parse().ok()).unwrap_or(0)
        }
        // The first field of the answer's head, which the static table has or nearly has (RFC 7541 appendix A).
        Variation::Fields(_) => answer.split_first().map_or(0, |(first, rest)| match first {
            0x88 => 200,
            0x89 => 204,
            0x8a => 206,
            0x8b => 304,
            0x8c => 400,
            0x8d => 404,
            0x8e => 500,
            _ => huffman_or_plain(rest),
        }),
    }
}

/// A status of three digits that the table does not have.
fn huffman_or_plain(rest: &[u8]) -> u16 {
    match rest {
        [3, digits @ ..] => String::from_utf8_lossy(digits.get(..3).unwrap_or_default()).parse().unwrap_or(0),
        // RFC 7541 appendix B: the digits 0, 1 and 2 have five bits, the others six.
        [length, coded @ ..] if length & 0x80 != 0 => {
            let coded = coded.iter().take(3).fold(0_u32, |all, byte| all << 8 | u32::from(*byte)) << 8;
            let mut at = 0;
            let mut status = 0;
            for _ in 0..3 {
                let five = coded << at >> 27;
                let (digit, bits) = if five <= 2 { (five, 5) } else { ((coded << at >> 26) - 0x19 + 3, 6) };
                status = status * 10 + u16::try_from(digit).unwrap_or(0);
                at += bits;
            }
            status
        }
        _ => 0,
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection's first bytes and one request, whose fields are neither indexed nor coded (RFC 7541 section 6.2.2).
fn connection_of(fields: &[(Vec<u8>, Vec<u8>)], lines: &str) -> Vec<u8> {
    let mut block = Vec::new();
    let more = lines.lines().filter_map(|line| line.split_once(": "));
    let more = more.map(|(name, value)| (name.to_ascii_lowercase().into_bytes(), value.as_bytes().to_vec()));
    for (name, value) in fields.iter().cloned().chain(more) {
        block.push(0);
        for text in [name, value] {
            append_length(&mut block, text.len());
            block.extend_from_slice(&text);
        }
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block));
    bytes
}

/// RFC 7541 section 5.1, with a prefix of seven bits.
fn append_length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(u8::try_from(length).unwrap());
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The payloads of the answer's frames until its stream or the connection ends.
fn read_stream(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).is_err() {
            break;
        }
        if matches!(head[3], DATA | HEADERS) {
            answer.extend_from_slice(&payload);
        }
        if matches!(head[3], RST_STREAM | GOAWAY) || matches!(head[3], DATA | HEADERS) && head[4] & END_STREAM != 0 {
            break;
        }
    }
    answer
}
