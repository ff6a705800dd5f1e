//! Listening sockets: had from whoever listened before, or bound here, and kept for whoever comes after.
//!
//! A socket that passes from one process to the next is one socket all the time: connections that wait
//! in its queue are lost by neither. How it passes is `cli`'s.

use std::io;
use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// Connections that wait to be accepted; the system's own bound may be lower.
const BACKLOG: u32 = 65_535;

/// The sockets of one process.
#[derive(Debug, Default)]
pub struct Sockets {
    inherited: Vec<TcpListener>,
    kept: Vec<TcpListener>,
}

impl Sockets {
    /// Sockets that listen already.
    #[must_use]
    pub fn inherited(inherited: Vec<TcpListener>) -> Self {
        Self { inherited, kept: Vec::new() }
    }

    /// The socket that listens there, or a new one. Within a runtime.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
        let is_there = |socket: &TcpListener| socket.local_addr().is_ok_and(|own| own == address);
        let socket = match self.inherited.iter().position(is_there) {
            Some(place) => self.inherited.swap_remove(place),
            None => bind(address)?,
        };
        socket.set_nonblocking(true)?;
        self.kept.push(socket.try_clone()?);
        tokio::net::TcpListener::from_std(socket)
    }

    /// Sockets that nobody has asked for.
    pub fn unused(&self) -> impl Iterator<Item = SocketAddr> {
        self.inherited.iter().filter_map(|socket| socket.local_addr().ok())
    }

    /// Every socket that was asked for, once more.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn copies(&self) -> io::Result<Vec<TcpListener>> {
        self.kept.iter().map(TcpListener::try_clone).collect()
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_passes_on_with_what_waits_in_its_queue() {
        let mut before = Sockets::default();
        let first = before.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let waits = std::net::TcpStream::connect(address).unwrap();
        let mut after = Sockets::inherited(before.copies().unwrap());
        drop((first, before));
        let second = after.listen(address).unwrap();
        assert_eq!(after.unused().count(), 0);
        let (_, peer) = second.accept().await.unwrap();
        assert_eq!(peer, waits.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_socket_of_another_address_is_left() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let mut sockets = Sockets::inherited(vec![other]);
        let bound = sockets.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(bound.local_addr().unwrap(), address);
        assert_eq!(sockets.unused().collect::<Vec<_>>(), [address]);
    }
}
