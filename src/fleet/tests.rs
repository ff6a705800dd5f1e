//! The link against servers that answer rubbish, too much, too late or not at all.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::policy::Pace;
use crate::rates::{KeyPart, Seed};

/// What a server does with a connection once it was signed in over it.
#[derive(Debug, Clone, Copy)]
enum Habit {
    /// It answers everything so.
    Says(&'static [u8]),
    /// It says that again and again, for ever.
    Repeats(&'static [u8]),
    /// It says nothing.
    Silent,
    /// It closes.
    Closes,
}

async fn serve(mut stream: TcpStream, habit: Habit, asked: Arc<AtomicUsize>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
        // Signing in goes as it should.
        if !text.contains("EVAL") && !text.contains("SET") && !text.contains("SCRIPT") {
            let _ = stream.write_all(b"+PONG\r\n").await;
            continue;
        }
        asked.fetch_add(1, Ordering::Relaxed);
        match habit {
            Habit::Says(text) => {
                let _ = stream.write_all(text).await;
            }
            Habit::Repeats(text) => while stream.write_all(text).await.is_ok() {},
            Habit::Silent => {}
            Habit::Closes => return,
        }
    }
}

async fn server(habit: Habit) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, habit, Arc::clone(&counted)));
        }
    });
    (address, asked)
}

fn settings(address: SocketAddr) -> SharedState {
    SharedState {
        tls: false,
        host: address.ip().to_string().into(),
        port: address.port(),
        database: 0,
        username: None,
        password_file: None,
        ca_file: None,
        prefix: "t:".into(),
        on_outage: OnOutage::Local,
        timeout: Duration::from_millis(200),
    }
}

async fn connected(link: &Link) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !link.was_there() {
        assert!(Instant::now() < deadline, "never connected");
        sleep(Duration::from_millis(5)).await;
    }
}

fn faults(metrics: &Metrics) -> usize {
    let text = metrics.render().unwrap();
    let counts = text.lines().filter_map(|line| line.strip_prefix("scopegate_shared_state_errors_total{"));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}

/// Whatever the server says, an exchange ends soon, nothing that was to be told is lost, and it is counted.
async fn check(habit: Habit) {
    let (address, asked) = server(habit).await;
    let metrics = Metrics::new().unwrap();
    let link = Link::start(&settings(address), &metrics, &Handle::current());
    connected(&link).await;
    let table = Table::new(64, true);
    let pace = Pace { interval: 1_000_000_000_000, whole: 3_000_000_000_000 };
    let key = Seed::new(&[b"limit"]).key(std::iter::once(KeyPart::Client(b"a")));
    table.take(key, pace, table.now()).unwrap();
    let began = Instant::now();
    while asked.load(Ordering::Relaxed) == 0 {
        counts::exchange(&link, &table).await;
        sleep(Duration::from_millis(5)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{habit:?} {:?}", began.elapsed());
    assert!(faults(&metrics) > 0, "{habit:?}");
    let told = table.tell(10);
    assert!(told.len() == 1 && told[0].key == key, "{habit:?} {told:?}");
    assert_eq!(table.look(key, pace, table.now()).map(|left| left < 3), Ok(true), "{habit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_as_it_should_is_given_up_soon_and_counted() {
    for habit in [
        Habit::Says(b"HTTP/1.1 200 OK\r\n\r\n"),
        Habit::Says(b"$99999999999999\r\nx"),
        Habit::Says(b"$-99999999\r\n"),
        Habit::Says(b"*2147483647\r\n"),
        Habit::Says(b"*9223372036854775807\r\n:1\r\n"),
        Habit::Says(b"-ERR no such script\r\n"),
        Habit::Says(b"-LOADING it is\r\n"),
        Habit::Says(b"*1\r\n:-5\r\n"),
        Habit::Says(b"*1\r\n:9223372036854775807\r\n"),
        Habit::Says(b"*2\r\n:1\r\n:1\r\n"),
        Habit::Says(b"*0\r\n"),
        Habit::Says(b"+OK\r\n"),
        Habit::Says(b"\xff\xfe\x00"),
        Habit::Repeats(b"*1\r\n"),
        Habit::Repeats(b"$9000000000\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        Habit::Silent,
        Habit::Closes,
    ] {
        check(habit).await;
    }
}

#[tokio::test]
async fn without_a_server_nobody_waits() {
    let metrics = Metrics::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let link = Link::start(&settings(address), &metrics, &Handle::current());
    let began = Instant::now();
    for _ in 0..1000 {
        assert_eq!(link.ask::<i64>(&redis::cmd("PING")).await, Err(Unanswered));
    }
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    assert!(!link.was_there());
}

#[tokio::test]
async fn more_than_may_come_at_once_ends_a_connection() {
    let (mut far, near) = tokio::io::duplex(1 << 20);
    let mut near = meter::Metered::new(near);
    let flood = tokio::spawn(async move { while far.write_all(&vec![b'x'; 65_536]).await.is_ok() {} });
    let mut read = 0;
    let mut buffer = vec![0; 65_536];
    while let Ok(some) = near.read(&mut buffer).await {
        read += some;
    }
    assert!(read <= meter::MOST, "{read}");
    drop(near);
    flood.await.unwrap();
}
