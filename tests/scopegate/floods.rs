//! Published floods of HTTP/2, frame by frame: each costs its sender its connection or nobody anything.

use std::io::{Read as _, Write as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, PATIENCE, Upstream, connect, wait_for};
use crate::http2_client::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2, PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, frame,
};

const POLICY: &str = r#"
limits: { http2: { streams: 3, resets: 5, errors: 5 } }
apis:
  - { name: data, base_path: /data, upstream: backend, public: ["/data/**"] }
"#;

/// The frames to send for each number of a stream.
type Frames<'a> = Box<dyn Fn(u32) -> Vec<u8> + 'a>;

/// More than any of these frames is sent.
const MOST: usize = 200_000;
/// What a gateway may grow by meanwhile, in KiB.
const GROWTH: u64 = 32 * 1024;

fn start(upstream: Upstream) -> Gateway {
    Gateway::start_listening("http2: true", POLICY, upstream, |_| {})
}

fn fields<'a>(method: &'a str, path: &'a str) -> Vec<u8> {
    block(&[(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")])
}

/// Sends the frames again and again, with the streams' numbers that `frames` is given, and reads nothing
/// but in the end.
///
/// Whether the connection was ended before all were taken, and the types of the frames that came back.
fn flood(gateway: &Gateway, frames: impl Fn(u32) -> Vec<u8>) -> (bool, Vec<u8>) {
    let mut stream = connect(gateway.address);
    stream.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
    let started = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&started).unwrap();
    let mut ended = false;
    for number in (0..u32::try_from(MOST).unwrap()).step_by(100) {
        let piece: Vec<u8> = (number..number + 100).flat_map(|number| frames(2 * number + 1)).collect();
        if stream.write_all(&piece).is_err() {
            ended = true;
            break;
        }
    }
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut bytes = Vec::new();
    let mut piece = vec![0; 65_536];
    let started = Instant::now();
    while let Ok(read) = stream.read(&mut piece)
        && started.elapsed() < PATIENCE
    {
        if read == 0 {
            ended = true;
            break;
        }
        bytes.extend_from_slice(&piece[..read]);
    }
    let mut types = Vec::new();
    let mut rest = &bytes[..];
    while let Some((head, after)) = rest.split_first_chunk::<9>() {
        types.push(head[3]);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        rest = after.get(length..).unwrap_or_default();
    }
    (ended || types.contains(&GOAWAY), types)
}

#[test]
fn a_flood_of_frames_ends_its_connection_or_harms_nobody() {
    let mut gateway = start(Upstream::start());
    assert_eq!(Http2::plain(gateway.address).get("/data/x", &[]).status, 200);
    let get = fields("GET", "/data/x");
    let post = fields("POST", "/data/x");
    let head = |number, flags, block: &[u8]| frame(HEADERS, flags, number, block);
    let cancel = |number| frame(RST_STREAM, 0, number, &8_u32.to_be_bytes());
    // Its name, its frames, and whether its connection must end.
    let floods: [(&str, Frames<'_>, bool); 11] = [
        (
            "rapid reset (CVE-2023-44487)",
            Box::new(|number| [head(number, END_HEADERS | END_STREAM, &get), cancel(number)].concat()),
            true,
        ),
        (
            "made you reset (CVE-2025-8671): windows beyond what may be",
            Box::new(|number| {
                let open = head(number, END_HEADERS, &post);
                [open, frame(WINDOW_UPDATE, 0, number, &0x7fff_ffff_u32.to_be_bytes())].concat()
            }),
            true,
        ),
        (
            "made you reset: windows of nothing",
            Box::new(|number| {
                [head(number, END_HEADERS, &post), frame(WINDOW_UPDATE, 0, number, &0_u32.to_be_bytes())].concat()
            }),
            true,
        ),
        (
            "continuation (CVE-2024-27316)",
            Box::new(|number| {
                let more = frame(CONTINUATION, 0, 1, &block(&[("x", "y")]));
                if number == 1 { [head(1, 0, &get), more].concat() } else { more }
            }),
            true,
        ),
        (
            "empty continuations",
            Box::new(|number| if number == 1 { head(1, 0, &get) } else { frame(CONTINUATION, 0, 1, &[]) }),
            true,
        ),
        ("streams beyond the bound", Box::new(|number| head(number, END_HEADERS, &post)), true),
        (
            "empty data (CVE-2019-9518)",
            {
                let (open, empty) = (head(1, END_HEADERS, &post), frame(DATA, 0, 1, &[]));
                Box::new(move |number| if number == 1 { open.clone() } else { empty.clone() })
            },
            false,
        ),
        ("ping (CVE-2019-9512)", Box::new(|_| frame(PING, 0, 0, &[0; 8])), false),
        ("settings (CVE-2019-9515)", Box::new(|_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])), false),
        ("priority (CVE-2019-9513)", Box::new(|number| frame(PRIORITY, 0, number, &[0, 0, 0, 0, 1])), false),
        ("frames of no known type", Box::new(|_| frame(0xee, 0, 0, &[0; 16])), false),
    ];
    for (name, frames, must_end) in floods {
        let before = gateway.memory();
        let asked = gateway.upstream.count();
        let (ended, types) = flood(&gateway, frames);
        assert!(ended || !must_end, "{name}: all of it was taken; {types:?}");
        let grown = gateway.memory().saturating_sub(before);
        assert!(grown < GROWTH, "{name}: {grown} KiB more");
        assert!(gateway.is_running(), "{name}");
        let carried = gateway.upstream.count() - asked;
        assert!(carried < 1_000, "{name}: {carried} requests reached the upstream");
        assert_eq!(Http2::plain(gateway.address).get("/data/x", &[]).status, 200, "{name}");
    }
}

