//! Connections at the end of a gateway.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::relay::ASK;
use super::stage::{Backend, Client, OK, PATIENCE, Stage};
use crate::config;
use crate::gateway::Sockets;
use crate::gateway::listen::{App, Listener};

/// What an HTTP/2 client begins with, its settings among it.
const BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const GOAWAY: u8 = 7;

/// The type of the next frame.
fn frame(stream: &mut TcpStream) -> u8 {
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    stream.read_exact(&mut vec![0; length as usize]).unwrap();
    head[3]
}

/// A listener of its own, on the stage's gateway.
struct Door {
    runtime: Runtime,
    listener: Listener,
    address: SocketAddr,
    app: App,
    end: watch::Sender<bool>,
    ends: watch::Receiver<bool>,
}

impl Door {
    fn new(stage: &Stage, http2: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let settings = config::Listener { address, http2, tls: None, authorizer: None };
        let listener = runtime.block_on(async { Listener::open(&settings, None, &mut Sockets::default()).unwrap() });
        let address = listener.address().unwrap();
        let (end, ends) = watch::channel(false);
        Self { runtime, listener, address, app: App::new(Arc::clone(&stage.gateway)), end, ends }
    }
}

#[test]
fn connections_that_waited_to_be_accepted_at_the_end_are_told_of_it() {
    let stage = Stage::start(&["127.0.0.1:1".parse().unwrap()]);
    let Door { runtime, listener, address, app, end, ends } = Door::new(&stage, true);
    // More than are accepted before the end is seen.
    let clients: Vec<_> = (0..32).map(|_| TcpStream::connect(address).unwrap()).collect();
    end.send(true).unwrap();
    runtime.block_on(listener.serve(app, ends));
    for mut client in clients {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(BEGINNING).unwrap();
        while frame(&mut client) != GOAWAY {}
    }
}

#[test]
fn a_connection_brings_one_more_request_at_the_end_and_is_told_that_it_was_the_last() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    let Door { runtime, listener, address, app, end: _end, ends } = Door::new(&stage, false);
    runtime.spawn(listener.serve(app.clone(), ends));
    let mut clients = [0; 4].map(|_| Client::connect(address));
    for client in &mut clients {
        client.send(ASK);
        assert!(client.answer().unwrap().1.contains("\r\nConnection: keep-alive\r\n"));
    }
    let [one, two, half, idle] = &mut clients;
    half.send(&ASK[..10]);
    app.ending.begin();
    for client in [&mut *one, &mut *two] {
        client.send(ASK);
        let (status, head, body) = client.answer().unwrap();
        assert_eq!((status, &*body), (200, "hi"));
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        assert!(client.is_at_its_end());
    }
    // Those that have nothing to ask wait, until they are let go.
    app.ending.let_go();
    assert!(half.is_at_its_end() && idle.is_at_its_end());
}
