//! What was taken of rate limits, told to the others and heard of them.
//!
//! The server keeps of each bucket when it will be full, by its own clock, and adds what each gateway tells;
//! what is lacking then is what all have taken together. A gateway that does not reach the server keeps what
//! it has to tell, as far as it is still lacking when it does.

use std::sync::LazyLock;

use super::link::{Link, Script};
use crate::rates::{Counts, Table};

/// Buckets that are told of at once, and how often in one exchange: 20,000 in a tenth of a second.
const BATCH: usize = 1_000;
const BATCHES: usize = 20;

/// More is lacking of no bucket: an answer that says so is none. A bucket is full again within a year, and each gateway
/// may have taken all of it by itself: a hundred years, in microseconds, which the server's numbers are exact for.
const MOST: i64 = 100 * 366 * 24 * 60 * 60 * 1_000_000;

/// Of each bucket what was taken, in microseconds; what is lacking then.
static ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local lacking = {}
        for place, key in ipairs(KEYS) do
            local full = tonumber(redis.call('GET', key) or '') or 0
            if full < now then full = now end
            full = full + tonumber(ARGV[place])
            lacking[place] = full - now
            redis.call('SET', key, string.format('%.0f', full), 'PX', math.ceil(lacking[place] / 1000) + 1000)
        end
        return lacking",
    )
});

/// Tells what was taken, and hears what all have taken.
pub(super) async fn exchange(link: &Link, table: &Table) {
    for _ in 0..BATCHES {
        let told = table.tell(BATCH);
        if told.is_empty() || !tell(link, table, &told).await {
            return;
        }
    }
}

async fn tell(link: &Link, table: &Table, told: &[Counts]) -> bool {
    let keys: Vec<_> = told.iter().map(|counts| link.key(&format!("rate:{}", hex(counts.key.bytes())))).collect();
    let taken: Vec<_> = told.iter().map(|counts| counts.taken.div_ceil(1_000).to_string().into_bytes()).collect();
    let answered: Result<Vec<i64>, _> = link.run(&ADD, &keys, &taken).await;
    let Ok(lacking) = answered else {
        table.take_back(told);
        return false;
    };
    if lacking.len() != told.len() || !lacking.iter().all(|lacking| (0..=MOST).contains(lacking)) {
        link.rubbish();
        table.take_back(told);
        return false;
    }
    for (counts, lacking) in told.iter().zip(lacking) {
        table.hear(counts.key, lacking.unsigned_abs().saturating_mul(1_000));
    }
    true
}

fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}
