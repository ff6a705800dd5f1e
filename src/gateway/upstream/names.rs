//! What the servers' names stand for, as the system's resolver tells it. It may take its time with one of them: that
//! holds no other up.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::config::ServerAddress;

/// What a server's name stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct Resolved {
    /// The last that were found; none before.
    pub(super) addresses: Vec<SocketAddr>,
    /// Whether that it does not resolve was said.
    fails: bool,
    /// Whether somebody is at it.
    pub(super) is_asked: Arc<AtomicBool>,
}

/// Names that are resolved at once while somebody waits for all of them.
const AT_ONCE: usize = 16;

impl Resolved {
    /// Takes what was found; whether that is something else. Better the addresses that it had than none.
    pub(super) fn take(&mut self, found: io::Result<Vec<SocketAddr>>, upstream: &str, server: &ServerAddress) -> bool {
        match found {
            Ok(addresses) => {
                self.fails = false;
                std::mem::replace(&mut self.addresses, addresses) != self.addresses
            }
            Err(error) => {
                if !std::mem::replace(&mut self.fails, true) {
                    tracing::warn!(upstream, host = &*server.host, %error, "the server's name does not resolve");
                }
                false
            }
        }
    }
}

/// Does something for each of them, several at once, and returns when all of it is done.
pub(super) fn for_each_at_once<T: Sync>(all: &[T], act: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            act(one);
        }
    };
    thread::scope(|scope| {
        for _ in 1..all.len().min(AT_ONCE) {
            // Without another thread this one does all of it.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
}

/// Does something aside, unless it is being done.
pub(super) fn aside(is_under_way: &Arc<AtomicBool>, act: impl FnOnce() + Send + 'static) {
    if is_under_way.swap(true, Ordering::AcqRel) {
        return;
    }
    let end = End(Arc::clone(is_under_way));
    let done = thread::Builder::new().name("names".to_owned()).spawn(move || {
        let _end = end;
        act();
    });
    if let Err(error) = done {
        tracing::warn!(%error, "no name can be resolved: there is no thread for it");
    }
}

/// That it is done, or never will be.
struct End(Arc<AtomicBool>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Whether what it stands for may change.
pub(super) fn is_named(server: &ServerAddress) -> bool {
    server.host.parse::<IpAddr>().is_err()
}

/// What it stands for; blocks as long as that takes.
///
/// # Errors
/// What the resolver says.
pub(super) fn addresses(server: &ServerAddress) -> io::Result<Vec<SocketAddr>> {
    let mut found: Vec<_> = (&*server.host, server.port).to_socket_addrs()?.collect();
    // In one order, so that resolving again does not shuffle the turns.
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn all_names_are_resolved_and_several_at_once() {
        // Each of the first waits for all of the first.
        let together = Barrier::new(AT_ONCE);
        let done = AtomicUsize::new(0);
        let all: Vec<_> = (0..100).collect();
        for_each_at_once(&all, |nth| {
            if *nth < AT_ONCE {
                together.wait();
            }
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 100);
        for_each_at_once(&[(); 0], |()| panic!("there is none"));
    }

    #[test]
    fn a_name_that_takes_long_holds_up_no_other_and_is_asked_for_once() {
        let [slow, other] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (release, held) = channel::<()>();
        let (tell, told) = channel();
        let end = tell.clone();
        aside(&slow, move || {
            let _ = held.recv();
            end.send("slow").unwrap();
        });
        aside(&slow, || panic!("it is asked for"));
        let end = tell.clone();
        aside(&other, move || end.send("other").unwrap());
        assert_eq!(told.recv_timeout(PATIENCE), Ok("other"));
        drop(release);
        assert_eq!(told.recv_timeout(PATIENCE), Ok("slow"));
        let begun = std::time::Instant::now();
        while slow.load(Ordering::Acquire) {
            assert!(begun.elapsed() < PATIENCE);
            thread::yield_now();
        }
        aside(&slow, move || tell.send("again").unwrap());
        assert_eq!(told.recv_timeout(PATIENCE), Ok("again"));
    }
}
