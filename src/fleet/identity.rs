//! Which server it is that answers. Behind a proxy, or an address that is moved, a connection stays open while another
//! server takes the place of the one before, and has less than that had.
//!
//! A server says by `INFO` whether it follows another, and the id of what it has: one that takes another's place, or is
//! started again, has a new id. What to do then is `link`'s.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::time::{sleep, timeout};

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(1);

/// What a server says of itself.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// Others follow it, or nobody does; what it has is known by this id.
    Leads(Box<str>),
    /// It follows another.
    Follows,
}

/// How the watch over a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Another server answers than at first, or it follows another now.
    Another,
    /// Who connects may not ask, or the server does not say.
    Unsaid,
}

/// Asks again and again until something is found. A server that does not answer is for others to notice, who ask more.
pub(super) async fn watch(mut connection: MultiplexedConnection, patience: Duration) -> Found {
    let mut first = None;
    loop {
        let mut command = redis::cmd("INFO");
        command.arg("replication");
        match timeout(patience, command.query_async::<String>(&mut connection)).await {
            Ok(Ok(text)) => match (read(&text), &first) {
                (None, _) => return Found::Unsaid,
                (Some(Said::Follows), _) => return Found::Another,
                (Some(said), None) => first = Some(said),
                (Some(said), Some(first)) if said != *first => return Found::Another,
                (Some(Said::Leads(_)), Some(_)) => {}
            },
            Ok(Err(error)) if !error.is_io_error() && !error.is_timeout() => return Found::Unsaid,
            Ok(Err(_)) | Err(_) => {}
        }
        sleep(EVERY).await;
    }
}

fn read(text: &str) -> Option<Said> {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    match value("role")?.trim() {
        "slave" | "replica" => Some(Said::Follows),
        _ => value("master_replid").map(|id| Said::Leads(id.trim().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_whether_it_leads_and_by_which_id() {
        let leads = |id: &str| Some(Said::Leads(id.into()));
        for (text, expected) in [
            (
                "# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_replid:ab12\r\nmaster_replid2:cd\r\n",
                leads("ab12"),
            ),
            ("role:master\nmaster_replid:ab12\n", leads("ab12")),
            ("# Replication\r\nrole:slave\r\nmaster_host:a\r\nmaster_replid:ab12\r\n", Some(Said::Follows)),
            ("role:master\r\nmaster_replid2:cd\r\n", None),
            ("PONG", None),
            ("", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
