//! Pingora's log, as far as it is not about single requests, goes where the gateway's goes.
//!
//! What becomes of a request is in its audit line. Pingora logs each that is broken, with what the
//! client sent, and that goes nowhere.

use log::{Level, LevelFilter, Log, Metadata, Record};

/// The modules that speak of sockets and not of requests.
const ABOUT_SOCKETS: [&str; 2] = ["pingora_core::listeners", "pingora_core::services"];

struct Bridge;

/// Takes effect once a process, and not where the process has a log of its own.
pub(super) fn bridge() {
    if log::set_logger(&Bridge).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn && ABOUT_SOCKETS.iter().any(|module| metadata.target().starts_with(module))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        match record.level() {
            Level::Error => tracing::error!("{}", record.args()),
            Level::Warn | Level::Info | Level::Debug | Level::Trace => tracing::warn!("{}", record.args()),
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pingora_says_of_requests_goes_nowhere() {
        for (target, level, goes_on) in [
            ("pingora_core::services::listening", Level::Error, true),
            ("pingora_core::listeners::l4", Level::Warn, true),
            ("pingora_core::services::listening", Level::Info, false),
            ("pingora_proxy", Level::Error, false),
            ("pingora_core::protocols::http::v1::server", Level::Error, false),
        ] {
            let metadata = Metadata::builder().target(target).level(level).build();
            assert_eq!(Bridge.enabled(&metadata), goes_on, "{target} {level}");
        }
    }
}