#[test]
fn a_connection_has_as_many_requests_under_way_as_it_may() {
    let (asked, under_way) = mpsc::channel();
    let (release, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::answering(move |_| {
        asked.send(()).unwrap();
        let _ = wait.lock().unwrap().recv();
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec()
    });
    let gateway = start(upstream);
    let mut stream = connect(gateway.address);
    let get = fields("GET", "/data/x");
    let heads: Vec<u8> =
        [1, 3, 5, 7].iter().flat_map(|number| frame(HEADERS, END_HEADERS | END_STREAM, *number, &get)).collect();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &heads].concat()).unwrap();
    (0..3).for_each(|_| under_way.recv_timeout(PATIENCE).unwrap());
    // The fourth is refused before anything looks at it, with REFUSED_STREAM: it may be sent again.
    let refused = loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == RST_STREAM {
            break (head[8], payload);
        }
    };
    assert_eq!(refused, (7, 7_u32.to_be_bytes().to_vec()));
    (0..3).for_each(|_| release.send(()).unwrap());
    assert_eq!(gateway.upstream.count(), 3);
}

#[test]
fn windows_that_stay_shut_give_back_what_their_requests_hold() {
    let answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n".to_vec(), vec![b'a'; 2 << 20]].concat();
    let upstream = Upstream::answering(move |_| answer.clone());
    let policy = POLICY.replace("streams: 3", "streams: 100").replace("limits: {", "limits: { send_timeout: 1s,");
    let gateway = Gateway::start_listening("http2: true", &policy, upstream, |_| {});
    let before = gateway.memory();
    let under_way = || gateway.metric(r#"scopegate_upstream_requests{upstream="backend"}"#);
    let mut stream = connect(gateway.address);
    // SETTINGS_INITIAL_WINDOW_SIZE: not a byte of any answer may be sent.
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat();
    for number in 0..50 {
        let head = fields("GET", "/data/x");
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, &head));
    }
    stream.write_all(&bytes).unwrap();
    wait_for("the requests", || (gateway.upstream.count() == 50).then_some(()));
    wait_for("their end", || (under_way() == Some(0.0)).then_some(()));
    // Not what was answered, which is 100 MiB.
    assert!(gateway.memory() < before + 2 * GROWTH);
    drop(stream);
    assert_eq!(gateway.ask("GET", "/data/x", &[]).status, 200);
}
