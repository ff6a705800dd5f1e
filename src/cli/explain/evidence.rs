//! What tokens are checked against, read from files: keys and the list of revoked tokens.
//!
//! Nothing is fetched: keys behind a URL are not at hand unless a file with them is given.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::config::{Issuer, KeySource, Settings};
use crate::policy::UnixTime;
use crate::token::{KeySet, Revocations};
use crate::workbench::KeysAtHand;

/// The files that are read for a token.
pub(super) struct Files {
    /// Keys that take the place of those that the file names, and where they are from.
    keys: Option<(KeySet, String)>,
    revocations: Option<PathBuf>,
    now: UnixTime,
}

/// The longest that are read, in bytes.
const LONGEST_KEYS: u64 = 1 << 20;
const LONGEST_LIST: u64 = 256 << 20;

impl Files {
    /// With the keys of `jwks`, if there are to be others than the file's.
    pub(super) fn new(settings: &Settings, jwks: Option<&Path>, now: UnixTime) -> Result<Self, String> {
        let keys = jwks.map(|path| Ok::<_, String>((keys_of(path)?, path.display().to_string()))).transpose()?;
        Ok(Self { keys, revocations: settings.revocations.as_ref().map(|list| list.file.clone()), now })
    }

    pub(super) fn keys(&self, issuer: &Issuer) -> Result<KeysAtHand, String> {
        if let Some((set, from)) = &self.keys {
            return Ok(KeysAtHand { set: set.clone(), from: from.clone() });
        }
        match &issuer.keys {
            Some(KeySource::File(path)) => {
                let set = keys_of(path).map_err(|why| format!("the issuer's keys are not at hand: {why}"))?;
                Ok(KeysAtHand { set, from: path.display().to_string() })
            }
            Some(KeySource::Url(url)) => Err(format!(
                "the issuer's keys are at {url}, which is not asked from here; give them with `--jwks FILE`, \
                 or give what the token says with `--claims`"
            )),
            Some(KeySource::Discover) => Err(format!(
                "the issuer's keys are where the metadata of {} says, which is not asked from here; give them with \
                 `--jwks FILE`, or give what the token says with `--claims`",
                issuer.rules.issuer
            )),
            None => Err("the issuer has no keys".to_owned()),
        }
    }

    /// As the gateway takes it at its start: a list that is not there is empty.
    pub(super) fn revocations(&self) -> Result<Option<Revocations>, String> {
        let Some(path) = &self.revocations else { return Ok(None) };
        let unreadable = |why: &dyn std::fmt::Display| {
            format!("the list of revoked tokens is not at hand: {}: {why}", path.display())
        };
        let bytes = match read(path, LONGEST_LIST) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unreadable(&error)),
        };
        let text = String::from_utf8(bytes).map_err(|_| unreadable(&"it is not UTF-8"))?;
        let list = Revocations::parse(&text).map_err(|invalid| unreadable(&invalid))?;
        Ok(Some(list.without_expired(self.now)))
    }
}

fn keys_of(path: &Path) -> Result<KeySet, String> {
    let bytes = read(path, LONGEST_KEYS).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let parsed = KeySet::parse(&bytes).map_err(|invalid| format!("{}: {invalid}", path.display()))?;
    Ok(parsed.keys)
}

/// The whole of a file that is no longer than that.
pub(super) fn read(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than there may be shows that there are more.
    File::open(path)?.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > longest) {
        return Err(io::Error::other(format!("it is longer than {longest} bytes")));
    }
    Ok(bytes)
}
