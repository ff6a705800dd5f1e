//! Until when the scopes of live tokens are carried, told to the others and heard of them, so that a removal is
//! refused whichever gateway has seen the tokens.

use std::sync::LazyLock;

use super::link::{Link, Script};
use crate::policy::{ScopeName, UnixTime};
use crate::record::Metrics;

/// Scopes that are told of at once.
const BATCH: usize = 1_000;

/// Scopes and until when each is carried; until when it is as far as anybody knows.
static LATEST: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local latest = {}
        for place = 1, #ARGV, 2 do
            local known = tonumber(redis.call('HGET', KEYS[1], ARGV[place]) or '') or 0
            local told = tonumber(ARGV[place + 1]) or 0
            if told > known then
                redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 1])
                known = told
            end
            latest[#latest + 1] = known
        end
        return latest",
    )
});

/// Tells until when each scope is carried, and hears it.
pub(super) async fn exchange(link: &Link, metrics: &Metrics) {
    let scopes = metrics.scopes_carried();
    for batch in scopes.chunks(BATCH) {
        if !tell(link, metrics, batch).await {
            return;
        }
    }
}

async fn tell(link: &Link, metrics: &Metrics, scopes: &[(ScopeName, Option<UnixTime>)]) -> bool {
    let texts = scopes.iter().flat_map(|(name, until)| {
        let until = until.map_or(0, |until| until.0);
        [name.as_str().as_bytes().to_vec(), until.to_string().into_bytes()]
    });
    let texts: Vec<_> = texts.collect();
    let answered: Result<Vec<i64>, _> = link.run(&LATEST, &[link.key("scopes")], &texts).await;
    let Ok(latest) = answered else { return false };
    if latest.len() != scopes.len() || latest.iter().any(|until| *until < 0) {
        link.rubbish();
        return false;
    }
    for ((name, known), until) in scopes.iter().zip(latest) {
        let until = UnixTime(until.unsigned_abs());
        if known.is_none_or(|known| known < until) && until.0 > 0 {
            metrics.token_seen(std::iter::once(name), None, until);
        }
    }
    true
}
