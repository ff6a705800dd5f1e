//! What other gateways have revoked, kept up over the shared state.
//!
//! The server has the entries in the order in which they came, each with a number; a gateway asks again and
//! again for what came after the last that it knows, and tells what it has itself and the server has not. So
//! nothing is missed: neither while the connection was lost, nor when the server has lost what it had, which
//! is told by its name for what it has (`epoch`) and brought again by all who know it. Over a new connection all is
//! asked for and told again: a server that was started from an older copy, or one in its place, says the same name
//! and gives the same numbers to other entries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::environment::{Background, Environment};
use super::keys::unique;
use super::moment::Moment;
use super::revoked::{Revoked, over};
use super::there::There;
use crate::config::OnOutage;
use crate::fleet::{Fleet, Link, Script, Unanswered};
use crate::policy::{Caller, Denial, TokenFault};
use crate::record::SharedFault;
use crate::token::{Revocation, Revocations};

/// What others have revoked, as requests see it.
pub(super) struct Told {
    fleet: Arc<Fleet>,
    own: Arc<Revoked>,
    state: Arc<State>,
    _task: Background,
}

struct State {
    list: ArcSwap<Revocations>,
    /// Of `list`, as of every list of this process.
    version: AtomicU64,
    /// When all that others had revoked was known last, in milliseconds since `since`; 0: never.
    heard: AtomicU64,
    since: Instant,
    /// That there is something to tell.
    news: Notify,
}

/// Where the exchange stands.
struct Exchange {
    fleet: Arc<Fleet>,
    own: Arc<Revoked>,
    state: Arc<State>,
    /// The connection over which that is known, by its number.
    over: u64,
    /// The server's name for what it has.
    epoch: Vec<u8>,
    /// The last number that is known.
    last: u64,
    /// What the server has.
    there: There,
    /// The version of the own list of which the server has all.
    told: Option<u64>,
    /// When all was asked for again.
    whole: Instant,
}

/// Between two exchanges.
const EVERY: Duration = Duration::from_millis(100);

/// Between two times that all is asked for, whatever the numbers say.
const WHOLE: Duration = Duration::from_secs(5 * 60);

/// Entries in one answer, and in one question.
const BATCH: usize = 500;
const TELLING: usize = 500;

/// The most that are kept; a list that is longer is not known.
const MOST: usize = 1_000_000;

/// How long after its end an entry stays there, in seconds: longer than gateways tell of it.
const MARGIN: u64 = 25 * 60 * 60;

/// Adds entries, each with its end (0: it has none), takes out some that are over, and tells of those after
/// a number. What it has is named anew if it had nothing.
static EXCHANGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local epoch = redis.call('HGET', KEYS[3], 'epoch')
        if not epoch then
            epoch = ARGV[4]
            redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
            redis.call('HSET', KEYS[3], 'epoch', epoch, 'last', 0)
        end
        local after = tonumber(ARGV[2])
        if epoch ~= ARGV[1] or after > tonumber(redis.call('HGET', KEYS[3], 'last')) then after = 0 end
        for place = 6, #ARGV, 2 do
            if not redis.call('ZSCORE', KEYS[1], ARGV[place]) then
                local number = redis.call('HINCRBY', KEYS[3], 'last', 1)
                redis.call('ZADD', KEYS[1], number, ARGV[place])
                if tonumber(ARGV[place + 1]) > 0 then
                    redis.call('ZADD', KEYS[2], ARGV[place + 1], ARGV[place])
                end
            end
        end
        local over = redis.call('TIME')[1] - tonumber(ARGV[5])
        for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', over, 'LIMIT', 0, 100)) do
            redis.call('ZREM', KEYS[1], entry)
            redis.call('ZREM', KEYS[2], entry)
        end
        local new = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
        return { epoch, tostring(after), new }",
    )
});

