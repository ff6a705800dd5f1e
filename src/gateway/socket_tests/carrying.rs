//! What a connection carries along while it waits.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::stage::Stage;
use crate::config::Limits;
use crate::gateway::admission::Connections;
use crate::gateway::client::Client;
use crate::gateway::connection::Connection;
use crate::gateway::patience::Patience;

#[test]
fn what_a_connection_carries_along_is_small() {
    let stage = Stage::start(&["127.0.0.1:1".parse().unwrap()]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(TcpStream::connect(stage.address)).unwrap();
    let _within = runtime.enter();
    let connection = Connection::plain(stream, stage.address).unwrap().takes_requests();
    let known = connection.known();
    let patience = Patience { known, limits: Limits::default(), ending: Arc::default(), shard: 0 };
    let connections = Connections::new(Arc::clone(stage.gateway.metrics()));
    let client = Client::new(Arc::clone(&stage.gateway), connections, patience);
    let (_end, ends) = watch::channel(false);
    // The largest of what its requests ever wait for, though nothing is under way.
    let size = size_of_val(&client.serve(connection, &ends));
    assert!(size < 6_600, "{size}");
}
