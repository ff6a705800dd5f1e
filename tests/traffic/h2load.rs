//! h2load of nghttp2: many requests at once over one HTTP/2 connection.

use std::fs;
use std::process::{Command, Stdio};

use super::stage::{Counted, Stage};

/// How many requests of a round, and how many at a time.
const REQUESTS: usize = 60;
const AT_ONCE: usize = 4;

/// What it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// `GET`, which a retry can save, over TLS.
    Saved,
    /// `POST`, with prior knowledge.
    Once,
    /// `GET` that is refused.
    Refused,
}

pub(crate) fn load(stage: &Stage, client: &str, asks: Asks) {
    let folder = stage.ledgers.join(client);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("body"), "a body").unwrap();
    let class = match asks {
        Asks::Saved => "saved",
        Asks::Once => "once",
        Asks::Refused => "refused-scope_insufficient",
    };
    let origin = match asks {
        Asks::Saved => format!("https://{}", stage.secured),
        Asks::Once | Asks::Refused => format!("http://{}", stage.gateway.address),
    };
    let token = if asks == Asks::Refused { &stage.tokens.poor } else { &stage.tokens.good };
    stage.repeat(client, |round| {
        let ids: Vec<_> = (0..REQUESTS).map(|number| format!("{class}-{client}-{round}-{number}")).collect();
        let urls: Vec<_> = ids.iter().map(|id| format!("{origin}/bulk/things/{id}")).collect();
        fs::write(folder.join("urls"), urls.join("\n") + "\n").unwrap();
        let _ = fs::remove_file(folder.join("log"));
        let mut command = Command::new("h2load");
        command
            .args(["-n", &REQUESTS.to_string(), "-c", "1", "-m", &AT_ONCE.to_string(), "-i", "urls", "--log-file=log"])
            .args(["-H", &format!("authorization: Bearer {token}")])
            .current_dir(&folder)
            .stdin(Stdio::null());
        if asks == Asks::Once {
            command.args(["-d", "body"]);
        }
        let output = command.output().expect("h2load is there");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let protocol = if asks == Asks::Saved { "Application protocol: h2\n" } else { "Application protocol: h2c\n" };
        assert!(said.contains(protocol), "{said}");
        assert!(said.contains(" 0 errored, 0 timeout"), "{said}");
        // One line a request, in the order of the answers: whose each is it does not say.
        let log = fs::read_to_string(folder.join("log")).unwrap();
        let statuses: Vec<u16> = log.lines().filter_map(|line| line.split('\t').nth(1)?.parse().ok()).collect();
        stage.counted.lock().unwrap().push(Counted { ids, statuses });
        Vec::new()
    });
}