impl Told {
    /// Begins to tell what is on the own list, and to hear what is on others'. What was heard `before` stays
    /// known: others' tokens are revoked wherever that is kept. It is trusted for as long as if nothing had changed.
    pub(super) fn start(fleet: &Arc<Fleet>, own: &Arc<Revoked>, before: Option<&Self>, around: &Environment) -> Self {
        let before = before.map(|before| &*before.state);
        let state = Arc::new(State {
            list: before.map(|before| ArcSwap::new(before.list.load_full())).unwrap_or_default(),
            version: AtomicU64::new(unique()),
            heard: AtomicU64::new(before.map_or(0, |before| before.heard.load(Ordering::Acquire))),
            since: before.map_or_else(Instant::now, |before| before.since),
            news: Notify::new(),
        });
        let exchange = Exchange {
            fleet: Arc::clone(fleet),
            own: Arc::clone(own),
            state: Arc::clone(&state),
            over: 0,
            epoch: Vec::new(),
            last: 0,
            there: There::default(),
            told: None,
            whole: Instant::now(),
        };
        Self { fleet: Arc::clone(fleet), own: Arc::clone(own), state, _task: around.spawn(exchange.go_on()) }
    }

    pub(super) fn is_of(&self, fleet: &Arc<Fleet>, own: &Arc<Revoked>) -> bool {
        Arc::ptr_eq(&self.fleet, fleet) && Arc::ptr_eq(&self.own, own)
    }

    /// Whether what others have revoked was known once, where that is waited for.
    pub(super) fn is_ready(&self) -> bool {
        self.fleet.on_outage() == OnOutage::Local || self.state.heard.load(Ordering::Acquire) > 0
    }

    /// That the own list has something new.
    pub(super) fn has_news(&self) {
        self.state.news.notify_one();
    }

    /// Refuses a token that another gateway was told to refuse, and where the file says so, one of which
    /// that is not known; `seen` is as that of [`Revoked::check`].
    pub(super) fn check(&self, caller: &Caller, token: &str, seen: &AtomicU64, now: Moment) -> Result<(), Denial> {
        let version = self.state.version.load(Ordering::Acquire);
        if seen.load(Ordering::Relaxed) != version {
            if self.state.list.load().revokes(caller, token) {
                return Err(TokenFault::Revoked.into());
            }
            seen.store(version, Ordering::Relaxed);
        }
        match self.fleet.on_outage() {
            OnOutage::Local => Ok(()),
            OnOutage::Deny { stale_for } if self.state.was_heard_within(stale_for, now.instant) => Ok(()),
            OnOutage::Deny { .. } => Err(Denial::SharedStateUnavailable),
        }
    }
}

impl State {
    /// Drops what matters no more; nobody's verdict changes by it. Only the one task of the exchange changes the list.
    fn sweep(&self) {
        let list = Revocations::clone(&self.list.load());
        self.list.store(Arc::new(list.without_expired(over())));
    }

    fn was_heard_within(&self, limit: Duration, now: Instant) -> bool {
        let heard = self.heard.load(Ordering::Acquire);
        heard > 0 && now.saturating_duration_since(self.since) <= Duration::from_millis(heard) + limit
    }

    fn heard(&self, at: Instant) {
        let passed = at.saturating_duration_since(self.since).as_millis();
        self.heard.fetch_max(u64::try_from(passed).unwrap_or(u64::MAX).max(1), Ordering::AcqRel);
    }
}

/// An answer: the server's name for what it has, after which number it told, entries with their numbers.
type Answer = (Vec<u8>, u64, Vec<(Vec<u8>, u64)>);

impl Exchange {
    async fn go_on(mut self) {
        loop {
            // As long as there is more, at once.
            while self.once().await == Ok(true) {}
            // News or the time, whichever comes first.
            let _ = timeout(EVERY, self.state.news.notified()).await;
        }
    }

    /// Tells and hears; whether there is more of either.
    async fn once(&mut self) -> Result<bool, Unanswered> {
        let over = self.fleet.link().made();
        if over != self.over {
            (self.over, self.there, self.told) = (over, There::default(), None);
        } else if self.whole.elapsed() < WHOLE {
            return self.exchange().await;
        }
        self.there.hear_again();
        self.state.sweep();
        (self.whole, self.last) = (Instant::now(), 0);
        self.exchange().await
    }

