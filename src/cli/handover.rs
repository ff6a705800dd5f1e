//! How one process takes over from another: it asks for its listening sockets over a Unix socket, gets
//! ready, and says so; only then does the other accept no more, and ends.
//!
//! The sockets are the same ones in both processes, so that no connection is lost between them. What
//! becomes of requests under way is the gateway's.

use std::fs::{self, Permissions};
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg, sockopt,
};
use tokio::sync::oneshot;

/// What is said with the sockets; another version would say something else.
const GREETING: &[u8; 12] = b"scopegate 1\n";
/// What a successor says once it serves.
const READY: u8 = b'R';
/// How long a successor may take until it serves.
const PATIENCE: Duration = Duration::from_secs(60);
/// More sockets than these the system passes to nobody at once.
const MOST_SOCKETS: usize = 253;

/// The process that serves until it is relieved.
#[derive(Debug)]
pub(super) struct Predecessor {
    stream: UnixStream,
    /// Those that it listens on.
    pub(super) sockets: Vec<TcpListener>,
}

/// The process that serves by this path, if there is one.
///
/// # Errors
/// If there is something that does not hand over.
pub(super) fn predecessor(path: &Path) -> io::Result<Option<Predecessor>> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        // What is left of a process that has ended refuses connections.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let sockets = receive(&stream)?;
    Ok(Some(Predecessor { stream, sockets }))
}

impl Predecessor {
    /// Tells it that this process serves now.
    ///
    /// # Errors
    /// If it is not there any more.
    pub(super) fn relieve(mut self) -> io::Result<()> {
        self.stream.write_all(&[READY])
    }
}

/// Waits for successors at this path, on a thread of its own. What is given is told when one serves.
///
/// # Errors
/// If the path cannot be had.
pub(super) fn wait(path: &Path, sockets: Vec<TcpListener>) -> io::Result<oneshot::Receiver<()>> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    let (relieved, told) = oneshot::channel();
    thread::Builder::new().name("handover".to_owned()).spawn(move || {
        for successor in listener.incoming() {
            match successor.and_then(|successor| serves(successor, &sockets)) {
                Ok(true) => {
                    // If nobody listens, the process is ending.
                    let _ = relieved.send(());
                    return;
                }
                Ok(false) => tracing::warn!("a successor has ended before it served; this process goes on"),
                Err(error) => tracing::warn!(%error, "a successor did not take over; this process goes on"),
            }
        }
    })?;
    Ok(told)
}

/// Whether the successor comes to serve on these sockets.
fn serves(mut successor: UnixStream, sockets: &[TcpListener]) -> io::Result<bool> {
    check_user(&successor)?;
    successor.set_read_timeout(Some(PATIENCE))?;
    successor.set_write_timeout(Some(PATIENCE))?;
    send(&successor, sockets)?;
    let mut said = [0];
    Ok(successor.read(&mut said)? == 1 && said == [READY])
}

/// Whoever has the sockets gets the requests: they are for processes of the same user alone.
fn check_user(successor: &UnixStream) -> io::Result<()> {
    let user = sockopt::socket_peercred(successor)?.uid;
    if user == rustix::process::geteuid() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is another user's"))
}

fn send(to: &UnixStream, sockets: &[TcpListener]) -> io::Result<()> {
    let sockets: Vec<_> = sockets.iter().map(|socket| socket.as_fd()).collect();
    let message = SendAncillaryMessage::ScmRights(&sockets);
    let mut space = vec![MaybeUninit::uninit(); message.size()];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(message) {
        return Err(io::Error::other("there are more sockets than can be handed over"));
    }
    sendmsg(to, &[IoSlice::new(GREETING)], &mut control, SendFlags::empty())?;
    Ok(())
}

fn receive(from: &UnixStream) -> io::Result<Vec<TcpListener>> {
    let mut greeting = [0; GREETING.len()];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(from, &mut [IoSliceMut::new(&mut greeting)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if greeting != *GREETING {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "what listens there is no gateway of this kind"));
    }
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            sockets.extend(received.map(|socket: OwnedFd| TcpListener::from(socket)));
        }
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_gets_the_sockets_and_relieves_when_it_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handover");
        assert!(predecessor(&path).unwrap().is_none());
        let sockets: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let mut told = wait(&path, sockets).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for _ in 0..2 {
            // Gone without a word.
            drop(predecessor(&path).unwrap().unwrap());
        }
        let found = predecessor(&path).unwrap().unwrap();
        let passed: Vec<_> = found.sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        assert_eq!(passed, addresses);
        assert!(told.try_recv().is_err());
        found.relieve().unwrap();
        told.blocking_recv().unwrap();
    }

    #[test]
    fn what_a_process_has_left_is_no_predecessor_and_another_s_file_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handover");
        drop(UnixListener::bind(&path).unwrap());
        assert!(predecessor(&path).unwrap().is_none());
        drop(wait(&path, vec![]).unwrap());
        let file = folder.path().join("file");
        fs::write(&file, "kept").unwrap();
        assert!(wait(&file, vec![]).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }

    #[test]
    fn what_speaks_otherwise_hands_nothing_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other");
        let other = UnixListener::bind(&path).unwrap();
        let speaks = thread::spawn(move || other.accept().unwrap().0.write_all(b"SSH-2.0-other\n").unwrap());
        assert_eq!(predecessor(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        speaks.join().unwrap();
    }
}