    async fn exchange(&mut self) -> Result<bool, Unanswered> {
        let version = self.own.version();
        let telling = if self.told == Some(version) { Vec::new() } else { self.telling() };
        let asked = Instant::now();
        let (epoch, after, new) = self.ask(&telling).await?;
        if epoch != self.epoch || after < self.last {
            // It has lost something: all that is known here is told again.
            self.there = There::default();
            self.told = None;
        } else if telling.is_empty() {
            self.told = Some(version);
        }
        self.epoch = epoch;
        let is_all = new.len() < BATCH && self.fleet.link().made() == self.over;
        // What was told comes back with it.
        let readable = self.take(after, new);
        if is_all && self.there.was_all_heard() {
            // What it has lost without saying so is told again.
            self.told = None;
        }
        if is_all && readable {
            self.state.heard(asked);
            self.fleet.link().metrics().shared().heard(asked);
        }
        Ok(!is_all || telling.len() >= TELLING)
    }

    /// What is known here and not there, as much as goes at once.
    fn telling(&self) -> Vec<Revocation> {
        let (own, heard, now) = (self.own.list(), self.state.list.load(), over());
        let lists = own.as_deref().into_iter().chain([&**heard]);
        lists.flat_map(|list| self.there.lacks(list, now)).take(TELLING).collect()
    }

    async fn ask(&self, telling: &[Revocation]) -> Result<Answer, Unanswered> {
        let link: &Link = self.fleet.link();
        let keys = ["revoked", "revoked:ends", "revoked:state"].map(|name| link.key(name));
        let number = |number: u64| number.to_string().into_bytes();
        let name = format!("{:032x}", fastrand::u128(..)).into_bytes();
        let mut texts = vec![self.epoch.clone(), number(self.last), number(BATCH as u64), name, number(MARGIN)];
        for entry in telling {
            texts.push(entry.to_line().into_bytes());
            texts.push(number(entry.expires_at().map_or(0, |end| end.0)));
        }
        let (epoch, after, new): Answer = link.run(&EXCHANGE, &keys, &texts).await?;
        let is_good = !epoch.is_empty() && epoch.len() <= 64 && new.len() <= BATCH && after <= self.last;
        if is_good { Ok((epoch, after, new)) } else { Err(link.rubbish()) }
    }

    /// Takes what others have revoked; whether all of it could be read. What comes after an entry that
    /// cannot be read is taken too; but where what is not known is refused, nothing counts as known.
    fn take(&mut self, after: u64, new: Vec<(Vec<u8>, u64)>) -> bool {
        self.last = after;
        if new.is_empty() {
            return true;
        }
        let known = self.state.list.load_full();
        let (mut unknown, mut unread) = (Vec::new(), None);
        for (line, number) in new {
            match Revocation::parse(&line) {
                Ok(entry) if known.has(&entry) => self.there.add(entry),
                Ok(entry) if known.len() + unknown.len() < MOST => {
                    self.there.add(entry.clone());
                    unknown.push(entry);
                }
                Ok(_) | Err(_) => {
                    unread.get_or_insert(number.saturating_sub(1));
                }
            }
            self.last = self.last.max(number);
        }
        if let Some(unread) = unread {
            self.fleet.link().metrics().shared().failed(SharedFault::Rubbish);
            match self.fleet.on_outage() {
                OnOutage::Deny { .. } => self.last = unread,
                OnOutage::Local => {}
            }
        }
        // Nobody need look again for what is on it.
        if unknown.is_empty() && known.len() < MOST {
            return unread.is_none();
        }
        let mut list = Revocations::clone(&known);
        for entry in unknown {
            list.add(entry);
        }
        if list.len() >= MOST {
            list = list.without_expired(over());
        }
        self.state.list.store(Arc::new(list));
        self.state.version.store(unique(), Ordering::Release);
        unread.is_none()
    }
}
